//! Which node is next: the work set of a provisioner (spec 06 §5). No clock and no tasks; time is an argument.
//!
//! | a node that | is |
//! |---|---|
//! | is new | queued |
//! | waits or is being provisioned | known, asking again changes nothing |
//! | was provisioned | held for a minute, since it is still heard of while it restarts; one that announces itself after its restart has not become a member and is queued again, at ever longer intervals |
//! | failed or was deferred | left alone for a while, at most five minutes; asked meanwhile, it is queued at the end of that |
//! | waited for more than two intervals | dropped, since it may be gone; if not, it is found again |
//!
//! At most 50,000 nodes are known at a time. More are refused and counted; the next discovery finds them again.

use names::Identity;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The work set.
#[derive(Debug)]
pub struct Queue {
    nodes: HashMap<Identity, Node>,
    /// Those in [`State::Waiting`], in the order they came.
    waiting: VecDeque<Identity>,
    /// When a state may end; entries whose node has moved on since are skipped.
    timers: BinaryHeap<Reverse<(Instant, Identity)>>,
    longest_wait: Duration,
    capacity: usize,
}

/// How a node was noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// It announced itself.
    Event,
    /// It answered a discovery.
    Discovery,
}

/// What became of a node that was noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Offer {
    /// It waits for a worker.
    Queued,
    /// It will wait for a worker once it was left alone for long enough.
    Later,
    /// It is known already.
    Known,
    /// There is no room; it was dropped.
    Full,
}

/// The next node for a worker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Next {
    /// To be provisioned, after it waited for so long.
    Node(Identity, Duration),
    /// It waited for so long that it may be gone, and was dropped.
    Stale(Identity, Duration),
}

/// How the work for one node ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// It restarts or shuts down.
    Finished,
    /// It restarts as an unprovisioned node, with other software.
    Upgraded,
    /// The helper wants to decide later.
    Deferred,
    /// It did not work out.
    Failed,
    /// The work was given up for reasons that are not the node's.
    Abandoned,
}

#[derive(Debug)]
struct Node {
    state: State,
    /// In a row.
    failures: u32,
    /// How often in a row it announced itself soon after it was provisioned.
    returns: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Waiting {
        since: Instant,
    },
    Busy {
        again: bool,
    },
    Held {
        since: Instant,
        until: Instant,
    },
    Resting {
        until: Instant,
        again: bool,
    },
    /// Nothing is to be done; only what is known of its past is kept.
    Remembered {
        until: Instant,
    },
}

impl Queue {
    /// An empty work set; nodes that wait for longer than `longest_wait` are dropped.
    #[must_use]
    pub fn new(longest_wait: Duration) -> Self {
        Self {
            nodes: HashMap::new(),
            waiting: VecDeque::new(),
            timers: BinaryHeap::new(),
            longest_wait,
            capacity: CAPACITY,
        }
    }

    /// A node was noticed at `now`.
    pub fn offer(&mut self, identity: &Identity, source: Source, now: Instant) -> Offer {
        self.tick(now);
        let Some(node) = self.nodes.get_mut(identity) else {
            if self.nodes.len() >= self.capacity {
                return Offer::Full;
            }
            self.nodes.insert(identity.clone(), Node { state: State::Waiting { since: now }, failures: 0, returns: 0 });
            self.waiting.push_back(identity.clone());
            return Offer::Queued;
        };
        match &mut node.state {
            State::Waiting { .. } => Offer::Known,
            State::Busy { again } => {
                *again |= source == Source::Event;
                Offer::Known
            }
            State::Resting { again, .. } => {
                *again = true;
                Offer::Later
            }
            State::Remembered { .. } => self.wait(identity, now),
            State::Held { since, .. } if source == Source::Event && now.duration_since(*since) >= SOONEST_RETURN => {
                node.returns += 1;
                match pause(node.returns - 1) {
                    Duration::ZERO => self.wait(identity, now),
                    time => {
                        self.rest(identity, now + time, true);
                        Offer::Later
                    }
                }
            }
            State::Held { .. } => Offer::Known,
        }
    }

    /// The next node; none while nobody waits.
    pub fn take(&mut self, now: Instant) -> Option<Next> {
        self.tick(now);
        let identity = self.waiting.pop_front()?;
        let node = self.nodes.get_mut(&identity)?;
        let waited = match node.state {
            State::Waiting { since } => now.duration_since(since),
            _ => Duration::ZERO,
        };
        if waited > self.longest_wait {
            self.nodes.remove(&identity);
            return Some(Next::Stale(identity, waited));
        }
        node.state = State::Busy { again: false };
        Some(Next::Node(identity, waited))
    }

    /// The work for a node that was [taken](Self::take) is over.
    pub fn finish(&mut self, identity: &Identity, ended: Ended, now: Instant) {
        let Some(node) = self.nodes.get_mut(identity) else { return };
        let State::Busy { again } = node.state else { return };
        match ended {
            Ended::Abandoned | Ended::Upgraded => {
                self.nodes.remove(identity);
            }
            Ended::Finished => {
                node.failures = 0;
                let until = now + HOLD;
                node.state = State::Held { since: now, until };
                self.timers.push(Reverse((until, identity.clone())));
            }
            Ended::Deferred => self.rest(identity, now + DEFERRED, again),
            Ended::Failed => {
                node.failures += 1;
                let pause = pause(node.failures);
                self.rest(identity, now + pause, again);
            }
        }
    }

    /// Does what time brings; returns whether anybody was queued by it.
    pub fn tick(&mut self, now: Instant) -> bool {
        let before = self.waiting.len();
        while self.timers.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            let Some(Reverse((due, identity))) = self.timers.pop() else { break };
            let Some(node) = self.nodes.get_mut(&identity) else { continue };
            match node.state {
                State::Resting { until, again: true } if until == due => {
                    self.wait(&identity, now);
                }
                State::Resting { until, again: false } if until == due => self.remember(&identity, due),
                State::Held { until, .. } if until == due && node.returns == 0 => {
                    self.nodes.remove(&identity);
                }
                State::Held { until, .. } if until == due => self.remember(&identity, due),
                State::Remembered { until } if until == due => {
                    self.nodes.remove(&identity);
                }
                _ => {}
            }
        }
        self.waiting.len() > before
    }

    /// When [`tick`](Self::tick) has something to do next.
    #[must_use]
    pub fn next_tick(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// Forgets everybody; those that are being provisioned are nobody's business any more.
    pub fn clear(&mut self) {
        self.nodes.clear();
        self.waiting.clear();
        self.timers.clear();
    }

    /// How many nodes wait for a worker.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many nodes are known: waiting, being provisioned, held, resting.
    #[must_use]
    pub fn known(&self) -> usize {
        self.nodes.len()
    }

    fn wait(&mut self, identity: &Identity, now: Instant) -> Offer {
        if let Some(node) = self.nodes.get_mut(identity) {
            node.state = State::Waiting { since: now };
            self.waiting.push_back(identity.clone());
        }
        Offer::Queued
    }

    fn rest(&mut self, identity: &Identity, until: Instant, again: bool) {
        if let Some(node) = self.nodes.get_mut(identity) {
            node.state = State::Resting { until, again };
            self.timers.push(Reverse((until, identity.clone())));
        }
    }

    fn remember(&mut self, identity: &Identity, since: Instant) {
        if let Some(node) = self.nodes.get_mut(identity) {
            let until = since + MEMORY;
            node.state = State::Remembered { until };
            self.timers.push(Reverse((until, identity.clone())));
        }
    }
}

/// How long a node is left alone after `failures` in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    if failures == 0 { Duration::ZERO } else { (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE) }
}

/// Nodes known at a time, as many as the original's queue holds.
const CAPACITY: usize = 50_000;
/// While a provisioned node restarts, nothing that is heard of it counts.
const HOLD: Duration = Duration::from_secs(60);
/// Nodes restart two seconds after they were told to; what is heard before that was sent before it.
const SOONEST_RETURN: Duration = Duration::from_secs(1);
/// For how long a deferred node is left alone; discovery finds it after the interval.
const DEFERRED: Duration = Duration::from_secs(10);
/// After the first failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// No node is left alone for longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// For how long a node's failures are remembered after that.
const MEMORY: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
