//! A sign of life that comes from the loop which does the work, where another one talks to the service manager.

use tokio::sync::Notify;

/// One loop's.
#[derive(Debug, Default)]
pub struct Beat {
    wanted: Notify,
    given: Notify,
}

impl Beat {
    /// Completes when a sign of life is wanted; for the loop that does the work.
    pub async fn asked(&self) {
        self.wanted.notified().await;
    }

    /// Gives one.
    pub fn answer(&self) {
        self.given.notify_one();
    }

    /// Wants one.
    pub fn ask(&self) {
        self.wanted.notify_one();
    }

    /// Completes when one was given.
    pub async fn answered(&self) {
        self.given.notified().await;
    }
}
