//! What to deliver next, and what an attempt means: functions over values (spec 04 §5.3, §5.5).
//!
//! The queues are independent of each other; ask for each alone. Within a queue reliable messages are delivered in
//! order: one that waits for its next try holds up the reliable ones behind it, as the existing system promises and does
//! not keep. Messages that are not reliable are never held up.

use crate::message::Message;
use crate::spool::Entry;
use crate::timestamp::Timestamp;
use std::time::{Duration, SystemTime};

/// What to do next with a queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step<'a> {
    /// Publish this one.
    Publish(&'a Entry),
    /// Drop this one, it is never published.
    Drop(&'a Entry, Why),
    /// Nothing may be done for this long, unless another message is stored.
    Sleep(Duration),
    /// Nothing waits.
    Idle,
}

/// What publishing came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// A reliable message was acknowledged by the stream, as new or as one that it has already.
    Acknowledged,
    /// A message that is not reliable was handed to the connection, or could not be: it is not tried again.
    Sent,
    /// No stream, no answer in time, or a refusal.
    Failed,
    /// It cannot be signed, as it has to be.
    Unsignable,
}

/// What to do with a message after publishing.
#[derive(Clone, Debug, PartialEq)]
pub enum Settle {
    /// Remove it: it is delivered.
    Remove,
    /// Write it back like this: it waits for its next try.
    Retry(Box<Message>),
    /// Remove it: it will not be delivered.
    Drop(Why),
}

/// Why a message is not delivered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Why {
    /// It is older than its `ttl`.
    Expired,
    /// It was tried `max_tries` times.
    MaxTries,
    /// It shall be signed and cannot be.
    Unsignable,
}

/// Half a second to five: the base by number of tries; the first retry uses the second (spec 04 §5.5).
const BASES: [u64; 11] = [500, 750, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000];
/// The longest backoff there is; what says that it waits longer was written under another clock.
const LONGEST_WAIT: Duration = Duration::from_millis(7500);

/// The next step of one queue, whose messages are given in order.
#[must_use]
pub fn next<'a>(pending: impl IntoIterator<Item = &'a Entry>, now: SystemTime) -> Step<'a> {
    let mut upcoming = Upcoming::new(pending.into_iter(), now);
    upcoming.next().unwrap_or_else(|| upcoming.wait())
}

/// All steps that may be taken at once, in order: for publishing several while earlier ones are not answered yet. Should
/// a reliable one fail, those behind it that were published may be published again later; the stream knows them by id.
/// After the last, [`Upcoming::wait`] says what then.
#[must_use]
pub fn upcoming<'a, I: IntoIterator<Item = &'a Entry>>(pending: I, now: SystemTime) -> Upcoming<I::IntoIter> {
    Upcoming::new(pending.into_iter(), now)
}

/// The steps of [`upcoming`]: [`Step::Publish`] and [`Step::Drop`] only.
#[derive(Clone, Debug)]
pub struct Upcoming<I> {
    pending: I,
    now: SystemTime,
    held_up: bool,
    wait: Option<Duration>,
}

/// What an attempt means for a message. `random` is from 0 to 1 and spreads the retries of many nodes.
#[must_use]
pub fn after(message: &Message, outcome: Outcome, now: SystemTime, random: f64) -> Settle {
    match outcome {
        Outcome::Acknowledged | Outcome::Sent => Settle::Remove,
        Outcome::Unsignable => Settle::Drop(Why::Unsignable),
        Outcome::Failed if !message.reliable => Settle::Remove,
        Outcome::Failed => {
            let tries = message.tries.saturating_add(1);
            if tries >= message.max_tries {
                return Settle::Drop(Why::MaxTries);
            }
            let next_try = Timestamp::from(now + backoff(tries, random));
            Settle::Retry(Box::new(Message { tries, next_try, ..message.clone() }))
        }
    }
}

/// How long to wait after this many tries: half of the base and up to once the base more.
#[must_use]
pub fn backoff(tries: u64, random: f64) -> Duration {
    let last = BASES.len() - 1;
    let base = Duration::from_millis(BASES[usize::try_from(tries).unwrap_or(last).min(last)]);
    base / 2 + base.mul_f64(if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 })
}

impl<'a, I: Iterator<Item = &'a Entry>> Upcoming<I> {
    fn new(pending: I, now: SystemTime) -> Self {
        Self { pending, now, held_up: false, wait: None }
    }

    /// What to do when no step is left: [`Step::Sleep`] or [`Step::Idle`].
    #[must_use]
    pub fn wait(&self) -> Step<'a> {
        self.wait.map_or(Step::Idle, Step::Sleep)
    }

    /// How long a message must still wait for its next try; `None` when it may be tried.
    fn due_in(&self, message: &Message) -> Option<Duration> {
        let wait = message.next_try.ahead(self.now);
        (message.tries > 0 && !wait.is_zero() && wait <= LONGEST_WAIT).then_some(wait)
    }
}

impl<'a, I: Iterator<Item = &'a Entry>> Iterator for Upcoming<I> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        loop {
            let entry = self.pending.next()?;
            let message = &entry.message;
            if message.is_expired(self.now) {
                return Some(Step::Drop(entry, Why::Expired));
            }
            if message.tries >= message.max_tries {
                return Some(Step::Drop(entry, Why::MaxTries));
            }
            if message.reliable && self.held_up {
                continue;
            }
            let Some(wait) = self.due_in(message) else { return Some(Step::Publish(entry)) };
            self.held_up |= message.reliable;
            self.wait = Some(self.wait.map_or(wait, |earlier| earlier.min(wait)));
        }
    }
}

impl Why {
    /// The name in logs and metrics: lower case, words joined by `_`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::MaxTries => "max_tries",
            Self::Unsignable => "unsignable",
        }
    }
}

#[cfg(test)]
mod tests;
