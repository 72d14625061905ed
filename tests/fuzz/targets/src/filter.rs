//! Filters: as they come in requests, as people type them, and asked about a node.

use crate::assert_readable;
use names::AgentName;
use protocol::Filter;
use protocol::facts::{FactFile, Facts};
use protocol::filter::{DataAnswers, FactFilter, NodeView};
use rpc::FilterArguments;
use serde_json::json;

/// A text that begins with `{` is a filter in a request. Any other holds a flag a line, its letter first; lines that begin
/// with `{` or a space are a fact file.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.starts_with('{') {
        if let Ok(filter) = serde_json::from_str::<Filter>(text) {
            judge(&filter, &facts(FACTS));
        }
        return;
    }
    let own =
        lines(text, |first| matches!(first, '{' | ' ' | '}')).map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    let facts = facts(if own.is_empty() { FACTS } else { &own });
    let flag = |letter| lines(text, move |first| first == letter).map(|(_, line)| line[1..].to_owned()).collect();
    let arguments = FilterArguments {
        facts: flag('F'),
        classes: flag('C'),
        agents: flag('A'),
        identities: flag('I'),
        combined: flag('W'),
        compound: None,
    };
    match arguments.filter(None) {
        Ok(filter) => judge(&filter, &facts),
        Err(why) => assert!(why.to_string().len() < text.len() + 1024),
    }
}

fn lines(text: &str, wanted: impl Fn(char) -> bool) -> impl Iterator<Item = (char, &str)> {
    text.split('\n').filter_map(|line| Some((line.chars().next()?, line))).filter(move |(first, _)| wanted(*first))
}

fn facts(text: &str) -> Facts {
    let (facts, _refused) =
        Facts::merge(&[FactFile { name: "facts.json", text }, FactFile { name: "facts.yaml", text }]);
    let value: serde_json::Value = serde_json::from_str(facts.json()).expect("merged facts are JSON");
    assert!(value.is_object());
    facts
}

/// What holds of every filter about the node of these facts.
fn judge(filter: &Filter, facts: &Facts) {
    let written = serde_json::to_string(filter).expect("a filter can be written");
    assert_eq!(serde_json::from_str::<Filter>(&written).ok().as_ref(), Some(filter), "{written}");
    for FactFilter { fact, .. } in &filter.facts {
        drop(facts.get(fact));
    }
    let agents: Vec<AgentName> = ["discovery", "rpcutil", "package"].map(|name| name.parse().expect("an agent")).into();
    let classes = ["apache", "roles::Web", "common"].map(str::to_owned);
    let compiled = filter.compile();
    let mut data = DataAnswers::default();
    for need in compiled.needs() {
        data.insert(need, json!({"uptime": 10, "state": "MASTER", "list": [1, 2.5, "three"]}));
    }
    let view = NodeView { identity: "n1.example.net", agents: &agents, classes: &classes, facts, data: &data };
    let first = compiled.matches(&view);
    if let Err(why) = &first {
        assert_readable(&why.to_string());
    }
    let again = filter.compile().matches(&view);
    assert_eq!(first.ok(), again.ok(), "the same filter decides differently");
    assert!(!filter.is_empty() || compiled.matches(&view).is_ok_and(|matched| matched), "an empty filter matches");
}

/// The node's facts when the input brings none.
pub(crate) const FACTS: &str = r#"{
 "os":{"family":"RedHat","release":{"major":"9","minor":4}},"cpus":8,"load":0.25,"virtual":false,"site":null,
 "disks":[{"name":"sda","size":512},{"name":"sdb","size":1024}],"name":"n1.example.net","empty":""
}"#;
