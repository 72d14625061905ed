//! The `choria` command: parses the command line, hands over to one module per command, picks the exit code.

mod commands;
mod duration;
mod filters;
mod output;
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
    /// Shows how this program was built
    Buildinfo(commands::buildinfo::BuildinfoArguments),
    /// Creates, shows and checks tokens and keys
    Jwt(commands::jwt::Jwt),
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
        Command::Buildinfo(arguments) => commands::buildinfo::run(&arguments),
        Command::Jwt(arguments) => commands::jwt::run(arguments),
        Command::Tool(tool) => commands::tool::run(tool, &global),
    };
    commands::finish(result)
}
