//! How long to wait before the next attempt (spec 02 §14).
//!
//! Two tables and one pure function; randomness is an argument, so that a table row is a test.

use std::time::Duration;

/// Delays of a repeated attempt, in milliseconds, rising to the last one and staying there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff(&'static [u32]);

/// For first connections: up to five seconds.
pub const FIVE_SECONDS: Backoff = Backoff(&[500, 750, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000]);

/// For returning to a broker that thousands of others return to as well: up to twenty seconds.
pub const TWENTY_SECONDS: Backoff = Backoff(&[
    500, 750, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 5500, 5750, 6000, 6500, 7000, 7500, 8000, 8500,
    9000, 9500, 10000, 10500, 10750, 11000, 11500, 12000, 12500, 13000, 13500, 14000, 14500, 15000, 15500, 15750,
    16000, 16500, 17000, 17500, 18000, 18500, 19000, 19500, 20000,
]);

impl Backoff {
    /// The wait before attempt `attempt` (the first retry is 1), spread over half to one and a half of the table's
    /// value so that a fleet does not return in one moment. `chance` is uniform in `0.0..1.0`; values outside are
    /// clamped. Attempts past the end of the table use its last entry.
    #[must_use]
    pub fn delay(self, attempt: usize, chance: f64) -> Duration {
        let base = self.0.get(attempt).or(self.0.last()).copied().unwrap_or(0);
        let spread = f64::from(base) * chance.clamp(0.0, 1.0);
        Duration::from_millis(u64::from(base / 2)) + Duration::from_micros((spread * 1000.0) as u64)
    }

    /// [`delay`](Self::delay) with this thread's random numbers.
    #[must_use]
    pub fn random_delay(self, attempt: usize) -> Duration {
        self.delay(attempt, rand::random())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_give_half_to_one_and_a_half_of_their_value() {
        let rows: &[(Backoff, usize, f64, u64)] = &[
            // table, attempt, chance, milliseconds
            (FIVE_SECONDS, 0, 0.0, 250),
            (FIVE_SECONDS, 0, 0.5, 500),
            (FIVE_SECONDS, 1, 0.0, 375),
            (FIVE_SECONDS, 1, 0.5, 750),
            (FIVE_SECONDS, 1, 1.0, 1125),
            (FIVE_SECONDS, 10, 0.5, 5000),
            (FIVE_SECONDS, 11, 0.5, 5000),
            (FIVE_SECONDS, usize::MAX, 0.0, 2500),
            (TWENTY_SECONDS, 1, 0.5, 750),
            (TWENTY_SECONDS, 11, 0.5, 5500),
            (TWENTY_SECONDS, 12, 0.5, 5750),
            (TWENTY_SECONDS, 13, 0.5, 6000),
            (TWENTY_SECONDS, 43, 0.5, 20000),
            (TWENTY_SECONDS, 44, 1.0, 30000),
            (TWENTY_SECONDS, 44, 7.0, 30000),
            (TWENTY_SECONDS, 44, -1.0, 10000),
        ];
        for (table, attempt, chance, milliseconds) in rows {
            let got = table.delay(*attempt, *chance);
            assert_eq!(got, Duration::from_millis(*milliseconds), "attempt {attempt} chance {chance}");
        }
    }

    #[test]
    fn tables_only_rise() {
        for table in [FIVE_SECONDS, TWENTY_SECONDS] {
            assert!(table.0.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
