//! The spool on a real file system: what is stored, in what order it is given, and what is moved aside.

use choria_submission::{Draft, Limits, Message, MessageId, Priority, Sender, Spool, SpoolError, accept};
use std::path::Path;
use std::time::SystemTime;

/// A reliable message with this payload.
pub fn message(payload: &str, priority: u64) -> Message {
    let draft = Draft { priority: Priority::new(priority).unwrap(), reliable: true, ..Draft::new("jobs.a", payload) };
    accept(draft, Sender::user(0), "n1.example.net", MessageId::generate(), SystemTime::now()).unwrap()
}

fn open(path: &Path) -> Spool {
    Spool::open(path, Limits::default()).unwrap()
}

fn payloads(spool: &Spool, priority: u64) -> Vec<String> {
    let window = spool.entries(Priority::new(priority).unwrap()).unwrap();
    window.entries.into_iter().map(|entry| String::from_utf8(entry.message.payload).unwrap()).collect()
}

#[test]
fn what_is_stored_is_given_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let messages: Vec<_> = (0..50).map(|number| message(&number.to_string(), 4)).collect();
    for stored in spool.store_many(&messages[..40]) {
        stored.unwrap();
    }
    messages[40..].iter().for_each(|message| drop(spool.store(message).unwrap()));
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(payloads(&spool, 4), expected);
    assert_eq!(payloads(&open(folder.path()), 4), expected, "after opening again");
    assert_eq!(spool.summary().unwrap().messages(), 50);
    let entries = spool.entries(Priority::default()).unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.message.clone()).collect::<Vec<_>>(), messages);
    spool.remove_many(&entries).into_iter().for_each(|removed| removed.unwrap());
    assert_eq!(spool.summary().unwrap().messages(), 0);
}

#[test]
fn limits_are_told_up_front() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { max_messages: 2, max_bytes: 2000, max_message_size: 1000 };
    let spool = Spool::open(folder.path(), limits).unwrap();
    for _ in 0..3 {
        spool.store(&message("a", 1)).unwrap();
    }
    assert!(matches!(spool.store(&message("a", 1)), Err(SpoolError::TooManyMessages { found: 3, most: 2, .. })));
    spool.store(&message("a", 2)).unwrap();
    let large = "x".repeat(900);
    assert!(matches!(spool.store(&message(&large, 2)), Err(SpoolError::TooManyBytes { .. })));
    assert!(matches!(spool.store(&message(&large.repeat(2), 2)), Err(SpoolError::TooLarge { size: 1800, most: 1000 })));
}
