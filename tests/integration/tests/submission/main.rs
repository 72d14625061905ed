//! Submitted messages on a whole network: from the spool to the stream (spec 04 §5).

mod delivery;
mod local_socket;
mod machine;
mod power_cut;
mod troubles;

use choria_tests::{PATIENCE, Process};
use std::future::Future;
use std::time::{Duration, Instant};

/// Runs the asking half of a test, on one thread.
fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// Polls until `done`.
#[track_caller]
fn until(what: &str, server: &Process, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", server.log());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Files that wait in a queue of a spool.
fn waiting(spool: &submission::Spool, priority: usize) -> u64 {
    spool.summary().expect("a spool").queues[priority].messages
}
