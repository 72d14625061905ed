//! `choria inventory`: everything about one node, the collectives of all (spec 09 §8), or a report of the user's own.

mod collectives;
mod node;
mod script;

use crate::Global;
use crate::filters::{Filters, Method, Reach, Selection};
use crate::fleet::{Found, Search, ask, exit_code};
use crate::output::footer;
use crate::output::sink::Sink;
use crate::output::terminal_width;
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::Context;
use clap::ArgGroup;
use collectives::{Census, Membership};
use names::Identity;
use node::{Inventory, Statistics};
use rpc::client::{Client, NodeReply};
use rpc::ddl::AgentDdl;
use rpc::stats::Stats;
use script::Script;
use serde_json::Map;
use serde_json::value::RawValue;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args, Debug)]
#[command(after_help = crate::fleet::EXIT_CODES)]
#[command(group = ArgGroup::new("what").args(["identity", "collectives", "script"]).required(true))]
pub(crate) struct InventoryArguments {
    /// The node
    identity: Option<Identity>,
    /// Count the nodes of each collective
    #[arg(long)]
    collectives: bool,
    /// Make a table with a line for every node; each line of FILE is a column: HEADING = EXPRESSION
    ///
    /// Node   = sender()
    /// System = fact("os.name") + " " + fact("os.release.full")
    /// Web    = class("roles::web")
    /// Agents = data("agents")
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    script: Option<PathBuf>,
    /// Write JSON
    #[arg(long, short)]
    json: bool,
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
    // A report that cannot be read is not worth a connection.
    let script = arguments.script.as_deref().map(Script::read).transpose()?;
    let session = Session::open(global, &arguments.connect, Talk::Normal)?;
    let ddl = session.library().agent("rpcutil")?;
    let form = Form { json: arguments.json, facts: !arguments.no_facts, verbose: global.debug };
    match (arguments.identity, script) {
        (Some(identity), _) => one_node(&session, &ddl, &identity, form),
        (None, Some(script)) => scripted(&session, &ddl, arguments.filters, script, form),
        (None, None) => report(&session, &ddl, arguments.filters, form),
    }
}

/// How the answer is shown.
#[derive(Clone, Copy, Debug)]
struct Form {
    json: bool,
    facts: bool,
    verbose: bool,
}

/// The page of one node, or its answers as JSON.
fn one_node(session: &Session, ddl: &AgentDdl, identity: &Identity, form: Form) -> anyhow::Result<ExitCode> {
    let (inventory, statistics) = block_on(async {
        let client = session.client().await?;
        let inventory = outputs(&client, ddl, "inventory", identity).await?;
        let statistics = outputs(&client, ddl, "daemon_stats", identity).await?;
        Ok((inventory, statistics))
    })?;
    let mut out = Sink::stdout();
    if form.json {
        node::write_json(&mut out, identity.as_str(), &inventory, &statistics, form.facts)?;
    } else {
        let unreadable = |action| move || format!("the {action} of {identity} cannot be read");
        let inventory: Inventory = serde_json::from_str(inventory.get()).with_context(unreadable("inventory"))?;
        let statistics: Statistics = serde_json::from_str(statistics.get()).with_context(unreadable("daemon_stats"))?;
        node::write(&mut out, identity.as_str(), &inventory, &statistics, form.facts)?;
    }
    out.settle()?;
    Ok(ExitCode::SUCCESS)
}

/// What one node answers to an action without inputs.
async fn outputs(client: &Client, ddl: &AgentDdl, action: &str, identity: &Identity) -> anyhow::Result<Box<RawValue>> {
    let found = Found { nodes: vec![identity.clone()], took: Duration::ZERO };
    let mut answer = None;
    let take = |reply: &NodeReply| answer = Some(reply.body.data.clone());
    ask(client, (ddl, ddl.action(action)?), Map::new(), found, None, take).await?;
    answer.with_context(|| format!("no {action} received from {identity}: is it running, and may you?"))
}

/// The collectives of all nodes that match.
fn report(session: &Session, ddl: &AgentDdl, filters: Filters, form: Form) -> anyhow::Result<ExitCode> {
    let mut census = Census::default();
    let take = |reply: &NodeReply| match serde_json::from_str::<Membership>(reply.body.data.get()) {
        Ok(membership) => census.add(membership),
        Err(error) => tracing::error!("the answer of {} cannot be read: {error}", reply.sender()),
    };
    let stats = ask_all(session, ddl, "collective_info", filters, take)?;
    let mut out = Sink::stdout();
    if form.json {
        census.write_json(&mut out)?;
    } else {
        census.write(&mut out)?;
    }
    below(&mut out, session, &stats, form)?;
    out.settle()?;
    Ok(exit_code(&stats))
}

/// The user's own report about all nodes that match.
fn scripted(
    session: &Session,
    ddl: &AgentDdl,
    filters: Filters,
    script: Script,
    form: Form,
) -> anyhow::Result<ExitCode> {
    let mut table = script.begin();
    let take = |reply: &NodeReply| table.add(reply.sender(), &reply.body, reply.time());
    let stats = ask_all(session, ddl, "inventory", filters, take)?;
    table.warn();
    let mut out = Sink::stdout();
    if form.json {
        table.write_json(&mut out)?;
    } else {
        table.write(&mut out, terminal_width())?;
    }
    below(&mut out, session, &stats, form)?;
    out.settle()?;
    Ok(exit_code(&stats))
}

/// Asks all nodes that match for an action without inputs.
fn ask_all(
    session: &Session,
    ddl: &AgentDdl,
    action: &str,
    filters: Filters,
    take: impl FnMut(&NodeReply),
) -> anyhow::Result<Stats> {
    let reach = Reach { filters, ..Reach::default() };
    let selection = Selection { method: Some(Method::Broadcast), ..Selection::default() };
    let search = Search::new(session, &ddl.metadata.name.parse()?, &reach, &selection)?;
    block_on(async {
        let client = session.client().await?;
        let found = search.nodes(&client).await?;
        ask(&client, (ddl, ddl.action(action)?), Map::new(), found, None, take).await
    })
}

/// Below a table: who did not answer.
fn below(out: &mut Sink, session: &Session, stats: &Stats, form: Form) -> std::io::Result<()> {
    let palette = session.palette(&std::io::stdout());
    match (stats.silent.is_empty() || form.json, form.verbose) {
        (true, _) => Ok(()),
        (false, true) => footer::full(out, stats, palette),
        (false, false) => footer::short(out, stats, palette),
    }
}
