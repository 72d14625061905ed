//! What `choria-server` and `choria server run` have in common: from arguments to exit code.

use crate::control::Outcome;
use crate::exporter::{self, Exporter};
use crate::provision_agent::{ProvisionSetup, complete_interrupted};
use crate::provisioning::{self, Prepared, ProvisioningToken, Reason};
use crate::reload::Reloader;
use crate::server::Server;
use crate::settings::{Parts, Settings};
use crate::socket::{self, Questions};
use agents::VERSION;
use anyhow::{Context as _, bail};
use config::{Inputs, Kind, LoadError, SystemEnvironment, keys};
use daemon::logging::{Level, Logging};
use daemon::{Exit, Options};
use names::Identity;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use submission::delivery::Delivery;

/// The arguments of a server (spec 04 §1.1).
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--config`: the configuration file.
    pub config: Option<PathBuf>,
    /// `--pid`: a file that holds the process number while the server runs.
    pub pid_file: Option<PathBuf>,
    /// `--identity`: the node's name as long as no configuration gives one.
    pub identity: Option<Identity>,
    /// `--service-host`: host only agents that are services.
    pub service_host: bool,
    /// `--debug`: log level debug, to standard error or the journal.
    pub debug: bool,
    /// `--disable-tls`: connect without TLS, and do not check the security setup.
    pub disable_tls: bool,
    /// `--disable-ssl-verification`: accept any broker.
    pub disable_verification: bool,
}

/// Runs a server to its end; the exit code is for `main`.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match prepare(arguments) {
        Ok((start, options)) => daemon::run(options, |context| serve(start, context)),
        Err(error) => daemon::fail(NAME, &error),
    }
}

/// The configuration of the server of this machine.
const CONFIG_FILE: &str = config::build::SERVER_CONFIG;
const NAME: &str = config::build::SERVER;

/// A server about to start.
struct Start {
    settings: Settings,
    arguments: Arguments,
    as_what: Role,
}

/// What it is for as long as the process runs.
enum Role {
    /// A member of the fleet.
    Member { inputs: Box<Inputs>, token: Option<ProvisioningToken>, note: Option<String> },
    /// It waits to be provisioned.
    Candidate { token: ProvisioningToken, reason: Reason, expired: bool },
}

/// Everything that can fail before the log starts.
fn prepare(arguments: &Arguments) -> anyhow::Result<(Start, Options)> {
    let Some(path) = &arguments.config else {
        bail!("server run requires a configuration file: give one with --config")
    };
    let completed = complete_interrupted(path).map_err(anyhow::Error::msg)?;
    if completed {
        eprintln!("{NAME}: the provisioning of this node, which was interrupted, is completed");
    }
    let load = || read(path, arguments);
    let prepared =
        provisioning::prepare(path, arguments.identity.as_ref(), load, &SystemEnvironment, SystemTime::now())?;
    let (settings, as_what) = match prepared {
        Prepared::Fleet { inputs, config, token, note } => {
            (Settings::new(config, arguments.service_host), Role::Member { inputs, token, note })
        }
        Prepared::Provision { config, token, reason, expired } => {
            (Settings::unprovisioned(config), Role::Candidate { token, reason, expired })
        }
    };
    let config = &settings.config;
    let logfile = config.get(keys::LOGFILE);
    let mut logging = Logging::from_settings(logfile.as_deref().and_then(Path::to_str), config.get(keys::LOGLEVEL));
    if arguments.debug {
        logging = Logging { level: Level::Debug, ..Logging::default() };
    }
    let options = Options {
        logging,
        soft_shutdown: settings.stop_limit,
        pid_file: arguments.pid_file.clone(),
        ..Options::new(NAME)
    };
    Ok((Start { settings, arguments: arguments.clone(), as_what }, options))
}

/// What the files say, under the arguments' protections; not judged yet.
pub(crate) fn read(path: &Path, arguments: &Arguments) -> Result<Inputs, LoadError> {
    let mut inputs = config::load(path, Kind::Server, &SystemEnvironment)?;
    inputs.use_credentials("server", &SystemEnvironment);
    if let (Some(name), None) = (&arguments.identity, inputs.text(keys::IDENTITY.name())) {
        inputs.set(keys::IDENTITY.name(), name.as_str());
    }
    let mut protection = config::Protection::default();
    if arguments.disable_tls {
        (protection.tls, protection.validate_security) = (false, false);
    }
    if arguments.disable_verification {
        protection.verify_tls = false;
    }
    inputs.protect(protection);
    Ok(inputs)
}

async fn serve(start: Start, context: daemon::Context) -> anyhow::Result<Exit> {
    let Start { settings, arguments, as_what } = start;
    let mut reloads = context.reloads();
    let config = &settings.config;
    let file = config.config_file().unwrap_or(Path::new("none")).display().to_string();
    tracing::info!("Choria Server version {VERSION} starting with config {file} using protocol version 2");
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    daemon::tell_of_credentials(&config.credentials());
    context.status("Connecting to the broker");

    let now = SystemTime::now();
    let config = config.clone();
    let (mut parts, mut reloader) = parts(&settings, &arguments, as_what, now)?;
    parts.context = Some(context.clone());
    parts.times = exporter::is_wanted(&config, context.sockets()).then(Arc::default);
    let connector = Arc::clone(&parts.network.counters);
    let submission = parts.delivery.as_ref().map(Delivery::counts);
    let running = Server::build(settings, parts, rand::random(), now).context("building the server")?.start();
    let questions = Questions { handle: running.handle(), submission: submission.clone() };
    let _questions = socket::serve(&config, context.sockets(), questions, context.stop());
    let exporter = Exporter { handle: running.handle(), connector, submission };
    let _statistics = exporter::serve(&config, context.sockets(), exporter, context.stop()).await;
    let ready = async {
        // An attempt that fails may take seconds, and a boot waits for every service.
        let _attempted = tokio::time::timeout(FIRST_ATTEMPT, running.attempted()).await;
        context.ready();
    };
    // Being told to stop comes before being ready: a boot without a network must not hold up a shutdown.
    tokio::select! {
        () = ready => {}
        () = context.stop().cancelled() => {}
    }
    let handle = running.handle();
    let mut anew = false;
    let signal = async {
        loop {
            tokio::select! {
                () = context.stop().cancelled() => return,
                () = reloads.next() => match &mut reloader {
                    Some(reloader) => {
                        reloader.reload(&handle, &context).await;
                        context.reloaded();
                    }
                    // Token, configuration and credentials are looked at once per process.
                    None => {
                        tracing::info!("starting anew, to look at the provisioning token and the configuration again");
                        anew = true;
                        return;
                    }
                }
            }
        }
    };
    let outcome = running.wait(signal).await?;
    Ok(if anew || outcome == Outcome::Restart { Exit::Restart } else { Exit::Clean })
}

/// How long the first attempt to connect keeps the server from being READY.
const FIRST_ATTEMPT: Duration = Duration::from_millis(500);

/// What the server is made of, and what reads its configuration anew while it runs.
fn parts(
    settings: &Settings,
    arguments: &Arguments,
    as_what: Role,
    now: SystemTime,
) -> anyhow::Result<(Parts, Option<Reloader>)> {
    let config_file = settings.config.config_file().unwrap_or(Path::new(CONFIG_FILE)).to_owned();
    let program = std::env::current_exe().ok();
    let setup = |provisioning, token| ProvisionSetup {
        provisioning,
        token,
        config_file: config_file.clone(),
        name: arguments.identity.clone(),
        program,
    };
    match as_what {
        Role::Candidate { token, reason, expired } => {
            tracing::info!(
                event = "waits_to_be_provisioned",
                file = %token.origin(),
                reason = %reason,
                "waiting to be provisioned: {reason}"
            );
            if expired {
                tracing::error!(
                    event = "token_expired",
                    file = %token.origin(),
                    "the provisioning token {} has expired, so the broker refuses it: replace the file, it is read at each \
                     attempt; credentials of this node stay as they are",
                    token.origin()
                );
            }
            let parts = Parts::provisioning(settings, setup(true, token), StdRng::from_entropy())?;
            Ok((parts, None))
        }
        Role::Member { inputs, token, note } => {
            let mut parts = match (Parts::from_settings(settings, now), note) {
                (Ok(parts), note) => {
                    if let Some(note) = note {
                        tracing::warn!("{note}");
                    }
                    parts
                }
                (Err(problems), Some(note)) => return Err(anyhow::Error::new(problems).context(note)),
                (Err(problems), None) => return Err(problems.into()),
            };
            if let Some(token) = token {
                parts = parts.with_provisioning(settings, setup(false, token), StdRng::from_entropy())?;
            }
            // This machine's own spool is for this machine's own server alone, not for one that somebody tries out.
            if parts.delivery.is_none() && !settings.services_only && config_file == Path::new(CONFIG_FILE) {
                parts.delivery = Some(Delivery::from_default_spool(&settings.config)?);
            }
            Ok((parts, Some(Reloader::new(config_file.clone(), arguments.clone(), *inputs))))
        }
    }
}
