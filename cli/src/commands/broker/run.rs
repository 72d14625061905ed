//! `choria broker run`: the Choria Broker in a terminal.

use crate::Global;
use anyhow::Context;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub(super) struct RunArguments {
    /// Write the process number to this file while running
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
}

impl RunArguments {
    /// Runs the broker to its end.
    pub(super) fn run(self, global: Global) -> anyhow::Result<ExitCode> {
        let config = global.config.context("configuration file required: give one with --config")?;
        Ok(broker::run(&broker::Arguments { config, pid_file: self.pid, debug: global.debug }))
    }
}
