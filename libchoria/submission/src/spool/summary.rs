//! How much waits, for status, metrics and people.

use super::Spool;
use super::error::SpoolError;
use super::name::{is_message, number};
use crate::words::Priority;
use std::time::{Duration, SystemTime};

/// What is in a spool.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// The queues, priority 0 first.
    pub queues: [QueueSummary; 5],
    /// Files in `corrupt`, of which the newest hundred are kept.
    pub corrupt: u64,
}

/// What is in one queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueSummary {
    /// Files that are messages by their name.
    pub messages: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// When the oldest was stored, as its name tells.
    pub oldest: Option<SystemTime>,
}

impl Spool {
    /// Counts what is in the spool. It lists all of it: not for every moment when it holds a million files.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn summary(&self) -> Result<Summary, SpoolError> {
        let mut summary = Summary::default();
        for priority in Priority::ALL {
            let folder = self.queue(priority);
            let queue = &mut summary.queues[priority.index()];
            let mut oldest: Option<u64> = None;
            folder.for_each(|name, _| {
                if !is_message(name) {
                    return;
                }
                if let Ok(status) = folder.status(name) {
                    queue.messages += 1;
                    queue.bytes += status.weight();
                    oldest = [oldest, number(name)].into_iter().flatten().min();
                }
            })?;
            queue.oldest = oldest.map(|nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos));
        }
        self.corrupt.for_each(|name, _| summary.corrupt += u64::from(name != b"." && name != b".."))?;
        Ok(summary)
    }
}

impl Summary {
    /// Messages of all priorities.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.queues.iter().map(|queue| queue.messages).sum()
    }

    /// Bytes of all priorities.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.queues.iter().map(|queue| queue.bytes).sum()
    }
}
