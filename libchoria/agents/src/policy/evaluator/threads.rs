//! A few threads with large stacks for work that cannot be stopped.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

/// Runs work, at most so much at once. Idle threads end after a while.
#[derive(Debug)]
pub(super) struct Threads {
    most: usize,
    permits: Arc<Semaphore>,
    shared: Arc<Shared>,
    made: AtomicU64,
}

/// Why work was not done in time.
#[derive(Debug)]
pub(super) enum Failed {
    /// All threads were at work all the time.
    Busy,
    /// Work of the same key is overdue.
    Overdue,
    /// It goes on.
    TooLong,
    /// It panicked.
    BrokeDown,
    /// The system refused a thread.
    NoThread(io::Error),
}

#[derive(Debug, Default)]
struct Shared {
    /// Where waiting threads take their next work from, by the thread's number.
    idle: Mutex<Vec<(u64, SyncSender<Job>)>>,
    /// How much work of each key is overdue.
    overdue: Mutex<HashMap<usize, usize>>,
}

struct Job {
    work: Box<dyn FnOnce() + Send>,
    /// Given back when the work has really ended.
    permit: OwnedSemaphorePermit,
}

impl Threads {
    pub(super) fn new(most: usize) -> Self {
        let permits = Arc::new(Semaphore::new(most));
        Self { most, permits, shared: Arc::default(), made: AtomicU64::new(0) }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The result of `work`, unless it takes longer than `limit`, the wait for a thread included. While work of a `key` is overdue, no other of that key
    /// begins.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        key: Option<usize>,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failed> {
        if key.is_some_and(|key| self.shared.overdue().contains_key(&key)) {
            return Err(Failed::Overdue);
        }
        let end = Instant::now() + limit;
        let Ok(Ok(permit)) = tokio::time::timeout_at(end, Arc::clone(&self.permits).acquire_owned()).await else {
            return Err(Failed::Busy);
        };
        let (done, mut answer) = oneshot::channel();
        let late = Arc::new(AtomicBool::new(false));
        let ended = End { key, late: Arc::clone(&late), shared: Arc::clone(&self.shared) };
        let work = Box::new(move || {
            let ended = ended;
            let value = work();
            // Under one lock with the look of who waits, so that nothing is marked overdue after it ended.
            let overdue = ended.shared.overdue();
            // Nobody may wait any longer.
            let _unheard = done.send(value);
            drop(overdue);
        });
        self.start(Job { work, permit }).map_err(Failed::NoThread)?;
        match tokio::time::timeout_at(end, &mut answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_gone)) => Err(Failed::BrokeDown),
            Err(_elapsed) => {
                let mut overdue = self.shared.overdue();
                match answer.try_recv() {
                    Ok(value) => return Ok(value),
                    Err(oneshot::error::TryRecvError::Closed) => return Err(Failed::BrokeDown),
                    Err(oneshot::error::TryRecvError::Empty) => {}
                }
                if let Some(key) = key {
                    late.store(true, Ordering::Relaxed);
                    *overdue.entry(key).or_default() += 1;
                }
                Err(Failed::TooLong)
            }
        }
    }

    /// Gives `job` to a thread that waits for work, or to a new one.
    fn start(&self, job: Job) -> io::Result<()> {
        let mut job = job;
        loop {
            let waiting = self.shared.idle().pop();
            let Some((_, thread)) = waiting else { break };
            job = match thread.try_send(job) {
                Ok(()) => return Ok(()),
                // It has just ended for want of work.
                Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job,
            };
        }
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&self.shared);
        let builder = std::thread::Builder::new().name("policy".to_owned()).stack_size(STACK);
        builder.spawn(move || serve(number, job, &shared)).map(drop)
    }
}

/// The end of one work, also by a panic: it is no longer overdue then.
struct End {
    key: Option<usize>,
    late: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut overdue = self.shared.overdue();
        let Some(key) = self.key.filter(|_| self.late.load(Ordering::Relaxed)) else { return };
        if let Some(count) = overdue.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                overdue.remove(&key);
            }
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<(u64, SyncSender<Job>)>> {
        // Only whole entries are added and removed, so what a panicking holder left behind is usable; so below.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn overdue(&self) -> MutexGuard<'_, HashMap<usize, usize>> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// One thread: its first work, then whatever comes while it waits. A panic of the work ends the thread and nothing else.
fn serve(number: u64, first: Job, shared: &Shared) {
    let (sender, receiver) = sync_channel(1);
    let mut job = first;
    loop {
        let Job { work, permit } = job;
        work();
        shared.idle().push((number, sender.clone()));
        drop(permit);
        job = match receiver.recv_timeout(IDLE) {
            Ok(job) => job,
            Err(_elapsed) => {
                // Out of the list first, then a last look: work may have come in between.
                shared.idle().retain(|(other, _)| *other != number);
                match receiver.try_recv() {
                    Ok(job) => job,
                    Err(_nothing) => return,
                }
            }
        };
    }
}

/// How long a thread waits for more work.
const IDLE: Duration = Duration::from_secs(10);
/// Room for the deepest policy that the outline accepts, in the slowest build; pages that are not touched cost nothing.
const STACK: usize = 64 * 1024 * 1024;
