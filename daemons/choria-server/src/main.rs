//! `choria-server`: arguments in, exit code out; the work is in the library of the role.

use clap::Parser;
use config::build;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the Choria Server: stays connected to the Choria Broker and answers requests to this node
#[derive(Debug, Parser)]
#[command(name = build::SERVER, version)]
struct Args {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = build::SERVER_CONFIG)]
    config: PathBuf,
    /// Write the process number to this file while running
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// Name of this node as long as no configuration gives one; without it the name of the host
    #[arg(long, value_name = "NAME")]
    identity: Option<names::Identity>,
    /// Host only agents that are services
    #[arg(long)]
    service_host: bool,
    /// Log debug messages, to the journal or standard error
    #[arg(long)]
    debug: bool,
    #[arg(long, hide = true)]
    disable_tls: bool,
    #[arg(long, hide = true)]
    disable_ssl_verification: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    server::run(&server::Arguments {
        config: Some(args.config),
        pid_file: args.pid,
        identity: args.identity,
        service_host: args.service_host,
        debug: args.debug,
        disable_tls: args.disable_tls,
        disable_verification: args.disable_ssl_verification,
    })
}
