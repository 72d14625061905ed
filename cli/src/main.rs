//! The `choria` command: parses the command line, hands over to one module per command, picks the exit code.

mod commands;
mod duration;
mod filters;
mod fleet;
mod output;
mod session;
mod standard_input;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Choria: fleet orchestration over NATS.
#[derive(Debug, Parser)]
#[command(name = "choria", version, about, disable_help_subcommand = false, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags that every command takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Global {
    /// Log at debug level, on standard error
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Configuration file to use
    #[arg(long, global = true, value_name = "FILE", env = "CHORIA_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the Choria Broker
    #[command(subcommand)]
    Broker(commands::broker::Broker),
    /// Shows how this program was built
    Buildinfo(commands::buildinfo::BuildinfoArguments),
    Completion(commands::completion::CompletionArguments),
    #[command(name = "discover", visible_alias = "find")]
    Discover(commands::find::FindArguments),
    Emulate(commands::emulate::EmulateArguments),
    Facts(commands::facts::FactsArguments),
    Inventory(commands::inventory::InventoryArguments),
    /// Creates, shows and checks tokens and keys
    Jwt(commands::jwt::Jwt),
    #[command(hide = true)]
    Man(commands::man::ManArguments),
    Ping(commands::ping::PingArguments),
    #[command(visible_aliases = ["rpc", "request"])]
    Req(Box<commands::req::ReqArguments>),
    Server(commands::server::ServerCommand),
    /// Utilities
    #[command(subcommand, alias = "t")]
    Tool(commands::tool::Tool),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return commands::usage(&error),
    };
    let Some(command) = arguments.command else { return commands::help::<Arguments>() };
    let global = arguments.global;
    let result = match command {
        Command::Broker(command) => commands::broker::run(command, global),
        Command::Buildinfo(arguments) => commands::buildinfo::run(&arguments),
        Command::Completion(arguments) => commands::completion::run::<Arguments>(&arguments),
        Command::Discover(arguments) => commands::find::run(&arguments, &global),
        Command::Emulate(arguments) => commands::emulate::run(arguments, &global),
        Command::Facts(arguments) => commands::facts::run(&arguments, &global),
        Command::Inventory(arguments) => commands::inventory::run(arguments, &global),
        Command::Jwt(arguments) => commands::jwt::run(arguments),
        Command::Man(arguments) => commands::man::run::<Arguments>(&arguments),
        Command::Ping(arguments) => commands::ping::run(&arguments, &global),
        Command::Req(arguments) => commands::req::run(&arguments, &global),
        Command::Server(command) => Ok(commands::server::run(command, global)),
        Command::Tool(tool) => commands::tool::run(tool, &global),
    };
    commands::finish(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
