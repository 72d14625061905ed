//! Noticing that files were replaced: certificates, and the program itself.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What some files looked like when nats-server last read them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fingerprint(Vec<Option<Stamp>>);

/// Changes with every replacement, in place or by renaming.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Fingerprint {
    /// The files as they are now; a file that cannot be looked at counts as a state of its own.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(files.into_iter().map(stamp).collect())
    }

    /// Whether all files are there. While one is missing, a replacement is under way.
    pub(crate) fn is_complete(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let of = |found: Metadata| Stamp {
        inode: found.ino(),
        size: found.size(),
        seconds: found.mtime(),
        nanoseconds: found.mtime_nsec(),
    };
    std::fs::metadata(file).ok().map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_each_replacement() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let now = || Fingerprint::of([file("c").as_path(), file("k").as_path()]);
        std::fs::write(file("c"), "1").unwrap();
        let only_one = now();
        std::fs::write(file("k"), "1").unwrap();
        let both = now();
        std::fs::write(file("new"), "1").unwrap();
        std::fs::rename(file("new"), file("c")).unwrap();
        let renamed = now();
        std::fs::write(file("k"), "22").unwrap();
        let written = now();

        let seen = [only_one, both, renamed, written.clone()];
        for (index, one) in seen.iter().enumerate() {
            assert_eq!(one.is_complete(), index > 0, "{index}");
            assert!(seen[index + 1..].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(now(), written);
    }
}
