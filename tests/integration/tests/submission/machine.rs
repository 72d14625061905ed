//! Clocks that jump and disks that are full.

use crate::{run, until, waiting};
use async_nats::jetstream::stream;
use choria_tests::submission::{make_stream, reliable, store, wait_for_messages};
use choria_tests::{Lab, faketime, skipped};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use submission::{Limits, MessageId, Sender, Spool, accept};

#[test]
fn a_clock_that_jumps_holds_nothing_up_and_loses_nothing() {
    let Some(library) = faketime() else {
        let why = "libfaketimeMT.so.1 was not found: install libfaketime (Debian: apt install libfaketime)";
        return skipped("a_clock_that_jumps_holds_nothing_up_and_loses_nothing", why);
    };
    let lab = Lab::new();
    lab.administrator();
    let _broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    lab.write("n1.conf", &lab.read("n1.conf").replace("loglevel = info", "loglevel = debug"));
    let spool = lab.spool("n1");
    lab.write("offset", "+7200s");
    let offset = lab.path("offset").display().to_string();
    let environment = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", offset.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    run(async {
        let streams = lab.streams().await;
        let sent: Vec<String> =
            (0..5).map(|number| store(&spool, reliable("local.test", &format!("{number}"))).id.to_string()).collect();
        // Two hours ahead nobody takes them, and the time of the next try is written by that clock.
        let server = lab.start_with("choria-server", &["--config", "n1.conf"], &environment).ready();
        let tries = |count: usize| move |log: String| log.matches("a message is not stored").count() >= count;
        until("it tries", &server, || tries(2)(server.log()));
        // Then the clock is right, and later behind. Neither waits for two hours.
        lab.write("offset", "+0s");
        until("it tries with the right clock", &server, || tries(4)(server.log()));
        lab.write("offset", "-7200s");
        until("it tries with a clock that is behind", &server, || tries(6)(server.log()));
        make_stream(&streams, stream::Config::default()).await;
        let messages = wait_for_messages(&streams, 5, || server.log()).await;
        assert_eq!(messages.iter().map(|message| message.id.clone()).collect::<Vec<_>>(), sent);
        until("the spool is empty", &server, || waiting(&spool, 4) == 0);
    });
}

#[test]
fn a_full_disk_refuses_what_is_new_and_delivers_what_it_has() {
    let lab = Lab::new();
    lab.administrator();
    let _broker = lab.start_broker();
    lab.submitting_server("n1", "n1.lab.example.net");
    let _disk = match Disk::mount(&lab.spool_path("n1")) {
        Ok(disk) => disk,
        Err(why) => return skipped("a_full_disk_refuses_what_is_new_and_delivers_what_it_has", &why),
    };
    let spool =
        Spool::open(&lab.spool_path("n1"), Limits { max_messages: 1_000_000, ..Limits::default() }).expect("a spool");
    run(async {
        let streams = lab.streams().await;
        let mut sent = Vec::new();
        let refused = loop {
            let draft = reliable("local.test", &"x".repeat(3000));
            let message = accept(draft, Sender::owner(0), "n1", MessageId::generate(), SystemTime::now());
            let message = message.expect("a valid draft");
            match spool.store(&message) {
                Ok(_) => sent.push(message.id.to_string()),
                Err(error) => break error.to_string(),
            }
            assert!(sent.len() < 10_000, "the disk never was full");
        };
        assert!(refused.contains("No space left") || refused.contains("ENOSPC"), "{refused}");
        assert_eq!(waiting(&spool, 4), sent.len() as u64);
        // Tries cannot be written down, which costs nothing but the number.
        let server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
        until("it tries", &server, || server.log().contains("no stream takes messages for"));
        make_stream(&streams, stream::Config::default()).await;
        let messages = wait_for_messages(&streams, sent.len(), || server.log()).await;
        assert_eq!(messages.iter().map(|message| message.id.clone()).collect::<Vec<_>>(), sent);
        until("the spool is empty", &server, || waiting(&spool, 4) == 0);
        drop(spool);
        assert_eq!(server.stop().code, 0);
    });
}

/// A small disk of its own in place of a directory.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(path).map_err(|error| error.to_string())?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=400k,mode=0700", "tmpfs"]).arg(path).output();
        let mounted = mounted.map_err(|error| format!("mount: {error}"))?;
        if mounted.status.success() {
            return Ok(Self(path.to_owned()));
        }
        Err(format!("no small disk can be mounted: {}", String::from_utf8_lossy(&mounted.stderr).trim()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone_already = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}
