//! The surroundings in which a new configuration file already stands at its place.

use config::{Environment, SystemEnvironment};
use std::io;
use std::path::{Path, PathBuf};

/// The system, but for the text of one file.
pub(super) struct Overlay<'a> {
    file: PathBuf,
    text: &'a str,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(file: &Path, text: &'a str) -> Self {
        Self { file: file.to_owned(), text }
    }
}

impl Environment for Overlay<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        SystemEnvironment.variable(name)
    }

    fn home(&self) -> Option<PathBuf> {
        SystemEnvironment.home()
    }

    fn working_directory(&self) -> io::Result<PathBuf> {
        SystemEnvironment.working_directory()
    }

    fn host_name(&self) -> Option<String> {
        SystemEnvironment.host_name()
    }

    fn reverse_name(&self, host_name: &str) -> Option<String> {
        SystemEnvironment.reverse_name(host_name)
    }

    fn fact(&self, name: &str) -> Option<String> {
        SystemEnvironment.fact(name)
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.file { Ok(self.text.as_bytes().to_vec()) } else { SystemEnvironment.read_file(path) }
    }

    fn list_directory(&self, path: &Path) -> io::Result<Vec<String>> {
        SystemEnvironment.list_directory(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        path == self.file || SystemEnvironment.is_file(path)
    }

    fn trusts(&self, path: &Path) -> bool {
        SystemEnvironment.trusts(path)
    }
}
