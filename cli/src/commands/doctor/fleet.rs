//! The way to the nodes and back: a ping that all answer, and a request that some carry out.

use super::clock;
use super::permissions::time_to_live;
use super::report::{Report, milliseconds};
use config::{Settings, keys};
use names::Identity;
use network::Connection;
use protocol::Filter;
use rpc::client::{Call, Client, Event, PingOptions, Recipients};
use rpc::ddl::Library;
use rpc::plan::Plan;
use security::{Provider, Verification};
use serde_json::Map;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// The names of these checks.
pub(super) const FLEET: &str = "fleet";
pub(super) const REQUEST: &str = "request";

/// Pings the fleet and asks some nodes for an action.
pub(super) async fn examine(report: &mut Report, settings: &Settings, provider: &Provider, connection: &Connection) {
    let client = match Client::from_settings(connection.clone(), provider.clone(), settings) {
        Ok(client) => client,
        Err(error) => {
            let (text, fix) = super::credentials::sentence_and_fix(&error.to_string());
            return report.fail(FLEET, text, fix);
        }
    };
    let collective = settings.main_collective();
    let (nodes, slowest) = match ping(&client, client.discovery_timeout()).await {
        Ok(found) => found,
        Err(text) => return report.fail(FLEET, text, "correct what it names in the configuration"),
    };
    if nodes.is_empty() {
        return nobody(report, settings, provider, connection).await;
    }
    let slowest = milliseconds(slowest);
    let word = if nodes.len() == 1 { "node answers" } else { "nodes answer" };
    report.ok(FLEET, format!("{} {word} in collective {collective}, the last after {slowest}", nodes.len()));
    request(report, settings, &client, nodes).await;
}

/// Who answers within `limit`, and how long the last took.
async fn ping(client: &Client, limit: Duration) -> Result<(BTreeSet<Identity>, Duration), String> {
    let options = PingOptions { timeout: limit, ..client.ping_options() };
    let mut pings = client.ping(&Filter::default(), &options).await.map_err(|error| error.to_string())?;
    let (mut nodes, mut slowest) = (BTreeSet::new(), Duration::ZERO);
    while let Some(pong) = pings.next().await {
        slowest = slowest.max(pong.latency);
        nodes.insert(pong.sender);
    }
    Ok((nodes, slowest))
}

/// Nobody answers: looks into the collectives that there usually are.
async fn nobody(report: &mut Report, settings: &Settings, provider: &Provider, connection: &Connection) {
    let own = settings.main_collective().as_str();
    let configured = settings.collectives().iter().map(names::Collective::as_str);
    let others: BTreeSet<&str> = configured.chain(USUAL).filter(|name| *name != own).collect();
    let text = format!("no node answers in collective {own}");
    for other in others {
        let key = keys::MAIN_COLLECTIVE.name();
        let overrides = [(keys::COLLECTIVES.name(), other.to_owned()), (key, other.to_owned())];
        let Ok(settings) = settings.with(&overrides) else { continue };
        let Ok(client) = Client::from_settings(connection.clone(), provider.clone(), &settings) else { continue };
        let Ok((nodes, _)) = ping(&client, OTHERS_LIMIT).await else { continue };
        if !nodes.is_empty() {
            let text = format!("{text}, but {} in collective {other}", nodes.len());
            return report.fail(FLEET, text, format!("set {key} = {other} and add it to collectives"));
        }
    }
    let fix = format!(
        "see on a node: systemctl status choria-server, choria doctor --server\n\
         its collectives must hold {own}, its plugin.security.issuer.* must trust the issuer of this token,\n\
         its clock must be right, and it must speak version 2 (plugin.security.provider = choria)"
    );
    report.fail(FLEET, text, fix);
}

/// Asks a few nodes for an action, which their rules must allow.
async fn request(report: &mut Report, settings: &Settings, client: &Client, nodes: BTreeSet<Identity>) {
    let asked: Vec<Identity> = nodes.into_iter().take(ASKED).collect();
    let count = asked.len();
    let before = SystemTime::now();
    let outcome = async {
        let ddl = Library::from_settings(settings).agent("rpcutil").map_err(|error| error.to_string())?;
        let action = ddl.action("ping").map_err(|error| error.to_string())?;
        let plan = Plan::new(asked, None, None).map_err(|error| error.to_string())?;
        let call = Call::new(&ddl, action, Map::new(), Recipients::Nodes(plan)).map_err(|error| error.to_string())?;
        let call = Call { timeout: REQUEST_LIMIT, ..call };
        let mut replies = client.request(call).await.map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        while let Some(event) = replies.next().await {
            match event.map_err(|error| error.to_string())? {
                Event::Reply(reply) => found.push((reply, SystemTime::now())),
                Event::Invalid(invalid) => return Err(invalid.to_string()),
                Event::Unexpected(_) => {}
                Event::Done(_) => break,
            }
        }
        Ok(found)
    };
    let found = match outcome.await {
        Ok(found) => found,
        Err(text) => return report.fail(REQUEST, text, "ask one node alone: choria req rpcutil ping -I NAME --debug"),
    };
    if let Some((refusal, _)) = found.iter().find(|(reply, _)| !reply.body.status.is_ok()) {
        let text = format!("{} answers rpcutil#ping with: {}", refusal.sender(), refusal.body.message);
        let fix = format!(
            "look at rpcauthorization and the policies of that node, and into its log ({} asks)",
            "choria-server"
        );
        return report.fail(REQUEST, text, fix);
    }
    if found.len() < count {
        let text = format!("{} of {count} nodes carry out rpcutil#ping", found.len());
        return report.fail(REQUEST, text, "read the log of the others: journalctl -u choria-server");
    }
    let signed = found.iter().filter(|(reply, _)| matches!(reply.verification, Verification::Signature)).count();
    let proof = if signed == count { ", and sign their replies" } else { "" };
    report.ok(REQUEST, format!("{count} of {count} nodes asked carry out rpcutil#ping{proof}"));
    let worst = found.iter().max_by_key(|(reply, after)| distance(reply.time(), before, *after));
    if let Some((reply, after)) = worst {
        let whose = format!("the clocks of these nodes; the furthest is {}", reply.sender());
        clock::compare(report, &whose, reply.time(), (before, *after), time_to_live(settings));
    }
}

fn distance(theirs: SystemTime, before: SystemTime, after: SystemTime) -> Duration {
    theirs.duration_since(after).or_else(|_| before.duration_since(theirs)).unwrap_or_default()
}

/// What collectives are usually called.
const USUAL: [&str; 2] = ["choria", "mcollective"];

/// How long the others get; the own collective got `discovery_timeout`.
const OTHERS_LIMIT: Duration = Duration::from_secs(1);

/// Nodes that are asked for an action: enough to see that it works, too few to be felt.
const ASKED: usize = 5;

/// What they get for it.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
