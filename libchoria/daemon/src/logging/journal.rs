//! The journal, when systemd connected this process to it.

use super::catalog::EVENTS;
use nix::sys::stat::fstat;
use std::fmt::Debug;
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Layer, Priority, PriorityMappings};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Writes to the journal. Records of events in [`EVENTS`] get their message id, each by a layer of its own that is made
/// when it is first needed: the layer of the library can add fields to all of its records, not to single ones.
pub(super) struct Journal {
    name: String,
    plain: Layer,
    of_events: Vec<OnceLock<Option<Layer>>>,
}

/// The journal under the name `name`; `None` when standard error is not the journal, or the journal cannot be reached.
pub(super) fn layer(name: &str) -> Option<Journal> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = fstat(std::io::stderr()).ok()?;
    if !is_same_file(&stream, stderr.st_dev, stderr.st_ino) {
        return None;
    }
    let of_events = EVENTS.iter().map(|_| OnceLock::new()).collect();
    Some(Journal { name: name.to_owned(), plain: connect(name)?, of_events })
}

fn connect(name: &str) -> Option<Layer> {
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let layer = Layer::new().ok()?;
    Some(
        layer
            .with_syslog_identifier(name.to_owned())
            .with_field_prefix(Some("CHORIA".to_owned()))
            .with_priority_mappings(priorities),
    )
}

impl Journal {
    fn of(&self, event: &Event<'_>) -> &Layer {
        let position = number(event).and_then(|number| Some((EVENTS.get(number)?, self.of_events.get(number)?)));
        let made = position.and_then(|((_, id), made)| {
            let make = || Some(connect(&self.name)?.with_custom_fields([("MESSAGE_ID", id)]));
            made.get_or_init(make).as_ref()
        });
        made.unwrap_or(&self.plain)
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> tracing_subscriber::Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.plain.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.plain.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.of(event).on_event(event, context);
    }
}

/// Where in [`EVENTS`] this one stands.
fn number(event: &Event<'_>) -> Option<usize> {
    event.metadata().fields().field(FIELD)?;
    let mut found = Number(None);
    event.record(&mut found);
    found.0
}

/// The field that names an event.
const FIELD: &str = "event";

struct Number(Option<usize>);

impl Visit for Number {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == FIELD {
            self.0 = EVENTS.iter().position(|(name, _)| *name == value);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}

/// Whether `JOURNAL_STREAM`, `<device>:<inode>` in decimal, is that file: the variable is inherited even by processes
/// whose standard error was redirected later (systemd.exec(5)).
fn is_same_file(stream: &str, device: u64, inode: u64) -> bool {
    let mut parts = stream.splitn(2, ':').map(|part| part.parse::<u64>().ok());
    parts.next() == Some(Some(device)) && parts.next() == Some(Some(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_names_device_and_inode() {
        let rows = [
            ("8:1234", true),
            ("8:1235", false),
            ("9:1234", false),
            ("8", false),
            ("", false),
            ("8:1234:5", false),
            ("x:1234", false),
        ];
        for (stream, expected) in rows {
            assert_eq!(is_same_file(stream, 8, 1234), expected, "{stream:?}");
        }
    }
}
