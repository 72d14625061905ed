//! What `choria-broker` and `choria broker run` have in common: from arguments to exit code.

use crate::broker::Broker;
use crate::settings::Settings;
use crate::surroundings::Surroundings;
use config::{Kind, SystemEnvironment, keys};
use daemon::logging::{Level, Logging};
use daemon::{Exit, Options, Threads};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The arguments of a broker.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// `--config`: the configuration file.
    pub config: PathBuf,
    /// `--pid`: a file that holds the process number while the broker runs.
    pub pid_file: Option<PathBuf>,
    /// `--debug`: log level debug, to standard error or the journal.
    pub debug: bool,
}

/// Runs a broker to its end; the exit code is for `main`.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match prepare(arguments) {
        Ok((config, options)) => daemon::run(options, |context| serve(config, context)),
        Err(error) => daemon::fail(NAME, &error),
    }
}

const NAME: &str = "choria-broker";

/// Everything that can fail before the log starts.
fn prepare(arguments: &Arguments) -> anyhow::Result<(config::Settings, Options)> {
    let config = config::load(&arguments.config, Kind::Server, &SystemEnvironment)?.check()?;
    let logfile = config.get(keys::LOGFILE);
    let mut logging = Logging::from_settings(logfile.as_deref().and_then(Path::to_str), config.get(keys::LOGLEVEL));
    if arguments.debug {
        logging = Logging { level: Level::Debug, ..Logging::default() };
    }
    let pid_file = arguments.pid_file.clone();
    let options = Options { logging, pid_file, threads: Threads::Many(0), ..Options::new(NAME) };
    let options = options.soft_shutdown_seconds(config.get(keys::NETWORK_SOFT_SHUTDOWN_TIMEOUT));
    Ok((config, options))
}

async fn serve(config: config::Settings, context: daemon::Context) -> anyhow::Result<Exit> {
    let settings = Settings::try_from(&config)?;
    let broker = Broker::build(settings, &Surroundings::of_this_process(), Arc::default()).await?;
    broker.start(context.stop().clone()).follow(&context).await?;
    Ok(Exit::Clean)
}
