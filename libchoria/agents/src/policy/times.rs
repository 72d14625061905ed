//! The functions of Rego about time, in UTC. The interpreter's own bring the tables of all time zones, over a megabyte
//! that every server would hold in memory for them.

use regorus::{Engine, Value};
use std::time::SystemTime;
use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, Month, OffsetDateTime};

/// Makes the functions known to `engine`. Times are nanoseconds since 1970, as in the language.
pub(super) fn add(engine: &mut Engine) -> anyhow::Result<()> {
    engine.add_extension("time.now_ns".to_owned(), 0, Box::new(|_| nanoseconds(SystemTime::now().into())))?;
    one(engine, "time.parse_rfc3339_ns", |value| match value {
        Value::String(text) => nanoseconds(OffsetDateTime::parse(text, &Rfc3339)?),
        _ => anyhow::bail!("its argument is not a text"),
    })?;
    one(engine, "time.date", |value| {
        let time = moment(value)?;
        Ok(list([time.year().into(), u8::from(time.month()).into(), time.day().into()]))
    })?;
    one(engine, "time.clock", |value| {
        let time = moment(value)?;
        Ok(list([time.hour().into(), time.minute().into(), time.second().into()]))
    })?;
    one(engine, "time.weekday", |value| Ok(Value::from(moment(value)?.weekday().to_string())))?;
    engine.add_extension(
        "time.add_date".to_owned(),
        4,
        Box::new(|arguments| {
            let [time, numbers @ ..] = &arguments[..] else { anyhow::bail!("it has no arguments") };
            let [years, months, days] = numbers.iter().map(Value::as_i64).collect::<Result<Vec<_>, _>>()?[..] else {
                anyhow::bail!("it takes a time, years, months and days")
            };
            nanoseconds(later(moment(time)?, years, months, days)?)
        }),
    )
}

fn one(engine: &mut Engine, name: &str, function: fn(&Value) -> anyhow::Result<Value>) -> anyhow::Result<()> {
    let of = Box::new(move |arguments: Vec<Value>| match &arguments[..] {
        [value] => function(value),
        _ => anyhow::bail!("it takes one argument"),
    });
    engine.add_extension(name.to_owned(), 1, of)
}

/// A time, alone or in a list with the name of its zone.
fn moment(value: &Value) -> anyhow::Result<OffsetDateTime> {
    let time = match value {
        Value::Array(parts) => match &parts[..] {
            [time] => time,
            [time, Value::String(zone), ..] if matches!(zone.as_ref(), "" | "UTC") => time,
            _ => anyhow::bail!("only the time zone UTC is known here"),
        },
        time => time,
    };
    Ok(OffsetDateTime::from_unix_timestamp_nanos(time.as_i64()?.into())?)
}

fn nanoseconds(time: OffsetDateTime) -> anyhow::Result<Value> {
    Ok(Value::from(i64::try_from(time.unix_timestamp_nanos())?))
}

fn list(numbers: [i64; 3]) -> Value {
    Value::from(numbers.map(Value::from).to_vec())
}

/// `time` on another date; a day beyond the end of its month counts on into the next one.
fn later(time: OffsetDateTime, years: i64, months: i64, days: i64) -> anyhow::Result<OffsetDateTime> {
    let beyond = || anyhow::anyhow!("the date is beyond what can be told");
    let month = i64::from(u8::from(time.month())) - 1;
    let all = i64::from(time.year()).checked_add(years).and_then(|years| years.checked_mul(12));
    let all = all.and_then(|all| all.checked_add(month)?.checked_add(months)).ok_or_else(beyond)?;
    let first_of = Month::try_from(u8::try_from(all.rem_euclid(12) + 1)?)?;
    let first = Date::from_calendar_date(i32::try_from(all.div_euclid(12))?, first_of, 1)?;
    let days = days.checked_add(i64::from(time.day()) - 1).filter(|days| days.abs() < MOST_DAYS).ok_or_else(beyond)?;
    Ok(time.replace_date(first.checked_add(Duration::days(days)).ok_or_else(beyond)?))
}

/// As many days as all years of the calendar have.
const MOST_DAYS: i64 = 8_000_000;

#[cfg(test)]
mod tests {
    use crate::policy::rego::{Package, Policy};
    use protocol::Filter;

    #[test]
    fn policies_know_the_time_in_utc() {
        let rows = [
            ("time.now_ns() > 1795000000000000000", true),
            ("time.parse_rfc3339_ns(\"2026-11-21T01:02:03+01:00\") == 1795219323000000000", true),
            ("time.date(1795219323000000000) == [2026, 11, 21]", true),
            ("time.clock([1795219323000000000, \"UTC\"]) == [0, 2, 3]", true),
            ("time.clock([1795219323000000000, \"Europe/Malta\"]) == [1, 2, 3]", false),
            ("time.weekday(1795219323000000000) == \"Saturday\"", true),
            ("time.date(time.add_date(1795219323000000000, 1, 2, 3)) == [2028, 1, 24]", true),
            ("time.date(time.add_date(1795219323000000000, -1, -11, 10)) == [2024, 12, 31]", true),
            ("time.date(time.add_date(1795219323000000000, 9223372036854775807, 1, 1)) == [1, 1, 1]", false),
        ];
        for (condition, expected) in rows {
            let text =
                format!("package io.choria.aaasvc\nimport rego.v1\ndefault allow := false\nallow if {condition}\n");
            let policy =
                Policy::parse("times", &text, Package::Aaasvc).unwrap_or_else(|error| panic!("{condition}: {error}"));
            let answer = policy.allows(&serde_json::json!({}), &Filter::default());
            assert_eq!(answer.unwrap_or(false), expected, "{condition}");
        }
    }
}
