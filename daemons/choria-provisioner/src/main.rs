//! `choria-provisioner`: arguments in, exit code out; the work is in the library of the role.

use clap::{Parser, ValueEnum};
use config::build;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the Choria Provisioner: gives servers without configuration theirs, as the site's helper decides
#[derive(Debug, Parser)]
#[command(name = build::PROVISIONER, version)]
struct Args {
    /// Run the provisioner; the only command, and the default
    #[arg(value_enum, value_name = "COMMAND")]
    command: Option<Command>,
    /// Configuration file of the provisioner, YAML or JSON
    #[arg(long, value_name = "FILE", default_value = build::PROVISIONER_CONFIG)]
    config: PathBuf,
    /// Choria configuration file; searched for as the choria command does unless given
    #[arg(long, value_name = "FILE")]
    choria_config: Option<PathBuf>,
    /// Write the process number to this file while running
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// Log debug messages
    #[arg(long, overrides_with = "no_debug")]
    debug: bool,
    /// Log as the configuration file says, whatever an earlier --debug says
    #[arg(long, overrides_with = "debug")]
    no_debug: bool,
}

/// What can be done.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Command {
    /// Runs the provisioner.
    Run,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (Some(Command::Run) | None) = args.command;
    provisioner::run(&provisioner::Arguments {
        config: args.config,
        choria_config: args.choria_config,
        pid_file: args.pid,
        debug: args.debug && !args.no_debug,
    })
}
