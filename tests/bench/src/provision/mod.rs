//! Row 21: how many nodes a minute are provisioned, and what a node costs the provisioner and the broker.
//!
//! Real processes: a broker, servers without configuration beside a provisioning token, and a provisioner with a helper
//! that always says the same. Servers are started and connected first; the rate is that between the first and the last
//! event of a provisioned node. `--provisioner` may be the Go one: both have the same arguments and configuration.

mod files;
mod helper;

use crate::storm::Usage;
use anyhow::{Context as _, ensure};
use files::Files;
pub(crate) use helper::run as help;
use network::{Connection, Login, Options, Role, Scheme, ServerAddress, Servers};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// What is measured.
struct Plan {
    broker: PathBuf,
    server: PathBuf,
    provisioner: PathBuf,
    count: usize,
    workers: usize,
    /// Keeps its files when given.
    directory: Option<PathBuf>,
}

/// Prints one line of JSON.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let plan = Plan::parse(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(plan))
}

impl Plan {
    fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let (mut broker, mut server, mut provisioner, mut directory) = (None, None, None, None);
        let (mut count, mut workers) = (200, 4);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().with_context(|| format!("{word} needs a value"));
            match *word {
                "--broker" => broker = Some(PathBuf::from(value()?)),
                "--server" => server = Some(PathBuf::from(value()?)),
                "--provisioner" => provisioner = Some(PathBuf::from(value()?)),
                "--directory" => directory = Some(PathBuf::from(value()?)),
                "--count" => count = value()?.parse()?,
                "--workers" => workers = value()?.parse()?,
                other => anyhow::bail!("provision knows no {other}"),
            }
        }
        let missing = "provision needs --broker PROGRAM, --server PROGRAM and --provisioner PROGRAM";
        let (broker, server) = (broker.context(missing)?, server.context(missing)?);
        Ok(Self { broker, server, provisioner: provisioner.context(missing)?, count, workers, directory })
    }
}

async fn measure(plan: Plan) -> anyhow::Result<()> {
    let temporary = std::env::temp_dir().join(format!("choria-bench-provision-{}", std::process::id()));
    let directory = plan.directory.clone().unwrap_or(temporary);
    let files = Files::write(&directory, plan.workers)?;
    let measured = measure_in(&plan, &files).await;
    if plan.directory.is_none() && measured.is_ok() {
        std::fs::remove_dir_all(&directory)?;
    }
    println!("{}", measured.with_context(|| format!("the logs are in {}", directory.display()))?);
    Ok(())
}

async fn measure_in(plan: &Plan, files: &Files) -> anyhow::Result<Value> {
    let configuration = files.path("broker.conf");
    let broker = start(&plan.broker, &["--config", &configuration], &files.path("broker.log"), &[])?;
    let events = watch(files).await?;
    let began = Instant::now();
    let mut nodes = Vec::new();
    let mut startups = events.subscribe("choria.lifecycle.event.startup.provision_mode_server", None).await?;
    events.flush().await?;
    for number in 0..plan.count {
        let (name, home) = files.node(number)?;
        let (configuration, log) = (home.join("server.conf").display().to_string(), home.join("server.log"));
        let arguments = ["--identity", name.as_str(), "--config", configuration.as_str()];
        nodes.push(start(&plan.server, &arguments, &log.display().to_string(), &[])?);
        // All at once would measure the start of processes, and time out in it.
        if number % AT_ONCE == AT_ONCE - 1 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    let mut waiting = HashSet::new();
    while waiting.len() < plan.count {
        let event = tokio::time::timeout(LIMIT, startups.recv()).await;
        let event = event.with_context(|| format!("{} of {} nodes started", waiting.len(), plan.count))?;
        waiting.extend(identity(&event.context("the connection ended")?.payload));
    }
    let started_s = began.elapsed().as_secs_f64();

    let mut provisioned = events.subscribe("choria.lifecycle.event.provisioned.provision_mode_server", None).await?;
    events.flush().await?;
    tokio::time::sleep(SETTLE).await;
    let broker_before = Usage::of(broker.id().context("the broker ended")?);
    let arguments = ["run", "--config", &files.path("provisioner.yaml"), "--choria-config", &files.path("choria.cfg")];
    // The Go client refuses to start without a user.
    let provisioner = start(&plan.provisioner, &arguments, &files.path("provisioner.log"), &[("USER", "bench")])?;
    let began = Instant::now();
    let (mut done, mut first, mut last) = (HashSet::new(), None, began);
    while done.len() < plan.count {
        let event = tokio::time::timeout(LIMIT, provisioned.recv()).await;
        let event = event.with_context(|| format!("{} of {} nodes were provisioned", done.len(), plan.count))?;
        if done.insert(identity(&event.context("the connection ended")?.payload)) {
            last = Instant::now();
            first.get_or_insert(last);
        }
    }
    let provisioner_usage = Usage::of(provisioner.id().context("the provisioner ended")?);
    let broker_usage = Usage::of(broker.id().context("the broker ended")?);
    let seconds = last.duration_since(first.unwrap_or(began)).as_secs_f64();
    ensure!(seconds > 0.0, "one node shows no rate");
    let each = |milliseconds: f64| milliseconds / plan.count as f64;
    Ok(json!({
        "nodes": plan.count,
        "nodes_per_minute": (plan.count - 1) as f64 / seconds * 60.0,
        "seconds": seconds,
        "first_after_s": first.map(|first| first.duration_since(began).as_secs_f64()),
        "provisioner_cpu_ms": each(provisioner_usage.cpu_ms),
        "provisioner_rss_kib": provisioner_usage.rss_kib,
        "broker_cpu_ms": each(broker_usage.cpu_ms - broker_before.cpu_ms),
        "servers_started_s": started_s,
    }))
}

/// Starts a program that ends with this one, its output in the file `log`.
fn start(program: &Path, arguments: &[&str], log: &str, environment: &[(&str, &str)]) -> anyhow::Result<Child> {
    let log = File::create(log)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn().with_context(|| program.display().to_string())
}

/// A connection that may see everything, once the broker serves.
async fn watch(files: &Files) -> anyhow::Result<Connection> {
    let address = ServerAddress::new(Scheme::Tls, "127.0.0.1", files.port);
    let mut options = Options::new(Role::Client, "bench", Servers::Fixed(vec![address]), network::Tls::unverified()?);
    options.login =
        Login::Token { token_file: files.path("admin.jwt").into(), seed_file: Some(files.path("admin.seed").into()) };
    options.patience = Some(LIMIT);
    Ok(network::connect(options, CancellationToken::new()).await?)
}

/// The node that an event is about.
fn identity(event: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(event).ok()?;
    event.pointer("/data/identity")?.as_str().map(str::to_owned)
}

/// Servers that are started without a pause.
const AT_ONCE: usize = 20;

/// See [`AT_ONCE`].
const PAUSE: Duration = Duration::from_millis(500);

/// Until the broker has forgotten the start of the servers.
const SETTLE: Duration = Duration::from_secs(2);

/// Longer than anything takes until the next event; the provisioner looks for nodes each minute.
const LIMIT: Duration = Duration::from_secs(120);
