//! Durations as the command line reads and prints them (spec 09 §1.2, §2.1).

use std::fmt::Write;
use std::time::Duration;

/// Reads `1h30m`, `1.5d`, `2w`, `6M`, `1y`: numbers with units, the largest of which are days of 24 hours (`d`, `D`),
/// weeks (`w`, `W`), months of 30 days (`M`) and years of 365 days (`y`, `Y`). A lone `0` needs no unit.
///
/// The error says what a duration looks like; made for clap's `value_parser`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = (!rest.is_empty()).then_some(Duration::ZERO);
    while let (Some(sum), false) = (total, rest.is_empty()) {
        let (number, unit, behind) = first_part(rest);
        total = number.parse().ok().zip(seconds_of(unit)).and_then(|(number, unit)| add(sum, number, unit));
        rest = behind;
    }
    total.ok_or_else(|| {
        "invalid duration: write numbers with units, such as 90s, 1h30m, 7d, 2w, 6M or 1y, up to 292 years".to_owned()
    })
}

/// Largest units first, cut to whole seconds: `3y7d11h22m40s`, `11m19s`, below a minute `4.20s`. Zero is `forever` and
/// what no clock can hold is `never`: made for the time that is left (renderer RD).
pub(crate) fn render_relative(duration: Duration) -> String {
    if duration.is_zero() {
        return "forever".to_owned();
    }
    if duration >= LONGEST {
        return "never".to_owned();
    }
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / DAY, seconds / HOUR % 24, seconds / MINUTE % 60);
    let parts = [(days / 365, 'y'), (days % 365, 'd'), (hours, 'h'), (minutes, 'm'), (seconds % 60, 's')];
    match parts.iter().position(|(count, _)| *count > 0) {
        Some(first) if first < 4 => parts[first..].iter().map(|(count, unit)| format!("{count}{unit}")).collect(),
        _ => format!("{:.2}s", duration.as_secs_f64()),
    }
}

/// As [`render_relative`], but below a second exact to the millisecond, below a millisecond to the microsecond, and zero is
/// `0s` (renderer NC).
pub(crate) fn render_broker(duration: Duration) -> String {
    let nanoseconds = u64::from(duration.subsec_nanos());
    match (duration.as_secs(), nanoseconds) {
        (0, 0) => "0s".to_owned(),
        (0, 1..=999_999) => render_go(Duration::from_micros((nanoseconds + 500) / 1_000)),
        (0, _) => render_go(Duration::from_millis((nanoseconds + 500_000) / 1_000_000)),
        _ => render_relative(duration),
    }
}

/// Exact, as `1h2m3.5s`; below a second `418ms`, `1.5µs`, `7ns`; zero is `0s` (renderer GO).
pub(crate) fn render_go(duration: Duration) -> String {
    let nanoseconds = duration.subsec_nanos();
    if duration.as_secs() == 0 {
        return match nanoseconds {
            0 => "0s".to_owned(),
            1..=999 => format!("{nanoseconds}ns"),
            1_000..=999_999 => format!("{}µs", decimal(u64::from(nanoseconds / 1_000), nanoseconds % 1_000, 3)),
            _ => format!("{}ms", decimal(u64::from(nanoseconds / 1_000_000), nanoseconds % 1_000_000, 6)),
        };
    }
    let (hours, minutes) = (duration.as_secs() / HOUR, duration.as_secs() / MINUTE % 60);
    let mut text = String::new();
    if hours > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    text + &decimal(duration.as_secs() % 60, nanoseconds, 9) + "s"
}

/// The leading number and unit of `text`, and what comes behind them.
fn first_part(text: &str) -> (&str, &str, &str) {
    let is_number = |character: char| character.is_ascii_digit() || character == '.';
    let (number, rest) = text.split_at(text.find(|character| !is_number(character)).unwrap_or(text.len()));
    let (unit, behind) = rest.split_at(rest.find(is_number).unwrap_or(rest.len()));
    (number, unit, behind)
}

/// The seconds of one `unit`.
fn seconds_of(unit: &str) -> Option<f64> {
    let whole = match unit {
        "ns" => return Some(1e-9),
        "us" | "µs" | "μs" => return Some(1e-6),
        "ms" => return Some(1e-3),
        "s" => 1,
        "m" => MINUTE,
        "h" => HOUR,
        "d" | "D" => DAY,
        "w" | "W" => 7 * DAY,
        "M" => 30 * DAY,
        "y" | "Y" => 365 * DAY,
        _ => return None,
    };
    Some(whole as f64)
}

/// `sum` and `number` units of `seconds` each, unless that is longer than [`LONGEST`].
fn add(sum: Duration, number: f64, seconds: f64) -> Option<Duration> {
    let part = Duration::try_from_secs_f64(number * seconds).ok()?;
    sum.checked_add(part).filter(|total| *total <= LONGEST)
}

/// `whole` and a fraction of so many digits, without trailing zeros.
fn decimal(whole: u64, fraction: u32, digits: usize) -> String {
    let text = format!("{whole}.{fraction:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The longest duration of the Go implementation, about 292 years.
const LONGEST: Duration = Duration::from_nanos(i64::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_units() {
        let rows = [
            ("0", Duration::ZERO),
            ("90s", Duration::from_secs(90)),
            ("1h30m", Duration::from_secs(5400)),
            (" 1.5h ", Duration::from_secs(5400)),
            ("1y", Duration::from_secs(365 * DAY)),
            ("1Y1M1w1D", Duration::from_secs((365 + 30 + 7 + 1) * DAY)),
            ("0.5d", Duration::from_secs(DAY / 2)),
            ("250ms", Duration::from_millis(250)),
            ("3us", Duration::from_micros(3)),
            ("3µs", Duration::from_micros(3)),
            ("7ns", Duration::from_nanos(7)),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "1", "h", "1x", "-1h", "1h-1m", "1..5h", "1 h", "1h 2m", "300y", "1h5"] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with("invalid duration"), "{text:?}: {error}");
        }
    }

    #[test]
    fn renders_the_time_that_is_left() {
        let rows = [
            (Duration::ZERO, "forever"),
            (Duration::MAX, "never"),
            (Duration::from_millis(4_200), "4.20s"),
            (Duration::from_millis(10), "0.01s"),
            (Duration::from_secs(679), "11m19s"),
            (Duration::from_secs(HOUR), "1h0m0s"),
            (Duration::from_secs(DAY + 1), "1d0h0m1s"),
            (Duration::from_secs(3 * 365 * DAY + 7 * DAY + 11 * HOUR + 22 * MINUTE + 40), "3y7d11h22m40s"),
        ];
        for (duration, expected) in rows {
            assert_eq!(render_relative(duration), expected);
        }
    }

    #[test]
    fn renders_as_the_broker_does() {
        let rows = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(1_500), "2µs"),
            (Duration::from_micros(418_400), "418ms"),
            (Duration::from_millis(4_200), "4.20s"),
            (Duration::from_secs(1124), "18m44s"),
            (Duration::from_secs(DAY), "1d0h0m0s"),
            (Duration::MAX, "never"),
        ];
        for (duration, expected) in rows {
            assert_eq!(render_broker(duration), expected);
        }
    }

    #[test]
    fn renders_exactly() {
        let rows = [
            (Duration::ZERO, "0s"),
            (Duration::from_nanos(7), "7ns"),
            (Duration::from_nanos(1_500), "1.5µs"),
            (Duration::from_millis(418), "418ms"),
            (Duration::from_micros(1_250), "1.25ms"),
            (Duration::from_millis(1_140), "1.14s"),
            (Duration::from_secs(60), "1m0s"),
            (Duration::from_secs(123), "2m3s"),
            (Duration::from_secs(HOUR), "1h0m0s"),
            (Duration::from_millis(3_723_500), "1h2m3.5s"),
        ];
        for (duration, expected) in rows {
            assert_eq!(render_go(duration), expected);
        }
    }
}
