//! A request is served once: ids of accepted requests are remembered for as long as the request counts.
//!
//! Whoever records a signed request can publish it again while its ttl lasts. The memory is of fixed size and fails
//! closed: when more requests come than it holds, it forgets the oldest one, and from then on refuses what the same
//! caller made before that one, since it can no longer tell whether that was served already.

use protocol::Request;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The requests one server has accepted. Holds no memory before the first and at most about half a megabyte.
#[derive(Debug)]
pub struct Replays {
    created: Instant,
    served: Mutex<Served>,
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Replay {
    /// It was accepted before.
    #[error("request was served already: its id came from the same caller within its ttl")]
    Seen,
    /// It is older than what is remembered of its caller.
    #[error(
        "request cannot be told from one served already: it was made before requests of the same caller whose ids made room \
         for newer ones; {CAPACITY} ids are kept"
    )]
    Forgotten,
}

/// What accepting a request came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remembered {
    /// There was room for its id.
    Room,
    /// The id of a request that still counts made room for it.
    Displaced,
}

impl Replays {
    /// Remembers a verified request at `now`, or refuses one that was or may have been served. The caller must be
    /// proven: ids of one caller are nothing to another, so nobody can use up ids of others.
    ///
    /// # Errors
    /// [`Replay`].
    pub fn accept(&self, request: &Request, now: SystemTime) -> Result<Remembered, Replay> {
        // Changed by whole steps only, and nothing in them panics.
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.accept(request, now, self.created.elapsed())
    }

    /// How many ids are remembered, those included that nobody asked about since they stopped to count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).order.len()
    }

    /// Whether no id is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Replays {
    fn default() -> Self {
        Self { created: Instant::now(), served: Mutex::default() }
    }
}

/// Ids kept. At the usual ttl of a minute this is a rate of more than a hundred requests a second.
const CAPACITY: usize = 8192;
/// Callers whose oldest accepted request is kept after their ids made room.
const CALLERS: usize = 256;

/// The memory itself, without a clock. Ids and callers are kept as hashes under a key of this process: what is in
/// messages cannot be chosen so that two of them meet.
#[derive(Debug, Default)]
struct Served {
    hasher: RandomState,
    ids: HashSet<u64>,
    /// In order of arrival.
    order: VecDeque<Entry>,
    /// For callers whose ids made room: what was made at this time or before is refused.
    floors: HashMap<u64, Floor>,
    /// The same for callers that are not in `floors`.
    common_floor: Option<Floor>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    caller: u64,
    floor: Floor,
}

/// A time of making, and when nothing made then counts any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Floor {
    /// When the request was made, in nanoseconds since 1970.
    made: u64,
    /// Its end by the clock on the wall, in seconds since 1970.
    until: u32,
    /// Its end by the clock that nobody can set, in seconds since the process started; a clock that is set forth and
    /// back does not make the server forget.
    until_elapsed: u32,
}

impl Served {
    fn accept(&mut self, request: &Request, now: SystemTime, elapsed: Duration) -> Result<Remembered, Replay> {
        self.forget_ended(now, elapsed);
        let caller = self.hasher.hash_one(request.caller.as_str());
        let id = self.hasher.hash_one((request.caller.as_str(), request.id.as_str()));
        if self.ids.contains(&id) {
            return Err(Replay::Seen);
        }
        let floor = Floor::of(request, now, elapsed);
        if self.floor(caller, now, elapsed).is_some_and(|forgotten| floor.made <= forgotten.made) {
            return Err(Replay::Forgotten);
        }
        let full = self.order.len() >= CAPACITY;
        if full {
            self.displace(now, elapsed);
        }
        self.ids.insert(id);
        self.order.push_back(Entry { id, caller, floor });
        Ok(if full { Remembered::Displaced } else { Remembered::Room })
    }

    /// Forgets from the front what nobody could replay any more.
    fn forget_ended(&mut self, now: SystemTime, elapsed: Duration) {
        while let Some(first) = self.order.front().filter(|first| first.floor.has_ended(now, elapsed)) {
            self.ids.remove(&first.id);
            self.order.pop_front();
        }
        if self.order.is_empty() && self.order.capacity() > SMALL {
            self.order = VecDeque::new();
            self.ids = HashSet::new();
        }
    }

    /// Before what its caller's requests are refused.
    fn floor(&self, caller: u64, now: SystemTime, elapsed: Duration) -> Option<Floor> {
        let floor = self.floors.get(&caller).copied().or(self.common_floor);
        floor.filter(|floor| !floor.has_ended(now, elapsed))
    }

    /// Forgets the oldest id and raises the floor of its caller.
    fn displace(&mut self, now: SystemTime, elapsed: Duration) {
        let Some(first) = self.order.pop_front() else { return };
        self.ids.remove(&first.id);
        if self.floors.len() >= CALLERS && !self.floors.contains_key(&first.caller) {
            self.floors.retain(|_, floor| !floor.has_ended(now, elapsed));
        }
        if self.floors.len() >= CALLERS && !self.floors.contains_key(&first.caller) {
            self.common_floor = Some(first.floor.or_later(self.common_floor));
            return;
        }
        let floor = first.floor.or_later(self.floors.get(&first.caller).copied());
        self.floors.insert(first.caller, floor);
    }
}

/// An empty memory keeps this much room, so that single requests do not make and free it each time.
const SMALL: usize = 64;

impl Floor {
    fn of(request: &Request, now: SystemTime, elapsed: Duration) -> Self {
        let end = request.time + Duration::from_secs(request.ttl.into());
        let left = end.duration_since(now).unwrap_or_default();
        let seconds = |time: Duration| u32::try_from(time.as_secs() + 1).unwrap_or(u32::MAX);
        let made = since_1970(request.time).as_nanos();
        Self {
            made: u64::try_from(made).unwrap_or(u64::MAX),
            until: seconds(since_1970(end)),
            until_elapsed: seconds(elapsed + left),
        }
    }

    /// Whether by both clocks nothing made then counts any more.
    fn has_ended(self, now: SystemTime, elapsed: Duration) -> bool {
        since_1970(now).as_secs() >= u64::from(self.until) && elapsed.as_secs() >= u64::from(self.until_elapsed)
    }

    /// The stricter of both.
    fn or_later(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self {
            made: self.made.max(other.made),
            until: self.until.max(other.until),
            until_elapsed: self.until_elapsed.max(other.until_elapsed),
        })
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
