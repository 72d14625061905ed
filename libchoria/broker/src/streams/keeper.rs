//! The task that sets up the streams and watches whether nats-server still stores anything.
//!
//! In a cluster nothing can be set up before its members have agreed on a leader, and no stream can have three copies
//! before three members are there. That takes as long as it takes: members of the fleet are served meanwhile.

use super::{StreamConfig, set_up};
use crate::internal;
use crate::metrics::Metrics;
use crate::storage::Room;
use async_nats::Client;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Keeps the streams of one run of nats-server.
#[derive(Debug)]
pub(crate) struct Keeper {
    state: watch::Receiver<State>,
    _task: AbortOnDropHandle<()>,
}

/// How the streams are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct State {
    /// How many are still to be set up.
    pub(crate) missing: usize,
    /// Why the last attempt failed.
    pub(crate) problem: Option<String>,
    /// nats-server has given up its streams; nothing is stored until it is started anew.
    pub(crate) off: bool,
    /// It did, and there is room again to store something.
    pub(crate) room_again: bool,
}

/// What a keeper works with.
#[derive(Debug)]
pub(crate) struct Materials {
    pub(crate) internal: Client,
    pub(crate) streams: Vec<StreamConfig>,
    /// Where nats-server stores them; `None` when there are no streams at all.
    pub(crate) store: Option<PathBuf>,
    /// Becomes true when nats-server says that it has given up its streams.
    pub(crate) given_up: watch::Receiver<bool>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Keeper {
    pub(crate) fn start(materials: Materials) -> Self {
        let first = State { missing: materials.streams.len(), ..State::default() };
        materials.metrics.streams(first.missing, false);
        let (report, state) = watch::channel(first);
        Self { state, _task: AbortOnDropHandle::new(tokio::spawn(keep(materials, report))) }
    }

    /// The state now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until the state changes, for ever when there is nothing to keep.
    pub(crate) async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until all streams are set up, at most for `patience`.
    pub(crate) async fn settled(&mut self, patience: Duration) {
        // Whoever waits goes on either way; what is missing is in the status line.
        let _ = tokio::time::timeout(patience, self.state.wait_for(|state| state.missing == 0)).await;
    }
}

async fn keep(materials: Materials, report: watch::Sender<State>) {
    let Materials { internal, mut streams, store, mut given_up, metrics } = materials;
    let Some(store) = store else { return };
    let mut attempt = 0;
    let mut state = State { missing: streams.len(), ..State::default() };
    loop {
        if !*given_up.borrow_and_update() && !streams.is_empty() {
            state.problem = set_up_all(&internal, &mut streams, state.problem.as_deref()).await;
        }
        state.missing = streams.len();
        if *given_up.borrow() && !state.off {
            state.off = true;
            metrics.streams_given_up();
            tracing::error!(
                "nats-server stores nothing any more, most likely because {} is full; messages of the fleet still pass. \
                 It is started anew once there is room",
                store.display()
            );
        }
        state.room_again = state.off && Room::of(&store).is_some_and(Room::is_enough);
        metrics.streams(state.missing, state.off);
        report.send_if_modified(|known| {
            let changed = *known != state;
            known.clone_from(&state);
            changed
        });
        let pause = if streams.is_empty() || state.off {
            LOOKING
        } else {
            let pause = PAUSES[attempt.min(PAUSES.len() - 1)];
            attempt += 1;
            pause
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = given_up.changed() => if changed.is_err() { return },
        }
    }
}

/// Sets up `streams` and leaves those that failed in it; returns why the first one failed. A problem that is `known` is
/// not logged again.
async fn set_up_all(internal: &Client, streams: &mut Vec<StreamConfig>, known: Option<&str>) -> Option<String> {
    let mut problem = None;
    let mut failed = Vec::new();
    for stream in streams.drain(..) {
        // After one failure the rest is not asked for: in a cluster without a leader each question takes seconds.
        if problem.is_none() && internal::is_connected(internal) {
            match set_up(internal, &stream).await {
                Ok(()) => continue,
                Err(error) => problem = Some(error.to_string()),
            }
        }
        failed.push(stream);
    }
    *streams = failed;
    if problem.is_some() && problem.as_deref() != known {
        tracing::warn!("{}; it is tried again", problem.as_deref().unwrap_or_default());
    }
    problem
}

/// Pauses between attempts to set up streams, by attempt.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// How often the disk is looked at while nothing is stored; costs one system call.
const LOOKING: Duration = Duration::from_secs(2);
