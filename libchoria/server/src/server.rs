//! A server between being built and having stopped.

use crate::control::Outcome;
use crate::live::{Handle, audit};
use crate::settings::{Parts, Settings};
use crate::work::Work;
use agents::{Announcer, Authorization, Broker, Node, Replays, Stats};
use lifecycle::InvalidComponent;
use network::{ConnectError, SubscribeError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// A server that has not started.
#[derive(Debug)]
pub struct Server(Work);

/// A server at work. Dropping it ends it at once, without a word to the network.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<Result<Outcome, Error>>,
    stop: CancellationToken,
    attempted: watch::Receiver<bool>,
    serving: watch::Receiver<bool>,
    handle: Handle,
    limit: Duration,
}

/// Why a server ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The component for lifecycle events is not valid.
    #[error(transparent)]
    Component(#[from] InvalidComponent),
    /// No connection came about, and waiting would not help.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The agents could not subscribe.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// The connection ended and does not return.
    #[error("the connection to the broker ended and does not return")]
    Disconnected,
    /// The server's task ended early.
    #[error("the work of the server ended by a fault: {0}")]
    Fault(#[from] JoinError),
    /// It did not stop in time.
    #[error("the server did not stop within {} s", .0.as_secs_f64())]
    Late(Duration),
}

impl Server {
    /// A server of these settings and parts. `seed` feeds event ids and delays.
    ///
    /// # Errors
    /// [`Error::Component`].
    pub fn build(settings: Settings, parts: Parts, seed: u64, now: SystemTime) -> Result<Self, Error> {
        let announcer = Announcer {
            component: settings.component()?,
            format: settings.events,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        };
        let Parts { provider, network, facts, classes, roster, times, delivery, orders, context } = parts;
        let node = Node {
            authorization: Authorization::from_settings(&settings.config),
            audit: audit(&settings.config),
            settings: settings.config.clone(),
            provider,
            roster,
            facts,
            classes,
            stats: Arc::new(Stats::default()),
            replays: Arc::new(Replays::default()),
            broker: Broker { counters: Arc::clone(&network.counters), ..Broker::default() },
            started: now,
            provisioning: settings.provisioning,
            times,
        };
        if let Some(warning) = node.authorization.warning() {
            tracing::warn!("{warning}");
        }
        let handle = Handle(Arc::new(watch::Sender::new(Arc::new(node))));
        let (attempted, serving) = (watch::Sender::new(false), watch::Sender::new(false));
        Ok(Self(Work { settings, network, context, announcer, delivery, orders, handle, attempted, serving }))
    }

    /// Starts the work as one task of the present runtime.
    #[must_use]
    pub fn start(self) -> Running {
        let stop = CancellationToken::new();
        let attempted = self.0.attempted.subscribe();
        let serving = self.0.serving.subscribe();
        let limit = self.0.settings.stop_limit;
        let handle = self.0.handle.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(self.0.run(stop.clone()));
        Running { tasks, stop, attempted, serving, handle, limit }
    }
}

impl Running {
    /// Completes when a first attempt to connect was made, successful or not: all that can be waited for at boot.
    pub async fn attempted(&self) {
        let mut attempted = self.attempted.clone();
        // An error means that the work has ended; `wait` says why.
        let _ended = attempted.wait_for(|made| *made).await;
    }

    /// Completes when the server serves requests, or has ended by itself.
    pub async fn serving(&self) {
        let mut serving = self.serving.clone();
        // As above.
        let _ended = serving.wait_for(|serves| *serves).await;
    }

    /// The server as its agents see it, with counters and connection, once it serves.
    #[must_use]
    pub fn node(&self) -> Option<Arc<Node>> {
        self.serving.borrow().then(|| self.handle.node())
    }

    /// For changes while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether the work has ended by itself; [`wait`](Self::wait) says why.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.attempted.has_changed().is_err()
    }

    /// Runs until `signal` completes or the server ends by itself, which without an [`Outcome`] is a fault; then stops
    /// it: no new requests, running ones finish, a shutdown event, everything sent, closed.
    ///
    /// # Errors
    /// Why it ended by itself, or [`Error::Late`].
    pub async fn wait(mut self, signal: impl Future<Output = ()>) -> Result<Outcome, Error> {
        tokio::select! {
            () = signal => {}
            Some(ended) = self.tasks.join_next() => return ended?,
        }
        self.stop.cancel();
        match tokio::time::timeout(self.limit, self.tasks.join_next()).await {
            Ok(Some(ended)) => ended?,
            Ok(None) => Ok(Outcome::Stopped),
            Err(_elapsed) => Err(Error::Late(self.limit)),
        }
    }
}
