//! `choria broker`: the Choria Broker as a command.

use crate::Global;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct BrokerCommand {
    #[command(subcommand)]
    command: Broker,
}

#[derive(clap::Subcommand, Debug)]
enum Broker {
    /// Runs the Choria Broker over nats-server, which must be installed
    Run(RunArguments),
}

#[derive(clap::Args, Debug)]
struct RunArguments {
    /// Write the process number to this file while running
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
}

/// Runs the broker to its end.
pub(crate) fn run(command: BrokerCommand, global: Global) -> anyhow::Result<ExitCode> {
    let Broker::Run(arguments) = command.command;
    let config = global.config.context("configuration file required: give one with --config")?;
    Ok(broker::run(&broker::Arguments { config, pid_file: arguments.pid, debug: global.debug }))
}
