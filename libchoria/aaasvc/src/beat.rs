//! Signs of life of the loops that do the work. The service manager hears one only when all of them gave one.

use agents::Pulse;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::Notify;

/// One loop's.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    wanted: Notify,
    given: Notify,
}

impl Beat {
    /// Completes when a sign of life is wanted.
    pub(crate) async fn asked(&self) {
        self.wanted.notified().await;
    }

    /// Gives one.
    pub(crate) fn answer(&self) {
        self.given.notify_one();
    }
}

impl Pulse for Beat {
    fn asked(&self) -> BoxFuture<'_, ()> {
        Self::asked(self).boxed()
    }

    fn alive(&self) {
        self.answer();
    }
}

/// Asks every loop whenever the service manager asks; one that does not answer silences all, and the service manager
/// acts.
pub(crate) async fn collect(beats: &[Arc<Beat>], context: &daemon::Context) -> Infallible {
    loop {
        context.asked_for_life().await;
        for beat in beats {
            // One from before the question does not count.
            let _old = beat.given.notified().now_or_never();
            beat.wanted.notify_one();
        }
        for beat in beats {
            beat.given.notified().await;
        }
        context.alive();
    }
}
