//! One module per command; what they share about usage errors and exit codes.

pub(crate) mod broker;
pub(crate) mod buildinfo;
pub(crate) mod completion;
pub(crate) mod doctor;
pub(crate) mod election;
pub(crate) mod emulate;
pub(crate) mod facts;
pub(crate) mod find;
pub(crate) mod inventory;
pub(crate) mod jwt;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod ping;
pub(crate) mod req;
pub(crate) mod server;
pub(crate) mod tool;
pub(crate) mod version;

use clap::CommandFactory;
use config::{branded, build};
use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;

/// Prints a usage error on standard error with exit code 1 (spec 09 §1.5), or help and version on standard output.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let printed = match branded(&error.render().to_string()) {
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(text) if error.use_stderr() => write!(io::stderr(), "{text}"),
        Cow::Owned(text) => write!(io::stdout(), "{text}"),
    };
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
            eprintln!("{}: error: {}", build::NAME, branded(&sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line. Many errors name their cause themselves; it is not said twice.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A reader that went away, as in `choria facts x | head -1`, is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_told_once() {
        let rows = [
            (anyhow!("disk full"), "disk full"),
            (anyhow!("disk full").context("cannot write x"), "cannot write x: disk full"),
            (anyhow!("disk full").context("cannot write x: disk full"), "cannot write x: disk full"),
            (anyhow!("c").context("b").context("a"), "a: b: c"),
        ];
        for (error, expected) in rows {
            assert_eq!(sentence(&error), expected);
        }
    }
}
