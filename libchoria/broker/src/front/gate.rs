//! Who is served next, who waits, and who is turned away.
//!
//! Pure: connections of any type and the time go in. Three rules keep a storm of reconnections from feeding itself:
//!
//! - Only so many connections at once are between being accepted and being decided. The number follows the machine: it
//!   shrinks when this host takes long for its own part of the work (nats-server's greeting, the decision), and grows
//!   while the places are all taken and the host is quick, as when members are far away.
//! - Who finds no place waits in order, at most [`LONGEST_WAIT`]: a client gives up after two seconds, so who waited
//!   longer would leave in the middle, and the work would be lost. Being closed costs nothing, and the client comes back.
//! - Addresses that were denied again and again are served from a small allowance of their own, and only in places that
//!   nobody else waits for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The places and those who wait for one. `T` is closed by dropping it.
#[derive(Debug)]
pub(super) struct Gate<T> {
    taken: usize,
    limit: f64,
    least: f64,
    changed: Instant,
    slow: Option<Instant>,
    waiting: VecDeque<(Instant, T)>,
    suspects: VecDeque<(Instant, T)>,
    allowance: Allowance,
    turned_away: u64,
}

/// How many suspects may still be served: refilled with time.
#[derive(Debug)]
struct Allowance {
    left: f64,
    per_second: f64,
    refilled: Instant,
}

impl<T> Gate<T> {
    /// An empty gate for a machine with `processors`.
    pub(super) fn new(processors: usize, now: Instant) -> Self {
        let processors = processors.max(1) as f64;
        let per_second = SUSPECTS_PER_PROCESSOR * processors;
        Self {
            taken: 0,
            limit: FIRST_PLACES * processors,
            least: LEAST_PLACES * processors,
            changed: now,
            slow: None,
            waiting: VecDeque::new(),
            suspects: VecDeque::new(),
            allowance: Allowance { left: per_second / 4.0, per_second, refilled: now },
            turned_away: 0,
        }
    }

    /// Takes in a connection; [`Gate::next`] gives it out. Where there is no room it is closed.
    pub(super) fn arrive(&mut self, connection: T, suspect: bool, now: Instant) {
        let (queue, room) =
            if suspect { (&mut self.suspects, MOST_SUSPECTS) } else { (&mut self.waiting, MOST_WAITING) };
        if queue.len() >= room {
            self.turned_away += 1;
            return;
        }
        queue.push_back((now, connection));
    }

    /// The next connection to serve, if there is one and a place for it. The caller must call [`Gate::leave`] once for
    /// each.
    pub(super) fn next(&mut self, now: Instant) -> Option<T> {
        self.expire(now);
        if self.taken as f64 >= self.limit {
            self.grow(now);
        }
        if self.taken as f64 >= self.limit {
            return None;
        }
        let next = match self.waiting.pop_front() {
            Some((_, connection)) => connection,
            None => {
                // A part of the places stays free for those who are not suspect.
                if self.suspects.is_empty() || self.taken as f64 >= self.limit * SUSPECTS_SHARE {
                    return None;
                }
                if !self.allowance.take(now) {
                    return None;
                }
                self.suspects.pop_front()?.1
            }
        };
        self.taken += 1;
        Some(next)
    }

    /// A place is free again. `own_time` is what this host took for its part; `None` when it never came to that.
    pub(super) fn leave(&mut self, own_time: Option<Duration>, now: Instant) {
        self.taken = self.taken.saturating_sub(1);
        if own_time.is_some_and(|time| time >= SLOW) {
            self.slow = Some(now);
            if now.saturating_duration_since(self.changed) >= CHANGE_PAUSE {
                self.limit = (self.limit * SHRINK).max(self.least);
                self.changed = now;
            }
        }
    }

    /// Closes those who waited too long.
    pub(super) fn expire(&mut self, now: Instant) {
        for queue in [&mut self.waiting, &mut self.suspects] {
            while queue.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= LONGEST_WAIT) {
                queue.pop_front();
                self.turned_away += 1;
            }
        }
    }

    /// Whether anybody waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty() || !self.suspects.is_empty()
    }

    /// How many were turned away since this was last asked.
    pub(super) fn take_turned_away(&mut self) -> u64 {
        std::mem::take(&mut self.turned_away)
    }

    fn grow(&mut self, now: Instant) {
        let rested = now.saturating_duration_since(self.changed) >= CHANGE_PAUSE;
        let quick = self.slow.is_none_or(|slow| now.saturating_duration_since(slow) >= SLOW_MEMORY);
        if rested && quick && self.is_waited_for() {
            self.limit = (self.limit * GROW).min(MOST_PLACES);
            self.changed = now;
        }
    }
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.left = (self.left + passed * self.per_second).min(self.per_second / 4.0);
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

/// Half of what a client waits in all: the other half is for its handshake and decision.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(1000);

/// Places of one processor at the start: what it serves in about a tenth of a second.
const FIRST_PLACES: f64 = 32.0;

/// Places that are left to one processor however slow the host is: other work makes it slow too, and few places would
/// then serve fewer than it can.
const LEAST_PLACES: f64 = 8.0;

/// Places in all, for members who are far away and take their time.
const MOST_PLACES: f64 = 2048.0;

/// More than can be served within [`LONGEST_WAIT`].
const MOST_WAITING: usize = 8192;

/// Suspects are not worth as many open files.
const MOST_SUSPECTS: usize = 512;

/// Suspects served in one second by one processor: a quarter of what it can do.
const SUSPECTS_PER_PROCESSOR: f64 = 100.0;

/// Suspects take no place when more than this share of the places is taken.
const SUSPECTS_SHARE: f64 = 0.5;

/// The own part takes some milliseconds; when it takes this long the host has more to do than it can.
const SLOW: Duration = Duration::from_millis(500);

/// How long the host counts as busy after it was slow.
const SLOW_MEMORY: Duration = Duration::from_millis(500);

/// Time between changes of the limit: each has to show its effect first.
const CHANGE_PAUSE: Duration = Duration::from_millis(100);

const SHRINK: f64 = 0.7;

const GROW: f64 = 1.25;

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock(Instant);

    impl Clock {
        fn after(&self, milliseconds: u64) -> Instant {
            self.0 + Duration::from_millis(milliseconds)
        }
    }

    fn gate() -> (Gate<u32>, Clock) {
        let clock = Clock(Instant::now());
        (Gate::new(1, clock.0), clock)
    }

    fn serve_all(gate: &mut Gate<u32>, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| gate.next(now)).collect()
    }

    #[test]
    fn places_are_bounded_and_given_in_order() {
        let (mut gate, clock) = gate();
        (0..40).for_each(|number| gate.arrive(number, false, clock.0));
        assert_eq!(serve_all(&mut gate, clock.0), (0..32).collect::<Vec<_>>());
        gate.leave(Some(Duration::from_millis(5)), clock.after(10));
        assert_eq!(serve_all(&mut gate, clock.after(10)), [32]);
    }

    #[test]
    fn who_waited_too_long_is_turned_away() {
        let (mut gate, clock) = gate();
        (0..40).for_each(|number| gate.arrive(number, false, clock.0));
        serve_all(&mut gate, clock.0);
        gate.leave(None, clock.after(1000));
        gate.arrive(100, false, clock.after(1000));
        assert_eq!(serve_all(&mut gate, clock.after(1000)), [100]);
        assert_eq!((gate.take_turned_away(), gate.take_turned_away()), (8, 0));
    }

    #[test]
    fn a_slow_host_serves_fewer_at_once_and_a_quick_one_more() {
        let (mut gate, clock) = gate();
        let mut now = clock.0;
        for round in 1..50_u64 {
            (0..100).for_each(|number| gate.arrive(number, false, now));
            serve_all(&mut gate, now);
            now = clock.after(round * 200);
            for _ in 0..gate.taken {
                gate.leave(Some(Duration::from_millis(600)), now);
            }
        }
        assert_eq!(gate.limit, LEAST_PLACES);
        for round in 50..200_u64 {
            now = clock.after(round * 200);
            (0..9000).for_each(|number| gate.arrive(number, false, now));
            serve_all(&mut gate, now);
        }
        assert_eq!(gate.limit, MOST_PLACES);
    }

    #[test]
    fn suspects_stand_back_and_are_not_shut_out() {
        let (mut gate, clock) = gate();
        (0..600).for_each(|number| gate.arrive(number, true, clock.0));
        assert_eq!(gate.take_turned_away(), 600 - MOST_SUSPECTS as u64);
        let served = serve_all(&mut gate, clock.0).len();
        assert_eq!(served, 16, "half of the places");
        (1000..1030).for_each(|number| gate.arrive(number, false, clock.0));
        let good = serve_all(&mut gate, clock.0);
        assert_eq!(good, (1000..1016).collect::<Vec<_>>(), "the other half is for those who are not suspect");

        // A second of wrong logins that are decided at once: the allowance bounds them, and some are always served.
        let (mut gate, clock) = self::gate();
        let mut served = 0;
        for millisecond in 0..1000 {
            gate.arrive(0, true, clock.after(millisecond));
            while gate.next(clock.after(millisecond)).is_some() {
                gate.leave(Some(Duration::from_millis(1)), clock.after(millisecond));
                served += 1;
            }
        }
        assert!((100..=125).contains(&served), "{served}");
    }
}
