//! Many messages, one round of waiting for the disk.
//!
//! While one round waits for the disk, the next gathers; so a lone message waits for nobody, and a crowd shares. What
//! waits is bounded in bytes, in all and for each user, and each wait in time.

use crate::counters::Counters;
use crate::shelf::Shelf;
use local::submission::SubmitError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use submission::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Hands messages to the committer's loop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Committer(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    send: mpsc::Sender<Waiting>,
    all: Arc<Semaphore>,
    users: Mutex<HashMap<u32, Arc<Semaphore>>>,
    patience: Duration,
}

/// The other end: [`run`](Self::run) does the work.
#[derive(Debug)]
pub(crate) struct Rounds {
    receive: mpsc::Receiver<Waiting>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    shelf: Arc<Shelf>,
    answer: oneshot::Sender<Result<(), SubmitError>>,
    /// Room in the queue, given back with the answer.
    room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// Both ends.
pub(crate) fn committer(counters: Arc<Counters>) -> (Committer, Rounds) {
    with_patience(counters, PATIENCE)
}

fn with_patience(counters: Arc<Counters>, patience: Duration) -> (Committer, Rounds) {
    let (send, receive) = mpsc::channel((QUEUE / OVERHEAD) as usize);
    let all = Arc::new(Semaphore::new(units(QUEUE) as usize));
    let queue = Queue { send, all, users: Mutex::default(), patience };
    (Committer(Arc::new(queue)), Rounds { receive, counters })
}

/// A message in the queue.
#[derive(Debug)]
#[must_use = "it is on the disk only when this says so"]
pub(crate) struct Queued(oneshot::Receiver<Result<(), SubmitError>>);

impl Committer {
    /// Puts `message` of user `uid` into the queue for `shelf`. Messages are stored in the order in which they were put.
    ///
    /// # Errors
    /// `Busy` when there was no room in the queue for half a minute.
    pub(crate) async fn put(&self, uid: u32, message: Message, shelf: Arc<Shelf>) -> Result<Queued, SubmitError> {
        let bytes = message.payload.len() as u64 + OVERHEAD;
        let room = timeout(self.0.patience, self.0.room(uid, bytes)).await.ok().flatten();
        let Some(room) = room else {
            return Err(SubmitError::Busy(format!(
                "the submissions before this one wait for the disk for more than {} s; try again, and look at the disk",
                self.0.patience.as_secs()
            )));
        };
        let (answer, answered) = oneshot::channel();
        // There is room: the bytes in the queue bound its length.
        self.0.send.send(Waiting { message, shelf, answer, room }).await.map_err(|_| ended())?;
        Ok(Queued(answered))
    }

    /// Puts a message and waits until it is stored.
    #[cfg(test)]
    async fn store(&self, uid: u32, message: Message, shelf: Arc<Shelf>) -> Result<(), SubmitError> {
        self.put(uid, message, shelf).await?.stored().await
    }
}

impl Queued {
    /// Waits until the message is on the disk.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) async fn stored(self) -> Result<(), SubmitError> {
        self.0.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> SubmitError {
    SubmitError::SpoolFailed("the service ended before the message was on the disk".to_owned())
}

impl Queue {
    /// The user's own share first, so that a greedy one waits for itself.
    async fn room(&self, uid: u32, bytes: u64) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let user = self.user(uid).acquire_many_owned(units(bytes).min(units(QUEUE_OF_USER))).await.ok()?;
        let all = Arc::clone(&self.all).acquire_many_owned(units(bytes).min(units(QUEUE))).await.ok()?;
        Some((user, all))
    }

    fn user(&self, uid: u32) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= MANY_USERS {
            // Those that nobody waits for.
            users.retain(|_, user| Arc::strong_count(user) > 1);
        }
        let new = || Arc::new(Semaphore::new(units(QUEUE_OF_USER) as usize));
        Arc::clone(users.entry(uid).or_insert_with(new))
    }
}

impl Rounds {
    /// Stores what comes, round after round, until every [`Committer`] is gone.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.receive.recv().await {
            // Whoever is ready to hand in now, comes along.
            tokio::task::yield_now().await;
            let mut round = vec![first];
            let mut bytes = 0;
            while round.len() < MOST_OF_ROUND && bytes < BYTES_OF_ROUND {
                let Ok(next) = self.receive.try_recv() else { break };
                bytes += next.message.payload.len();
                round.push(next);
            }
            self.commit(round).await;
        }
    }

    async fn commit(&self, round: Vec<Waiting>) {
        // A round goes to one shelf; a reload in the middle makes it two.
        let mut rest = round.into_iter().peekable();
        while let Some(first) = rest.next() {
            let shelf = Arc::clone(&first.shelf);
            let mut messages = Vec::new();
            let mut others = Vec::new();
            let mut take = |waiting: Waiting| {
                messages.push(waiting.message);
                others.push((waiting.answer, waiting.room));
            };
            take(first);
            while let Some(next) = rest.next_if(|next| Arc::ptr_eq(&next.shelf, &shelf)) {
                take(next);
            }
            let sizes: Vec<usize> = messages.iter().map(|message| message.payload.len()).collect();
            let stored = tokio::task::spawn_blocking(move || shelf.store(&messages)).await;
            self.counters.committed();
            let fault = || SubmitError::SpoolFailed("storing failed by a fault of the service; see its log".to_owned());
            let stored = stored.unwrap_or_else(|error| {
                tracing::error!(event = "store_failed", "storing failed by a fault of this program: {error}");
                vec![Err(fault()); sizes.len()]
            });
            for ((result, size), (answer, room)) in stored.into_iter().zip(sizes).zip(others) {
                if result.is_ok() {
                    self.counters.accepted(size);
                }
                drop(room);
                // A caller who is gone has a message in the spool and no id of it.
                let _gone = answer.send(result);
            }
        }
    }
}

/// Bytes of messages that wait, in all.
const QUEUE: u64 = 64 << 20;

/// Bytes of messages that wait, of one user; a larger message waits for all of it.
const QUEUE_OF_USER: u64 = 8 << 20;

/// What a message costs beside its payload, at least.
const OVERHEAD: u64 = 4 << 10;

/// Messages of one round.
const MOST_OF_ROUND: usize = 256;

/// Payload bytes after which a round is closed.
const BYTES_OF_ROUND: usize = 8 << 20;

/// Users that are remembered before those without messages are forgotten.
const MANY_USERS: usize = 256;

/// How long a message waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// Room is counted in KiB.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
