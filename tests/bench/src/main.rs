//! Measures the libraries from inside; `tests/bench/run` calls it and prints the table.
//!
//! `choria-bench micro` prints operations a CPU second of one thread; `choria-bench start -- COMMAND…` starts a server
//! and prints the milliseconds until its startup event and its first reply; `choria-bench storm` connects thousands of
//! members to a broker, and with `--hold` measures their return after its restart; `choria-bench provision` has a
//! provisioner configure new servers (`provision-helper` is its helper); `choria-bench aaa` starts an AAA service and
//! measures logins and signatures; `choria-bench adapter` sends registration data through a broker's data adapter;
//! `choria-bench drain` fills a spool and measures how fast a server delivers it.

mod aaa;
mod adapter;
mod drain;
mod micro;
mod provision;
mod start;
mod storm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["micro"] => micro::run(),
        ["start", "--", command @ ..] if !command.is_empty() => start::run(command),
        ["storm", arguments @ ..] => storm::run(arguments),
        ["adapter", arguments @ ..] => adapter::run(arguments),
        ["drain", arguments @ ..] => drain::run(arguments),
        ["provision", arguments @ ..] => provision::run(arguments),
        ["provision-helper", port] => provision::help(port),
        ["aaa", arguments @ ..] => aaa::run(arguments),
        ["traffic", arguments @ ..] => storm::traffic::run(arguments),
        _ => Err(anyhow::anyhow!(
            "usage: choria-bench micro | choria-bench start -- COMMAND… | choria-bench storm --address HOST:PORT --issuer \
             SEED_FILE [--count N] [--at-once N] [--pid BROKER] [--servers] [--hold] | choria-bench traffic --address HOST:PORT --issuer SEED_FILE | \
             choria-bench provision --broker PROGRAM --server PROGRAM --provisioner PROGRAM [--count N] [--workers N] \
             [--directory KEPT] | choria-bench aaa --program AAASVC [--count N] [--rounds N] [--callers N] | \
             choria-bench adapter --address HOST:PORT --issuer SEED_FILE [--pid BROKER] [--count N] | choria-bench drain --address \
             HOST:PORT --issuer SEED_FILE [--count N] [--bytes N] [--sign] -- SERVER…"
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("choria-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
