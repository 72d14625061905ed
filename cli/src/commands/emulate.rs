//! `choria emulate`: many servers in one process, to see what a network carries.

use crate::Global;
use crate::session::settings;
use anyhow::Context;
use config::Settings;
use daemon::logging::{Destination, Level, Logging};
use daemon::{Exit, Options, Threads};
use emulator::{CandidatePlan, Plan, Progress};
use names::Collective;
use network::{Dns, Role, Search, ServerAddress, Tls};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokens::Seed;

#[derive(clap::Args, Debug)]
pub(crate) struct EmulateArguments {
    /// Number of servers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// File with the seed of an issuer that the broker trusts
    #[arg(long, value_name = "SEED", required_unless_present = "provision")]
    issuer: Option<PathBuf>,
    /// File with a provisioning token: the servers have no credentials, wait to be provisioned and become members then
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["issuer", "servers", "facts", "classes", "collective"], requires = "folder")]
    provision: Option<PathBuf>,
    /// Where servers that wait to be provisioned have their files, one folder each
    #[arg(long, value_name = "DIR", requires = "provision")]
    folder: Option<PathBuf>,
    /// Start of the servers' names, which go on with -1, -2 and so on
    #[arg(long, default_value = "emulated")]
    name: String,
    /// Name of the issuer
    #[arg(long, value_name = "NAME", default_value = "choria")]
    organization: String,
    /// Collective of the servers (default: the main collective of the configuration)
    #[arg(long)]
    collective: Option<Collective>,
    /// A broker to connect to, instead of those the configuration leads to; may be given several times
    #[arg(long = "server", value_name = "HOST:PORT")]
    servers: Vec<ServerAddress>,
    /// A file of facts that all servers have; may be given several times
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,
    /// A file of classes that all servers have
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Connections that may be in the making at once
    #[arg(long, value_name = "N", default_value_t = 50)]
    at_once: usize,
    /// Time between reports on standard output
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = crate::duration::parse)]
    report: Duration,
    /// Write reports as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// Runs the servers until a signal to stop comes.
pub(crate) fn run(arguments: EmulateArguments, global: &Global) -> anyhow::Result<ExitCode> {
    let level = if global.debug { Level::Debug } else { Level::Warn };
    let logging = Logging { destination: Destination::StandardError, level };
    let options = Options {
        logging,
        threads: Threads::Many(0),
        soft_shutdown: Duration::from_secs(20),
        ..Options::new("choria-emulate")
    };
    if let (Some(token), Some(folder)) = (arguments.provision.clone(), arguments.folder.clone()) {
        return Ok(daemon::run(options, |context| candidates(arguments, token, folder, context)));
    }
    let settings = settings(global)?;
    Ok(daemon::run(options, |context| async move {
        let (interval, json) = (arguments.report, arguments.json);
        let plan = arguments.plan(&settings).await?;
        let told = |report: &emulator::Report| {
            context.ready();
            tell(report, json);
        };
        let last = emulator::run(plan, context.stop().clone(), interval, told).await?;
        tell(&last, json);
        Ok(Exit::Clean)
    }))
}

/// Servers that wait to be provisioned.
async fn candidates(
    arguments: EmulateArguments,
    token: PathBuf,
    folder: PathBuf,
    context: daemon::Context,
) -> anyhow::Result<Exit> {
    let EmulateArguments { count, name, at_once, report, json, .. } = arguments;
    let plan = CandidatePlan { count: count as usize, name, token, folder, at_once };
    context.ready();
    let told = |progress: &Progress| {
        let line = if json { serde_json::to_string(progress).unwrap_or_default() } else { progress.to_string() };
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            tracing::debug!("the report cannot be written: {error}");
        }
    };
    let last = emulator::run_candidates(plan, context.stop().clone(), report, told).await?;
    told(&last);
    Ok(Exit::Clean)
}

impl EmulateArguments {
    async fn plan(self, settings: &Settings) -> anyhow::Result<Plan> {
        let servers =
            if self.servers.is_empty() { Search::from_settings(settings)?.find(&Dns).await? } else { self.servers };
        let issuer = self.issuer.context("the seed of an issuer is needed: give it with --issuer")?;
        let issuer = Seed::read(&issuer).with_context(|| format!("the issuer {}", issuer.display()))?;
        Ok(Plan {
            count: self.count as usize,
            name: self.name,
            issuer,
            organization: self.organization,
            servers,
            tls: Tls::from_settings(settings, Role::Client)?,
            collective: self.collective.unwrap_or_else(|| settings.main_collective().clone()),
            facts: self.facts,
            classes: self.classes,
            at_once: self.at_once,
        })
    }
}

/// Prints one report. Nobody reading is no reason to stop.
fn tell(report: &emulator::Report, json: bool) {
    let line = if json { serde_json::to_string(report).unwrap_or_default() } else { report.to_string() };
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        tracing::debug!("the report cannot be written: {error}");
    }
}

/// What `choria emulate --help` says first.
pub(crate) const LONG_ABOUT: &str = "\
Runs many servers in this process, each with its own key, token and connection

The servers find their brokers as a client with this configuration does. Their tokens are made with the issuer's seed and \
kept in memory. Ready is told to the service manager, and the first report written, when all of them serve.";
