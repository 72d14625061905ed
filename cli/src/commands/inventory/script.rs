//! Reports of the user's own: a file with a column a line, `HEADING = EXPRESSION`, about the inventory of every node.
//!
//! The Ruby scripts that earlier systems ran for this cannot be run here; an expression sees the same data and can do
//! no harm.

use crate::output::table::Table;
use anyhow::{Context, bail, ensure};
use names::Identity;
use rpc::ReplyBody;
use rpc::reply_filter::{ReplyFilterError, ReplyValue};
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

/// The columns of a report.
#[derive(Debug)]
pub(super) struct Script {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    heading: String,
    /// Where it is written, for messages.
    place: String,
    expression: ReplyValue,
    /// How many nodes it failed on.
    failures: usize,
}

/// A report on its way.
#[derive(Debug)]
pub(super) struct Report {
    columns: Vec<Column>,
    rows: Vec<(Identity, Vec<Value>)>,
}

impl Script {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, with the line that is no column, and when there is no column at all.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, file: &str) -> anyhow::Result<Self> {
        let mut columns: Vec<Column> = Vec::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = format!("{file}:{number}");
            let split = line.split_once('=').map(|(heading, expression)| (heading.trim(), expression.trim()));
            let Some((heading, text)) = split.filter(|(heading, text)| !heading.is_empty() && !text.is_empty()) else {
                bail!("{place}: a column is written as HEADING = EXPRESSION, as in: System = fact(\"os.name\")");
            };
            ensure!(
                columns.iter().all(|column| column.heading != heading),
                "{place}: there are two columns {heading:?}"
            );
            let expression = match ReplyValue::new(text) {
                Ok(expression) => expression,
                Err(ReplyFilterError::Invalid { text, reason } | ReplyFilterError::Failed { text, reason, .. }) => {
                    bail!("{place}: {text:?} is not a valid expression: {reason}")
                }
            };
            columns.push(Column { heading: heading.to_owned(), place, expression, failures: 0 });
        }
        ensure!(!columns.is_empty(), "{file} has no columns: write one a line, as in: Node = sender()");
        Ok(Self { columns })
    }

    /// A report about no node yet.
    pub(super) fn begin(self) -> Report {
        Report { columns: self.columns, rows: Vec::new() }
    }
}

impl Report {
    /// Adds one node. What an expression cannot tell of it stays empty, and the user hears why, once for each column.
    pub(super) fn add(&mut self, sender: &Identity, body: &ReplyBody, time: SystemTime) {
        let values = self.columns.iter_mut().map(|column| match column.expression.of(sender, body, time) {
            Ok(value) => value,
            Err(ReplyFilterError::Invalid { reason, .. } | ReplyFilterError::Failed { reason, .. }) => {
                column.failures += 1;
                if column.failures == 1 {
                    tracing::warn!("{}: the column {:?} fails on {sender}: {reason}", column.place, column.heading);
                }
                Value::Null
            }
        });
        let values = values.collect();
        self.rows.push((sender.clone(), values));
    }

    /// Tells which columns failed on more nodes than were named.
    pub(super) fn warn(&self) {
        for column in self.columns.iter().filter(|column| column.failures > 1) {
            tracing::warn!("{}: the column {:?} fails on {} nodes", column.place, column.heading, column.failures);
        }
    }

    /// Writes a table, sorted by node, for a terminal of so many columns.
    pub(super) fn write(mut self, out: &mut impl Write, columns: Option<u16>) -> io::Result<()> {
        self.rows.sort_by(|a, b| a.0.cmp(&b.0));
        let headings: Vec<&str> = self.columns.iter().map(|column| column.heading.as_str()).collect();
        let mut table = Table::new(&headings).fitted(columns);
        for (_, values) in &self.rows {
            table.row(&values.iter().map(cell).collect::<Vec<_>>());
        }
        table.write(out)
    }

    /// Writes an array with an object for each node, sorted by node.
    pub(super) fn write_json(mut self, out: &mut impl Write) -> io::Result<()> {
        self.rows.sort_by(|a, b| a.0.cmp(&b.0));
        let headings = || self.columns.iter().map(|column| column.heading.clone());
        let object = |values: &Vec<Value>| headings().zip(values.iter().cloned()).collect::<Map<_, _>>();
        let rows: Vec<Map<String, Value>> = self.rows.iter().map(|(_, values)| object(values)).collect();
        serde_json::to_writer_pretty(&mut *out, &rows)?;
        writeln!(out)
    }
}

/// A value as a person reads it: lists with commas, nothing as nothing.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
# One line for every node.
Node   = sender()
System = fact(\"os.family\")

Web    = class(\"roles::web\") == true
Agents = data(\"agents\")
Twice  = fact(\"cpus\") * 2
";

    fn report() -> Report {
        let mut report = Script::parse(SCRIPT, "x").expect("a script").begin();
        let nodes = [
            ("n2", r#"{"facts":{"os":{"family":"Debian"},"cpus":2},"classes":["roles::web"],"agents":["a","b"]}"#),
            ("n1", r#"{"facts":{"cpus":"many"},"classes":[],"agents":[]}"#),
        ];
        for (node, data) in nodes {
            let body = ReplyBody::parse(format!(r#"{{"statuscode":0,"data":{data}}}"#).as_bytes()).expect("a body");
            report.add(&node.parse().expect("an identity"), &body, SystemTime::UNIX_EPOCH);
        }
        report
    }

    #[test]
    fn a_report_is_a_table_or_json() {
        let expected = "\
╭──────┬────────┬───────┬────────┬───────╮
│ Node │ System │ Web   │ Agents │ Twice │
├──────┼────────┼───────┼────────┼───────┤
│ n1   │        │ false │        │       │
│ n2   │ Debian │ true  │ a, b   │ 4     │
╰──────┴────────┴───────┴────────┴───────╯

";
        let mut out = Vec::new();
        report().write(&mut out, None).expect("written");
        assert_eq!(String::from_utf8_lossy(&out), expected);
        let mut out = Vec::new();
        report().write_json(&mut out).expect("written");
        let rows: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(
            rows[1],
            serde_json::json!({"Node": "n2", "System": "Debian", "Web": true, "Agents": ["a", "b"], "Twice": 4})
        );
        assert_eq!(rows[0]["Twice"], Value::Null);
    }

    #[test]
    fn wrong_lines_are_named() {
        let rows = [
            ("Node = sender()\n\nSystem", "x:3: a column is written as HEADING = EXPRESSION"),
            ("= sender()", "x:1: a column is written as"),
            ("Node =", "x:1: a column is written as"),
            ("Node = sender(", "x:1: \"sender(\" is not a valid expression: "),
            ("A = 1\nA = 2", "x:2: there are two columns \"A\""),
            ("# nothing\n", "x has no columns: write one a line"),
        ];
        for (text, start) in rows {
            let error = Script::parse(text, "x").expect_err(text).to_string();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }
}
