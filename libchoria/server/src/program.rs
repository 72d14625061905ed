//! What `choria-server` and `choria server run` have in common: from arguments to exit code.

use crate::exporter::{self, Exporter};
use crate::reload::Reloader;
use crate::server::Server;
use crate::settings::{Parts, Settings};
use agents::VERSION;
use anyhow::{Context as _, bail};
use config::{Inputs, Kind, LoadError, SystemEnvironment, keys};
use daemon::logging::{Level, Logging};
use daemon::{Exit, Options};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

/// The arguments of a server (spec 04 §1.1).
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--config`: the configuration file.
    pub config: Option<PathBuf>,
    /// `--pid`: a file that holds the process number while the server runs.
    pub pid_file: Option<PathBuf>,
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
    let prepared = prepare(arguments);
    let (settings, options, reloader) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return daemon::fail(NAME, &error),
    };
    daemon::run(options, |context| serve(settings, reloader, context))
}

const NAME: &str = "choria-server";

/// Everything that can fail before the log starts.
fn prepare(arguments: &Arguments) -> anyhow::Result<(Settings, Options, Reloader)> {
    let Some(path) = &arguments.config else {
        bail!("server run requires a configuration file: give one with --config")
    };
    let inputs = read(path, arguments)?;
    let config = inputs.clone().check()?;
    let logfile = config.get(keys::LOGFILE);
    let mut logging = Logging::from_settings(logfile.as_deref().and_then(Path::to_str), config.get(keys::LOGLEVEL));
    if arguments.debug {
        logging = Logging { level: Level::Debug, ..Logging::default() };
    }
    let settings = Settings::new(config, arguments.service_host);
    let options = Options {
        logging,
        soft_shutdown: settings.stop_limit,
        pid_file: arguments.pid_file.clone(),
        ..Options::new(NAME)
    };
    Ok((settings, options, Reloader::new(path.clone(), arguments.clone(), inputs)))
}

/// What the files say, under the arguments' protections; not judged yet.
pub(crate) fn read(path: &Path, arguments: &Arguments) -> anyhow::Result<Inputs> {
    let mut inputs = config::load(path, Kind::Server, &SystemEnvironment).map_err(|error| match error {
        LoadError::Missing { path } => anyhow::anyhow!(
            "configuration file {} was not found and provisioning is disabled: this version cannot be provisioned, \
             write the file by hand",
            path.display()
        ),
        other => other.into(),
    })?;
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

async fn serve(settings: Settings, mut reloader: Reloader, context: daemon::Context) -> anyhow::Result<Exit> {
    let mut reloads = context.reloads();
    let config = &settings.config;
    let file = config.config_file().unwrap_or(Path::new("none")).display().to_string();
    tracing::info!("Choria Server version {VERSION} starting with config {file} using protocol version 2");
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    context.status("Connecting to the broker");

    let now = SystemTime::now();
    let config = config.clone();
    let mut parts = Parts { context: Some(context.clone()), ..Parts::from_settings(&settings, now)? };
    parts.times = exporter::port(&config).map(|_| Arc::default());
    let connector = Arc::clone(&parts.network.counters);
    let running = Server::build(settings, parts, rand::random(), now).context("building the server")?.start();
    let exporter = Exporter { handle: running.handle(), connector };
    let _statistics = exporter::serve(&config, exporter, context.stop()).await;
    let ready = async {
        running.attempted().await;
        context.ready();
    };
    // Being told to stop comes before being ready: a boot without a network must not hold up a shutdown.
    tokio::select! {
        () = ready => {}
        () = context.stop().cancelled() => {}
    }
    let handle = running.handle();
    let signal = async {
        loop {
            tokio::select! {
                () = context.stop().cancelled() => return,
                () = reloads.next() => {
                    reloader.reload(&handle, &context).await;
                    context.reloaded();
                }
            }
        }
    };
    running.wait(signal).await?;
    Ok(Exit::Clean)
}
