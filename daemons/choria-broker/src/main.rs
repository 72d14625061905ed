//! The Choria Broker: a nats-server with Choria's accounts and permissions.

use anyhow::Context as _;
use broker::{Broker, Settings, Surroundings};
use clap::Parser;
use config::keys;
use daemon::{Exit, Options, Threads};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the Choria Broker over nats-server, which must be installed.
#[derive(Parser)]
#[command(name = NAME, version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "/etc/choria/broker.conf")]
    config: PathBuf,
    /// Writes the process number to this file.
    #[arg(long)]
    pid: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run(arguments).unwrap_or_else(|error| daemon::fail(NAME, &error))
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let inputs = config::load(&arguments.config, config::Kind::Server, &config::SystemEnvironment)?;
    let config = inputs.check()?;
    let options = Options {
        logging: daemon::logging::Logging::from_settings(config.get(keys::LOGFILE).as_deref().and_then(Path::to_str), config.get(keys::LOGLEVEL)),
        pid_file: arguments.pid,
        threads: Threads::Many(0),
        ..Options::new(NAME).soft_shutdown_seconds(config.get(keys::NETWORK_SOFT_SHUTDOWN_TIMEOUT))
    };
    Ok(daemon::run(options, |context| async move {
        let settings = Settings::try_from(&config)?;
        let broker = Broker::build(settings, &Surroundings::of_this_process(), Arc::default()).await?;
        broker.start(context.stop().clone()).follow(&context).await.context("the broker ended")?;
        Ok(Exit::Clean)
    }))
}

const NAME: &str = "choria-broker";
