//! Which messages go together (pure).
//!
//! Reliable messages go in bursts only as far as their order in the stream is safe:
//!
//! - A burst begins when everything before it in its queue is settled, and after trouble with a single message. It
//!   doubles with each burst that was stored whole.
//! - Its messages have one subject, so that one stream answers for all of them, and none is smaller than the one before:
//!   a stream that is full for one is full for those behind it.
//! - How a burst travels is the outbox's business: a lost connection never lets later ones through without earlier ones.

use crate::message::Message;
use crate::schedule::{Step, Why, upcoming};
use crate::spool::Entry;
use std::time::{Duration, SystemTime};

/// What to do with the beginning of a queue. Messages are named by their place in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// These are dropped.
    pub(super) drops: Vec<(usize, Why)>,
    /// These are handed to the broker now, in this order; all are reliable, or none.
    pub(super) run: Vec<usize>,
    /// When nothing is handed over: how long the first must wait.
    pub(super) wait: Option<Duration>,
}

/// How many reliable messages one burst may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Pace(usize);

/// Plans the next run of a queue. `longest` bounds it.
pub(super) fn plan(entries: &[Entry], now: SystemTime, pace: Pace, longest: usize) -> Plan {
    let mut plan = Plan { drops: Vec::new(), run: Vec::new(), wait: None };
    let mut steps = upcoming(entries, now);
    let mut place = 0;
    for step in steps.by_ref() {
        let (Step::Publish(entry) | Step::Drop(entry, _)) = step else { continue };
        // Steps come in the order of the queue.
        while !std::ptr::eq(entry, &entries[place]) {
            place += 1;
        }
        match step {
            Step::Drop(_, why) => plan.drops.push((place, why)),
            _ => {
                let run = plan.run.last().map(|last| &entries[*last].message);
                if run.is_some_and(|last| !may_follow(last, &entry.message, plan.run.len(), pace, longest)) {
                    break;
                }
                plan.run.push(place);
            }
        }
    }
    if let Step::Sleep(wait) = steps.wait() {
        plan.wait = Some(wait).filter(|_| plan.run.is_empty());
    }
    plan
}

/// Whether `message` goes in one run with `last`, which is the last of `length`.
fn may_follow(last: &Message, message: &Message, length: usize, pace: Pace, longest: usize) -> bool {
    let together = !message.reliable || (length < pace.0 && last.subject == message.subject);
    last.reliable == message.reliable && length < longest && together
}

/// Takes the messages at `places`, which rise, out of a queue: those, and the rest.
pub(super) fn split(entries: Vec<Entry>, places: &[usize]) -> (Vec<Entry>, Vec<Entry>) {
    let (mut taken, mut rest) = (Vec::with_capacity(places.len()), Vec::with_capacity(entries.len()));
    let mut places = places.iter().peekable();
    for (place, entry) in entries.into_iter().enumerate() {
        if places.next_if(|next| **next == place).is_some() { taken.push(entry) } else { rest.push(entry) }
    }
    (taken, rest)
}

impl Pace {
    /// One at a time.
    pub(super) const CAREFUL: Self = Self(1);

    /// After a burst of `length` that was stored whole.
    pub(super) fn faster(self, length: usize) -> Self {
        // A short burst says nothing about a long one.
        if length >= self.0 { Self(self.0.saturating_mul(2).min(1 << 16)) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_doubles_with_whole_bursts_only() {
        let mut pace = Pace::CAREFUL;
        for (length, expected) in [(1, 2), (1, 2), (2, 4), (3, 4), (4, 8)] {
            pace = pace.faster(length);
            assert_eq!(pace, Pace(expected), "after {length}");
        }
    }
}
