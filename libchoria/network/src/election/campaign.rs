//! The rules of a candidacy, without network and clock.

use super::WriteError;
use crate::backoff::Backoff;
use std::time::{Duration, Instant};

/// Between the renewal that confirms a victory and its announcement: former leaders stand down first.
pub(super) const SETTLE: Duration = Duration::from_millis(200);

/// Longest that the broker may take for one write.
const LONGEST_WRITE: Duration = Duration::from_secs(5);

/// How a candidate stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Another leads, or nobody, or a victory is not confirmed yet.
    Candidate,
    /// This candidate leads, and may act as the leader.
    Leader,
}

/// How often to campaign and renew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pace {
    /// Every three quarters of the bucket's age limit, at least 1 s and at least 1 s before the end.
    Ttl,
    /// By a table: leaders renew at its first step, candidates climb it with each campaign that was lost.
    Backoff(Backoff),
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Move {
    /// Create the key.
    Create,
    /// Write over this revision, which was ours when the connection failed: nobody has led since if it still stands.
    Reclaim(u64),
    /// Write over this revision, as the leader.
    Renew(u64),
}

/// Where a candidate is.
#[derive(Debug)]
pub(super) struct Campaign {
    pace: Pace,
    ttl: Duration,
    state: State,
    /// Campaigns lost in a row.
    tries: usize,
}

#[derive(Debug)]
enum State {
    Candidate {
        last: Option<u64>,
    },
    /// The key was written at `at` with `revision`.
    Holder {
        revision: u64,
        at: Instant,
    },
}

impl Standing {
    /// `leader` or `candidate`, as metrics label them.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

impl Campaign {
    pub(super) fn new(pace: Pace, ttl: Duration) -> Self {
        Self { pace, ttl, state: State::Candidate { last: None }, tries: 0 }
    }

    pub(super) fn next(&self) -> Move {
        match self.state {
            State::Candidate { last: None } => Move::Create,
            State::Candidate { last: Some(revision) } => Move::Reclaim(revision),
            State::Holder { revision, .. } => Move::Renew(revision),
        }
    }

    /// The revision that is ours, as far as known.
    pub(super) fn held(&self) -> Option<u64> {
        match self.state {
            State::Candidate { .. } => None,
            State::Holder { revision, .. } => Some(revision),
        }
    }

    /// Longest that the next write may take: a leader must know that it is none before its key expires.
    pub(super) fn limit(&self, now: Instant) -> Duration {
        let margin = self.ttl / 10;
        let usual = LONGEST_WRITE.min(self.ttl - margin);
        match self.state {
            State::Candidate { .. } => usual,
            State::Holder { at, .. } => {
                let left = (self.ttl - margin).saturating_sub(now.saturating_duration_since(at));
                usual.min(left).max(Duration::from_millis(1))
            }
        }
    }

    /// Takes the outcome of the write that was started at `started`; how the candidate stands now. The first success only
    /// holds the key, the second one leads.
    pub(super) fn after(&mut self, outcome: &Result<u64, WriteError>, started: Instant) -> Standing {
        match (outcome, &self.state) {
            (Ok(revision), State::Candidate { .. }) => {
                self.state = State::Holder { revision: *revision, at: started };
                self.tries = 0;
                Standing::Candidate
            }
            (Ok(revision), State::Holder { .. }) => {
                self.state = State::Holder { revision: *revision, at: started };
                Standing::Leader
            }
            (Err(WriteError::Held), _) => self.lost(None),
            (Err(_), State::Candidate { last }) => self.lost(*last),
            (Err(_), State::Holder { revision, .. }) => self.lost(Some(*revision)),
        }
    }

    fn lost(&mut self, last: Option<u64>) -> Standing {
        self.state = State::Candidate { last };
        self.tries = self.tries.saturating_add(1);
        Standing::Candidate
    }

    /// The wait before the next write. `chance` is uniform in `0.0..1.0`.
    pub(super) fn wait(&self, chance: f64) -> Duration {
        let second = Duration::from_secs(1);
        let interval = match self.pace {
            // An age limit below 2 s leaves no room for both seconds; renewing in time is worth more.
            Pace::Ttl if self.ttl < 2 * second => return self.ttl / 2,
            Pace::Ttl => (self.ttl * 3 / 4).min(self.ttl - second).max(second),
            Pace::Backoff(table) => table.delay(self.tries, chance),
        };
        match self.state {
            State::Candidate { .. } => interval,
            // A table made for longer lives must not let the key of a short one expire.
            State::Holder { .. } => interval.min(self.ttl * 3 / 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::TWENTY_SECONDS;

    type Written = Result<u64, WriteError>;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn victory_needs_two_writes_and_any_failure_ends_it() {
        let now = Instant::now();
        let lost = || Err(WriteError::NoAnswer("timed out".to_owned()));
        let rows: &[(&str, Vec<Written>, Standing, Move)] = &[
            ("at the start", vec![], Standing::Candidate, Move::Create),
            ("held by another", vec![Err(WriteError::Held)], Standing::Candidate, Move::Create),
            ("created", vec![Ok(7)], Standing::Candidate, Move::Renew(7)),
            ("confirmed", vec![Ok(7), Ok(8)], Standing::Leader, Move::Renew(8)),
            ("renewed", vec![Ok(7), Ok(8), Ok(11)], Standing::Leader, Move::Renew(11)),
            ("evicted", vec![Ok(7), Ok(8), Err(WriteError::Held)], Standing::Candidate, Move::Create),
            ("cut off", vec![Ok(7), Ok(8), lost()], Standing::Candidate, Move::Reclaim(8)),
            ("cut off for long", vec![Ok(7), Ok(8), lost(), lost()], Standing::Candidate, Move::Reclaim(8)),
            ("overtaken while cut off", vec![Ok(7), lost(), Err(WriteError::Held)], Standing::Candidate, Move::Create),
            ("back first", vec![Ok(7), Ok(8), lost(), Ok(9)], Standing::Candidate, Move::Renew(9)),
        ];
        for (name, outcomes, standing, next) in rows {
            let mut campaign = Campaign::new(Pace::Ttl, MINUTE);
            let last = outcomes.iter().map(|outcome| campaign.after(outcome, now)).last();
            assert_eq!(last.unwrap_or(Standing::Candidate), *standing, "{name}");
            assert_eq!(campaign.next(), *next, "{name}");
        }
    }

    #[test]
    fn waits_follow_the_age_limit_or_the_table() {
        let table = Pace::Backoff(TWENTY_SECONDS);
        let rows: &[(&str, Pace, u64, Vec<Written>, u64)] = &[
            // pace, age limit in ms, outcomes, wait in ms at chance 0.5
            ("a minute", Pace::Ttl, 60_000, vec![], 45_000),
            ("an hour", Pace::Ttl, 3_600_000, vec![], 2_700_000),
            ("at least a second before the end", Pace::Ttl, 3_000, vec![], 2_000),
            ("at least a second", Pace::Ttl, 2_000, vec![], 1_000),
            ("hardly any", Pace::Ttl, 1_000, vec![], 500),
            ("a table's start", table, 60_000, vec![], 500),
            ("a table after losses", table, 60_000, vec![Err(WriteError::Held); 4], 2_000),
            ("a leader's table", table, 60_000, vec![Err(WriteError::Held), Ok(4), Ok(5)], 500),
            ("a leader of a short life", table, 600, vec![Ok(4), Ok(5)], 450),
        ];
        for (name, pace, ttl, outcomes, expected) in rows {
            let mut campaign = Campaign::new(*pace, Duration::from_millis(*ttl));
            for outcome in outcomes {
                campaign.after(outcome, Instant::now());
            }
            assert_eq!(campaign.wait(0.5), Duration::from_millis(*expected), "{name}");
        }
    }

    #[test]
    fn a_leader_knows_before_its_key_expires() {
        let started = Instant::now();
        let mut campaign = Campaign::new(Pace::Ttl, MINUTE);
        assert_eq!(campaign.limit(started), Duration::from_secs(5), "a candidate");
        campaign.after(&Ok(3), started);
        let rows = [(0, 5_000), (45, 5_000), (50, 4_000), (53, 1_000), (60, 1), (600, 1)];
        for (seconds, milliseconds) in rows {
            let limit = campaign.limit(started + Duration::from_secs(seconds));
            assert_eq!(limit, Duration::from_millis(milliseconds), "{seconds} s after the last write");
        }
    }
}
