//! `choria-submit`: arguments in, exit code out; the work is in the library of the role.

use clap::Parser;

/// The Choria Submission service: takes messages from local programs into the spool
#[derive(Debug, Parser)]
#[command(name = "choria-submit", version)]
struct Args {}

fn main() {
    let Args {} = Args::parse();
}
