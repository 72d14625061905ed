//! Measures the libraries from inside; `tests/bench/run` calls it and prints the table.
//!
//! `choria-bench micro` prints operations a CPU second of one thread; `choria-bench start -- COMMAND…` starts a server
//! and prints the milliseconds until its startup event and its first reply.

mod micro;
mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["micro"] => micro::run(),
        ["start", "--", command @ ..] if !command.is_empty() => start::run(command),
        _ => Err(anyhow::anyhow!("usage: choria-bench micro | choria-bench start -- COMMAND…")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("choria-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
