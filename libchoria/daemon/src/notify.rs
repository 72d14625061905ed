//! What systemd is told (sd_notify(3)). Without a service manager every call does nothing.

use libsystemd::daemon::{NotifyState, notify};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sends notifications to the service manager named by `NOTIFY_SOCKET`.
#[derive(Debug)]
pub(crate) struct Notifier {
    present: bool,
    /// A manager that once failed to listen is reported once.
    complained: AtomicBool,
    stopping: AtomicBool,
    status: Mutex<Status>,
}

/// What was shown last: a line, and what stands behind it.
#[derive(Debug, Default)]
struct Status {
    line: String,
    note: &'static str,
}

impl Notifier {
    pub(crate) fn from_environment() -> Self {
        let present = std::env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty());
        Self { present, complained: AtomicBool::new(false), stopping: AtomicBool::new(false), status: Mutex::default() }
    }

    /// Whether a service manager listens and therefore restarts what ends.
    pub(crate) fn is_present(&self) -> bool {
        self.present
    }

    pub(crate) fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// Said once, whoever notices first.
    pub(crate) fn stopping(&self) {
        if !self.stopping.swap(true, Ordering::Relaxed) {
            self.send(&[NotifyState::Stopping]);
        }
    }

    pub(crate) fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// `Type=notify-reload` demands the time at which the reload began.
    pub(crate) fn reloading(&self) {
        let clock = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
        let microseconds = clock.map_or(0, |time| time.tv_sec() * 1_000_000 + time.tv_nsec() / 1_000);
        self.send(&[NotifyState::Reloading, NotifyState::Other(format!("MONOTONIC_USEC={microseconds}"))]);
    }

    /// One line shown by `systemctl status`; the same line again is not sent.
    pub(crate) fn status(&self, text: &str) {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut last = self.last();
        if last.line != line {
            last.line = line;
            self.send(&[NotifyState::Status(last.text())]);
        }
    }

    /// Puts `note` behind every line from now on; nothing where it is empty.
    pub(crate) fn set_note(&self, note: &'static str) {
        let mut last = self.last();
        if last.note != note {
            last.note = note;
            self.send(&[NotifyState::Status(last.text())]);
        }
    }

    /// What is shown.
    pub(crate) fn line(&self) -> String {
        self.last().text()
    }

    fn last(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, states: &[NotifyState]) {
        if !self.present {
            return;
        }
        if let Err(error) = notify(false, states) {
            if !self.complained.swap(true, Ordering::Relaxed) {
                tracing::warn!("could not notify the service manager, further failures are not logged: {error}");
            }
        }
    }
}

impl Status {
    fn text(&self) -> String {
        match (self.line.as_str(), self.note) {
            (line, "") => line.to_owned(),
            ("", note) => note.to_owned(),
            (line, note) => format!("{line}; {note}"),
        }
    }
}
