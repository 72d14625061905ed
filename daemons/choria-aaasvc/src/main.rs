//! `choria-aaasvc`: arguments in, exit code out; the work is in the library of the role.

use clap::{Parser, Subcommand};
use config::build;
use std::path::PathBuf;
use std::process::ExitCode;

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
        #[arg(long, hide = true)]
        disable_tls: bool,
    },
    /// Prints bcrypt hashes of the passwords on standard input, one a line
    Crypt,
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run { config, pid, debug, disable_tls } => {
            aaasvc::run(&aaasvc::Arguments { config, pid_file: pid, debug, disable_tls })
        }
        Command::Crypt => aaasvc::crypt(),
    }
}
