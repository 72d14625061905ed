//! Everything that is wrong with the configuration file, listed at once.

use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with a configuration file, at least one thing.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    list: Vec<Problem>,
}

/// One thing that is wrong with a configuration file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The key; empty when the file itself is wrong.
    pub key: String,
    /// The rule that is broken, and what to do.
    pub rule: String,
}

impl Problems {
    /// All of them, in the order they were found.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    pub(crate) fn new(file: &Path, list: Vec<Problem>) -> Self {
        Self { file: file.to_owned(), list }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provisioner cannot start with {}:", self.file.display())?;
        self.list.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, rule } = self;
        if key.is_empty() { f.write_str(rule) } else { write!(f, "{key}: {rule}") }
    }
}

impl std::error::Error for Problems {}
