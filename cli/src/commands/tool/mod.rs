//! `choria tool`: utilities.

pub(crate) mod config;
mod event;
mod provisioner;
mod status;
pub(crate) mod submission;
mod submit;

use crate::Global;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct ToolCommand {
    #[command(subcommand)]
    pub(crate) tool: Tool,
}

/// The subcommands of `choria tool`.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Shows the active configuration and describes its keys
    Config(config::ConfigArguments),
    /// Shows what servers and governors tell about themselves, as it happens
    Event(event::EventArguments),
    /// Shows where a server would be provisioned from
    Provisioner(provisioner::ProvisionerArguments),
    /// Checks that a server is well, from its status file
    Status(status::StatusArguments),
    /// Shows what waits to be delivered, or verifies what arrived
    Submission(Box<submission::SubmissionArguments>),
    /// Hands a message to the server of this machine, which delivers it
    #[command(long_about = submit::LONG_ABOUT)]
    Submit(submit::SubmitArguments),
}

/// Runs one utility.
pub(crate) fn run(tool: Tool, global: &Global) -> anyhow::Result<ExitCode> {
    match tool {
        Tool::Config(arguments) => config::run(&arguments, global.config.as_deref()),
        Tool::Event(arguments) => event::run(&arguments, global),
        Tool::Provisioner(arguments) => provisioner::run(&arguments, global),
        Tool::Status(arguments) => status::run(&arguments),
        Tool::Submission(arguments) => submission::run(&arguments, global),
        Tool::Submit(arguments) => submit::run(&arguments, global),
    }
}
