//! One run of nats-server.
//!
//! The child must not outlive this process, however that ends. `setpriv` of util-linux asks the kernel to interrupt
//! the child when the *thread* that made it ends, so one thread of its own makes the child, forwards what it prints and
//! waits for it. Where `setpriv` is missing, the child still ends with every orderly end of this process and with
//! systemd's control group, but not when this process is killed outside of systemd.

use super::output::Forwarder;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// A nats-server that was started. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    alive: Arc<Mutex<bool>>,
    exit: watch::Receiver<Option<Exit>>,
    streams_given_up: watch::Receiver<bool>,
}

/// How a nats-server ended.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    /// Its status; `None` when the system did not tell.
    pub(crate) status: Option<ExitStatus>,
    /// The last line it printed that looked like the reason, without secrets.
    pub(crate) last_words: String,
}

impl Process {
    /// Starts `program` with the configuration file `config`.
    ///
    /// # Errors
    /// What the system says when the program cannot be started.
    pub(crate) async fn start(program: &Path, config: &Path) -> io::Result<Self> {
        let mut command = command(program);
        command.arg("-c").arg(config);
        let (started, starting) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        let alive = Arc::new(Mutex::new(true));
        let for_keeper = Arc::clone(&alive);
        let (give_up, streams_given_up) = watch::channel(false);
        std::thread::Builder::new()
            .name("nats-server".to_owned())
            .spawn(move || keep(command, started, &for_keeper, give_up, &ended))?;
        let pid = starting.await.map_err(|_| io::Error::other("the thread of nats-server ended"))??;
        Ok(Self { pid, alive, exit, streams_given_up })
    }

    /// The process id.
    pub(crate) fn id(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> Exit {
        let unknown = || Exit { status: None, last_words: String::new() };
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_else(unknown),
            Err(_) => unknown(),
        }
    }

    /// Becomes true when the process says that it has given up its streams.
    pub(crate) fn streams_given_up(&self) -> watch::Receiver<bool> {
        self.streams_given_up.clone()
    }

    /// Has the process send its clients away, to other members of its cluster, and end when all are gone.
    pub(crate) fn drain(&self) {
        self.signal(Signal::SIGUSR2);
    }

    /// Has the process read its configuration and certificate again.
    pub(crate) fn reload(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Asks the process to end and kills it when it has not ended after `patience`. Interrupt rather than terminate:
    /// some versions report a terminated run as failed (spec 10 §10).
    pub(crate) async fn stop(mut self, patience: Duration) -> Exit {
        self.signal(Signal::SIGINT);
        if let Ok(exit) = tokio::time::timeout(patience, self.ended()).await {
            return exit;
        }
        tracing::warn!("nats-server did not stop within {} seconds and is killed", patience.as_secs());
        self.signal(Signal::SIGKILL);
        self.ended().await
    }

    /// Sends a signal unless the process has ended: its number could belong to another process then.
    fn signal(&self, signal: Signal) {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if *alive {
            if let Err(error) = kill(self.pid, signal) {
                tracing::warn!("nats-server could not be sent {signal}: {error}");
            }
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("exit status unknown")?,
        }
        let well = self.status.is_some_and(|status| status.success());
        if self.last_words.is_empty() || well { Ok(()) } else { write!(f, ", last error {:?}", self.last_words) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Checks `config` with nats-server's own check.
///
/// # Errors
/// What nats-server says about the configuration, or the system about nats-server.
pub(crate) async fn check(program: &Path, config: &Path) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    command.arg("-t").arg("-c").arg(config).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(CHECK_PATIENCE, command.output()).await;
    let output = output.map_err(|_| "the check took too long".to_owned())?.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.trim().trim_start_matches("nats-server: ").to_owned())
}

/// The command up to its arguments. In a process group of its own, so that an interrupt from a terminal reaches only
/// this process, which then stops the child in order; without the variables that speak to this process's supervisor.
fn command(program: &Path) -> Command {
    let setpriv = SETPRIV.iter().map(Path::new).find(|path| path.exists());
    let mut command = match setpriv {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "INT", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        command.env_remove(variable);
    }
    // Collected twice as often as usual, a connection takes a sixth less memory, and no more processor time that could be
    // measured. An administrator who sets either variable knows better.
    if ["GOGC", "GOMEMLIMIT"].iter().all(|variable| std::env::var_os(variable).is_none()) {
        command.env("GOGC", "50");
    }
    command
}

/// Makes the child, forwards its output until it closes, then reports its end.
fn keep(
    mut command: Command,
    started: oneshot::Sender<io::Result<Pid>>,
    alive: &Mutex<bool>,
    streams_given_up: watch::Sender<bool>,
    ended: &watch::Sender<Option<Exit>>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // Only a caller that has gone away does not hear this.
            let _ = started.send(Err(error));
            return;
        }
    };
    // Cannot wrap: process ids of Linux end at four million.
    let pid = Pid::from_raw(child.id() as i32);
    if started.send(Ok(pid)).is_err() {
        // Nobody waits any more, so nobody would stop it.
        let _ = child.kill();
    }
    let mut forwarder = Forwarder::new(streams_given_up);
    if let Some(output) = child.stderr.take() {
        forwarder.forward(output);
    }
    let status = reap(&mut child, pid, alive);
    ended.send_replace(Some(Exit { status, last_words: forwarder.last_words() }));
}

/// Waits for the child's end, notes it, and only then lets the system give its number to another process.
fn reap(child: &mut Child, pid: Pid, alive: &Mutex<bool>) -> Option<ExitStatus> {
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::errno::Errno::EINTR) {}
    let mut alive = alive.lock().unwrap_or_else(PoisonError::into_inner);
    *alive = false;
    child.wait().ok()
}

/// Where distributions keep `setpriv`; not searched in PATH, as it decides about the end of the child.
const SETPRIV: [&str; 2] = ["/usr/bin/setpriv", "/bin/setpriv"];

/// Checking takes milliseconds; this is for a machine under heavy load.
const CHECK_PATIENCE: Duration = Duration::from_secs(15);
