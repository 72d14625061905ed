//! Names of files in the spool: `<unix nanoseconds>-<uuid>.msg` (spec 04 §5.1). Sorted as bytes they are in order of
//! time: all have 19 digits from the year 2001 to 2262.

use std::fmt;
use std::time::{Duration, SystemTime};

/// The name of a message's file in the directory of its priority. Ordered as messages are delivered.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EntryName(Box<[u8]>);

/// The least number in names that we give: with fewer digits they would sort wrongly, on a clock before 2001.
const LEAST: u64 = 1_000_000_000_000_000_000;
/// The greatest number that is followed; names beyond are nobody's time.
const GREATEST: u64 = i64::MAX as u64;
const ENDING: &[u8] = b".msg";

impl EntryName {
    /// A new name that sorts after `newest`, for `now`.
    pub(crate) fn new(newest: u64, now: SystemTime) -> (Self, u64) {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let now = u64::try_from(now).unwrap_or(LEAST);
        let number = now.max(newest.saturating_add(1)).clamp(LEAST, GREATEST);
        let name = format!("{number}-{}.msg", uuid::Uuid::new_v4().hyphenated());
        (Self(name.into_bytes().into_boxed_slice()), number)
    }

    /// The name if it is that of a message: what does not end in `.msg` is none.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        is_message(name).then(|| Self(name.into()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// When the message was stored, if the name tells.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        number(&self.0).map(|nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos))
    }
}

/// Whether a file of this name is a message.
pub(super) fn is_message(name: &[u8]) -> bool {
    name.len() > ENDING.len() && name.ends_with(ENDING)
}

/// The number a name begins with; `None` for names that nobody gave by the clock.
pub(super) fn number(name: &[u8]) -> Option<u64> {
    let digits = name.iter().position(|byte| *byte == b'-')?;
    let text = std::str::from_utf8(&name[..digits]).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text?.parse().ok().filter(|number| *number < GREATEST)
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
