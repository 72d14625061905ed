//! `choria facts`: the values of one fact, counted (spec 09 §7).

mod report;

use crate::Global;
use crate::filters::{Reach, Selection};
use crate::fleet::{Search, ask, exit_code};
use crate::output::sink::Sink;
use crate::output::{footer, value};
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::ensure;
use report::{Report, Style};
use std::io::Write;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
#[command(after_help = crate::fleet::EXIT_CODES)]
pub(crate) struct FactsArguments {
    /// The fact, as in os.family
    fact: String,
    /// Write a table
    #[arg(short, long, conflicts_with = "json")]
    table: bool,
    /// Write a JSON document
    #[arg(short, long)]
    json: bool,
    /// List the nodes, and show all statistics
    #[arg(short, long)]
    verbose: bool,
    /// List the nodes
    #[arg(short = 'n', long)]
    show_nodes: bool,
    /// Start with the most frequent value
    #[arg(short, long)]
    reverse: bool,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connect: Connect,
}

/// Asks the nodes and writes the report.
pub(crate) fn run(arguments: &FactsArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let session = Session::open(global, &arguments.connect, Talk::Normal)?;
    let ddl = session.library().agent("rpcutil")?;
    let action = ddl.action("get_fact")?;
    let inputs = action.inputs_from([("fact", arguments.fact.as_str())])?.values;
    let search = Search::new(&session, &ddl.metadata.name.parse()?, &arguments.reach, &arguments.selection)?;
    let mut report = Report::default();
    let stats = block_on(async {
        let client = session.client().await?;
        let found = search.nodes(&client).await?;
        let take = |reply: &rpc::client::NodeReply| {
            report.add(reply.sender().as_str(), value::members(reply.body.data.get()).get("value").copied());
        };
        ask(&client, (&ddl, action), inputs, found, search.collective(), take).await
    })?;
    if report.is_empty() {
        ensure!(stats.responses > 0, "no responses received; choria doctor tells why");
        anyhow::bail!("no facts returned");
    }
    let style = Style { reverse: arguments.reverse, nodes: arguments.verbose || arguments.show_nodes };
    let mut out = Sink::stdout();
    if arguments.json {
        report.json(&mut out)?;
    } else if arguments.table {
        report.table(&mut out, style, crate::output::terminal_width())?;
    } else {
        writeln!(out, "Report for fact: {}\n", arguments.fact)?;
        report.text(&mut out, style)?;
        let palette = session.palette(&std::io::stdout());
        if arguments.verbose {
            footer::full(&mut out, &stats, palette)?;
        } else {
            footer::short(&mut out, &stats, palette)?;
        }
    }
    out.settle()?;
    Ok(exit_code(&stats))
}
