//! `choria find`: the names of the nodes that match (spec 09 §6).

use crate::Global;
use crate::filters::{Reach, Selection};
use crate::fleet::{Found, Search};
use crate::output::senders;
use crate::output::sink::Sink;
use crate::session::{Connect, Session, Talk, block_on};
use std::io::Write;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct FindArguments {
    /// Print a JSON array
    #[arg(short, long)]
    json: bool,
    /// Say what is done, and how long it took
    #[arg(short, long)]
    verbose: bool,
    /// Log nothing
    #[arg(long, hide = true)]
    silent: bool,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connect: Connect,
}

/// Finds the nodes and prints them.
pub(crate) fn run(arguments: &FindArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let session = Session::open(global, &arguments.connect, Talk::Least)?;
    let search = Search::new(&session, &"rpcutil".parse()?, &arguments.reach, &arguments.selection)?;
    let (mut out, verbose) = (Sink::stdout(), arguments.verbose && !arguments.json);
    if verbose {
        write!(out, "Discovering nodes using the {} method .... ", search.word())?;
        out.idle()?;
    }
    let found = match search.offline()? {
        Some(found) => found,
        None => block_on(async { search.nodes(&session.client().await?).await })?,
    };
    if verbose {
        writeln!(out, "{}\n", found.nodes.len())?;
    }
    write(&mut out, &found, arguments.json)?;
    if verbose {
        let (count, word, seconds) = (found.nodes.len(), search.word(), found.took.as_secs_f64());
        writeln!(out, "\nDiscovered {count} nodes using the {word} method in {seconds:.2} seconds")?;
    }
    out.settle()?;
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut Sink, found: &Found, json: bool) -> std::io::Result<()> {
    if json { senders::array(out, &found.nodes) } else { senders::lines(out, &found.nodes) }
}
