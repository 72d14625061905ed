//! Signs of life: the service manager hears one only after the work loop gave one.

use crate::notify::Notifier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Passes the work loop's signs of life on. Without a watchdog in the unit nothing ever wakes up here.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Half of what the unit allows, so that one late turn is no death.
    interval: Option<Duration>,
    alive: AtomicBool,
    asked: Notify,
}

impl Watchdog {
    pub(crate) fn from_environment() -> Self {
        Self::new(libsystemd::daemon::watchdog_enabled(false))
    }

    fn new(limit: Option<Duration>) -> Self {
        let interval = limit.filter(|limit| !limit.is_zero()).map(|limit| limit / 2);
        // Starting up counts as life: the work loop does not run yet.
        Self { interval, alive: AtomicBool::new(true), asked: Notify::new() }
    }

    pub(crate) fn interval(&self) -> Option<Duration> {
        self.interval
    }

    pub(crate) fn alive(&self) {
        self.alive.store(true, Ordering::Relaxed);
    }

    /// Completes when a sign of life is wanted; never without a watchdog.
    pub(crate) async fn asked(&self) {
        match self.interval {
            Some(_) => self.asked.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Tells `notifier` of life twice in the time the unit allows, as long as there is any.
    pub(crate) async fn run(&self, notifier: &Notifier) -> std::convert::Infallible {
        let Some(interval) = self.interval else { return std::future::pending().await };
        loop {
            tokio::time::sleep(interval).await;
            if self.alive.swap(false, Ordering::Relaxed) {
                notifier.watchdog();
            } else {
                tracing::error!("the work loop gave no sign of life for {} ms", interval.as_millis());
            }
            self.asked.notify_one();
        }
    }
}
