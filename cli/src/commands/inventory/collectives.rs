//! How many nodes each collective has (spec 09 §8).

use crate::output::table::Table;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The outputs of `rpcutil#collective_info` that matter here.
#[derive(Debug, Deserialize)]
pub(super) struct Membership {
    collectives: Vec<String>,
}

/// Nodes and collectives counted.
#[derive(Debug, Default)]
pub(super) struct Census {
    nodes: usize,
    collectives: BTreeMap<String, usize>,
}

impl Census {
    /// Adds one node.
    pub(super) fn add(&mut self, node: Membership) {
        self.nodes += 1;
        for collective in node.collectives {
            *self.collectives.entry(collective).or_default() += 1;
        }
    }

    /// Writes the table, the largest collective first and equally large ones by name.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let title = format!("Collective Report for {} nodes", self.nodes);
        let mut table = Table::new(&["Collective", "Nodes"]).titled(title);
        let mut sorted: Vec<_> = self.collectives.iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(a.1));
        for (collective, nodes) in sorted {
            table.row(&[collective.as_str(), &nodes.to_string()]);
        }
        table.write(out)
    }

    /// Writes `{"nodes": N, "collectives": {NAME: COUNT}}`.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let document = serde_json::json!({"nodes": self.nodes, "collectives": self.collectives});
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_collective_comes_first() {
        let mut census = Census::default();
        for collectives in [&["uk", "choria"][..], &["choria", "de"]] {
            census.add(Membership { collectives: collectives.iter().map(|&name| name.to_owned()).collect() });
        }
        let mut out = Vec::new();
        census.write(&mut out).expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        let names: Vec<&str> = text.lines().skip(5).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(names, ["choria", "de", "uk"]);
        let mut json = Vec::new();
        census.write_json(&mut json).expect("written");
        let document: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(document, serde_json::json!({"nodes": 2, "collectives": {"choria": 2, "de": 1, "uk": 1}}));
        assert!(text.contains("│ Collective Report for 2 nodes │"), "{text}");
    }
}
