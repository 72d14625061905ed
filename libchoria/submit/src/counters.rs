//! What is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Submissions since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    accepted_bytes: AtomicU64,
    commits: AtomicU64,
    refused: [AtomicU64; REASONS.len()],
    changed: Notify,
}

/// Names of the interface's errors for a submission.
const REASONS: [&str; 7] = ["Refused", "Invalid", "TooLarge", "SpoolFull", "SpoolFailed", "Busy", "InvalidParameter"];

impl Counters {
    pub(crate) fn accepted(&self, bytes: usize) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.accepted_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// One round of waiting for the disk.
    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refusal by the name of its error.
    pub(crate) fn refused(&self, reason: &str) {
        let position = REASONS.iter().position(|known| *known == reason);
        if let Some(counter) = position.and_then(|position| self.refused.get(position)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.changed.notify_one();
    }

    /// Completes when something was counted since this last did.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// As `Status` tells them: every reason, those that never happened too.
    pub(crate) fn now(&self) -> local::submission::Counters {
        let refused = REASONS.iter().zip(&self.refused);
        let refused: BTreeMap<_, _> =
            refused.map(|(name, count)| ((*name).to_owned(), count.load(Ordering::Relaxed))).collect();
        local::submission::Counters {
            accepted: self.accepted.load(Ordering::Relaxed),
            accepted_bytes: self.accepted_bytes.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            refused,
        }
    }

    /// For the status line.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let refused = self.refused.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        (self.accepted.load(Ordering::Relaxed), refused)
    }
}
