//! How long the node's token still counts, in words, and a renewed one noticed without a restart.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How near the end of a token is; what to say changes with it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    /// There is time, or there is no token.
    Far,
    /// Less than thirty days.
    Month,
    /// Less than seven days.
    Week,
    /// Less than a day.
    Day,
    /// It is over.
    Expired,
}

/// A token's stage with what there is to say about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) stage: Stage,
    /// For the status line and the log; `None` when there is time.
    pub(crate) text: Option<String>,
}

/// Looks after the token's file.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: Option<PathBuf>,
    seen: Option<Stamp>,
    /// What was said last, and when.
    told: Option<(Stage, SystemTime)>,
}

/// What changes when a file is replaced or rewritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// An expired token is complained of this often.
const REMIND: Duration = Duration::from_secs(3600);

/// Where a token with this expiry stands at `now`.
pub(crate) fn state(expiry: Option<SystemTime>, file: Option<&Path>, now: SystemTime) -> State {
    let Some(expiry) = expiry else { return State { stage: Stage::Far, text: None } };
    let of = file.map(|file| format!(" in {}", file.display())).unwrap_or_default();
    let (stage, text) = match expiry.duration_since(now) {
        Ok(left) => {
            let stage = [(Stage::Day, DAY), (Stage::Week, DAY * 7), (Stage::Month, DAY * 30)];
            let stage = stage.into_iter().find(|(_, limit)| left < *limit).map_or(Stage::Far, |(stage, _)| stage);
            (stage, format!("the token{of} expires in {}", rough(left)))
        }
        Err(late) => {
            (Stage::Expired, format!("the token{of} expired {} ago, waiting for a renewed one", rough(late.duration())))
        }
    };
    State { stage, text: Some(text).filter(|_| stage > Stage::Far) }
}

impl TokenFile {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, seen: None, told: None }
    }

    /// The file, if the token is in one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The token that is in the file now, if the file changed since it was asked for last.
    pub(crate) fn changed(&mut self) -> Option<String> {
        let path = self.path.as_deref()?;
        let stamp = Stamp::of(path)?;
        if self.seen.replace(stamp) == Some(stamp) {
            return None;
        }
        tokens::read_token(path).ok()
    }

    /// Whether `stage` is to be told now: when it is another one than before, and again from time to time once the
    /// token has expired.
    pub(crate) fn is_due(&mut self, stage: Stage, now: SystemTime) -> bool {
        let due = match self.told {
            None => stage > Stage::Far,
            Some((told, _)) if told != stage => true,
            Some((_, when)) => stage == Stage::Expired && !now.duration_since(when).is_ok_and(|since| since < REMIND),
        };
        if due {
            self.told = Some((stage, now));
        }
        due
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let data = std::fs::metadata(path).ok()?;
        Some(Self { inode: data.ino(), size: data.size(), modified: (data.mtime(), data.mtime_nsec()) })
    }
}

/// A duration for people: its largest unit only.
pub(crate) fn rough(duration: Duration) -> String {
    let (count, unit) = match duration.as_secs() {
        seconds @ 0..120 => (seconds, "s"),
        seconds @ 120..7_200 => (seconds / 60, "minutes"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hours"),
        seconds => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_nearer_the_end_the_louder() {
        let (now, day) = (1_800_000_000, 86_400);
        let rows = [
            (Some(now + 30 * day), Stage::Far, None),
            (Some(now + 30 * day - 1), Stage::Month, Some("the token in /t expires in 29 days")),
            (Some(now + 7 * day - 1), Stage::Week, Some("the token in /t expires in 6 days")),
            (Some(now + day - 1), Stage::Day, Some("the token in /t expires in 23 hours")),
            (Some(now + 60), Stage::Day, Some("the token in /t expires in 60 s")),
            (
                Some(now - 600),
                Stage::Expired,
                Some("the token in /t expired 10 minutes ago, waiting for a renewed one"),
            ),
            (None, Stage::Far, None),
        ];
        for (expiry, stage, text) in rows {
            let got = state(expiry.map(at), Some(Path::new("/t")), at(now));
            assert_eq!((got.stage, got.text.as_deref()), (stage, text), "{expiry:?}");
        }
    }

    #[test]
    fn each_stage_is_told_once_and_the_last_one_every_hour() {
        let mut file = TokenFile::new(None);
        let rows = [
            (Stage::Far, 0, false),
            (Stage::Month, 1, true),
            (Stage::Month, 90_000, false),
            (Stage::Day, 90_001, true),
            (Stage::Day, 99_999, false),
            (Stage::Expired, 100_000, true),
            (Stage::Expired, 103_599, false),
            (Stage::Expired, 103_600, true),
            (Stage::Expired, 103_601, false),
            // The clock was set back: better told once more than never again.
            (Stage::Expired, 50, true),
            (Stage::Far, 60, true),
            (Stage::Far, 70, false),
        ];
        for (number, (stage, seconds, due)) in rows.into_iter().enumerate() {
            assert_eq!(file.is_due(stage, at(seconds)), due, "row {number}");
        }
    }
}
