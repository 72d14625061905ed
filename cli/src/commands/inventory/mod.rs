//! `choria inventory`: everything about one node, or the collectives of all (spec 09 §8).

mod collectives;
mod node;

use crate::Global;
use crate::filters::{Filters, Method, Reach, Selection};
use crate::fleet::{Found, Search, ask, exit_code};
use crate::output::footer;
use crate::output::sink::Sink;
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::Context;
use collectives::{Census, Membership};
use names::Identity;
use node::{Inventory, Statistics};
use rpc::client::{Client, NodeReply};
use rpc::ddl::AgentDdl;
use rpc::stats::Stats;
use serde::de::DeserializeOwned;
use serde_json::Map;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args, Debug)]
#[command(after_help = crate::fleet::EXIT_CODES)]
pub(crate) struct InventoryArguments {
    /// The node
    #[arg(required_unless_present = "collectives", conflicts_with = "collectives")]
    identity: Option<Identity>,
    /// Count the nodes of each collective
    #[arg(long)]
    collectives: bool,
    /// Leave out the facts
    #[arg(long)]
    no_facts: bool,
    /// Show the facts, as is usual
    #[arg(id = "show_facts", long = "facts", hide = true, overrides_with = "no_facts")]
    facts: bool,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    connect: Connect,
}

/// Asks and writes the page or the report.
pub(crate) fn run(arguments: InventoryArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let session = Session::open(global, &arguments.connect, Talk::Normal)?;
    let ddl = session.library().agent("rpcutil")?;
    match arguments.identity {
        Some(identity) => one_node(&session, &ddl, &identity, !arguments.no_facts),
        None => report(&session, &ddl, arguments.filters, global.debug),
    }
}

/// The page of one node.
fn one_node(session: &Session, ddl: &AgentDdl, identity: &Identity, facts: bool) -> anyhow::Result<ExitCode> {
    let (inventory, statistics) = block_on(async {
        let client = session.client().await?;
        let inventory: Inventory = outputs(&client, ddl, "inventory", identity).await?;
        let statistics: Statistics = outputs(&client, ddl, "daemon_stats", identity).await?;
        Ok((inventory, statistics))
    })?;
    let mut out = Sink::stdout();
    node::write(&mut out, identity.as_str(), &inventory, &statistics, facts)?;
    out.settle()?;
    Ok(ExitCode::SUCCESS)
}

/// What one node answers to an action without inputs.
async fn outputs<Outputs: DeserializeOwned>(
    client: &Client,
    ddl: &AgentDdl,
    action: &str,
    identity: &Identity,
) -> anyhow::Result<Outputs> {
    let found = Found { nodes: vec![identity.clone()], took: Duration::ZERO };
    let mut answer = None;
    let take = |reply: &NodeReply| answer = Some(serde_json::from_str(reply.body.data.get()));
    ask(client, (ddl, ddl.action(action)?), Map::new(), found, None, take).await?;
    let answer =
        answer.with_context(|| format!("no {action} received from {identity}: is it running, and may you?"))?;
    answer.with_context(|| format!("the {action} of {identity} cannot be read"))
}

/// The collectives of all nodes that match.
fn report(session: &Session, ddl: &AgentDdl, filters: Filters, verbose: bool) -> anyhow::Result<ExitCode> {
    let reach = Reach { filters, ..Reach::default() };
    let selection = Selection { method: Some(Method::Broadcast), ..Selection::default() };
    let search = Search::new(session, &ddl.metadata.name.parse()?, &reach, &selection)?;
    let mut census = Census::default();
    let stats: Stats = block_on(async {
        let client = session.client().await?;
        let found = search.nodes(&client).await?;
        let take = |reply: &NodeReply| match serde_json::from_str::<Membership>(reply.body.data.get()) {
            Ok(membership) => census.add(membership),
            Err(error) => tracing::error!("the answer of {} cannot be read: {error}", reply.sender()),
        };
        ask(&client, (ddl, ddl.action("collective_info")?), Map::new(), found, None, take).await
    })?;
    let mut out = Sink::stdout();
    census.write(&mut out)?;
    let palette = session.palette(&std::io::stdout());
    match (stats.silent.is_empty(), verbose) {
        (true, _) => {}
        (false, true) => footer::full(&mut out, &stats, palette)?,
        (false, false) => footer::short(&mut out, &stats, palette)?,
    }
    out.settle()?;
    Ok(exit_code(&stats))
}
