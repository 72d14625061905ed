//! `rpcutil`: what a node says about itself (spec 03b §2).

use super::metadata;
use crate::VERSION;
use crate::action::Actions;
use crate::agent::Metadata;
use crate::authorize::Authorized;
use crate::data;
use crate::node::Node;
use config::keys;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use names::{AgentName, InvalidName};
use rpc::ReplyBody;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[derive(Debug)]
pub(super) struct RpcUtil(Metadata);

impl RpcUtil {
    pub(super) fn new() -> Result<Self, InvalidName> {
        metadata("rpcutil", "Choria RPC Utilities", "http://choria.io", 2).map(Self)
    }
}

impl Actions for RpcUtil {
    fn metadata(&self) -> &Metadata {
        &self.0
    }

    fn knows(&self, action: &str) -> bool {
        find(action).is_some()
    }

    fn run(&self, call: Authorized, node: Arc<Node>) -> BoxFuture<'_, ReplyBody> {
        let reply = match find(call.action()) {
            Some(action) => action(&call, &node, SystemTime::now()).unwrap_or_else(|failure| failure),
            None => call.aborted("there is no such action"),
        };
        ready(reply).boxed()
    }
}

/// Both arms are replies; the failure arm lets `?` end an action early.
type Action = fn(&Authorized, &Node, SystemTime) -> Result<ReplyBody, ReplyBody>;

fn find(action: &str) -> Option<Action> {
    let action: Action = match action {
        "agent_inventory" => agent_inventory,
        "collective_info" => collective_info,
        "daemon_stats" => daemon_stats,
        "get_config_item" => get_config_item,
        "get_data" => get_data,
        "get_fact" => get_fact,
        "get_facts" => get_facts,
        "inventory" => inventory,
        "ping" => ping,
        _ => return None,
    };
    Some(action)
}

fn ping(call: &Authorized, _node: &Node, now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    Ok(call.ok(&json!({"pong": unix(now)})))
}

fn get_fact(call: &Authorized, node: &Node, _now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        fact: Option<String>,
    }
    let fact = call.inputs::<Inputs>()?.fact.unwrap_or_default();
    let value = node.facts.read().get(&fact);
    Ok(call.ok(&json!({"fact": fact, "value": value})))
}

fn get_facts(call: &Authorized, node: &Node, _now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        facts: Option<String>,
    }
    let wanted = call.inputs::<Inputs>()?.facts.unwrap_or_default();
    let facts = node.facts.read();
    let values: Map<String, Value> = wanted
        .split(',')
        .map(str::trim)
        .map(|fact| (fact.to_owned(), facts.get(fact).unwrap_or(Value::Null)))
        .collect();
    Ok(call.ok(&json!({"values": values})))
}

fn collective_info(call: &Authorized, node: &Node, _now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    let main = node.settings.main_collective();
    Ok(call.ok(&json!({"main_collective": main, "collectives": node.collectives()})))
}

fn agent_inventory(call: &Authorized, node: &Node, _now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    #[derive(Serialize)]
    struct Item<'a> {
        agent: &'a AgentName,
        #[serde(flatten)]
        metadata: &'a Metadata,
    }
    let agents: Vec<_> = node.roster.metadata().map(|metadata| Item { agent: &metadata.name, metadata }).collect();
    Ok(call.ok(&json!({"agents": agents})))
}

fn inventory(call: &Authorized, node: &Node, _now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    #[derive(Serialize)]
    struct Inventory<'a> {
        agents: &'a [AgentName],
        classes: &'a [String],
        collectives: &'a [names::Collective],
        data_plugins: &'static [&'static str],
        facts: &'a RawValue,
        machines: [(); 0],
        main_collective: &'a names::Collective,
        version: &'static str,
        upgradable: bool,
    }
    let facts = node.facts.read();
    let classes = node.classes.read();
    let unreadable = |error: serde_json::Error| call.aborted(format!("the facts cannot be written: {error}"));
    Ok(call.ok(&Inventory {
        agents: node.roster.names(),
        classes: &classes,
        collectives: node.collectives(),
        data_plugins: data::names(node),
        facts: serde_json::from_str(facts.json()).map_err(unreadable)?,
        machines: [],
        main_collective: node.settings.main_collective(),
        version: VERSION,
        upgradable: node.settings.get(keys::SERVER_PROVISION_ALLOW_UPDATE),
    }))
}

fn daemon_stats(call: &Authorized, node: &Node, _now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    let counts = node.stats.counts();
    Ok(call.ok(&json!({
        "agents": node.roster.names(),
        "configfile": data::config_file(node),
        "filtered": counts.filtered,
        "pid": std::process::id(),
        "passed": counts.passed,
        "threads": [format!("Choria {VERSION} in one thread on {} cores", data::cpus())],
        "replies": counts.replies,
        "starttime": unix(node.started),
        "ttlexpired": counts.ttl_expired,
        "events": counts.events,
        "times": {"cstime": 0, "cutime": 0, "stime": 0, "utime": 0},
        "total": counts.total,
        "unvalidated": counts.invalid,
        "validated": counts.valid,
        "version": VERSION,
    })))
}

/// Differs from the original on purpose: a secret is refused instead of told to everyone who may call this.
fn get_config_item(call: &Authorized, node: &Node, _now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        item: Option<String>,
    }
    let item = call.inputs::<Inputs>()?.item.unwrap_or_default();
    let Some(info) = config::find_key(&item) else { return Err(call.aborted("Unknown key")) };
    if info.secret {
        return Err(call.aborted(format!("{item} holds a secret, which is not shown over the network")));
    }
    let value = node.settings.json(&item);
    Ok(call.ok(&json!({"item": item, "value": value})))
}

fn get_data(call: &Authorized, node: &Node, now: SystemTime) -> Result<ReplyBody, ReplyBody> {
    #[derive(Deserialize)]
    struct Inputs {
        #[serde(default)]
        source: Option<String>,
        #[serde(default)]
        query: Option<String>,
    }
    let Inputs { source, query } = call.inputs()?;
    let (source, query) = (source.unwrap_or_default(), query.unwrap_or_default());
    let answer = data::answer(node, &source, &query, now).ok_or_else(|| call.aborted("Unknown data plugin"))?;
    Ok(call.ok(&answer.unwrap_or(Value::Null)))
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
