//! What adapters count (spec 08 §1.4).

use super::AdapterSettings;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The counters of one adapter, over all runs of nats-server.
#[derive(Debug)]
pub(crate) struct Counts {
    /// The adapter's name.
    pub(crate) name: String,
    /// Most messages in its queue.
    pub(crate) capacity: usize,
    queued: AtomicUsize,
    workers: Vec<Worker>,
}

/// Which side of an adapter a worker is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Input,
    Output,
}

#[derive(Debug)]
struct Worker {
    name: String,
    role: Role,
    messages: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
    timed: AtomicU64,
    microseconds: AtomicU64,
}

/// The values of one worker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Counted<'a> {
    /// `<adapter>.<number>`.
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    /// Messages that were taken in, or written.
    pub(crate) messages: u64,
    /// Messages that were dropped.
    pub(crate) errors: u64,
    pub(crate) bytes: u64,
    /// Messages whose handling was timed, and how long that took in all.
    pub(crate) timed: (u64, Duration),
}

impl Counts {
    pub(crate) fn new(adapter: &AdapterSettings) -> Arc<Self> {
        let workers = |count: usize, role| (0..count).map(move |number| Worker::new(&adapter.name, number, role));
        let all = workers(adapter.ingest_workers, Role::Input).chain(workers(adapter.stream_workers, Role::Output));
        Arc::new(Self {
            name: adapter.name.clone(),
            capacity: adapter.queue,
            queued: AtomicUsize::new(0),
            workers: all.collect(),
        })
    }

    /// Messages in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(super) fn set_queued(&self, queued: usize) {
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// Counts a message of worker `number` of `role`: of `bytes`, handled in `time`, dropped or not.
    pub(super) fn handled(&self, role: Role, number: usize, bytes: usize, time: Duration, dropped: bool) {
        let mut of_role = self.workers.iter().filter(|worker| worker.role == role);
        let Some(worker) = of_role.nth(number) else { return };
        let add = |counter: &AtomicU64, value: u64| counter.fetch_add(value, Ordering::Relaxed);
        add(if dropped { &worker.errors } else { &worker.messages }, 1);
        add(&worker.bytes, bytes as u64);
        add(&worker.timed, 1);
        add(&worker.microseconds, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The values of every worker.
    pub(crate) fn workers(&self) -> impl Iterator<Item = Counted<'_>> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.workers.iter().map(move |worker| Counted {
            name: &worker.name,
            role: worker.role,
            messages: read(&worker.messages),
            errors: read(&worker.errors),
            bytes: read(&worker.bytes),
            timed: (read(&worker.timed), Duration::from_micros(read(&worker.microseconds))),
        })
    }
}

impl Role {
    /// The label's value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

impl Worker {
    fn new(adapter: &str, number: usize, role: Role) -> Self {
        let [messages, errors, bytes, timed, microseconds] = [(); 5].map(|()| AtomicU64::new(0));
        Self { name: format!("{adapter}.{number}"), role, messages, errors, bytes, timed, microseconds }
    }
}
