//! `choria-submit`: arguments in, exit code out; the work is in the library of the role.

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The Choria Submission service: takes messages from local programs into the spool
#[derive(Debug, Parser)]
#[command(name = config::build::SUBMIT, version)]
struct Args {
    /// The server's configuration file; without it /etc/choria/server.conf if it exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, unless the service manager gives a socket
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// End when nobody was connected for so long, such as 5m; a socket unit starts it again
    #[arg(long, value_name = "DURATION", value_parser = submit::parse_idle)]
    idle_exit: Option<Duration>,
    /// Write the process number to this file while running
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// Log debug messages, to the journal or standard error
    #[arg(long)]
    debug: bool,
}

fn main() -> ExitCode {
    let Args { config, socket, idle_exit, pid, debug } = Args::parse();
    submit::run(&submit::Arguments { config, socket, idle_exit, pid_file: pid, debug })
}
