//! The one JSON document of a request and its answers (spec 09 §2.9), written while the answers come in.
//!
//! Unlike [`rpc::document::Results`], which wants all answers at once, this keeps none of them.

use super::Answer;
use rpc::aggregate::Summaries;
use rpc::document::ReplyEntry;
use rpc::json_text::indented;
use rpc::stats::Stats;
use serde::Serialize;
use std::io::{self, Write};

const INDENT: &str = "   ";

/// A document that has begun.
#[derive(Debug)]
pub(crate) struct Document {
    empty: bool,
}

impl Document {
    /// Writes what comes before the answers.
    pub(crate) fn begin(out: &mut impl Write, agent: &str, action: &str) -> io::Result<Self> {
        let (agent, action) = (serde_json::to_string(agent)?, serde_json::to_string(action)?);
        write!(out, "{{\n{INDENT}\"agent\": {agent},\n{INDENT}\"action\": {action},\n{INDENT}\"replies\": [")?;
        Ok(Self { empty: true })
    }

    /// Writes one answer.
    pub(crate) fn answer(&mut self, out: &mut impl Write, answer: Answer<'_>) -> io::Result<()> {
        let comma = if std::mem::take(&mut self.empty) { "" } else { "," };
        let entry = ReplyEntry::new(answer.sender, answer.body, answer.time);
        write!(out, "{comma}\n{INDENT}{INDENT}{}", laid_out(&entry, 2)?)
    }

    /// Writes what comes after the answers.
    pub(crate) fn finish(self, out: &mut impl Write, stats: &Stats, summaries: &Summaries) -> io::Result<()> {
        let end = if self.empty { "]".to_owned() } else { format!("\n{INDENT}]") };
        let (stats, summaries) = (laid_out(stats, 1)?, laid_out(&summaries.to_json(), 1)?);
        writeln!(out, "{end},\n{INDENT}\"request_stats\": {stats},\n{INDENT}\"summaries\": {summaries}\n}}")
    }
}

/// `value` at `depth` of the document.
fn laid_out(value: &impl Serialize, depth: usize) -> io::Result<String> {
    // Data that nodes sent is laid out like the rest, in its own order, hence not with serde's own indentation.
    Ok(indented(&serde_json::to_string(value)?, &INDENT.repeat(depth), INDENT))
}
