//! Durations as the original writes them: `1h`, `1h30m`, `1.5s`; no units longer than hours.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no duration: write whole or decimal numbers with the units h, m, s, ms, us or ns, such as 1h or 90m")]
pub struct InvalidDuration(pub(super) String);

/// Reads a duration above zero.
pub(super) fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.chars().take(64).collect());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let after = &rest[digits..];
        // `ms` before `m`: the first that fits counts.
        let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, factor) = units.into_iter().find(|(unit, _)| after.starts_with(unit)).ok_or_else(invalid)?;
        seconds += number * factor;
        rest = &after[unit.len()..];
    }
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?;
    if duration.is_zero() { Err(invalid()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_original() {
        let rows = [
            ("1h", Some(3_600_000)),
            ("2h", Some(7_200_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5s", Some(1_500)),
            ("250ms", Some(250)),
            ("+1m", Some(60_000)),
            ("1d", None),
            ("1y", None),
            ("60", None),
            ("h", None),
            ("", None),
            ("0s", None),
            ("-1h", None),
            ("1h 30m", None),
            ("1e3s", None),
        ];
        for (text, milliseconds) in rows {
            assert_eq!(parse(text).ok().map(|duration| duration.as_millis()), milliseconds, "{text:?}");
        }
    }
}
