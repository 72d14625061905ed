//! What can be wrong with a configuration: files that cannot be read, values that cannot be used, things worth a word.

use crate::build;
use crate::inputs::Place;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The main configuration file does not exist.
    #[error(
        "the configuration file {} does not exist: create it, or name another with --config",
        path.display()
    )]
    Missing {
        /// The file looked for.
        path: PathBuf,
    },
    /// A client was given no file and none of those it looks for exists.
    #[error(
        "no client configuration was found: create ~/{} or {}, or name a file with --config",
        build::USER_CONFIG,
        build::CLIENT_CONFIG
    )]
    NoClientFile,
    /// A file or directory exists but cannot be read.
    #[error("the {purpose} {} cannot be read: {source}; {}", path.display(), fix(source))]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What it is for.
        purpose: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not UTF-8 text.
    #[error("{}:{line}: the line is not UTF-8 text: is this a configuration file?", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u32,
    },
    /// A line is too long to be meant.
    #[error("{}:{line}: the line is longer than 64 KiB: is this a configuration file?", path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u32,
    },
}

/// One value that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Where the value was given.
    pub place: Place,
    /// The key.
    pub key: String,
    /// The value as it may be shown: secrets as `*****`, long texts cut.
    pub value: String,
    /// The rule it breaks, in words.
    pub rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, value, rule } = self;
        // What stands in a file may hold what a terminal would obey, and a program may set several lines.
        write!(f, "{place}: {} = {}: {}", printable(key), printable(value), printable(rule))
    }
}

/// Every value that cannot be used, never none. A program does not start with such values: the original reads
/// `yess` as no and a mistyped number as the default, without a word.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// All of them, in the order of the keys.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    /// Problems that were found; the list is not empty.
    pub(crate) fn new(list: Vec<Problem>) -> Self {
        Self(list)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "value" } else { "values" };
        write!(f, "the configuration has {} {plural} that cannot be used:", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// Something that was ignored and probably meant otherwise; to be logged, never a reason to stop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Where it was found.
    pub place: Place,
    /// What was found and what to do.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, printable(&self.text))
    }
}

/// `text` with its control characters written out: `\n`, `\u{1b}`.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(written).collect())
}

/// What helps against an error of the file system.
fn fix(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run as a user that may read it, or change its mode",
        _ => "check that it is a readable file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_is_one_line_without_control_characters() {
        let problem = Problem {
            place: Place::Program,
            key: "ttl".to_owned(),
            value: "so\non \u{1b}[2J".to_owned(),
            rule: "must be a whole number".to_owned(),
        };
        let shown = problem.to_string();
        assert!(shown.ends_with(r"ttl = so\non \u{1b}[2J: must be a whole number"), "{shown}");
        let warning = Warning { place: Place::Program, text: "nothing reads a\rb".to_owned() };
        assert!(warning.to_string().ends_with(r"nothing reads a\rb"), "{warning}");
    }
}
