//! How long requests take, from arrival to the reply handed to the connection; one value for many servers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A histogram whose buckets grow by a quarter to a half, from 1 us to about an hour. Adding costs two atomic additions.
#[derive(Debug)]
pub struct HandlingTimes {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl HandlingTimes {
    /// Adds one request that took `time`.
    pub fn add(&self, time: Duration) {
        self.buckets[bucket(time)].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The time of all requests together.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// How many requests were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// A time that `percent` of all requests did not exceed, rounded up to the bucket's end; zero without requests.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Duration {
        let wanted = (self.count() * u64::from(percent.min(100))).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count.load(Ordering::Relaxed);
            if wanted > 0 && seen >= wanted {
                return Duration::from_micros(end(index));
            }
        }
        Duration::ZERO
    }
}

impl Default for HandlingTimes {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], micros: AtomicU64::new(0) }
    }
}

/// Two for each power of two of microseconds.
const BUCKETS: usize = 64;

/// The bucket of a time: twice its logarithm, plus one in the upper half of the power of two.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let power = micros.ilog2();
    let upper = power > 0 && micros & (1 << (power - 1)) != 0;
    (power as usize * 2 + usize::from(upper)).min(BUCKETS - 1)
}

/// The first number of microseconds above the bucket.
fn end(bucket: usize) -> u64 {
    let power = 1_u64 << (bucket / 2);
    if bucket % 2 == 0 { (power + power.div_ceil(2)).max(power + 1) } else { power * 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_half_too_high() {
        let times = HandlingTimes::default();
        assert_eq!(times.percentile(50), Duration::ZERO);
        for micros in 1..=1000 {
            times.add(Duration::from_micros(micros));
        }
        assert_eq!(times.count(), 1000);
        assert_eq!(times.total(), Duration::from_micros(500_500));
        for (percent, micros) in [(1, 10), (50, 500), (90, 900), (99, 990), (100, 1000)] {
            let got = times.percentile(percent).as_micros();
            assert!((micros..=micros * 3 / 2).contains(&got), "{percent} %: {got} us instead of {micros} us");
        }
    }

    #[test]
    fn extremes_have_a_bucket() {
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            HandlingTimes::default().add(time);
        }
        for index in 1..BUCKETS {
            assert!(end(index) >= end(index - 1), "bucket {index}");
        }
    }
}
