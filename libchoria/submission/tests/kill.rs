//! A program that stores messages is killed at random points, again and again: what it said it stored is there, once and
//! in order, and nothing that it said failed.
//!
//! A kill is not a power cut: what was written stays in the system's memory. That the system is asked to write it down
//! before success is told, is seen in the order of system calls alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use choria_submission::{Draft, Limits, MessageId, Priority, Sender, Spool, accept};
use common::{message, open, payloads};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const LIMITS: Limits = Limits { max_messages: 10_000_000, max_bytes: u64::MAX, max_message_size: 1 << 20 };
/// Messages stored at once by the writer.
const BATCH: u64 = 7;

/// The program that the test runs and kills: stores batches whose payloads are `PREFIX NUMBER`, each batch with another
/// priority, and says `stored PRIORITY NUMBER` or `failed NUMBER`.
#[test]
#[ignore = "the program that the other test runs and kills"]
fn writer() {
    let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name}: this is run by the test below"));
    let (path, prefix) = (variable("SPOOL"), variable("PREFIX"));
    let spool = Spool::open(Path::new(&path), LIMITS).unwrap();
    for batch in 0.. {
        let priority = Priority::new(batch % 5).unwrap();
        let numbered = |number: u64| {
            let draft = Draft { priority, reliable: true, ..Draft::new("test.kill", format!("{prefix} {number}")) };
            accept(draft, Sender::user(0), "n1", MessageId::generate(), SystemTime::now()).unwrap()
        };
        let messages: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).map(numbered).collect();
        let mut lines = Vec::new();
        for (number, stored) in (batch * BATCH..).zip(spool.store_many(&messages)) {
            match stored {
                Ok(stored) => writeln!(lines, "\nstored {} {number}", stored.priority).unwrap(),
                Err(error) => writeln!(lines, "\nfailed {number} {error}").unwrap(),
            }
        }
        // One write: what is read is the whole or nothing.
        std::io::stdout().write_all(&lines).unwrap();
    }
}

fn start(spool: &Path, prefix: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture", "--test-threads=1"])
        .env("SPOOL", spool)
        .env("PREFIX", prefix.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs a writer, kills it after so many messages were told and a moment more, and returns what it told.
fn run_and_kill(spool: &Path, prefix: usize, after: usize, moment: Duration) -> Vec<String> {
    let mut child = start(spool, prefix);
    let output = child.stdout.take().unwrap();
    let mut told = Vec::new();
    let began = Instant::now();
    let mut lines = BufReader::new(output).lines().map(|line| line.unwrap());
    while told.len() < after {
        assert!(began.elapsed() < Duration::from_secs(60), "the writer does nothing");
        let line = lines.next().expect("the writer ended by itself");
        told.extend(Some(line).filter(|line| line.starts_with("stored ") || line.starts_with("failed ")));
    }
    // A busy wait: shorter than any sleep can be.
    let deadline = Instant::now() + moment;
    while Instant::now() < deadline {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    told.extend(lines.filter(|line| line.starts_with("stored ") || line.starts_with("failed ")));
    told
}

#[test]
fn what_was_told_is_there_once_and_in_order() {
    let rounds: usize = std::env::var("CHORIA_KILLS").map_or(150, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let mut told: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut kept = 0;
    for round in 0..rounds {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (after, moment) = (random as usize % 40, Duration::from_micros(random >> 20 & 0x7FF));
        for line in run_and_kill(folder.path(), round, after, moment) {
            let [_, priority, number] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            told.entry(priority.parse().unwrap()).or_default().push(format!("{round} {number}"));
            kept += 1;
        }
    }
    let spool = open(folder.path());
    let mut untold = 0;
    for priority in 0..5 {
        let there = payloads(&spool, priority);
        let told = told.remove(&priority).unwrap_or_default();
        let unique: BTreeSet<&String> = there.iter().collect();
        assert_eq!(unique.len(), there.len(), "priority {priority}: something is there twice");
        let wanted: BTreeSet<&String> = told.iter().collect();
        let found: Vec<&String> = there.iter().filter(|payload| wanted.contains(payload)).collect();
        assert_eq!(found, told.iter().collect::<Vec<_>>(), "priority {priority}: missing or in another order");
        // What was stored and not told, as the writer was killed in between, is in order too.
        let number = |payload: &String| -> (u64, u64) {
            let (round, number) = payload.split_once(' ').unwrap();
            (round.parse().unwrap(), number.parse().unwrap())
        };
        assert!(there.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])), "priority {priority}: order");
        untold += there.len() - told.len();
    }
    let summary = spool.summary().unwrap();
    assert_eq!((summary.corrupt, spool.set_aside_count()), (0, 0), "half a message was seen");
    println!("killed {rounds} times: {kept} messages told and found, {untold} stored and not told");
    assert!(untold <= rounds * BATCH as usize);
    Spool::open(folder.path(), LIMITS).unwrap().store(&message("the spool goes on", 0)).unwrap();
}

/// The order of system calls: each file is on the disk before it is renamed, and its directory after that, before
/// anything is told.
#[test]
fn success_is_told_after_the_disk_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let traced = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=fsync,syncfs,rename,renameat,renameat2,write",
            "-e",
            "signal=none",
            "-s",
            "16",
            "-o",
        ])
        .arg(&trace)
        .args(["timeout", "3"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture", "--test-threads=1"])
        .env("SPOOL", folder.path().join("spool"))
        .env("PREFIX", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(error) = traced {
        assert!(std::env::var_os("CI").is_none(), "strace: {error}");
        println!("SKIPPED success_is_told_after_the_disk_has_it: install strace ({error})");
        return;
    }
    let trace = std::fs::read_to_string(trace).unwrap();
    let mut calls = String::new();
    for line in trace.lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        calls.push(match call.split('(').next().unwrap_or_default() {
            "write" if call.contains("{\\\"id") => 'w',
            "write" if call.contains("stored") => 't',
            "fsync" | "syncfs" => 's',
            "rename" | "renameat" | "renameat2" => 'r',
            _ => continue,
        });
    }
    // What comes before the first message is making the directories.
    let calls = calls.trim_start_matches('s');
    let batch = format!("{}{}s t", "ws".repeat(7), "r".repeat(7)).replace(' ', "");
    assert!(calls.len() > batch.len(), "{calls}");
    assert!(calls.starts_with(&batch), "{}", &calls[..calls.len().min(200)]);
}
