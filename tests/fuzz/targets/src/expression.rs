//! Compound filters: what the guard lets through ends, and fits into memory.

use crate::assert_readable;
use crate::filter::FACTS;
use names::AgentName;
use protocol::Filter;
use protocol::facts::{FactFile, Facts};
use protocol::filter::{Compound, DataAnswers, NodeView, constraint};
use serde_json::json;

/// One expression; its first two lines are also a version and a constraint.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let filter = Filter { compound: vec![Compound::Expression(text.to_owned())], ..Filter::default() };
    let compiled = filter.compile();
    if let Err(why) = compiled.check() {
        assert_readable(&why.to_string());
    }
    let mut answers = DataAnswers::default();
    for need in compiled.needs() {
        answers.insert(need, json!({"uptime": 10, "state": "MASTER", "list": [1, 2.5, "three", {"a": "b"}]}));
    }
    let (facts, _refused) = Facts::merge(&[FactFile { name: "facts.json", text: FACTS }]);
    let agents: Vec<AgentName> = ["discovery", "rpcutil", "package"].map(|name| name.parse().expect("an agent")).into();
    let classes = ["apache", "roles::Web", "common"].map(str::to_owned);
    let view =
        NodeView { identity: "n1.example.net", agents: &agents, classes: &classes, facts: &facts, data: &answers };
    let verdict = compiled.matches(&view);
    match &verdict {
        Ok(_) => assert!(compiled.check().is_ok(), "what is no expression decides"),
        Err(why) => assert_readable(&why.to_string()),
    }
    if !text.contains("now") {
        assert_eq!(compiled.matches(&view).ok(), verdict.ok(), "the same expression decides differently");
    }
    let mut lines = text.lines();
    if let (Some(version), Some(wanted)) = (lines.next(), lines.next()) {
        if let Err(why) = constraint::satisfies(version, wanted) {
            assert!(why.to_string().len() < text.len() * 8 + 1024);
        }
    }
}
