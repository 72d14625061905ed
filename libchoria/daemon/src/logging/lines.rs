//! The log as lines: for people at a terminal, for tools behind a pipe, as JSON in a file.

use super::record::Record;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// How a line looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Style {
    Terminal,
    KeyValue,
    Json,
}

/// Writes each event as one line, in one call to the system.
pub(super) struct Lines {
    style: Style,
    output: Mutex<Box<dyn Write + Send>>,
    started: Instant,
    /// Asked for while there is one thread: a later change to or from summer time keeps this offset, which every line
    /// states.
    offset: UtcOffset,
}

impl Lines {
    pub(super) fn new(style: Style, output: impl Write + Send + 'static) -> Self {
        let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
        Self { style, output: Mutex::new(Box::new(output)), started: Instant::now(), offset }
    }

    fn now(&self) -> String {
        let now = OffsetDateTime::now_utc().to_offset(self.offset);
        let whole = now.replace_nanosecond(0).unwrap_or(now);
        whole.format(&Rfc3339).unwrap_or_default()
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let record = Record::of(event);
        let level = *event.metadata().level();
        let mut line = match self.style {
            Style::Terminal => terminal(&record, level, self.started.elapsed().as_secs()),
            Style::KeyValue => key_value(&record, level, &self.now()),
            Style::Json => json(record, level, &self.now()),
        };
        line.push('\n');
        // A log that cannot be written has nowhere to complain.
        let _ = self.output.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }
}

/// `INFO[0003] message    key=value`, the level and the keys coloured.
fn terminal(record: &Record, level: Level, seconds: u64) -> String {
    let (name, colour) = match level {
        Level::ERROR => ("ERRO", 31),
        Level::WARN => ("WARN", 33),
        Level::INFO => ("INFO", 36),
        _ => ("DEBU", 37),
    };
    let message = printable(&record.message);
    let mut line = format!("\x1b[{colour}m{name}\x1b[0m[{seconds:04}] {message:<44}");
    for (key, value) in &record.fields {
        // Formatting into a string does not fail.
        let _ = write!(line, " \x1b[{colour}m{key}\x1b[0m={}", word(value));
    }
    line
}

/// `time="…" level=info msg="…" key=value`.
fn key_value(record: &Record, level: Level, time: &str) -> String {
    let mut line = format!("time=\"{time}\" level={} msg={:?}", level_name(level), record.message);
    for (key, value) in &record.fields {
        // Formatting into a string does not fail.
        let _ = write!(line, " {key}={}", word(value));
    }
    line
}

/// One JSON object, keys sorted.
fn json(record: Record, level: Level, time: &str) -> String {
    let mut fields = record.fields;
    fields.insert("level".to_owned(), level_name(level).into());
    fields.insert("msg".to_owned(), record.message.into());
    fields.insert("time".to_owned(), time.into());
    Value::Object(fields.into_iter().collect()).to_string()
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// A value that stays one word: quoted where it holds anything a reader could split at.
fn word(value: &Value) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+:".contains(c);
    match value {
        Value::String(text) if !text.is_empty() && text.chars().all(plain) => text.clone(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// Text of others must not move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &str, fields: &[(&str, Value)]) -> Record {
        let fields = fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Record { message: message.to_owned(), fields }
    }

    #[test]
    fn each_style_keeps_one_event_on_one_line() {
        let time = "2030-01-02T03:04:05+01:00";
        let odd =
            record("two\nlines \"x\" \x1b[2J", &[("n", 3.into()), ("who", "a b".into()), ("url", "nats://h:1".into())]);
        let rows = [
            (
                key_value(&odd, Level::WARN, time),
                r#"time="2030-01-02T03:04:05+01:00" level=warning msg="two\nlines \"x\" \u{1b}[2J" n=3 url=nats://h:1 who="a b""#,
            ),
            (
                terminal(&odd, Level::INFO, 3),
                "\x1b[36mINFO\x1b[0m[0003] two lines \"x\"  [2J                           \x1b[36mn\x1b[0m=3 \
                 \x1b[36murl\x1b[0m=nats://h:1 \x1b[36mwho\x1b[0m=\"a b\"",
            ),
            (
                json(odd, Level::DEBUG, time),
                r#"{"level":"debug","msg":"two\nlines \"x\" \u001b[2J","n":3,"time":"2030-01-02T03:04:05+01:00","url":"nats://h:1","who":"a b"}"#,
            ),
        ];
        for (got, expected) in rows {
            assert_eq!(got, expected);
        }
    }
}
