//! A hook for those who want to show why a connection does not come about: status lines, a first-attempt latch.

use crate::address::ServerAddress;
use crate::failure::Failure;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One attempt that did not lead to a connection.
#[derive(Clone, Copy, Debug)]
pub struct FailedAttempt<'a> {
    /// The server tried last.
    pub server: &'a ServerAddress,
    /// Why it failed.
    pub failure: &'a Failure,
    /// Attempts so far, from 1.
    pub attempts: usize,
    /// Time until the next one, where it is known.
    pub next: Option<Duration>,
}

/// Called after each failed attempt, from the connection's own task: it must not block.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&FailedAttempt<'_>) + Send + Sync>);

impl Observer {
    /// An observer that calls `hook`.
    pub fn new(hook: impl Fn(&FailedAttempt<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn failed(&self, attempt: &FailedAttempt<'_>) {
        (self.0)(attempt);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}
