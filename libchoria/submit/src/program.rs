//! `choria-submit`: from arguments to exit code.

use crate::committer::committer;
use crate::counters::Counters;
use crate::service::Service;
use crate::settings::Settings;
use anyhow::Context as _;
use daemon::logging::{Level, Logging};
use daemon::{Exit, Options, Sockets};
use local::varlink::{Bounds, Ended, Listener, Server};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The arguments of the service.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--config`: the server's configuration file; without it, the usual one if it exists.
    pub config: Option<PathBuf>,
    /// `--socket`: where to listen, whatever the configuration says; ignored when the service manager gives a socket.
    pub socket: Option<PathBuf>,
    /// `--idle-exit`: end when nobody was connected for so long.
    pub idle_exit: Option<Duration>,
    /// `--pid`: a file that holds the process number while the service runs.
    pub pid_file: Option<PathBuf>,
    /// `--debug`: log level debug, to the journal or standard error.
    pub debug: bool,
}

/// Runs the service to its end; the exit code is for `main`.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    match prepare(arguments) {
        Ok((prepared, options)) => daemon::run(options, |context| serve(prepared, context)),
        Err(error) => daemon::fail(NAME, &error),
    }
}

const NAME: &str = config::build::SUBMIT;
/// `FileDescriptorName=` of the socket unit.
const SOCKET: &str = "varlink";
/// What connections are called in the service manager's store, in which they outlive a restart.
const CONNECTION: &str = "connection";

struct Prepared {
    arguments: Arguments,
    settings: Settings,
    listener: Listener,
    /// For people.
    place: String,
}

/// Everything that can fail before the log starts.
fn prepare(arguments: &Arguments) -> anyhow::Result<(Prepared, Options)> {
    // First: the environment of the service manager is for this process alone.
    let sockets = Sockets::from_environment(NAME);
    let given = sockets.main_unix(SOCKET)?.map(Listener::given);
    let settings = Settings::read(arguments.config.as_deref())?;
    let (listener, place) = match given {
        Some(listener) => (listener, "the service manager's socket".to_owned()),
        None => {
            let path = arguments.socket.as_ref().unwrap_or(&settings.submission.socket);
            (bind(path)?, path.display().to_string())
        }
    };
    let level = if arguments.debug { Level::Debug } else { settings.level };
    let options = Options {
        logging: Logging { level, ..Logging::default() },
        soft_shutdown: STOP_LIMIT,
        pid_file: arguments.pid_file.clone(),
        sockets: Some(sockets),
        ..Options::new(NAME)
    };
    Ok((Prepared { arguments: arguments.clone(), settings, listener, place }, options))
}

/// A socket at `path` that every user can connect to: the rules decide later who may submit what.
fn bind(path: &Path) -> anyhow::Result<Listener> {
    Listener::bind(path, 0o666).context("plugin.choria.submission.socket")
}

async fn serve(prepared: Prepared, context: daemon::Context) -> anyhow::Result<Exit> {
    let Prepared { arguments, settings, listener, place } = prepared;
    let mut reloads = context.reloads();
    let file =
        settings.file.as_ref().map_or("no configuration".to_owned(), |file| format!("config {}", file.display()));
    let spool = settings.submission.spool.display();
    tracing::info!(
        "Choria Submission version {} starting with {file}, spool {spool}, on {place}",
        env!("CARGO_PKG_VERSION")
    );

    let counters = Arc::new(Counters::default());
    let (committer, rounds) = committer(Arc::clone(&counters));
    let service = Service::new(settings.submission.clone(), committer, Arc::clone(&counters));
    let service = Arc::new(service);
    if let Err(error) = service.check().await {
        // Each submission tries again, and is told.
        tracing::error!(event = "spool_unusable", "no message can be taken at present: {error}");
    }
    let bounds = bounds(&settings, &arguments);
    let resumed = context.sockets().take_all(CONNECTION);
    if !resumed.is_empty() {
        context.taken_back(CONNECTION);
        tracing::info!(event = "resumed", "going on with {} connections of the process before this one", resumed.len());
    }
    let server = Server::new(listener, Arc::clone(&service), bounds).resume(resumed);
    let stop = CancellationToken::new();
    let serving = server.run_and_keep(stop.clone(), GRACE);
    let mut serving = std::pin::pin!(serving);
    let mut rounds = std::pin::pin!(rounds.run());
    let mut stopping = false;
    let mut settings = settings;
    // When the status line is due; nothing wakes up where nothing happens.
    let mut due = None;
    let show = |settings: &Settings| {
        let (accepted, refused) = counters.totals();
        let spool = settings.submission.spool.display();
        context.status(&format!("Taking submissions for {spool}; {accepted} accepted, {refused} refused"));
    };
    show(&settings);
    context.ready();
    let ended = loop {
        let timer = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut serving => break ended.context("the socket")?,
            // It ends with the service, of which this function has a share.
            () = &mut rounds => anyhow::bail!("the committer ended by itself"),
            () = context.stop().cancelled(), if !stopping => {
                stopping = true;
                stop.cancel();
            }
            () = reloads.next() => {
                reload(&mut settings, &service, &arguments, &context).await;
                context.reloaded();
            }
            () = context.asked_for_life() => context.alive(),
            () = counters.changed(), if due.is_none() => due = Some(Instant::now() + STATUS_INTERVAL),
            () = timer => {
                due = None;
                show(&settings);
            }
        }
    };
    let (ended, open) = ended;
    if context.keep(CONNECTION, &open) {
        let count = open.len();
        tracing::info!(event = "kept", "{count} connections are left to the process after this one, if there is one");
    }
    match ended {
        Ended::Idle => tracing::info!("nobody was connected for a while: ending, as was asked for"),
        Ended::Stopped => tracing::info!("stopped"),
    }
    Ok(Exit::Clean)
}

/// Rules, limits, spool and level count at once; a bad configuration changes nothing.
async fn reload(settings: &mut Settings, service: &Service, arguments: &Arguments, context: &daemon::Context) {
    let config = arguments.config.clone();
    // Finding the host's name may ask a name server.
    let read = tokio::task::spawn_blocking(move || Settings::read(config.as_deref())).await;
    let new = match read.map_err(anyhow::Error::from).and_then(|read| read) {
        Ok(new) => new,
        Err(error) => {
            context.set_refused(true);
            let text = format!("{error:#}");
            for line in text.lines() {
                tracing::error!(
                    event = "reload_refused",
                    "the configuration is refused, the old one stays: {}",
                    line.trim()
                );
            }
            return;
        }
    };
    if new.submission.socket != settings.submission.socket {
        tracing::warn!(event = "reload_waiting", "plugin.choria.submission.socket counts after a restart only");
    }
    if !arguments.debug {
        context.set_log_level(new.level);
    }
    context.set_refused(false);
    service.replace(new.submission.clone());
    *settings = new;
    if let Err(error) = service.check().await {
        tracing::error!(event = "spool_unusable", "no message can be taken at present: {error}");
    }
    tracing::info!(event = "reloaded", "the configuration was read anew: rules, limits and spool are in force");
}

/// A message must hold the largest payload in base64, and headers.
fn bounds(settings: &Settings, arguments: &Arguments) -> Bounds {
    let default = Bounds::default();
    let payload = usize::try_from(settings.submission.limits.max_message_size).unwrap_or(usize::MAX);
    let message = payload.saturating_add(payload / 3).saturating_add(MARGIN).clamp(default.message, LARGEST_MESSAGE);
    let all = (default.message * default.large.0 / message).max(2);
    let of_user = (all / 4).max(1);
    Bounds { message, large: (all, of_user), idle_exit: arguments.idle_exit, ..default }
}

/// From the signal to stop to a forced end.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// For calls that came, at a stop.
const GRACE: Duration = Duration::from_secs(20);

/// How often the status line is renewed while something happens.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// For what stands around a payload.
const MARGIN: usize = 1 << 20;

/// Whatever the configuration allows: what is held in memory must end somewhere.
const LARGEST_MESSAGE: usize = 64 << 20;
