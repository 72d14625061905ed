//! Runs the work of a daemon between start and exit code.

use crate::context::Context;
use crate::exit::{Exit, RESTART_EXIT_CODE};
use crate::logging::{self, Logging};
use crate::pid_file::PidFile;
use crate::sockets::Sockets;
use anyhow::Context as _;
use std::convert::Infallible;
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a daemon runs. Start from [`Options::new`] and change fields.
#[derive(Clone, Debug)]
pub struct Options {
    /// Program name, as systemd's unit and the journal show it.
    pub name: &'static str,
    /// Where the log goes and how much of it.
    pub logging: Logging,
    /// Time between the signal to stop and a forced exit.
    pub soft_shutdown: Duration,
    /// File that holds the process number while the daemon runs.
    pub pid_file: Option<PathBuf>,
    /// Threads of the runtime.
    pub threads: Threads,
    /// Descriptors of the service manager, where they were asked for already; `None` has [`run`] ask.
    pub sockets: Option<Sockets>,
}

/// Threads that run the work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Threads {
    /// The main thread alone; the least memory and the fewest wake-ups.
    One,
    /// This many, beside the main thread; 0 means one per processor.
    Many(usize),
}

impl Options {
    /// One thread, level info to the journal or standard error, two seconds to stop, no PID file.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            logging: Logging::default(),
            soft_shutdown: Duration::from_secs(2),
            pid_file: None,
            threads: Threads::One,
            sockets: None,
        }
    }

    /// Sets the time to stop from `soft_shutdown_timeout`, in seconds; zero and less mean ten (spec 04 §2.2).
    #[must_use]
    pub fn soft_shutdown_seconds(mut self, seconds: i64) -> Self {
        let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).unwrap_or(10);
        self.soft_shutdown = Duration::from_secs(seconds);
        self
    }
}

/// Reads the value of `--idle-exit`.
///
/// # Errors
/// It is no duration, or none at all.
pub fn parse_idle(text: &str) -> Result<Duration, String> {
    let time = config::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("it would end at once; give at least 1s".to_owned()) } else { Ok(time) }
}

/// Starts log, runtime and signal handling, runs `work` to its end and gives the exit code for `main`.
///
/// SIGTERM and SIGINT cancel [`Context::stop`] at any time, before READY too; when `work` has not ended
/// [`Options::soft_shutdown`] later, or a second signal comes, the process exits with code 1. SIGHUP asks for a reload.
/// An error of `work` is logged with its causes and gives code 1.
pub fn run<Work, Done>(mut options: Options, work: Work) -> ExitCode
where
    Work: FnOnce(Context) -> Done,
    Done: Future<Output = anyhow::Result<Exit>>,
{
    let sockets = options.sockets.take().unwrap_or_else(|| Sockets::from_environment(options.name));
    let level = match logging::start(options.name, &options.logging) {
        Ok(level) => level,
        Err(error) => return crate::exit::fail(options.name, &error),
    };
    let context = Context::new(options.name, level, sockets);
    let name = options.name;
    // Asked for now: when the file is replaced later, the system calls it deleted.
    let program = std::env::current_exe();
    let ended = run_work(options, &context, work);
    if !matches!(ended, Ok(Exit::Restart)) {
        context.notifier().stopping();
    }
    match ended {
        Ok(Exit::Clean) => ExitCode::SUCCESS,
        Ok(Exit::Restart) => restart(&context, program),
        Err(error) => {
            tracing::error!("{name} failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_work<Work, Done>(options: Options, context: &Context, work: Work) -> anyhow::Result<Exit>
where
    Work: FnOnce(Context) -> Done,
    Done: Future<Output = anyhow::Result<Exit>>,
{
    let Options { pid_file, threads, soft_shutdown, .. } = options;
    let _pid_file = pid_file.map(PidFile::write).transpose()?;
    let runtime = build_runtime(threads).context("starting the runtime")?;
    let ended = runtime.block_on(async {
        let signals = Signals::catch().context("installing signal handlers")?;
        tokio::select! {
            ended = work(context.clone()) => ended,
            never = signals.obey(context, soft_shutdown) => match never {},
            never = context.watchdog().run(context.notifier()) => match never {},
        }
    });
    // What still blocks on a thread of its own (a name lookup) must not delay the exit.
    runtime.shutdown_background();
    ended
}

/// Threads for blocking calls end this soon after their last one; an idle daemon keeps none.
const BLOCKING_THREAD_LINGERS: Duration = Duration::from_secs(1);

fn build_runtime(threads: Threads) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::Many(0) => tokio::runtime::Builder::new_multi_thread(),
        Threads::Many(count) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(count);
            builder
        }
    };
    builder.enable_all().thread_keep_alive(BLOCKING_THREAD_LINGERS).build()
}

/// The signals a daemon obeys.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn obey(mut self, context: &Context, soft_shutdown: Duration) -> Infallible {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hang_up.recv() => {
                    context.request_reload();
                    continue;
                }
            };
            if context.stop().is_cancelled() {
                force_exit(&format!("{name} came again while stopping"));
            }
            tracing::info!("{name}: stopping");
            context.notifier().stopping();
            context.stop().cancel();
            exit_later(soft_shutdown);
        }
    }
}

/// Ends the process after `limit`, from a thread of its own: what hangs may well be the runtime.
fn exit_later(limit: Duration) {
    let wait = move || {
        std::thread::sleep(limit);
        force_exit(&format!("not everything stopped within {} s", limit.as_secs_f64()));
    };
    if let Err(error) = std::thread::Builder::new().name("forced-exit".to_owned()).spawn(wait) {
        tracing::warn!("no time limit for stopping, a thread could not be started: {error}");
    }
}

fn force_exit(reason: &str) -> ! {
    tracing::error!("forced exit: {reason}");
    std::process::exit(1);
}

/// Replaces this process by a new one of the same program, arguments, environment, sockets and number. A service manager hears of
/// it as of a reload; where the program cannot be started it is asked for a restart.
fn restart(context: &Context, program: std::io::Result<PathBuf>) -> ExitCode {
    let failed = match program {
        Ok(program) => {
            tracing::info!("restarting as {}", program.display());
            context.notifier().reloading();
            let mut command = Command::new(&program);
            command.args(std::env::args_os().skip(1));
            if let Err(error) = context.sockets().hand_on(&mut command) {
                tracing::warn!("the sockets of the service manager are lost until the next start: {error}");
            }
            format!("{}: {}", program.display(), command.exec())
        }
        Err(error) => format!("the program file is not known: {error}"),
    };
    context.notifier().stopping();
    if context.is_supervised() {
        tracing::error!("cannot restart, leaving it to the service manager: {failed}");
        return ExitCode::from(RESTART_EXIT_CODE);
    }
    tracing::error!("cannot restart: {failed}");
    ExitCode::FAILURE
}
