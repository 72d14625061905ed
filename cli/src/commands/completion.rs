//! `choria completion`: scripts that teach a shell this command line.

use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(crate) struct CompletionArguments {
    /// The shell
    shell: Shell,
}

/// Prints the script on standard output.
pub(crate) fn run<Arguments: CommandFactory>(arguments: &CompletionArguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "choria", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
