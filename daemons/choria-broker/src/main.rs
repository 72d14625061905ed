//! `choria-broker`: arguments in, exit code out; the work is in the library of the role.

use clap::Parser;
use config::build;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the Choria Broker over nats-server, which must be installed
#[derive(Debug, Parser)]
#[command(name = build::BROKER, version)]
struct Args {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = build::BROKER_CONFIG)]
    config: PathBuf,
    /// Write the process number to this file while running
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// Log debug messages, to the journal or standard error
    #[arg(long)]
    debug: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    broker::run(&broker::Arguments { config: args.config, pid_file: args.pid, debug: args.debug })
}
