//! Facts and classes from their files, read again only when a file changed (spec 04 §4.1, §4.2).
//!
//! Both are asked for every request. One source may be shared by many servers of a process, so that thousands of them
//! hold one copy.

use crate::stamp::Stamp;
use protocol::facts::{FactFile, Facts, classes};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The fact files of `plugin.yaml`.
#[derive(Debug)]
pub struct FactSource {
    files: Vec<String>,
    cached: Mutex<Cached<Facts>>,
}

/// The file of `classesfile`.
#[derive(Debug)]
pub struct ClassSource {
    file: Option<PathBuf>,
    cached: Mutex<Cached<Vec<String>>>,
}

impl FactSource {
    /// Reads from `files`, later ones winning; a name ending in `yaml` is YAML, others are JSON.
    #[must_use]
    pub fn new(files: Vec<String>) -> Self {
        Self { files, cached: Mutex::default() }
    }

    /// The facts now. Missing and broken files are logged once per change and left out.
    #[must_use]
    pub fn read(&self) -> Arc<Facts> {
        let stamps = self.files.iter().map(|file| Stamp::of(Path::new(file))).collect();
        refresh(&self.cached, stamps, || {
            let mut texts = Vec::new();
            for name in &self.files {
                match read_bounded(Path::new(name)) {
                    Ok(text) => texts.push((name.as_str(), text)),
                    Err(error) => tracing::warn!(file = %name, "fact file is skipped: {error}; see plugin.yaml"),
                }
            }
            let files: Vec<_> = texts.iter().map(|(name, text)| FactFile { name, text }).collect();
            let (facts, refused) = Facts::merge(&files);
            refused.iter().for_each(|problem| tracing::warn!("{problem}; see plugin.yaml"));
            facts
        })
    }
}

impl ClassSource {
    /// Reads from `file`; without one there are no classes.
    #[must_use]
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, cached: Mutex::default() }
    }

    /// The classes now, sorted. A file that cannot be read holds none.
    #[must_use]
    pub fn read(&self) -> Arc<Vec<String>> {
        let stamps = self.file.iter().map(|file| Stamp::of(file)).collect();
        refresh(&self.cached, stamps, || match self.file.as_deref().map(read_bounded) {
            None => Vec::new(),
            Some(Ok(text)) => {
                let mut classes = classes(&text);
                classes.sort_unstable();
                classes
            }
            Some(Err(error)) => {
                tracing::debug!(file = ?self.file, "there are no classes: {error}");
                Vec::new()
            }
        })
    }
}

/// What was read last, and what the files looked like then.
#[derive(Debug)]
struct Cached<T> {
    stamps: Option<Vec<Option<Stamp>>>,
    value: Arc<T>,
}

impl<T: Default> Default for Cached<T> {
    fn default() -> Self {
        Self { stamps: None, value: Arc::default() }
    }
}

/// The cached value, made anew when the stamps differ. The stamps are taken before reading: a file that changes
/// meanwhile is read again next time.
fn refresh<T>(cached: &Mutex<Cached<T>>, stamps: Vec<Option<Stamp>>, make: impl FnOnce() -> T) -> Arc<T> {
    // Only whole values are stored, so what a panicking holder left behind is usable.
    let mut cached = cached.lock().unwrap_or_else(PoisonError::into_inner);
    if cached.stamps.as_ref() != Some(&stamps) {
        cached.value = Arc::new(make());
        cached.stamps = Some(stamps);
    }
    Arc::clone(&cached.value)
}

/// Facts are a few hundred kilobytes at most; a wrong path must not fill the memory.
const MAX_FILE: u64 = 16 * 1024 * 1024;

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let length = std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_FILE {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", MAX_FILE / 1024 / 1024)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_follow_their_files_and_are_read_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("facts.json");
        let name = path.to_str().expect("text").to_owned();
        let source = FactSource::new(vec!["/nonexistent/facts.yaml".to_owned(), name]);
        assert_eq!(source.read().json(), "{}");

        std::fs::write(&path, r#"{"a":1}"#).expect("written");
        let first = source.read();
        assert_eq!(first.json(), r#"{"a":1}"#);
        assert!(Arc::ptr_eq(&first, &source.read()), "an unchanged file was read again");

        let other = folder.path().join("new");
        std::fs::write(&other, r#"{"a":2}"#).expect("written");
        std::fs::rename(&other, &path).expect("renamed");
        assert_eq!(source.read().json(), r#"{"a":2}"#);

        std::fs::remove_file(&path).expect("removed");
        assert_eq!(source.read().json(), "{}");
    }

    #[test]
    fn classes_are_sorted_and_optional() {
        assert!(ClassSource::new(None).read().is_empty());
        assert!(ClassSource::new(Some("/nonexistent".into())).read().is_empty());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("classes.txt");
        std::fs::write(&path, "b\nRole::A\n").expect("written");
        assert_eq!(*ClassSource::new(Some(path)).read(), ["Role::A", "b"]);
    }
}
