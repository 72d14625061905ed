//! Where the log goes and how it looks (spec 04 §2.3). Standard output is never used: it belongs to results.
//!
//! | destination | form |
//! |---|---|
//! | journal, when systemd connected standard error to it | structured fields, prefix `CHORIA_` |
//! | standard error, a terminal | `INFO[0003] message  key=value`, coloured |
//! | standard error, anything else | `time="…" level=info msg="…" key=value` |
//! | a file | one JSON object per line, appended; the file is never reopened |
//!
//! A record whose field `event` is one of [`EVENTS`] has a message id in the journal, so `journalctl -x` explains it.
//!
//! Every line names its `component`: the crate it comes from. Spans are not shown; events carry their own fields.

mod catalog;
mod gate;
mod journal;
mod level;
mod lines;
mod record;

pub use catalog::EVENTS;
pub use level::{Level, LevelHandle};

use anyhow::Context as _;
use gate::Gate;
use lines::{Lines, Style};
use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use tracing_subscriber::layer::SubscriberExt;

/// What is logged and where to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Logging {
    /// Where to.
    pub destination: Destination,
    /// How much.
    pub level: Level,
}

/// Where the log goes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Destination {
    /// The journal when systemd connected standard error to it, else standard error.
    #[default]
    Automatic,
    /// Standard error, whatever stands behind it.
    StandardError,
    /// This file.
    File(PathBuf),
    /// Nowhere.
    Discard,
}

impl Logging {
    /// From the settings `logfile` and `loglevel`.
    #[must_use]
    pub fn from_settings(logfile: Option<&str>, loglevel: Option<&str>) -> Self {
        Self { destination: Destination::from_setting(logfile), level: Level::from_setting(loglevel.unwrap_or("info")) }
    }
}

impl Destination {
    /// Reads the setting `logfile`: a path, `stderr`, `discard`, or `stdout` (the default), which means the journal or
    /// standard error here.
    #[must_use]
    pub fn from_setting(logfile: Option<&str>) -> Self {
        match logfile.map(str::trim).unwrap_or_default() {
            "" => Self::Automatic,
            word if word.eq_ignore_ascii_case("stdout") => Self::Automatic,
            word if word.eq_ignore_ascii_case("stderr") => Self::StandardError,
            word if word.eq_ignore_ascii_case("discard") => Self::Discard,
            path => Self::File(PathBuf::from(path)),
        }
    }
}

/// Starts the log of this process; `name` is its name in the journal. The handle changes the level later.
///
/// # Errors
/// The log file cannot be opened, or the process already logs.
pub fn start(name: &str, logging: &Logging) -> anyhow::Result<LevelHandle> {
    let level = LevelHandle::new(logging.level);
    let gate = Gate::new(level.clone());
    let journal = match logging.destination {
        Destination::Automatic => journal::layer(name),
        _ => None,
    };
    let lines = match (&journal, &logging.destination) {
        (Some(_), _) | (None, Destination::Discard) => None,
        (None, Destination::File(path)) => Some(Lines::new(Style::Json, open(path)?)),
        (None, Destination::Automatic | Destination::StandardError) => {
            let terminal = std::io::stderr().is_terminal();
            let style = if terminal { Style::Terminal } else { Style::KeyValue };
            Some(Lines::new(style, std::io::stderr()))
        }
    };
    let subscriber = tracing_subscriber::registry().with(journal).with(lines).with(gate);
    tracing::subscriber::set_global_default(subscriber).context("starting the log")?;
    Ok(level)
}

fn open(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening the log file {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logfile_says_where_to() {
        let rows = [
            (None, Destination::Automatic),
            (Some(""), Destination::Automatic),
            (Some("stdout"), Destination::Automatic),
            (Some("STDERR"), Destination::StandardError),
            (Some("Discard"), Destination::Discard),
            (Some("/var/log/choria.log"), Destination::File("/var/log/choria.log".into())),
            (Some("stdout.log"), Destination::File("stdout.log".into())),
        ];
        for (setting, expected) in rows {
            assert_eq!(Destination::from_setting(setting), expected, "{setting:?}");
        }
    }
}
