//! `choria tool`: utilities.

pub(crate) mod config;
mod event;
mod provisioner;
mod status;
pub(crate) mod submission;
mod submit;

use crate::Global;
use crate::later::Later;
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
    Config(Later<config::ConfigArguments>),
    /// Shows what servers and governors tell about themselves, as it happens
    Event(Later<event::EventArguments>),
    /// Shows where a server would be provisioned from
    Provisioner(Later<provisioner::ProvisionerArguments>),
    /// Checks that a server is well, from its status file
    Status(Later<status::StatusArguments>),
    /// Shows what waits to be delivered, or verifies what arrived
    Submission(Box<Later<submission::SubmissionArguments>>),
    /// Hands a message to the server of this machine, which delivers it
    #[command(long_about = submit::LONG_ABOUT)]
    Submit(Later<submit::SubmitArguments>),
}

/// Runs one utility.
pub(crate) fn run(tool: Tool, global: &Global) -> anyhow::Result<ExitCode> {
    match tool {
        Tool::Config(Later(arguments)) => config::run(&arguments, global.config.as_deref()),
        Tool::Event(Later(arguments)) => event::run(&arguments, global),
        Tool::Provisioner(Later(arguments)) => provisioner::run(&arguments, global),
        Tool::Status(Later(arguments)) => status::run(&arguments),
        Tool::Submission(arguments) => submission::run(&arguments.0, global),
        Tool::Submit(Later(arguments)) => submit::run(&arguments, global),
    }
}
