//! The functions that policies in tokens may call about the request's filter (spec 03b §9.3, 07 §9.2), and those of the
//! language that are bounded here: asked for a list of a million millions, the interpreter's own would end the process.

use protocol::Filter;
use protocol::filter::FactFilter;
use regorus::{Engine, Value};
use std::sync::Arc;

/// The words that a policy which calls one of them must contain.
pub(super) const PREFIX: &str = "requires_";

/// Makes the four functions known to `engine`; they answer about `filter`.
pub(super) fn add(engine: &mut Engine, filter: &Arc<Filter>) -> anyhow::Result<()> {
    let of = Arc::clone(filter);
    engine.add_extension(
        "requires_filter".to_owned(),
        0,
        // The agent filter does not count: every request has one.
        Box::new(move |_: Vec<Value>| Ok(Value::from(!of.is_agents_only()))),
    )?;
    let of = Arc::clone(filter);
    engine.add_extension(
        "requires_class_filter".to_owned(),
        1,
        Box::new(move |arguments: Vec<Value>| {
            let wanted = text(&arguments)?;
            Ok(Value::from(of.classes.contains(&wanted)))
        }),
    )?;
    let of = Arc::clone(filter);
    engine.add_extension(
        "requires_identity_filter".to_owned(),
        1,
        Box::new(move |arguments: Vec<Value>| {
            let wanted = text(&arguments)?;
            Ok(Value::from(of.identities.contains(&wanted)))
        }),
    )?;
    let of = Arc::clone(filter);
    engine.add_extension(
        "requires_fact_filter".to_owned(),
        1,
        Box::new(move |arguments: Vec<Value>| {
            let wanted: FactFilter = text(&arguments)?.parse()?;
            Ok(Value::from(of.facts.contains(&wanted)))
        }),
    )
}

/// Puts bounded functions in place of those that make lists of any length.
pub(super) fn bound(engine: &mut Engine) -> anyhow::Result<()> {
    engine.add_extension(
        "numbers.range".to_owned(),
        2,
        Box::new(|arguments: Vec<Value>| match integers(&arguments).as_deref() {
            Some([from, to]) => range(*from, *to, 1),
            _ => Ok(Value::Undefined),
        }),
    )?;
    engine.add_extension(
        "numbers.range_step".to_owned(),
        3,
        Box::new(|arguments: Vec<Value>| match integers(&arguments).as_deref() {
            Some([from, to, step]) if *step > 0 => range(*from, *to, *step),
            _ => Ok(Value::Undefined),
        }),
    )
}

/// The numbers from one to the other, both included, upwards or downwards.
fn range(from: i64, to: i64, step: i64) -> anyhow::Result<Value> {
    let count = from.abs_diff(to) / step.unsigned_abs();
    if count >= MAX_RANGE {
        anyhow::bail!("it asks for a range of more than {MAX_RANGE} numbers");
    }
    let signed = if to < from { -step } else { step };
    let numbers = std::iter::successors(Some(from), |number| number.checked_add(signed));
    let count = usize::try_from(count)?;
    Ok(Value::from(numbers.take(count + 1).map(Value::from).collect::<Vec<_>>()))
}

/// The arguments, if all are whole numbers of 64 bits.
fn integers(arguments: &[Value]) -> Option<Vec<i64>> {
    arguments.iter().map(|argument| argument.as_i64().ok()).collect()
}

fn text(arguments: &[Value]) -> anyhow::Result<String> {
    match arguments.first() {
        Some(Value::String(text)) => Ok(text.to_string()),
        _ => anyhow::bail!("its argument is not a text"),
    }
}

/// Numbers in one range.
const MAX_RANGE: u64 = 100_000;
