//! What can be seen of a provisioner at work: written by its task, read by metrics, status line and tests.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The state of this moment.
#[derive(Debug, Default)]
pub struct Live {
    waiting: AtomicUsize,
    busy: AtomicUsize,
    known: AtomicUsize,
    paused: AtomicBool,
}

impl Live {
    /// Nodes that wait for a worker.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Nodes that are being provisioned.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Nodes that are known: waiting, being provisioned, restarting or left alone for a while.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.load(Ordering::Relaxed)
    }

    /// Whether another provisioner is the leader.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, waiting: usize, busy: usize, known: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
        self.busy.store(busy, Ordering::Relaxed);
        self.known.store(known, Ordering::Relaxed);
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }
}
