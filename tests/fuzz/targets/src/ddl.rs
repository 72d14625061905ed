//! DDL documents and the inputs and outputs that are judged by them.

use crate::request::same;
use rpc::aggregate::Summaries;
use rpc::ddl::{Action, AgentDdl, DataDdl};
use serde_json::{Map, Value};

/// A document, then, after a NUL, the inputs of a request as JSON.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (document, inputs) = text.split_once('\0').unwrap_or((text, "{}"));
    let inputs: Map<String, Value> = serde_json::from_str(inputs).unwrap_or_default();
    if let Ok(ddl) = serde_json::from_str::<AgentDdl>(document) {
        agent(&ddl, &inputs);
    }
    if let Ok(ddl) = serde_json::from_str::<DataDdl>(document) {
        for value in inputs.values() {
            if let Some(Err(why)) = ddl.query.as_ref().map(|query| query.validate(value)) {
                assert_bounded(&why.to_string(), text);
            }
        }
    }
}

fn agent(ddl: &AgentDdl, inputs: &Map<String, Value>) {
    let json = ddl.to_json();
    let again: AgentDdl = serde_json::from_str(&json).expect("what was read can be read again");
    let (one, other) = (serde_json::to_value(ddl).expect("JSON"), serde_json::to_value(&again).expect("JSON"));
    assert!(same(&one, &other), "{one} became {other}");
    assert!(ddl.metadata.timeout().as_secs() >= 1);
    for declared in &ddl.actions {
        assert!(ddl.action(&declared.name).is_ok());
        judge(declared, inputs, &json);
    }
    if let Err(why) = ddl.action("no such action") {
        assert_bounded(&why.to_string(), &json);
    }
}

fn judge(action: &Action, inputs: &Map<String, Value>, document: &str) {
    if let Err(why) = action.validate_request(inputs) {
        assert_bounded(&why.to_string(), document);
    }
    let texts: Vec<(&str, String)> = inputs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let given = || texts.iter().map(|(name, text)| (*name, text.as_str()));
    match action.inputs_from(given()) {
        Ok(typed) => {
            let has_default = |name: &String| action.inputs.get(name).is_some_and(|input| input.default.is_some());
            let no_defaults = typed.values.keys().all(|name| !has_default(name));
            if no_defaults {
                assert!(action.validate_request(&typed.values).is_ok(), "what the client sends the host refuses");
            }
        }
        Err(why) => assert_bounded(&why.to_string(), document),
    }
    let mut outputs = inputs.clone();
    action.fill_outputs(&mut outputs);
    let mut summaries = Summaries::new(action);
    for _ in 0..3 {
        summaries.add(&Value::Object(outputs.clone()));
    }
    drop(summaries.to_json());
    for text in summaries.texts() {
        // A format can make a cell wide, but not without bound.
        assert!(text.lines.iter().all(|line| line.len() < 64 * 1024 + document.len()), "a line without end");
    }
}

/// A reason may repeat what it found, but does not multiply it.
fn assert_bounded(reason: &str, input: &str) {
    assert!(reason.len() <= 16 * 1024 + 8 * input.len(), "a reason of {} bytes", reason.len());
}
