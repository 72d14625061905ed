//! Data providers: answers for compound filters and `rpcutil#get_data` (spec 03b §6.4, 04 §7).
//!
//! All read what the server knows already, so none needs a time limit. No Autonomous Agents run in this version: no
//! machine and no check is ever found.

use crate::VERSION;
use crate::node::Node;
use protocol::filter::{DataAnswers, DataNeed};
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// The names of all providers, sorted.
const PROVIDERS: [&str; 4] = ["choria", "config_item", "machine_state", "scout"];

/// The names of the providers of `node`: none while it is being provisioned.
pub(crate) fn names(node: &Node) -> &'static [&'static str] {
    if node.provisioning { &[] } else { &PROVIDERS }
}

/// What `provider` answers to `query`. `Err(Failed)` is a provider that failed, `None` one that does not exist.
pub(crate) fn answer(node: &Node, provider: &str, query: &str, now: SystemTime) -> Option<Result<Value, Failed>> {
    if node.provisioning {
        return None;
    }
    match provider {
        "choria" => Some(Ok(choria(node, now))),
        "config_item" => Some(Ok(config_item(node, query))),
        "machine_state" => Some(Err(Failed)),
        "scout" => Some(Ok(Value::Object(Map::new()))),
        _ => None,
    }
}

/// The question has no answer; filters see nil, `get_data` answers null.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Failed;

/// The answers to all `needs` of a filter.
pub(crate) fn answers(node: &Node, needs: Vec<DataNeed>, now: SystemTime) -> DataAnswers {
    let mut answers = DataAnswers::default();
    for need in needs {
        if let Some(found) = answer(node, &need.provider, need.query.as_deref().unwrap_or_default(), now) {
            answers.insert(need, found.unwrap_or(Value::Null));
        }
    }
    answers
}

fn choria(node: &Node, now: SystemTime) -> Value {
    let counts = node.stats.counts();
    let classes = node.classes.read();
    json!({
        "agents": node.roster.names(),
        "agents_count": node.roster.names().len(),
        "built": "unknown",
        "classes": &*classes,
        "classes_count": classes.len(),
        "commit": "unknown",
        "configfile": config_file(node),
        "connected_broker": node.broker.connected_server(),
        "cpus": cpus(),
        "events": counts.events,
        "filtered": counts.filtered,
        "go_version": "",
        "goroutines": 0,
        "license": "Apache-2.0",
        "machines": [],
        "machines_count": 0,
        "passed": counts.passed,
        "pid": std::process::id(),
        "provisioning": node.provisioning,
        "replies": counts.replies,
        "total": counts.total,
        "ttlexpired": counts.ttl_expired,
        "unvalidated": counts.invalid,
        "uptime": node.uptime(now).as_secs(),
        "validated": counts.valid,
        "version": VERSION,
    })
}

/// Secrets are hidden by the settings themselves.
fn config_item(node: &Node, key: &str) -> Value {
    let value = node.settings.json(key);
    json!({"present": value.is_some(), "value": value})
}

/// The main configuration file as text, empty when there is none.
pub(crate) fn config_file(node: &Node) -> String {
    node.settings.config_file().map(|path| path.display().to_string()).unwrap_or_default()
}

/// Processors this process may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
