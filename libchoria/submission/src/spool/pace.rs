//! How to wait for the disk: for each file, or once for all that the file system has to write.
//!
//! The second costs about the same for one file as for a thousand, and as much more as other programs are writing. Both
//! are measured as they are used, and the cheaper is taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the two ways take, as far as known; in microseconds.
#[derive(Debug)]
pub(super) struct Pace {
    each: AtomicU64,
    all: AtomicU64,
    /// Whether errors of writing come out of the second way: since Linux 5.8.
    all_reports: bool,
}

/// Which way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// `fsync` for every file.
    Each,
    /// `syncfs`.
    All,
}

/// Microseconds that are assumed before anything was measured.
const EACH: u64 = 400;
const ALL: u64 = 8000;
/// Fewer files are waited for one by one: other programs' files cost more.
const FEW: usize = 16;
/// A wait for the whole file system that is not worth avoiding: the disk is as busy for single files then.
const SHORT: u64 = 250_000;

impl Pace {
    /// For a kernel of this release, such as `6.12.48-amd64`.
    pub(super) fn new(release: &str) -> Self {
        let mut numbers =
            release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse::<u32>().unwrap_or_default());
        let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        Self { each: AtomicU64::new(EACH), all: AtomicU64::new(ALL), all_reports: version >= (5, 8) }
    }

    /// For this machine.
    pub(super) fn of_system() -> Self {
        Self::new(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())
    }

    /// The cheaper way for so many files.
    pub(super) fn way(&self, files: usize) -> Way {
        let each = self.each.load(Ordering::Relaxed).saturating_mul(files as u64);
        let cheap = self.all.load(Ordering::Relaxed) <= each.max(SHORT);
        if self.all_reports && files >= FEW && cheap { Way::All } else { Way::Each }
    }

    /// Learns what a way took. While the second is not used it is thought a little cheaper each time, so that it gets
    /// another chance when the circumstances of its last use are over.
    pub(super) fn took(&self, way: Way, files: usize, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 16);
        let blend = |estimate: &AtomicU64, to: u64, weight: u64| {
            let old = estimate.load(Ordering::Relaxed);
            estimate.store((old * (16 - weight) + to.min(u64::MAX / 32) * weight) / 16, Ordering::Relaxed);
        };
        match way {
            Way::Each => {
                blend(&self.each, micros / files.max(1) as u64, 4);
                if files >= FEW {
                    blend(&self.all, ALL, 1);
                }
            }
            Way::All => blend(&self.all, micros, 4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheaper_way_is_taken() {
        type Measured<'a> = &'a [(Way, usize, u64)];
        let rows: [(&str, usize, Measured<'_>, Way); 8] = [
            ("6.12.48-amd64", 1, &[], Way::Each),
            ("6.12.48-amd64", 15, &[], Way::Each),
            ("6.12.48-amd64", 100, &[], Way::All),
            ("5.8.0", 100, &[], Way::All),
            ("5.7.19", 100, &[], Way::Each),
            ("4.18.0-553.el8.x86_64", 1000, &[], Way::Each),
            ("", 100, &[], Way::Each),
            ("6.1.0", 100, &[(Way::All, 100, 10_000_000)], Way::Each),
        ];
        for (release, files, measured, expected) in rows {
            let pace = Pace::new(release);
            measured.iter().for_each(|(way, files, micros)| pace.took(*way, *files, Duration::from_micros(*micros)));
            assert_eq!(pace.way(files), expected, "{release:?}, {files} files after {measured:?}");
        }
    }

    #[test]
    fn a_way_that_was_slow_once_gets_another_chance() {
        let pace = Pace::new("6.1.0");
        pace.took(Way::All, 100, Duration::from_secs(100));
        let tries = (1..1000).find(|_| {
            pace.took(Way::Each, 100, Duration::from_millis(40));
            pace.way(100) == Way::All
        });
        assert!(tries.is_some_and(|tries| tries > 10), "{tries:?}");
    }
}
