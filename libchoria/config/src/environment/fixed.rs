//! Surroundings made of values, for tests and embedding programs.

use super::Environment;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Surroundings that hold exactly what is put in. By default: no variables, files or facts, the host `localhost`, no
/// home and the working directory `/`.
#[derive(Clone, Debug)]
pub struct FixedEnvironment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Files with their bytes.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Files that [`Environment::trusts`] refuses.
    pub distrusted: BTreeSet<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The working directory.
    pub working_directory: PathBuf,
    /// The host's own name.
    pub host_name: Option<String>,
    /// The answer of every reverse lookup.
    pub reverse_name: Option<String>,
    /// Facts by their dotted names.
    pub facts: BTreeMap<String, String>,
}

impl FixedEnvironment {
    /// Adds a file.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Default for FixedEnvironment {
    fn default() -> Self {
        Self {
            variables: BTreeMap::new(),
            files: BTreeMap::new(),
            distrusted: BTreeSet::new(),
            home: None,
            working_directory: PathBuf::from("/"),
            host_name: Some("localhost".to_owned()),
            reverse_name: None,
            facts: BTreeMap::new(),
        }
    }
}

impl Environment for FixedEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn home(&self) -> Option<PathBuf> {
        self.home.clone()
    }

    fn working_directory(&self) -> io::Result<PathBuf> {
        Ok(self.working_directory.clone())
    }

    fn host_name(&self) -> Option<String> {
        self.host_name.clone()
    }

    fn reverse_name(&self, _host_name: &str) -> Option<String> {
        self.reverse_name.clone()
    }

    fn fact(&self, name: &str) -> Option<String> {
        self.facts.get(name).cloned()
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list_directory(&self, path: &Path) -> io::Result<Vec<String>> {
        let inside = self.files.keys().filter(|file| file.parent() == Some(path)).filter_map(|file| file.file_name());
        let names: Vec<String> = inside.map(|name| name.to_string_lossy().into_owned()).collect();
        if names.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(names) }
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn trusts(&self, path: &Path) -> bool {
        self.is_file(path) && !self.distrusted.contains(path)
    }
}
