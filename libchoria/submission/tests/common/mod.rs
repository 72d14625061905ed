//! What the tests of the spool share.

use choria_submission::{Draft, Limits, Message, MessageId, Priority, Sender, Spool, accept};
use std::path::Path;
use std::time::SystemTime;

/// A reliable message with this payload.
pub(crate) fn message(payload: &str, priority: u64) -> Message {
    let draft = Draft { priority: Priority::new(priority).unwrap(), reliable: true, ..Draft::new("jobs.a", payload) };
    accept(draft, Sender::user(0), "n1.example.net", MessageId::generate(), SystemTime::now()).unwrap()
}

/// The spool with the usual limits.
pub(crate) fn open(path: &Path) -> Spool {
    Spool::open(path, Limits::default()).unwrap()
}

/// What stands in a queue, in order, read window by window.
pub(crate) fn payloads(spool: &Spool, priority: u64) -> Vec<String> {
    let priority = Priority::new(priority).unwrap();
    let mut all = Vec::new();
    let mut window = spool.entries(priority).unwrap();
    while let Some(last) = window.entries.last().map(|entry| entry.name.clone()) {
        all.extend(window.entries.into_iter().map(|entry| String::from_utf8(entry.message.payload).unwrap()));
        window = spool.entries_after(priority, Some(&last)).unwrap();
    }
    all
}
