//! The functions that policies in tokens may call about the request's filter (spec 03b §9.3, 07 §9.2).

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

fn text(arguments: &[Value]) -> anyhow::Result<String> {
    match arguments.first() {
        Some(Value::String(text)) => Ok(text.to_string()),
        _ => anyhow::bail!("its argument is not a text"),
    }
}
