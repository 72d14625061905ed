//! What `choria-server` and `choria server run` have in common: from arguments to exit code.

use crate::server::Server;
use crate::settings::{Parts, Settings};
use agents::VERSION;
use anyhow::{Context as _, bail};
use config::{Kind, LoadError, SystemEnvironment, keys};
use daemon::logging::{Level, Logging};
use daemon::{Exit, Options};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
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
    let (settings, options) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return daemon::fail(NAME, &error),
    };
    daemon::run(options, |context| serve(settings, context))
}

const NAME: &str = "choria-server";

/// Everything that can fail before the log starts.
fn prepare(arguments: &Arguments) -> anyhow::Result<(Settings, Options)> {
    let Some(path) = &arguments.config else {
        bail!("server run requires a configuration file: give one with --config")
    };
    let config = load(path, arguments)?;
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
    Ok((settings, options))
}

fn load(path: &Path, arguments: &Arguments) -> anyhow::Result<config::Settings> {
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
    Ok(inputs.check()?)
}

async fn serve(settings: Settings, context: daemon::Context) -> anyhow::Result<Exit> {
    let config = &settings.config;
    let file = config.config_file().unwrap_or(Path::new("none")).display().to_string();
    tracing::info!("Choria Server version {VERSION} starting with config {file} using protocol version 2");
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    context.status("Connecting to the broker");

    let now = SystemTime::now();
    let parts = Parts { context: Some(context.clone()), ..Parts::from_settings(&settings, now)? };
    let running = Server::build(settings, parts, rand::random(), now).context("building the server")?.start();
    let ready = async {
        running.attempted().await;
        context.ready();
    };
    // Being told to stop comes before being ready: a boot without a network must not hold up a shutdown.
    tokio::select! {
        () = ready => {}
        () = context.stop().cancelled() => {}
    }
    running.wait(context.stop().cancelled()).await?;
    Ok(Exit::Clean)
}
