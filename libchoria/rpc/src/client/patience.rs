//! How long to wait for answers: a decision over instants, no clock.

use std::time::{Duration, Instant};

/// When waiting ends. Large fleets and busy machines answer in a stream that may be longer than any limit chosen for one
/// node, so the end moves while answers keep coming, but never beyond a multiple of the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    limit: Instant,
    last: Instant,
    heard: Option<Instant>,
    quiet: Duration,
    windowed: bool,
}

impl Patience {
    /// Waits for `limit` from `start`, and then on as long as no gap between answers is longer than `quiet`.
    pub(super) fn new(start: Instant, limit: Duration, quiet: Duration) -> Self {
        Self { limit: start + limit, last: start + limit * MOST_LIMITS, heard: None, quiet, windowed: false }
    }

    /// Waits for `limit` from `start` for a first answer, and after each answer for `quiet` only (spec 03a §8.1).
    pub(super) fn windowed(start: Instant, limit: Duration, quiet: Duration) -> Self {
        Self { windowed: true, ..Self::new(start, limit, quiet) }
    }

    /// An answer came.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// When to stop unless another answer comes.
    pub(super) fn end(&self) -> Instant {
        let end = match self.heard.map(|heard| heard + self.quiet) {
            None => self.limit,
            Some(quiet) if self.windowed => quiet,
            Some(quiet) => quiet.max(self.limit),
        };
        end.min(self.last)
    }
}

/// Waiting never takes longer than this many limits.
const MOST_LIMITS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_moves_while_answers_come() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let (limit, quiet) = (Duration::from_millis(2000), Duration::from_millis(300));
        let rows: &[(bool, &[u64], u64)] = &[
            // windowed, answers at, end
            (false, &[], 2000),
            (false, &[100], 2000),
            (false, &[100, 1900], 2200),
            (false, &[1900, 2100], 2400),
            (false, &[7900], 8000),
            (true, &[], 2000),
            (true, &[100], 400),
            (true, &[100, 350], 650),
            (true, &[7900], 8000),
        ];
        for (windowed, answers, end) in rows {
            let new = if *windowed { Patience::windowed } else { Patience::new };
            let mut patience = new(start, limit, quiet);
            answers.iter().for_each(|millis| patience.hear(at(*millis)));
            assert_eq!(patience.end(), at(*end), "windowed {windowed}, answers {answers:?}");
        }
    }
}
