//! `choria_util`: the connection of a node, and its Autonomous Agents (spec 03b §3).
//!
//! No Autonomous Agents run in this version: the machine actions answer as on a server without any.

use super::metadata;
use crate::VERSION;
use crate::action::Actions;
use crate::agent::Metadata;
use crate::authorize::Authorized;
use crate::node::Node;
use config::keys;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use names::InvalidName;
use rpc::ReplyBody;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct ChoriaUtil(Metadata);

impl ChoriaUtil {
    pub(super) fn new() -> Result<Self, InvalidName> {
        metadata("choria_util", "Choria Utilities", "https://choria.io", 10).map(Self)
    }
}

impl Actions for ChoriaUtil {
    fn metadata(&self) -> &Metadata {
        &self.0
    }

    fn knows(&self, action: &str) -> bool {
        find(action).is_some()
    }

    fn run(&self, call: Authorized, node: Arc<Node>) -> BoxFuture<'_, ReplyBody> {
        let reply = match find(call.action()) {
            Some(action) => action(&call, &node).unwrap_or_else(|failure| failure),
            None => call.aborted("there is no such action"),
        };
        ready(reply).boxed()
    }
}

type Action = fn(&Authorized, &Node) -> Result<ReplyBody, ReplyBody>;

fn find(action: &str) -> Option<Action> {
    let action: Action = match action {
        "info" => info,
        "machine_state" => machine_state,
        "machine_states" => machine_states,
        "machine_transition" => machine_transition,
        _ => return None,
    };
    Some(action)
}

fn info(call: &Authorized, node: &Node) -> Result<ReplyBody, ReplyBody> {
    let broker = &node.broker;
    let status = broker.status();
    let count = |read: fn(&network::Status) -> u64| status.as_ref().map_or(0, read);
    let urls: Vec<String> = broker.servers.iter().map(ToString::to_string).collect();
    let hosts: Vec<String> =
        broker.servers.iter().map(|server| format!("{}:{}", server.host(), server.port())).collect();
    Ok(call.ok(&json!({
        "security": "choria",
        "connector": "choria",
        "client_version": VERSION,
        "client_flavour": "async-nats, Rust",
        "client_options": {
            "servers": urls,
            "dont_randomize_servers": false,
            "name": broker.name,
            "pedantic": false,
            "secure": broker.tls,
            "allow_reconnect": true,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.5,
            "connect_timeout": broker.connect_timeout.as_secs_f64(),
            "ping_interval": broker.ping_interval.as_secs_f64(),
            "max_outstanding_pings": 2,
        },
        "client_stats": {
            "in_msgs": count(|status| status.in_messages),
            "out_msgs": count(|status| status.out_messages),
            "in_bytes": count(|status| status.in_bytes),
            "out_bytes": count(|status| status.out_bytes),
            "reconnects": count(|status| status.reconnects),
        },
        "connected_server": broker.connected_server(),
        "facter_domain": "",
        "facter_command": "",
        "srv_domain": node.settings.get(keys::SRV_DOMAIN).unwrap_or_default(),
        "using_srv": node.settings.get(keys::USE_SRV),
        "middleware_servers": hosts,
        "path": std::env::var("PATH").unwrap_or_default(),
        "choria_version": format!("choria {VERSION}"),
        "secure_protocol": node.settings.protection().validate_security,
        "connector_tls": broker.tls,
    })))
}

fn machine_states(call: &Authorized, _node: &Node) -> Result<ReplyBody, ReplyBody> {
    Ok(call.ok(&json!({"machine_ids": [], "machine_names": [], "states": {}})))
}

/// The criteria by which a machine is found; all that are given must match.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Criteria {
    instance: Option<String>,
    name: Option<String>,
    path: Option<String>,
    version: Option<String>,
    transition: Option<String>,
}

fn machine_state(call: &Authorized, _node: &Node) -> Result<ReplyBody, ReplyBody> {
    let wanted: Criteria = call.inputs()?;
    let given = [&wanted.instance, &wanted.name, &wanted.path];
    let any = given.into_iter().flatten().any(|text| !text.is_empty());
    let why = if any { "No running machines" } else { "No search criteria given" };
    let unknown = "unknown machine";
    Err(call.aborted_with(
        why,
        &json!({
            "name": unknown, "version": unknown, "state": unknown, "path": "", "id": "", "start_time": 0,
            "available_transitions": null, "scout": false,
        }),
    ))
}

fn machine_transition(call: &Authorized, _node: &Node) -> Result<ReplyBody, ReplyBody> {
    let Criteria { instance, name, path, version, transition } = call.inputs()?;
    let [instance, name, path, version, transition] =
        [instance, name, path, version, transition].map(Option::unwrap_or_default);
    let why = format!(
        "Could not perform {transition} transition: could not find machine matching criteria \
         name='{name}', version='{version}', path='{path}', id='{instance}'"
    );
    Err(call.aborted_with(why, &json!({"success": false})))
}
