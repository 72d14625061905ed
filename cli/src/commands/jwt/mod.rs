//! `choria jwt`.

use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct Jwt {}

pub(crate) fn run(_arguments: Jwt) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
