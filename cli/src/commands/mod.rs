//! One module per command; what they share about usage errors and exit codes.

pub(crate) mod buildinfo;
pub(crate) mod completion;
pub(crate) mod facts;
pub(crate) mod find;
pub(crate) mod inventory;
pub(crate) mod jwt;
pub(crate) mod man;
pub(crate) mod ping;
pub(crate) mod req;
pub(crate) mod tool;

use clap::CommandFactory;
use std::process::ExitCode;

/// Prints a usage error on standard error with exit code 1 (spec 09 §1.5), or help and version on standard output.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() || printed.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints the help of the whole command.
pub(crate) fn help<Arguments: CommandFactory>() -> ExitCode {
    match Arguments::command().print_help() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Turns a command's result into the exit code; an error is one line on standard error.
pub(crate) fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("choria: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A reader that went away, as in `choria facts x | head -1`, is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|cause| {
        cause.kind() == std::io::ErrorKind::BrokenPipe
    })
}
