//! How much is logged, and changing it while running.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Least severe event that is logged.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Only what ends the process; as `Error` here, where a fatal error is one.
    Fatal,
    /// Errors.
    Error,
    /// Warnings and errors.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
}

/// The level of the running log. Clones change the same log.
#[derive(Clone, Debug)]
pub struct LevelHandle(Arc<AtomicU8>);

impl Level {
    /// Reads the setting `loglevel`: `debug`, `info`, `warn`, `error` or `fatal`; anything else acts as `warn`, nothing at
    /// all as `debug` (spec 04 §2.3).
    #[must_use]
    pub fn from_setting(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "debug" => Self::Debug,
            "info" => Self::Info,
            "error" => Self::Error,
            "fatal" => Self::Fatal,
            _ => Self::Warn,
        }
    }

    pub(crate) fn as_filter(self) -> tracing_subscriber::filter::LevelFilter {
        use tracing_subscriber::filter::LevelFilter;
        match self {
            Self::Fatal | Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

impl LevelHandle {
    pub(crate) fn new(level: Level) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// Logs events of `level` and more severe ones from now on.
    pub fn set(&self, level: Level) {
        self.0.store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// The level in force.
    #[must_use]
    pub fn get(&self) -> Level {
        let number = self.0.load(Ordering::Relaxed);
        let levels = [Level::Fatal, Level::Error, Level::Warn, Level::Info];
        levels.into_iter().find(|level| *level as u8 == number).unwrap_or(Level::Debug)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_levels() {
        let rows = [
            ("debug", Level::Debug),
            ("info", Level::Info),
            ("WARN", Level::Warn),
            ("error", Level::Error),
            ("fatal", Level::Fatal),
            ("warning", Level::Warn),
            ("trace", Level::Warn),
            ("", Level::Debug),
        ];
        for (text, expected) in rows {
            assert_eq!(Level::from_setting(text), expected, "{text:?}");
            assert_eq!(LevelHandle::new(expected).get(), expected, "{text:?}");
        }
    }
}
