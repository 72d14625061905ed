//! File systems that are full, read-only or hold very many messages. The first two are mounted, which only root can.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use choria_submission::{Draft, Limits, MessageId, Priority, Sender, Spool, SpoolError, accept};
use common::{message, open, payloads};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// A mounted file system that is unmounted at the end.
struct Mounted {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Mounted {
    /// A file system in memory of so many bytes; `None`, said loudly, when this user may not mount.
    fn memory(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mounted");
        fs::create_dir(&path).unwrap();
        match mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options)) {
            Ok(()) => Some(Self { path, _folder: folder }),
            Err(errno) => {
                assert!(std::env::var_os("CI").is_none(), "file systems cannot be mounted: {errno}");
                println!("SKIPPED: file systems cannot be mounted ({errno}): run as root");
                None
            }
        }
    }

    fn make_read_only(&self) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &self.path, None::<&str>, flags, None::<&str>).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        umount2(&self.path, MntFlags::MNT_DETACH).ok();
    }
}

#[test]
fn a_full_disk_is_told_and_nothing_half_written_stays() {
    for (what, options) in [("bytes", "size=256k"), ("files", "nr_inodes=40")] {
        let Some(mounted) = Mounted::memory(options) else { return };
        let spool = open(&mounted.path);
        let payload = "x".repeat(10_000);
        let mut stored = Vec::new();
        let refused = loop {
            let number = stored.len();
            match spool.store(&message(&format!("{number} {payload}"), 4)) {
                Ok(_) => stored.push(format!("{number} {payload}")),
                Err(error) => break error,
            }
            assert!(number < 400, "{what}: the disk is never full");
        };
        assert!(matches!(refused, SpoolError::NoSpace { .. }) && refused.is_full(), "{what}: {refused}");
        assert!(refused.to_string().contains("is full"), "{what}: {refused}");
        assert!(stored.len() > 5, "{what}");
        let batch: Vec<_> = (0..30).map(|_| message(&payload, 3)).collect();
        let verdicts = spool.store_many(&batch);
        assert!(verdicts.iter().all(Result::is_err), "{what}");
        let temporary = fs::read_dir(&mounted.path)
            .unwrap()
            .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with(".new-"));
        assert_eq!(temporary.count(), 0, "{what}");
        assert_eq!(payloads(&spool, 4), stored, "{what}");
        assert_eq!(payloads(&spool, 3), Vec::<String>::new(), "{what}");
        // Delivery makes room, and needs none.
        let entries = spool.entries(Priority::default()).unwrap().entries;
        spool.remove_many(&entries[..3]).into_iter().for_each(|removed| removed.unwrap());
        spool.store(&message(&payload, 4)).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn a_retry_on_a_full_disk_keeps_the_old_file() {
    let Some(mounted) = Mounted::memory("size=64k") else { return };
    let spool = open(&mounted.path);
    spool.store(&message("kept", 4)).unwrap();
    let mut fill = fs::File::create(mounted.path.join("fill")).unwrap();
    while fill.write_all(&[0; 4096]).is_ok() {}
    let mut entry = spool.entries(Priority::default()).unwrap().entries.remove(0);
    entry.message.tries = 1;
    assert!(matches!(spool.rewrite(&entry), Err(SpoolError::NoSpace { .. })));
    let again = spool.entries(Priority::default()).unwrap().entries.remove(0);
    assert_eq!((again.message.tries, again.message.payload), (0, b"kept".to_vec()));
}

#[test]
fn a_read_only_disk_is_told() {
    let Some(mounted) = Mounted::memory("size=1m") else { return };
    let spool = open(&mounted.path);
    spool.store(&message("kept", 4)).unwrap();
    mounted.make_read_only();
    let refused = spool.store(&message("a", 4)).unwrap_err();
    assert!(matches!(refused, SpoolError::ReadOnly { .. }), "{refused}");
    assert!(refused.to_string().contains("mount its file system for writing"), "{refused}");
    assert_eq!(payloads(&spool, 4), ["kept"]);
    let reader = open(&mounted.path);
    assert_eq!((payloads(&reader, 4), reader.summary().unwrap().messages()), (vec!["kept".to_owned()], 1));
    let entry = reader.entries(Priority::default()).unwrap().entries.remove(0);
    assert!(matches!(reader.remove(&entry), Err(SpoolError::ReadOnly { .. })));
    let fresh = mounted.path.join("new");
    assert!(matches!(Spool::open(&fresh, Limits::default()), Err(SpoolError::ReadOnly { .. })));
}

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn fill(path: &Path, count: u64) -> Limits {
    let limits = Limits { max_messages: count + 100, max_bytes: u64::MAX, ..Limits::default() };
    drop(Spool::open(path, limits).unwrap());
    let draft = Draft::new("jobs.a", "payload");
    let message = accept(draft, Sender::user(0), "n1", MessageId::generate(), SystemTime::now()).unwrap();
    let content = message.to_json();
    for number in 0..count {
        let name = format!("P4/{}-x.msg", 1_700_000_000_000_000_000 + number * 7919 % count);
        fs::write(path.join(name), &content).unwrap();
    }
    limits
}

/// Reads and removes everything as a deliverer does; what it took, and by how much the memory grew.
fn drain(path: &Path, count: u64) {
    let limits = fill(path, count);
    let before = resident();
    let began = Instant::now();
    let spool = Spool::open(path, limits).unwrap();
    spool.store(&message("the last", 4)).unwrap();
    let first = began.elapsed();
    let began_more = Instant::now();
    (0..20).for_each(|number| {
        drop(spool.store(&message(&format!("after {number}"), 4)).unwrap_or_else(|error| panic!("{error}")))
    });
    let more = began_more.elapsed();
    let began_drain = Instant::now();
    let (mut seen, mut grown, mut previous) = (0, 0, None);
    loop {
        let window = spool.entries(Priority::default()).unwrap();
        grown = grown.max(resident().saturating_sub(before));
        if window.entries.is_empty() {
            break;
        }
        for entry in &window.entries {
            assert!(previous.as_ref().is_none_or(|previous| previous < &entry.name), "in order");
            previous = Some(entry.name.clone());
        }
        seen += window.entries.len() as u64;
        spool.remove_many(&window.entries).into_iter().for_each(|removed| removed.unwrap());
    }
    println!(
        "{count} files: first store {first:?}, 20 more {more:?}, drained in {:?}, memory grew by {} KiB",
        began_drain.elapsed(),
        grown / 1024
    );
    assert_eq!(seen, count + 21);
    assert!(grown < 64 << 20, "{grown} bytes for {count} files");
}

#[test]
fn a_long_queue_is_read_from_any_place() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let limits = fill(folder.path(), 36_000);
    let spool = Spool::open(folder.path(), limits).unwrap();
    let priority = Priority::default();
    let first = spool.entries(priority).unwrap().entries.remove(0);
    let (mut after, mut seen) = (None, 0);
    // More than is remembered, so that the rest is listed from there.
    while seen < 34_000 {
        let window = spool.entries_after(priority, after.as_ref()).unwrap();
        seen += window.entries.len();
        after = window.entries.last().map(|entry| entry.name.clone());
        assert!(after.is_some(), "{seen}");
    }
    assert_eq!(spool.entries(priority).unwrap().entries[0], first);
}

#[test]
fn a_hundred_thousand_messages_are_read_in_bounded_memory() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    drain(folder.path(), 100_000);
}

#[test]
#[ignore = "a minute: a million files"]
fn a_million_messages_are_read_in_bounded_memory() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    drain(folder.path(), 1_000_000);
}
