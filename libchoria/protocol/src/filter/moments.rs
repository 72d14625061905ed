//! Times in expressions: `now()`, `date(text)` and `duration(text)` as numbers of seconds.
//!
//! The engine's own would bring every time zone of the world into the memory of every server. Numbers compare and
//! subtract alike: `now() - date(fact('built')) < duration('36h')`. There are no zones and no methods such as `Year()`.

use expr::{Environment, Error, Value};
use std::time::SystemTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// Adds the three functions to an expression environment.
///
/// `now()` is seconds since 1970; `date()` takes RFC 3339, `2026-11-21 10:00:00` or `2026-11-21`, the last two in UTC;
/// `duration()` takes numbers with the units `ns us ms s m h`, as in `1h30m`.
pub fn add_time_functions(environment: &mut Environment<'_>) {
    environment.add_function("now", |call| {
        #[allow(clippy::disallowed_methods, reason = "an expression may ask for the time, nothing else here does")]
        let now = SystemTime::now();
        if call.args.is_empty() { Ok(Value::Float(seconds(now.into()))) } else { refuse("now() takes nothing") }
    });
    environment.add_function("date", |call| match call.args.as_slice() {
        [Value::String(text)] => match parse_date(text.trim()) {
            Some(date) => Ok(Value::Float(seconds(date))),
            None => refuse("date() takes a time such as 2026-11-21T10:00:00Z or a date such as 2026-11-21"),
        },
        _ => refuse("date() takes one text"),
    });
    environment.add_function("duration", |call| match call.args.as_slice() {
        [Value::String(text)] => match parse_duration(text.trim()) {
            Some(seconds) => Ok(Value::Float(seconds)),
            None => refuse("duration() takes a length of time such as 1h30m; units are ns us ms s m h"),
        },
        _ => refuse("duration() takes one text"),
    });
}

fn refuse(rule: &str) -> Result<Value, Error> {
    Err(Error::ExprError(rule.to_owned()))
}

fn seconds(moment: OffsetDateTime) -> f64 {
    moment.unix_timestamp_nanos() as f64 / 1e9
}

fn parse_date(text: &str) -> Option<OffsetDateTime> {
    let day = format_description!("[year]-[month]-[day]");
    let second = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| PrimitiveDateTime::parse(text, second).ok().map(PrimitiveDateTime::assume_utc))
        .or_else(|| Date::parse(text, day).ok().map(|date| date.midnight().assume_utc()))
}

fn parse_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        total += number * seconds;
        rest = &rest[unit.len()..];
    }
    (!text.is_empty()).then_some(sign * total)
}

/// Units with their seconds, longer before shorter.
const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

#[cfg(test)]
mod tests {
    use super::*;
    use expr::Context;

    #[test]
    fn times_are_numbers_that_compare() {
        let mut environment = Environment::new();
        add_time_functions(&mut environment);
        let rows: &[(&str, Option<bool>)] = &[
            ("date('1970-01-01T00:00:10Z') == 10", Some(true)),
            ("date('1970-01-01T01:00:00+01:00') == 0", Some(true)),
            ("date('1970-01-02') == duration('24h')", Some(true)),
            ("date('1970-01-01 00:01:00') == duration('1m')", Some(true)),
            ("duration('1h30m') == 5400", Some(true)),
            ("duration('1.5ms') == 0.0015", Some(true)),
            ("duration('-2s') == -2", Some(true)),
            ("now() > date('2020-01-01')", Some(true)),
            ("now() - now() < duration('10s')", Some(true)),
            ("date('yesterday') > 0", None),
            ("duration('1 day') > 0", None),
            ("duration('') > 0", None),
            ("duration('5') > 0", None),
            ("now(1) > 0", None),
        ];
        for (text, expected) in rows {
            let got = environment.eval(text, &Context::default()).ok().and_then(|value| value.as_bool());
            assert_eq!(got, *expected, "{text}");
        }
    }
}
