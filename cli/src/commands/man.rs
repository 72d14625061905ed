//! `choria man`: manual pages for packages, one for the command and one for each command below it.

use anyhow::Context;
use clap::CommandFactory;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct ManArguments {
    /// An existing directory for the pages
    directory: PathBuf,
}

/// Writes `choria.1`, `choria-ping.1` and so on.
pub(crate) fn run<Arguments: CommandFactory>(arguments: &ManArguments) -> anyhow::Result<ExitCode> {
    let directory = &arguments.directory;
    clap_mangen::generate_to(Arguments::command(), directory)
        .with_context(|| format!("could not write manual pages to {}", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
