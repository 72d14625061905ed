//! `choria server`: the Choria Server as a command (spec 09 §15.4).

use crate::Global;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServerCommand {
    #[command(subcommand)]
    command: Option<Server>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(clap::Subcommand, Debug)]
enum Server {
    /// Stays connected to the Choria Broker and answers requests to this node; meant when no command is given
    Run(RunArguments),
}

#[derive(clap::Args, Debug)]
struct RunArguments {
    /// Write the process number to this file while running
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// Name of this node as long as no configuration gives one; without it the name of the host
    #[arg(long, value_name = "NAME")]
    identity: Option<names::Identity>,
    /// Host only agents that are services
    #[arg(long)]
    service_host: bool,
    /// Connect without encryption and do not check the security setup
    #[arg(long, hide = true)]
    disable_tls: bool,
    /// Accept any broker
    #[arg(long, hide = true)]
    disable_ssl_verification: bool,
}

/// Runs the server to its end.
pub(crate) fn run(command: ServerCommand, global: Global) -> ExitCode {
    let Server::Run(arguments) = command.command.unwrap_or(Server::Run(command.run));
    server::run(&server::Arguments {
        config: global.config,
        pid_file: arguments.pid,
        identity: arguments.identity,
        service_host: arguments.service_host,
        debug: global.debug,
        disable_tls: arguments.disable_tls,
        disable_verification: arguments.disable_ssl_verification,
    })
}
