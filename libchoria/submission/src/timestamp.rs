//! Points in time as messages write them: RFC 3339 with up to nine decimals, and a zero time for "never".

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::{Duration, SystemTime};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A point in time between the years 1677 and 2262, or the zero time `0001-01-01T00:00:00Z`. Keeps the offset from UTC
/// that it was written with, so that it is written again as it was read (spec 04 §5.2).
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Timestamp(OffsetDateTime);

/// A text that is no [`Timestamp`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a time is written like 2026-03-01T10:00:00.123456789Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The time that stands for "never": the beginning of year 1.
    pub const ZERO: Self = Self(time::macros::datetime!(0001-01-01 00:00 UTC));

    /// Whether this is the zero time.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Nanoseconds since 1970, as the header `Choria-Created` has them; the zero time is 0.
    #[must_use]
    pub fn unix_nanos(self) -> i64 {
        if self.is_zero() { 0 } else { i64::try_from(self.0.unix_timestamp_nanos()).unwrap_or_default() }
    }

    /// The time `nanos` nanoseconds after 1970, in UTC.
    #[must_use]
    pub fn from_unix_nanos(nanos: i64) -> Self {
        Self(OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }

    /// How long ago this was at `now`; zero for what is still to come.
    #[must_use]
    pub fn age(self, now: SystemTime) -> Duration {
        now.duration_since(self.into()).unwrap_or_default()
    }

    /// How far in the future this is at `now`; zero for what has been.
    #[must_use]
    pub fn ahead(self, now: SystemTime) -> Duration {
        SystemTime::from(self).duration_since(now).unwrap_or_default()
    }

    fn checked(time: OffsetDateTime) -> Result<Self, InvalidTimestamp> {
        let fits = i64::try_from(time.unix_timestamp_nanos()).is_ok();
        if fits || time == Self::ZERO.0 { Ok(Self(time)) } else { Err(InvalidTimestamp) }
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        // Decimals beyond nine would be lost when the message is written again; nobody writes them.
        let decimals = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
        if decimals > 9 || text.len() > 40 {
            return Err(InvalidTimestamp);
        }
        Self::checked(OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?)
    }
}

impl From<SystemTime> for Timestamp {
    /// The time in UTC. A clock outside of what can be written gives the beginning of 1970.
    fn from(time: SystemTime) -> Self {
        let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or_default(),
            Err(_) => 0,
        };
        Self::from_unix_nanos(nanos)
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        time.0.into()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0;
        let mut text = String::with_capacity(40);
        write!(text, "{:04}-{:02}-{:02}T", time.year(), u8::from(time.month()), time.day())?;
        write!(text, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        if time.nanosecond() != 0 {
            write!(text, ".{:09}", time.nanosecond())?;
            text.truncate(text.trim_end_matches('0').len());
        }
        if time.offset() == UtcOffset::UTC {
            text.push('Z');
        } else {
            let (hours, minutes, _) = time.offset().as_hms();
            let sign = if time.offset().is_negative() { '-' } else { '+' };
            write!(text, "{sign}{:02}:{:02}", hours.unsigned_abs(), minutes.unsigned_abs())?;
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_were_read() {
        let rows = [
            ("2026-11-21T09:17:38.74159915Z", Some(1_795_252_658_741_599_150)),
            ("2026-11-21T09:17:38Z", Some(1_795_252_658_000_000_000)),
            ("2026-11-21T10:17:38.1+01:00", Some(1_795_252_658_100_000_000)),
            ("2026-11-21T03:47:38.1-05:30", Some(1_795_252_658_100_000_000)),
            ("0001-01-01T00:00:00Z", Some(0)),
            ("1969-12-31T23:59:59.999999999Z", Some(-1)),
            ("2026-11-21T09:17:38.1234567891Z", None),
            ("2026-11-21", None),
            ("1500-01-01T00:00:00Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("", None),
        ];
        for (text, nanos) in rows {
            let time = text.parse::<Timestamp>();
            assert_eq!(time.map(Timestamp::unix_nanos).ok(), nanos, "{text}");
            if let Ok(time) = time {
                assert_eq!(time.to_string(), text);
            }
        }
    }
}
