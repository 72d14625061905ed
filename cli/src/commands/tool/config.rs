//! `choria tool config`.

use std::path::Path;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArguments {}

pub(crate) fn run(_arguments: &ConfigArguments, _config: Option<&Path>) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
