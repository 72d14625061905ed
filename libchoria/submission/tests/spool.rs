//! The spool on a real file system: what is stored, in what order it is given, and what is moved aside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use choria_submission::{
    Draft, InUse, Limits, Message, MessageId, Priority, Sender, Spool, SpoolError, accept, schedule,
};
use common::{message, open, payloads};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

const P4: Priority = Priority::ALL[4];

/// Puts a file into a queue as the existing implementation does, with this time in its name.
fn foreign(spool: &Path, nanos: u64, content: &[u8]) {
    let temporary = spool.join("1234567890");
    fs::write(&temporary, content).unwrap();
    fs::rename(temporary, spool.join(format!("P4/{nanos}-{}.msg", MessageId::generate()))).unwrap();
}

/// Sets when a file was changed.
fn touch(path: &Path, age: Duration) {
    fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()).unwrap()
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
    let entries = spool.entries(P4).unwrap().entries;
    assert_eq!(entries.iter().map(|entry| entry.message.clone()).collect::<Vec<_>>(), messages);
    let after = spool.entries_after(P4, Some(&entries[47].name)).unwrap().entries;
    assert_eq!(after, entries[48..]);
    spool.remove_many(&entries).into_iter().for_each(|removed| removed.unwrap());
    assert_eq!(spool.summary().unwrap().messages(), 0);
    spool.remove(&entries[0]).expect("one that is gone already");
}

#[test]
fn directories_and_files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let spool = open(&path);
    spool.store(&message("a", 3)).unwrap();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    for directory in ["", "P0", "P1", "P2", "P3", "P4", "corrupt"] {
        assert_eq!(mode(&path.join(directory)), 0o700, "{directory}");
    }
    let file = fs::read_dir(path.join("P3")).unwrap().next().unwrap().unwrap();
    assert_eq!(mode(&file.path()), 0o600);
    let name = file.file_name().into_string().unwrap();
    let (time, id) = name.strip_suffix(".msg").unwrap().split_once('-').unwrap();
    assert_eq!((time.len(), id.len()), (19, 36), "{name}");
    assert!(fs::read_dir(&path).unwrap().all(|file| !file.unwrap().file_name().to_string_lossy().starts_with(".new-")));
}

#[test]
fn limits_are_told_up_front() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { max_messages: 2, max_bytes: 2000, max_message_size: 1000 };
    let spool = Spool::open(folder.path(), limits).unwrap();
    for _ in 0..3 {
        spool.store(&message("a", 1)).unwrap();
    }
    let full = spool.store(&message("a", 1)).unwrap_err();
    assert!(full.is_full() && full.to_string().contains("plugin.choria.submission.max_spool_size is 2"), "{full}");
    spool.store(&message("a", 2)).unwrap();
    let large = "x".repeat(900);
    let full = spool.store(&message(&large, 2)).unwrap_err();
    assert!(full.is_full() && full.to_string().contains("plugin.choria.submission.max_spool_bytes is 2000"), "{full}");
    assert!(matches!(spool.store(&message(&large.repeat(2), 2)), Err(SpoolError::TooLarge { size: 1800, most: 1000 })));
    // What is removed makes room, whoever removed it.
    let entries = spool.entries(Priority::ALL[1]).unwrap().entries;
    spool.remove(&entries[0]).unwrap();
    spool.store(&message("a", 1)).unwrap();
    fs::remove_file(folder.path().join("P1").join(entries[1].name.to_string())).unwrap();
    spool.store(&message("a", 1)).unwrap();
    assert!(spool.store(&message("a", 1)).unwrap_err().is_full());
    // In one batch those that fit are stored.
    let batch = spool.store_many(&[message("a", 1), message("b", 3), message(&large, 3), message("c", 3)]);
    let verdict: Vec<_> = batch.iter().map(Result::is_ok).collect();
    assert_eq!(verdict, [false, true, false, true]);
    assert_eq!(payloads(&spool, 3), ["b", "c"]);
    assert_eq!(leftovers(folder.path()), Vec::<String>::new());
}

fn leftovers(spool: &Path) -> Vec<String> {
    let names = fs::read_dir(spool).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".new-")).collect()
}

#[test]
fn many_stores_do_not_exceed_the_limit_in_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Limits { max_messages: 299, ..Limits::default() }).unwrap();
    let batch: Vec<_> = (0..400).map(|number| message(&number.to_string(), 4)).collect();
    let stored = spool.store_many(&batch).iter().filter(|stored| stored.is_ok()).count();
    assert_eq!((stored, spool.summary().unwrap().messages()), (300, 300));
}

#[test]
fn names_go_on_when_the_clock_steps_back() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    // A message that was stored when the clock was an hour ahead.
    let ahead = nanos(SystemTime::now() + Duration::from_secs(3600));
    foreign(folder.path(), ahead, &message("first", 4).to_json());
    spool.store(&message("second", 4)).unwrap();
    assert_eq!(payloads(&spool, 4), ["first", "second"]);
    // It is remembered when the message is gone and when another program opens the spool.
    let entries = spool.entries(P4).unwrap().entries;
    spool.remove_many(&entries).into_iter().for_each(|removed| removed.unwrap());
    let stored = open(folder.path()).store(&message("third", 4)).unwrap();
    assert!(stored.name > entries[1].name, "{} {}", stored.name, entries[1].name);
    // A name that is nobody's time is not followed.
    let folder = tempfile::tempdir().unwrap();
    open(folder.path());
    foreign(folder.path(), u64::MAX, &message("last", 4).to_json());
    let spool = open(folder.path());
    spool.store(&message("now", 4)).unwrap();
    assert_eq!(payloads(&spool, 4), ["now", "last"]);
}

#[test]
fn numbers_that_cannot_be_read_are_counted_anew() {
    let rows: [(&str, &[u8]); 5] = [
        ("nothing", b""),
        ("no JSON", b"x"),
        ("half", br#"{"boot":"#),
        (
            "another start",
            br#"{"boot":"x","queues":[{"messages":9,"bytes":9,"newest":9,"since":0,"counted":9,"took":0}]}"#,
        ),
        ("much", &[b'9'; 10_000]),
    ];
    for (name, content) in rows {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), Limits { max_messages: 1, ..Limits::default() }).unwrap();
        spool.store(&message("a", 4)).unwrap();
        fs::write(folder.path().join(".lock"), content).unwrap();
        spool.store(&message("b", 4)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(spool.store(&message("c", 4)).is_err(), "{name}");
        assert_eq!(payloads(&spool, 4), ["a", "b"], "{name}");
    }
}

#[test]
fn files_of_the_existing_implementation_are_read_and_its_own_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let now = nanos(SystemTime::now());
    foreign(folder.path(), now - 2, &message("a", 4).to_json());
    foreign(folder.path(), now - 1, &message("b", 4).to_json());
    fs::write(folder.path().join("P4/notes.txt"), "not a message").unwrap();
    fs::write(folder.path().join("987654321"), "being written").unwrap();
    fs::write(folder.path().join("README"), "what this is").unwrap();
    spool.store(&message("c", 4)).unwrap();
    assert_eq!(payloads(&open(folder.path()), 4), ["a", "b", "c"]);
    for name in ["P4/notes.txt", "987654321", "README"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
}

#[test]
fn files_left_behind_are_removed_when_they_are_old() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let rows = [
        (".new-a-1", 3700, false),
        (".new-b-1", 60, true),
        ("123456", 3700, false),
        ("654321", 60, true),
        ("12a", 3700, true),
    ];
    for (name, age, _) in rows {
        fs::write(folder.path().join(name), "x").unwrap();
        touch(&folder.path().join(name), Duration::from_secs(age));
    }
    drop(open(folder.path()));
    for (name, _, stays) in rows {
        assert_eq!(folder.path().join(name).exists(), stays, "{name}");
    }
}

#[test]
fn what_is_no_message_is_moved_aside_and_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let queue = folder.path().join("P4");
    let secret = folder.path().join("secret");
    fs::write(&secret, message("secret", 4).to_json()).unwrap();
    let at = |name: &str| queue.join(format!("1000000000000000000-{name}.msg"));
    symlink(&secret, at("symlink")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("/dev/zero", at("endless")).unwrap();
    fs::hard_link(&secret, at("hardlink")).unwrap();
    nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    fs::create_dir(at("directory")).unwrap();
    fs::write(at("garbage"), b"\xff{").unwrap();
    fs::write(at("empty"), b"").unwrap();
    fs::write(at("notries"), String::from_utf8(message("a", 4).to_json()).unwrap().replace(":100,", ":0,")).unwrap();
    fs::File::create(at("large")).unwrap().set_len(1 << 40).unwrap();
    for name in ["garbage", "empty", "notries"] {
        touch(&at(name), Duration::from_secs(10));
    }
    spool.store(&message("good", 4)).unwrap();
    let began = Instant::now();
    let window = spool.entries(P4).unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "waited for something");
    assert_eq!(window.entries.len(), 1);
    assert_eq!((window.set_aside, window.passed_over, window.unsettled), (10, 1, 0));
    assert_eq!((spool.set_aside_count(), spool.summary().unwrap().corrupt), (10, 10));
    assert!(
        fs::symlink_metadata(folder.path().join("corrupt/1000000000000000000-fifo.msg")).unwrap().file_type().is_fifo()
    );
    assert!(at("directory").is_dir());
    assert!(fs::read(&secret).is_ok());
    assert_eq!(payloads(&spool, 4), ["good"]);
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.store(&message("a", 4)).unwrap();
    spool.store(&message("b", 4)).unwrap();
    let entries = spool.entries(P4).unwrap().entries;
    let path = folder.path().join("P4").join(entries[0].name.to_string());
    let content = fs::read(&path).unwrap();
    fs::write(&path, &content[..10]).unwrap();
    let window = spool.entries(P4).unwrap();
    assert_eq!((window.entries.len(), window.unsettled, window.set_aside), (1, 1, 0));
    fs::write(&path, &content).unwrap();
    assert_eq!(payloads(&spool, 4), ["a", "b"]);
    fs::write(&path, &content[..10]).unwrap();
    touch(&path, Duration::from_secs(10));
    let window = spool.entries(P4).unwrap();
    assert_eq!((window.entries.len(), window.unsettled, window.set_aside), (1, 0, 1));
}

#[test]
fn a_bounded_number_of_corrupt_files_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    for number in 0..250 {
        let path = folder.path().join(format!("P4/{}-x.msg", 1_000_000_000_000_000_000u64 + number));
        fs::write(&path, "x").unwrap();
        touch(&path, Duration::from_secs(10));
    }
    assert_eq!(spool.entries(P4).unwrap().set_aside, 250);
    assert_eq!((spool.summary().unwrap().corrupt, spool.set_aside_count()), (100, 250));
    assert!(folder.path().join("corrupt/1000000000000000249-x.msg").exists(), "the newest are kept");
}

#[test]
fn a_message_can_be_written_anew_and_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.store(&message("a", 4)).unwrap();
    spool.store(&message("b", 4)).unwrap();
    let mut entries = spool.entries(P4).unwrap().entries;
    let retry = schedule::after(&entries[0].message, schedule::Outcome::Failed, SystemTime::now(), 0.5);
    let schedule::Settle::Retry(message) = retry else { panic!("{retry:?}") };
    entries[0].message = *message;
    spool.rewrite(&entries[0]).unwrap();
    let again = open(folder.path()).entries(P4).unwrap().entries;
    assert_eq!((again.len(), &again[0].message), (2, &entries[0].message));
    spool.set_aside(&entries[0], "a test").unwrap();
    assert_eq!((payloads(&spool, 4), spool.summary().unwrap().corrupt), (vec!["b".to_owned()], 1));
    // What is gone is not brought back by a late retry.
    spool.rewrite(&entries[0]).unwrap();
    assert_eq!(payloads(&spool, 4), ["b"]);
}

#[test]
fn one_delivers_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path()), open(folder.path()));
    let claim = one.claim().unwrap();
    let refused = other.claim().unwrap_err();
    assert!(matches!(refused, InUse::Claimed { process, .. } if process == Some(std::process::id())), "{refused}");
    other.store(&message("a", 4)).expect("storing needs no claim");
    drop(claim);
    drop(other.claim().unwrap());
}

#[test]
fn a_lock_that_is_held_too_long_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.store(&message("a", 4)).unwrap();
    let lock = fs::File::options().write(true).open(folder.path().join(".lock")).unwrap();
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
    let refused = spool.store(&message("b", 4)).unwrap_err();
    assert!(matches!(refused, SpoolError::Busy { .. }), "{refused}");
    // Listing goes on without it, as the existing implementation has no locks.
    assert_eq!(payloads(&spool, 4), ["a"]);
    drop(lock);
    spool.store(&message("c", 4)).unwrap();
    assert_eq!(payloads(&spool, 4), ["a", "c"]);
}

#[test]
fn a_spool_that_others_can_change_is_not_used() {
    type Spoil = fn(&Path);
    let rows: [(&str, Spoil, Option<&str>); 7] = [
        ("as it is made", |_| {}, None),
        ("root written by others", |path| chmod(path, 0o777), Some("mode 777")),
        ("root written by the group", |path| chmod(path, 0o770), Some("mode 770")),
        ("root written by others and sticky", |path| chmod(path, 0o1777), None),
        ("queue written by others", |path| chmod(&path.join("P2"), 0o1777), Some("mode 1777")),
        (
            "queue that is a link",
            |path| {
                fs::rename(path.join("P1"), path.join("elsewhere")).unwrap();
                symlink("elsewhere", path.join("P1")).unwrap();
            },
            Some("is no directory"),
        ),
        (
            "queue that is a file",
            |path| {
                fs::remove_dir(path.join("P1")).unwrap();
                fs::write(path.join("P1"), "").unwrap();
            },
            Some("is no directory"),
        ),
    ];
    for (name, spoil, expected) in rows {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool");
        drop(open(&path));
        spoil(&path);
        let verdict = Spool::open(&path, Limits::default()).map(drop);
        match (verdict, expected) {
            (Ok(()), None) => {}
            (Err(error @ SpoolError::Unsafe { .. }), Some(part)) => {
                assert!(error.to_string().contains(part), "{name}: {error}")
            }
            (verdict, _) => panic!("{name}: {verdict:?}"),
        }
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_is_swapped_redirects_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let spool = open(&path);
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(path.join("P4"), folder.path().join("moved")).unwrap();
    symlink(&elsewhere, path.join("P4")).unwrap();
    spool.store(&message("a", 4)).unwrap();
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(payloads(&spool, 4), ["a"]);
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let victim = folder.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, folder.path().join(".lock")).unwrap();
    assert!(spool.store(&message("a", 4)).is_err());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn root_leaves_what_the_owner_can_read() {
    if !nix::unistd::Uid::effective().is_root() {
        // Only root can give files away; without it there is nothing to be seen.
        println!("SKIPPED root_leaves_what_the_owner_can_read: run as root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    fs::create_dir(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(4711), Some(4711)).unwrap();
    let spool = open(&path);
    spool.store(&message("a", 4)).unwrap();
    let entry = spool.entries(P4).unwrap().entries.remove(0);
    spool.rewrite(&entry).unwrap();
    let owners: BTreeSet<u32> = ["P4", "P0", ".lock", "corrupt", &format!("P4/{}", entry.name)]
        .iter()
        .map(|name| fs::metadata(path.join(name)).unwrap().uid())
        .collect();
    assert_eq!(owners, [4711].into());
    assert_eq!(spool.owner(), 4711);
}

#[test]
fn threads_and_processes_store_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let spools: Vec<Spool> = (0..4).map(|_| open(folder.path())).collect();
    std::thread::scope(|scope| {
        for (writer, spool) in spools.iter().enumerate() {
            scope.spawn(move || {
                for batch in 0..10 {
                    let messages: Vec<Message> =
                        (0..5).map(|number| message(&format!("{writer} {batch} {number}"), 4)).collect();
                    spool.store_many(&messages).into_iter().for_each(|stored| drop(stored.unwrap()));
                }
            });
        }
    });
    let all = payloads(&spools[0], 4);
    assert_eq!(all.len(), 200);
    for writer in 0..4 {
        let own: Vec<_> = all.iter().filter(|text| text.starts_with(&format!("{writer} "))).cloned().collect();
        let expected: Vec<_> =
            (0..10).flat_map(|batch| (0..5).map(move |number| format!("{writer} {batch} {number}"))).collect();
        assert_eq!(own, expected, "writer {writer}");
    }
    assert_eq!(spools[0].summary().unwrap().messages(), 200);
}

#[test]
fn a_window_is_bounded_by_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let large = "x".repeat(1 << 20);
    let draft = || {
        accept(Draft::new("a", large.as_bytes()), Sender::user(0), "n1", MessageId::generate(), SystemTime::now())
            .unwrap()
    };
    spool
        .store_many(&(0..10).map(|_| draft()).collect::<Vec<_>>())
        .into_iter()
        .for_each(|stored| drop(stored.unwrap()));
    let window = spool.entries(P4).unwrap();
    assert_eq!((window.entries.len(), window.more), (5, true));
    let next = spool.entries_after(P4, window.entries.last().map(|entry| &entry.name)).unwrap();
    assert_eq!((next.entries.len(), next.more), (5, false));
}
