//! What the work of a daemon may ask of the house around it.

use crate::logging::{Level, LevelHandle};
use crate::notify::Notifier;
use crate::sockets::Sockets;
use crate::watchdog::Watchdog;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Handed to the work by [`run`](crate::run()). Cheap to clone; every call works without systemd too.
#[derive(Clone, Debug)]
pub struct Context(Arc<House>);

#[derive(Debug)]
struct House {
    stop: CancellationToken,
    notifier: Notifier,
    watchdog: Watchdog,
    reloads: watch::Sender<u64>,
    level: LevelHandle,
    sockets: Sockets,
    name: &'static str,
    started: Instant,
    ready: AtomicBool,
}

/// Requests to read the configuration anew, one for each SIGHUP; several that come while one is handled count as one.
#[derive(Debug)]
pub struct Reloads(watch::Receiver<u64>);

impl Context {
    pub(crate) fn new(name: &'static str, level: LevelHandle, sockets: Sockets) -> Self {
        Self(Arc::new(House {
            stop: CancellationToken::new(),
            notifier: Notifier::from_environment(),
            watchdog: Watchdog::from_environment(),
            reloads: watch::Sender::new(0),
            level,
            sockets,
            name,
            started: Instant::now(),
            ready: AtomicBool::new(false),
        }))
    }

    /// Cancelled when the daemon is asked to stop; give clones or children to tasks.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// The descriptors that the service manager handed to this process.
    #[must_use]
    pub fn sockets(&self) -> &Sockets {
        &self.0.sockets
    }

    /// Tells the service manager that the daemon serves (READY=1). Whatever the daemon wants of
    /// [`sockets`](Self::sockets) it has asked for by now.
    pub fn ready(&self) {
        for name in self.0.sockets.left_over() {
            tracing::warn!(
                socket = name,
                "the service manager handed over the descriptor {name:?}, of which this program knows no use: see \
                 FileDescriptorName= in the socket units of this service (systemctl list-sockets)"
            );
        }
        self.0.watchdog.alive();
        // Said once: during a reload it would mean that the reload is over.
        if !self.0.ready.swap(true, Ordering::Relaxed) {
            self.0.notifier.ready();
        }
    }

    /// Whether [`ready`](Self::ready) was said.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// The daemon's name, as in [`Options`](crate::Options).
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How long the process runs.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// What `systemctl status` shows.
    #[must_use]
    pub fn line(&self) -> String {
        self.0.notifier.line()
    }

    /// Shows `text`, one line, in `systemctl status`.
    pub fn status(&self, text: &str) {
        self.0.notifier.status(text);
    }

    /// A sign of life from the work loop; costs one store. The service manager hears of it only if the unit has a watchdog.
    pub fn alive(&self) {
        self.0.watchdog.alive();
    }

    /// Completes when a sign of life is wanted, for work loops that may have nothing to do for longer than
    /// [`watchdog_interval`](Self::watchdog_interval): select on it and answer with [`alive`](Self::alive). Never
    /// completes without a watchdog, so an idle loop is not woken for nothing.
    pub async fn asked_for_life(&self) {
        self.0.watchdog.asked().await;
    }

    /// How often the work loop must call [`alive`](Self::alive); `None` without a watchdog.
    #[must_use]
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.0.watchdog.interval()
    }

    /// Requests to reload. Once something listens, it must call [`reloaded`](Self::reloaded) after each.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        Reloads(self.0.reloads.subscribe())
    }

    /// Tells the service manager that a reload is over, whether it changed anything or not.
    pub fn reloaded(&self) {
        self.0.notifier.ready();
    }

    /// Whether what was read at the last reload was refused: the status line says so until a reload succeeds.
    pub fn set_refused(&self, refused: bool) {
        self.0.notifier.set_note(if refused { REFUSED } else { "" });
    }

    /// Changes what is logged from now on.
    pub fn set_log_level(&self, level: Level) {
        self.0.level.set(level);
    }

    /// Whether a service manager waits for notifications.
    #[must_use]
    pub fn is_supervised(&self) -> bool {
        self.0.notifier.is_present()
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.0.notifier
    }

    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.0.watchdog
    }

    /// SIGHUP came: passes it on, or answers it at once when nothing in this daemon can be reloaded.
    pub(crate) fn request_reload(&self) {
        self.0.notifier.reloading();
        if self.0.reloads.receiver_count() == 0 {
            tracing::info!("SIGHUP: this program has nothing that can be read anew; restart it instead");
            self.reloaded();
        } else {
            tracing::info!("SIGHUP: reading the configuration anew");
            self.0.reloads.send_modify(|count| *count += 1);
        }
    }
}

/// In the status line after a reload that changed nothing.
const REFUSED: &str = "THE CONFIGURATION READ ANEW WAS REFUSED, see the log";

impl Reloads {
    /// Completes at the next request; never once the daemon is gone.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
