//! `choria tool`: utilities.

pub(crate) mod config;

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
}

/// Runs one utility.
pub(crate) fn run(tool: Tool, global: &Global) -> anyhow::Result<ExitCode> {
    match tool {
        Tool::Config(arguments) => config::run(&arguments, global.config.as_deref()),
    }
}
