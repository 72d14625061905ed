//! The `choria` command: parses the command line, hands over to one module per command, picks the exit code.

mod commands;
mod duration;
mod filters;
mod fleet;
mod later;
mod output;
mod session;
mod standard_input;

use clap::{Parser, Subcommand};
use later::Later;
use std::path::PathBuf;
use std::process::ExitCode;

/// Choria: fleet orchestration over NATS.
#[derive(Debug, Parser)]
#[command(name = config::build::NAME, version, about, disable_help_subcommand = false, max_term_width = 100)]
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
    Broker(Later<commands::broker::BrokerCommand>),
    /// Shows how this program was built
    Buildinfo(Later<commands::buildinfo::BuildinfoArguments>),
    /// Prints a script that teaches a shell this command line
    Completion(Later<commands::completion::CompletionArguments>),
    /// Prints the names of the nodes that match
    #[command(visible_alias = "find")]
    Discover(Later<commands::find::FindArguments>),
    /// Says what is wrong between this machine and its fleet, and what to do
    #[command(long_about = commands::doctor::LONG_ABOUT)]
    Doctor(Later<commands::doctor::DoctorArguments>),
    /// Shows leader elections, takes part in them and ends leaderships
    #[command(visible_aliases = ["elect", "elec"])]
    Election(Later<commands::election::ElectionCommand>),
    /// Runs many servers in one process
    #[command(long_about = commands::emulate::LONG_ABOUT)]
    Emulate(Later<commands::emulate::EmulateArguments>),
    /// Counts the values that nodes have for a fact
    Facts(Later<commands::facts::FactsArguments>),
    /// Shows what one node says about itself, or how many nodes each collective has
    Inventory(Later<commands::inventory::InventoryArguments>),
    /// Creates, shows and checks tokens and keys
    Jwt(Later<commands::jwt::Jwt>),
    /// Logs in to the AAA service
    #[command(long_about = commands::login::LONG_ABOUT)]
    Login(Later<commands::login::LoginArguments>),
    /// Writes manual pages
    #[command(hide = true)]
    Man(Later<commands::man::ManArguments>),
    /// Asks every node for a sign of life
    Ping(Later<commands::ping::PingArguments>),
    /// Invokes an action on nodes and shows what they answer
    #[command(visible_aliases = ["rpc", "request"], long_about = commands::req::LONG_ABOUT)]
    Req(Box<Later<commands::req::ReqArguments>>),
    /// Runs the Choria Server
    Server(Later<commands::server::ServerCommand>),
    /// Utilities
    #[command(alias = "t")]
    Tool(Later<commands::tool::ToolCommand>),
}

fn main() -> ExitCode {
    if commands::version::is_meant(std::env::args_os()) {
        return commands::version::print();
    }
    if commands::completion::is_meant(std::env::args_os()) {
        return commands::completion::answer::<Arguments>(std::env::args_os());
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return commands::usage(&error),
    };
    let Some(command) = arguments.command else { return commands::help::<Arguments>() };
    commands::finish(run(command, arguments.global))
}

fn run(command: Command, global: Global) -> anyhow::Result<ExitCode> {
    match command {
        Command::Broker(Later(command)) => commands::broker::run(command, global),
        Command::Buildinfo(Later(arguments)) => commands::buildinfo::run(&arguments),
        Command::Completion(Later(arguments)) => commands::completion::run(&arguments, &global),
        Command::Discover(Later(arguments)) => commands::find::run(&arguments, &global),
        Command::Doctor(Later(arguments)) => commands::doctor::run(&arguments, &global),
        Command::Election(Later(command)) => commands::election::run(command, &global),
        Command::Emulate(Later(arguments)) => commands::emulate::run(arguments, &global),
        Command::Facts(Later(arguments)) => commands::facts::run(&arguments, &global),
        Command::Inventory(Later(arguments)) => commands::inventory::run(arguments, &global),
        Command::Jwt(Later(arguments)) => commands::jwt::run(arguments),
        Command::Login(Later(arguments)) => commands::login::run(&arguments, &global),
        Command::Man(Later(arguments)) => commands::man::run::<Arguments>(&arguments),
        Command::Ping(Later(arguments)) => commands::ping::run(&arguments, &global),
        Command::Req(arguments) => commands::req::run(&arguments.0, &global),
        Command::Server(Later(command)) => Ok(commands::server::run(command, global)),
        Command::Tool(Later(command)) => commands::tool::run(command.tool, &global),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        let described = command.get_subcommands().filter(|command| command.get_name() != "help");
        for command in described {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.ends_with('.'), "{}: {about}", command.get_name());
        }
    }

    #[test]
    fn every_command_has_its_names() {
        let rows = [
            (&["find"][..], "discover"),
            (&["rpc", "a", "b"], "req"),
            (&["request", "a", "b"], "req"),
            (&["req", "a", "b", "--config", "x", "--debug"], "req"),
            (&["server", "--pid", "x"], "server"),
            (&["server", "run", "--pid", "x"], "server"),
            (&["t", "config"], "tool"),
            (&["elect", "info"], "election"),
            (&["elec", "run", "x", "sleep", "-1"], "election"),
            (&["login", "--config", "x"], "login"),
        ];
        for (words, name) in rows {
            let matches = Arguments::command().try_get_matches_from([&["choria"], words].concat());
            let matches = matches.unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert_eq!(matches.subcommand_name(), Some(name), "{words:?}");
        }
    }
}
