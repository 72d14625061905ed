//! `choria broker`: the Choria Broker as a command, and what it keeps.

mod run;
pub(crate) mod stream;

use crate::Global;
use crate::later::Later;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct BrokerCommand {
    #[command(subcommand)]
    command: Broker,
}

#[derive(clap::Subcommand, Debug)]
enum Broker {
    /// Runs the Choria Broker over nats-server, which must be installed
    Run(Later<run::RunArguments>),
    /// Manages streams: what they take, what is in them
    #[command(visible_aliases = ["str", "s"], aliases = ["st", "ms"])]
    Stream(Later<stream::StreamCommand>),
}

/// Runs the broker, or asks one.
///
/// # Errors
/// Those of the command.
pub(crate) fn run(command: BrokerCommand, global: Global) -> anyhow::Result<ExitCode> {
    match command.command {
        Broker::Run(Later(arguments)) => arguments.run(global),
        Broker::Stream(Later(command)) => stream::run(command, &global),
    }
}
