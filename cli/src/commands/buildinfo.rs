//! `choria buildinfo`.

use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct BuildinfoArguments {}

pub(crate) fn run(_arguments: &BuildinfoArguments) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
