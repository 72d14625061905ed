//! One event of the log as values.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use tracing::field::{Field, Visit};

/// Message and fields of one event.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) message: String,
    pub(super) fields: BTreeMap<String, Value>,
}

impl Record {
    pub(super) fn of(event: &tracing::Event<'_>) -> Self {
        let mut record = Self::default();
        event.record(&mut record);
        let component = component_of(event.metadata().target());
        record.fields.entry("component".to_owned()).or_insert_with(|| component.into());
        record
    }

    fn insert(&mut self, field: &Field, value: Value) {
        // Names that every line has keep their meaning.
        let name = match field.name() {
            taken @ ("level" | "msg" | "time") => format!("fields.{taken}"),
            name => name.to_owned(),
        };
        self.fields.insert(name, value);
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.insert(field, value.into());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The crate an event comes from, without what only tells our crates apart: `choria_network::connect` is `network`,
/// `choria_server_role::work` is `server`.
fn component_of(target: &str) -> &str {
    let library = target.split("::").next().unwrap_or(target);
    let library = library.strip_prefix("choria_").unwrap_or(library);
    library.strip_suffix("_role").unwrap_or(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_crates() {
        let rows = [
            ("choria_network::connect", "network"),
            ("choria_server", "server"),
            ("choria_server_role::work", "server"),
            ("async_nats::connector", "async_nats"),
            ("choria", "choria"),
        ];
        for (target, expected) in rows {
            assert_eq!(component_of(target), expected, "{target}");
        }
    }
}
