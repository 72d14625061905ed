//! `choria tool submission`: what waits to be delivered, and whether what arrived is genuine.

pub(crate) mod settings;
mod status;
mod verify;

pub(crate) use status::age;

use crate::Global;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct SubmissionArguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    status: status::Status,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Reads submitted messages of a stream and says of each who signed it, or why it cannot be believed
    Verify(verify::Verify),
}

/// Shows what waits, or verifies what arrived.
///
/// # Errors
/// When neither service nor spool can be asked, or the stream cannot be read.
pub(crate) fn run(arguments: &SubmissionArguments, global: &Global) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        None => arguments.status.run(global),
        Some(Command::Verify(verify)) => verify.run(global),
    }
}
