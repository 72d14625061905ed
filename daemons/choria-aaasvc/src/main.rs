//! `choria-aaasvc`: arguments in, exit code out; the work is in the library of the role.

use clap::{Parser, Subcommand};
use config::build;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The Choria AAA Service: logs people in and signs their requests
#[derive(Debug, Parser)]
#[command(name = build::AAASVC, version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service
    Run {
        /// Configuration file
        #[arg(long, value_name = "FILE", default_value = build::AAASVC_CONFIG)]
        config: PathBuf,
        /// Write the process number to this file while running
        #[arg(long, value_name = "FILE")]
        pid: Option<PathBuf>,
        /// Log debug messages, to the journal or standard error
        #[arg(long)]
        debug: bool,
        /// End when nobody was connected for so long, such as 10m; the socket unit starts it at the next login
        #[arg(long, value_name = "DURATION", value_parser = aaasvc::parse_idle)]
        idle_exit: Option<Duration>,
        #[arg(long, hide = true)]
        disable_tls: bool,
    },
    /// Prints bcrypt hashes of the passwords on standard input, one a line
    Crypt,
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run { config, pid, debug, idle_exit, disable_tls } => {
            aaasvc::run(&aaasvc::Arguments { config, pid_file: pid, debug, disable_tls, idle_exit })
        }
        Command::Crypt => aaasvc::crypt(),
    }
}
