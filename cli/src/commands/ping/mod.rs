//! `choria ping`: who is there, and how long an answer takes (spec 09 §4).

mod statistics;

use crate::Global;
use crate::filters::Reach;
use crate::fleet::{NODES_SILENT, or_idle};
use crate::output::sink::Sink;
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::{Context, ensure};
use rpc::client::Pong;
use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  nodes answered
  1  no node answered, or the command could not be carried out
  3  fewer nodes answered than --expect said")]
pub(crate) struct PingArguments {
    /// Show the statistics only
    #[arg(long)]
    silent: bool,
    /// Show the names of the nodes only
    #[arg(long)]
    names: bool,
    /// Stop after so many answers
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    expect: Option<u32>,
    /// Seconds to wait for answers (default: discovery_timeout of the configuration)
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Show how many answers came in each 50 milliseconds
    #[arg(long)]
    graph: bool,
    /// Accepted for scripts: one connection receives every answer
    #[arg(long, value_name = "N", hide = true)]
    workers: Option<u32>,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    connect: Connect,
}

/// Sends the ping and prints answers as they come.
pub(crate) fn run(arguments: &PingArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let session = Session::open(global, &arguments.connect, Talk::Normal)?;
    let filter = arguments.reach.filter(None).context("could not parse filters")?;
    block_on(async {
        let client = session.client().await?;
        let mut options = client.ping_options();
        options.collective = arguments.reach.collective()?;
        options.windowed = false;
        if let Some(seconds) = arguments.timeout {
            options.timeout = Duration::from_secs(seconds.into());
        }
        let mut pings = client.ping(&filter, &options).await.context("could not perform request")?;
        let (mut out, mut times) = (Sink::stdout(), Vec::new());
        while arguments.expect.is_none_or(|expected| times.len() < expected as usize) {
            let Some(pong) = or_idle(pin!(pings.next()), || out.idle()).await? else { break };
            arguments.show(&mut out, &pong)?;
            times.push(pong.latency);
        }
        arguments.finish(&mut out, &times, pings.published().duration_since(began))
    })
}

impl PingArguments {
    /// Writes one line about an answer, or nothing.
    fn show(&self, out: &mut Sink, pong: &Pong) -> std::io::Result<()> {
        match (self.silent, self.names) {
            (true, _) => Ok(()),
            (false, true) => writeln!(out, "{}", pong.sender),
            (false, false) => writeln!(out, "{:<40} time={} ms", pong.sender, pong.latency.as_millis()),
        }
    }

    /// Writes the statistics and picks the exit code.
    fn finish(&self, out: &mut Sink, times: &[Duration], overhead: Duration) -> anyhow::Result<ExitCode> {
        let missing = self.expect.is_some_and(|expected| times.len() < expected as usize);
        let code = if missing { ExitCode::from(NODES_SILENT) } else { ExitCode::SUCCESS };
        if self.names {
            out.settle()?;
            return Ok(code);
        }
        if !self.silent {
            writeln!(out, "\n")?;
        }
        writeln!(out, "---- ping statistics ----")?;
        statistics::write(out, times, overhead)?;
        if self.graph {
            statistics::graph(out, times)?;
        }
        out.settle()?;
        ensure!(!times.is_empty(), "no responses received; choria doctor tells why");
        Ok(code)
    }
}
