//! Lengths of time as configuration files write them.

use std::time::Duration;

/// A text that is not a length of time: carries the text and the rule it breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is not a length of time: {rule}")]
pub struct InvalidDuration {
    /// The refused text.
    pub text: String,
    /// The rule in words.
    pub rule: &'static str,
}

/// Reads `90` (seconds), `1h30m`, `1.5h`, `300ms`, `1d12h` (spec 04b §1.3). Units: `ns us ms s m h d w M y`, where `M`
/// is 30 days and `y` 365; `S H D W Y` are read as well, which the original refuses. A negative length is zero, since
/// files use it to say "never" and "not at all".
///
/// # Errors
/// [`InvalidDuration`] for anything else, and for lengths beyond 292 years, the longest that the original can hold.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = |rule| InvalidDuration { text: text.to_owned(), rule };
    let trimmed = text.trim();
    let negative = trimmed.starts_with('-');
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let mut rest = unsigned;
    if rest.is_empty() {
        return Err(invalid(RULE));
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (digits, after) = rest.split_at(number);
        let unit = after.len() - after.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.').len();
        let (unit, after) = after.split_at(unit);
        // A bare number is seconds, but only when it is the whole text: `1h30` would be a guess.
        let unit = if unit.is_empty() && digits.len() == unsigned.len() { "s" } else { unit };
        let part = unit_nanoseconds(unit).and_then(|unit| scale(digits, unit)).ok_or_else(|| invalid(RULE))?;
        total = total.checked_add(part).filter(|total| *total <= LONGEST).ok_or_else(|| invalid(TOO_LONG))?;
        rest = after;
    }
    Ok(if negative { Duration::ZERO } else { total })
}

/// A length of time as Go prints it: `0s`, `300ms`, `1m0s`, `168h0m0s`.
pub(crate) fn shown_duration(time: Duration) -> String {
    let (seconds, nanoseconds) = (time.as_secs(), time.subsec_nanos());
    if seconds == 0 {
        return match nanoseconds {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanoseconds}ns"),
            1_000..1_000_000 => format!("{}µs", f64::from(nanoseconds) / 1e3),
            _ => format!("{}ms", f64::from(nanoseconds) / 1e6),
        };
    }
    let fraction = format!("{nanoseconds:09}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{point}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{point}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{point}{fraction}s"),
    }
}

/// How many nanoseconds one unit has.
fn unit_nanoseconds(unit: &str) -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400 * SECOND;
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" | "S" => SECOND,
        "m" => 60 * SECOND,
        "h" | "H" => 3600 * SECOND,
        "d" | "D" => DAY,
        "w" | "W" => 7 * DAY,
        "M" => 30 * DAY,
        "y" | "Y" => 365 * DAY,
        _ => return None,
    })
}

/// `digits`, a decimal number with an optional fraction, times `unit` nanoseconds; exact, rounded down.
fn scale(digits: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    // Beyond 18 digits a fraction adds less than a nanosecond; a whole part that long is refused as too long.
    let fraction = &fraction[..fraction.len().min(18)];
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u64::MAX) };
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let below_one = parts * u128::from(unit) / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let total = (u128::from(whole) * u128::from(unit)).saturating_add(below_one);
    Some(Duration::from_nanos(u64::try_from(total).unwrap_or(u64::MAX)))
}

const RULE: &str = "must be seconds or numbers with the units ns us ms s m h d w M y, for example 90, 1h30m or 1.5d";
const TOO_LONG: &str = "must not be longer than 292 years";
/// 2^63 nanoseconds, what the existing servers and brokers can hold.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        let rows: &[(&str, Option<(u64, u32)>)] = &[
            ("0", Some((0, 0))),
            ("90", Some((90, 0))),
            ("2s", Some((2, 0))),
            ("300ms", Some((0, 300_000_000))),
            ("1h30m", Some((5400, 0))),
            ("1.5h", Some((5400, 0))),
            (".5s", Some((0, 500_000_000))),
            ("1d12h", Some((129_600, 0))),
            ("1.5d", Some((129_600, 0))),
            ("1M", Some((2_592_000, 0))),
            ("1m", Some((60, 0))),
            ("1y", Some((31_536_000, 0))),
            ("1W", Some((604_800, 0))),
            ("5S", Some((5, 0))),
            ("2H", Some((7200, 0))),
            ("-1s", Some((0, 0))),
            ("-1", Some((0, 0))),
            ("+5s", Some((5, 0))),
            ("100us", Some((0, 100_000))),
            ("", None),
            ("-", None),
            ("s", None),
            (".s", None),
            ("1..5s", None),
            ("1h30", None),
            ("1 h", None),
            ("5x", None),
            ("abc", None),
            ("5é", None),
            ("300y", None),
            ("99999999999999999999s", None),
        ];
        for (text, wanted) in rows {
            let wanted = wanted.map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds));
            assert_eq!(parse_duration(text).ok(), wanted, "{text:?}");
        }
    }

    #[test]
    fn lengths_of_time_print_as_the_original_prints_them() {
        let rows = [
            ("0", "0s"),
            ("2s", "2s"),
            ("1m", "1m0s"),
            ("168h", "168h0m0s"),
            ("1500ms", "1.5s"),
            ("300ms", "300ms"),
            ("1500us", "1.5ms"),
            ("15ns", "15ns"),
        ];
        for (text, shown) in rows {
            assert_eq!(shown_duration(parse_duration(text).expect(text)), shown, "{text}");
        }
    }
}
