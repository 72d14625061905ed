//! Policy files: read again only when they changed, and never in a way that could hang or fill the memory.

use crate::stamp::Stamp;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What became of files of one kind.
#[derive(Debug)]
pub(super) struct Files<T>(Mutex<HashMap<PathBuf, Kept<T>>>);

/// A file that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {why}", path = path.display())]
pub(super) struct Unreadable {
    path: PathBuf,
    why: String,
}

/// What was made of a file, and what it looked like then.
#[derive(Debug)]
struct Kept<T> {
    stamp: Option<Stamp>,
    value: Arc<T>,
}

impl Unreadable {
    /// What is wrong with it, without its name.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}

impl<T> Files<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// What was made of `path` as it is now; `None` when it has changed since or was never read.
    pub(super) fn current(&self, path: &Path, stamp: Option<&Stamp>) -> Option<Arc<T>> {
        // Only whole values are stored, so what a panicking holder left behind is usable; so below.
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(path).filter(|kept| kept.stamp.as_ref() == stamp).map(|kept| Arc::clone(&kept.value))
    }

    /// Keeps what was made of `path`, whose `stamp` was taken before reading: a file that changes meanwhile is read
    /// again next time. There is one entry for each hosted agent at most, since no other is asked for.
    pub(super) fn keep(&self, path: &Path, stamp: Option<Stamp>, value: Arc<T>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), Kept { stamp, value });
    }
}

/// Whether there is something at `path`, be it of use or not: a link to nowhere is there, so that no other file stands
/// in for it.
pub(super) fn exists(path: &Path) -> bool {
    !matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// The text of a file of at most `most` bytes. What is not UTF-8 is replaced, so that a comment in an old encoding is no
/// fault.
///
/// # Errors
/// Anything but a regular file, a larger one, one that cannot be read.
pub(super) fn read(path: &Path, most: usize) -> Result<String, Unreadable> {
    let unreadable = |why: String| Unreadable { path: path.to_owned(), why };
    // A pipe would wait for a writer.
    let open = OpenOptions::new().read(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(path);
    let file = open.map_err(|error| unreadable(error.to_string()))?;
    if !file.metadata().map_err(|error| unreadable(error.to_string()))?.is_file() {
        return Err(unreadable("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() > most {
        return Err(unreadable(format!("it is larger than {} KiB", most / 1024)));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("good"), "text").expect("written");
        std::fs::write(at("latin"), b"# caf\xe9\n").expect("written");
        std::fs::write(at("large"), vec![b'x'; 1025]).expect("written");
        std::fs::create_dir(at("folder")).expect("made");
        symlink(at("loop"), at("loop")).expect("linked");
        symlink(at("nowhere"), at("dangling")).expect("linked");
        symlink(at("good"), at("link")).expect("linked");
        symlink("/dev/zero", at("device")).expect("linked");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        let rows = [
            ("good", Ok("text")),
            ("link", Ok("text")),
            ("latin", Ok("# caf\u{fffd}\n")),
            ("large", Err("larger than 1 KiB")),
            ("folder", Err("no regular file")),
            ("pipe", Err("no regular file")),
            ("device", Err("no regular file")),
            ("loop", Err("symbolic link")),
            ("dangling", Err("No such file")),
            ("missing", Err("No such file")),
        ];
        for (name, expected) in rows {
            let got = read(&at(name), 1024);
            match expected {
                Ok(text) => assert_eq!(got.as_deref(), Ok(text), "{name}"),
                Err(part) => {
                    let error = got.expect_err(name).to_string();
                    assert!(error.contains(part) && error.contains(name), "{name}: {error}");
                }
            }
            assert_eq!(exists(&at(name)), name != "missing", "{name}");
        }
    }
}
