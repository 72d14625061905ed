//! Equal values of one fact, counted (spec 09 §7).

use crate::output::table::Table;
use crate::output::{printable, value};
use rpc::number::compact_json;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The nodes by the value they have.
#[derive(Debug, Default)]
pub(super) struct Report {
    values: BTreeMap<String, Vec<String>>,
}

/// How the report is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// The most frequent value first instead of last.
    pub(super) reverse: bool,
    /// The names of the nodes too.
    pub(super) nodes: bool,
}

impl Report {
    /// Adds one node. Texts count as they are, a missing value as `nil`, everything else as compact JSON.
    pub(super) fn add(&mut self, node: &str, fact: Option<&RawValue>) {
        let value = match fact.map_or("null", RawValue::get) {
            "null" => "nil".to_owned(),
            text if text.starts_with('"') => value::plain(text),
            other => serde_json::from_str(other).map_or_else(|_| other.to_owned(), |value| compact_json(&value)),
        };
        self.values.entry(value).or_default().push(node.to_owned());
    }

    /// Whether no node was added.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Writes one line a value.
    pub(super) fn text(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        let longest = self.values.keys().map(|value| value.chars().count()).max().unwrap_or_default();
        for (value, nodes) in self.sorted(style.reverse) {
            writeln!(out, "  {:longest$} found {} times", printable(value), nodes.len())?;
            if style.nodes {
                writeln!(out)?;
                nodes.iter().try_for_each(|node| writeln!(out, "    {node}"))?;
                writeln!(out)?;
            }
        }
        writeln!(out)
    }

    /// Writes a table, for a terminal of so many columns.
    pub(super) fn table(&self, out: &mut impl Write, style: Style, terminal: Option<u16>) -> io::Result<()> {
        let columns = if style.nodes { 3 } else { 2 };
        let mut table = Table::new(&["Fact", "Matches", "Nodes"][..columns]).fitted(terminal);
        for (value, nodes) in self.sorted(style.reverse) {
            table.row(&[value, &nodes.len().to_string(), &nodes.join("\n")][..columns]);
        }
        table.write(out)
    }

    /// Writes `{value: {"count", "identities"}}`, indented by two spaces.
    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        let entry = |nodes: &Vec<String>| {
            let mut identities = nodes.clone();
            identities.sort_unstable();
            json!({"count": nodes.len(), "identities": identities})
        };
        let values: BTreeMap<&String, _> = self.values.iter().map(|(value, nodes)| (value, entry(nodes))).collect();
        serde_json::to_writer_pretty(&mut *out, &values)?;
        writeln!(out)
    }

    /// Values with their sorted nodes, the least frequent first; equally frequent ones in order of the value.
    fn sorted(&self, reverse: bool) -> Vec<(&str, Vec<&str>)> {
        let mut values: Vec<(&str, Vec<&str>)> = Vec::with_capacity(self.values.len());
        for (value, nodes) in &self.values {
            let mut nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
            nodes.sort_unstable();
            values.push((value, nodes));
        }
        values.sort_by_key(|(_, nodes)| if reverse { usize::MAX - nodes.len() } else { nodes.len() });
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(nodes: &[(&str, &str)]) -> Report {
        let mut report = Report::default();
        for (node, value) in nodes {
            report.add(node, serde_json::from_str(value).ok());
        }
        report
    }

    fn text(report: &Report, style: Style) -> String {
        let mut out = Vec::new();
        report.text(&mut out, style).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    const PLAIN: Style = Style { reverse: false, nodes: false };

    #[test]
    fn values_are_counted_and_sorted_by_count() {
        let report = report(&[("n3", r#""x86_64""#), ("n1", r#""arm64""#), ("n2", r#""x86_64""#)]);
        assert_eq!(text(&report, PLAIN), "  arm64  found 1 times\n  x86_64 found 2 times\n\n");
        let nodes = "  x86_64 found 2 times\n\n    n2\n    n3\n\n  arm64  found 1 times\n\n    n1\n\n\n";
        assert_eq!(text(&report, Style { reverse: true, nodes: true }), nodes);
    }

    #[test]
    fn every_kind_of_value_has_one_spelling() {
        let cases = [
            ("null", "nil"),
            (r#""a""#, "a"),
            ("true", "true"),
            ("1.0", "1"),
            ("17", "17"),
            (r#"{ "b": [1, "x"], "a": null }"#, r#"{"a":null,"b":[1,"x"]}"#),
        ];
        for (value, expected) in cases {
            let report = report(&[("n1", value)]);
            assert_eq!(report.values.keys().map(String::as_str).collect::<Vec<_>>(), [expected], "{value}");
        }
    }

    #[test]
    fn the_table_is_that_of_the_existing_client() {
        let mut out = Vec::new();
        let value = r#""AuthenticAMD""#;
        report(&[("n1", value), ("n2", value), ("n3", value)]).table(&mut out, PLAIN, None).expect("written");
        let expected = "\
╭──────────────┬─────────╮
│ Fact         │ Matches │
├──────────────┼─────────┤
│ AuthenticAMD │ 3       │
╰──────────────┴─────────╯

";
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn json_names_the_nodes() {
        let mut out = Vec::new();
        report(&[("n2", "1"), ("n1", "1")]).json(&mut out).expect("written");
        let value: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(value, json!({"1": {"count": 2, "identities": ["n1", "n2"]}}));
    }
}
