//! What `choria-broker` and `choria broker run` have in common: from arguments to exit code.

use crate::broker::Broker;
use crate::reload::{Changes, Reloader};
use crate::settings::Settings;
use crate::surroundings::Surroundings;
use config::{Kind, SystemEnvironment, keys};
use daemon::logging::{Level, Logging};
use daemon::metrics::{About, Build, Endpoint};
use daemon::{Exit, Options, Threads};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

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
        Ok((config, options)) => daemon::run(options, |context| serve(config, arguments.clone(), context)),
        Err(error) => daemon::fail(NAME, &error),
    }
}

const NAME: &str = config::build::BROKER;

/// Everything that can fail before the log starts.
fn prepare(arguments: &Arguments) -> anyhow::Result<(config::Settings, Options)> {
    let config = read(arguments)?;
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

fn read(arguments: &Arguments) -> anyhow::Result<config::Settings> {
    let mut inputs = config::load(&arguments.config, Kind::Server, &SystemEnvironment)?;
    inputs.use_credentials("broker", &SystemEnvironment);
    Ok(inputs.check()?)
}

/// What the page `/choria/` says.
fn about(config: &config::Settings, max_broker_clients: u32) -> About {
    About {
        build: Build::this(),
        identity: config.identity().to_string(),
        config_file: config.config_file().unwrap_or(Path::new("")).to_owned(),
        tls: config.protection().tls,
        secure: true,
        max_broker_clients,
    }
}

async fn serve(config: config::Settings, arguments: Arguments, context: daemon::Context) -> anyhow::Result<Exit> {
    daemon::tell_of_credentials(&config.credentials());
    let settings = Settings::try_from(&config)?;
    let about = about(&config, settings.max_connections);
    let endpoint = match (Endpoint::given(context.sockets())?, &settings.statistics) {
        (Some(given), _) => Some(given),
        (None, Some((address, port))) => Some(Endpoint::bind(address, *port).await?),
        (None, None) => None,
    };
    let surroundings = Surroundings { sockets: context.sockets().clone(), ..Surroundings::of_this_process() };
    let broker = Broker::build(settings, &surroundings, Arc::default()).await?;
    let reloader = broker.reloader(config);
    // SIGHUP before READY is answered too: what was read then is judged once the broker serves.
    let reloads = context.reloads();
    let _questions = daemon::answer_status(&context, "Choria Broker", about.identity.clone());
    let running = broker.start(context.stop().clone());
    let _statistics = endpoint.map(|endpoint| {
        let serving = endpoint.serve(running.exporter(), about, context.stop().clone());
        AbortOnDropHandle::new(tokio::spawn(serving))
    });
    tokio::select! {
        ended = running.follow(&context) => ended?,
        never = obey_reloads(reloader, reloads, &arguments, &context) => match never {},
    }
    Ok(Exit::Clean)
}

/// Reads the configuration anew at each SIGHUP. A bad one changes nothing.
async fn obey_reloads(
    mut reloader: Reloader,
    mut reloads: daemon::Reloads,
    arguments: &Arguments,
    context: &daemon::Context,
) -> Infallible {
    loop {
        reloads.next().await;
        let arguments = arguments.clone();
        let debug = arguments.debug;
        // Reading files and looking up this host's name may take a while.
        let config = tokio::task::spawn_blocking(move || read(&arguments)).await;
        let applied = match config {
            Ok(Ok(config)) => {
                let level = Level::from_setting(config.get(keys::LOGLEVEL).unwrap_or("info"));
                reloader.apply(config).map(|changes| (changes, level)).map_err(anyhow::Error::from)
            }
            Ok(Err(error)) => Err(error),
            Err(error) => Err(error.into()),
        };
        match applied {
            Ok((changes, level)) => {
                context.set_refused(false);
                if !debug {
                    context.set_log_level(level);
                }
                tell(&changes);
            }
            Err(error) => {
                context.set_refused(true);
                tracing::error!(
                    event = "reload_refused",
                    "the configuration read anew is refused and what was in force stays in force: {error:#}"
                );
            }
        }
        context.reloaded();
    }
}

/// Says what a reload did, a record for each key that waits.
fn tell(changes: &Changes) {
    for warning in &changes.warnings {
        tracing::warn!("{warning}");
    }
    let keys = match changes.applied.join(", ") {
        none if none.is_empty() => "no key that this broker can change while it runs".to_owned(),
        keys => keys,
    };
    tracing::info!(
        event = "reloaded",
        keys,
        "the configuration was read anew; changed and in force for connections made from now on: {keys}"
    );
    for key in &changes.waiting {
        tracing::warn!(
            event = "reload_waiting",
            key,
            "{key} was changed and is not in force: it takes effect when the broker is restarted (systemctl restart \
             choria-broker), which disconnects everybody for a moment"
        );
    }
}
