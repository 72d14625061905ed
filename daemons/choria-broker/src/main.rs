//! The Choria Broker: a nats-server with Choria's accounts and permissions.

use broker::{Broker, Settings, Surroundings};
use clap::Parser;
use config::{Kind, SystemEnvironment, keys};
use daemon::{Exit, Options, Threads, logging::Logging};
use std::path::{Path, PathBuf};
use std::{process::ExitCode, sync::Arc};

/// Runs the Choria Broker over nats-server, which must be installed.
#[derive(Parser)]
#[command(name = "choria-broker", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "/etc/choria/broker.conf")]
    config: PathBuf,
    /// Writes the process number to this file.
    #[arg(long)]
    pid: Option<PathBuf>,
}

fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| daemon::fail("choria-broker", &error))
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = config::load(&arguments.config, Kind::Server, &SystemEnvironment)?.check()?;
    let logfile = config.get(keys::LOGFILE);
    let logging = Logging::from_settings(logfile.as_deref().and_then(Path::to_str), config.get(keys::LOGLEVEL));
    let options =
        Options { logging, pid_file: arguments.pid, threads: Threads::Many(0), ..Options::new("choria-broker") };
    let options = options.soft_shutdown_seconds(config.get(keys::NETWORK_SOFT_SHUTDOWN_TIMEOUT));
    Ok(daemon::run(options, |context| async move {
        let broker =
            Broker::build(Settings::try_from(&config)?, &Surroundings::of_this_process(), Arc::default()).await?;
        broker.start(context.stop().clone()).follow(&context).await?;
        Ok(Exit::Clean)
    }))
}
