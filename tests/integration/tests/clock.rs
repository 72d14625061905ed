//! The clock of a node steps by an hour, either way and back.

use choria_tests::{Lab, PATIENCE, Process, faketime, skipped};
use serde_json::Value;
use std::time::{Duration, Instant};

#[test]
fn a_clock_that_steps_by_an_hour_costs_requests_and_nothing_else() {
    let Some(library) = faketime() else {
        let why = "libfaketimeMT.so.1 was not found: install libfaketime (Debian: apt install libfaketime)";
        return skipped("a_clock_that_steps_by_an_hour_costs_requests_and_nothing_else", why);
    };
    let lab = Lab::new();
    let _broker = lab.start_broker();
    lab.server("n1", "n1.lab.example.net");
    lab.write("n1.conf", &(lab.read("n1.conf") + "plugin.choria.status_update_interval = 1\n"));
    lab.write("offset", "+0s");
    let offset = lab.path("offset").display().to_string();
    let environment = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", offset.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut server = lab.start_with("choria-server", &["--config", "n1.conf"], &environment).ready();
    lab.wait_for_fleet(1);
    for (step, reason) in [("+3600s", "s old and its ttl is"), ("-3600s", "")] {
        let before = server.log().len();
        lab.write("offset", step);
        let busy = processor_time(&server);
        let began = Instant::now();
        // Requests are refused, counted, and the log says what to look at.
        let ping = lab.choria(&["ping", "--names", "--timeout", "2"]);
        assert_eq!(ping.stdout.lines().count(), 0, "{step}: a request of another hour was served: {ping:?}");
        let log = server.log();
        let refusals: Vec<&str> = log[before..].lines().filter(|line| line.contains("dropped")).collect();
        assert!(refusals.iter().any(|line| line.contains(reason) && line.contains("clock")), "{step}: {refusals:#?}");
        until("the status file goes on", &server, || status(&lab).is_some());
        let (worked, passed) = (processor_time(&server) - busy, began.elapsed());
        assert!(worked < passed / 2 + Duration::from_millis(500), "{step}: busy for {worked:?} of {passed:?}");
        assert!(server.is_running(), "{step}: {}", server.log());
        // It never lost its connection over it, and serves at once when the clock is right again.
        lab.write("offset", "+0s");
        let began = Instant::now();
        lab.wait_for_fleet(1);
        println!(
            "fault: clock {step}: refused; {worked:?} of processor time in {passed:?}; served {:?} after",
            began.elapsed()
        );
    }
    let log = server.log();
    assert!(!log.contains("connection to the broker is lost") && !log.contains("panicked"), "{log}");
    assert_eq!(server.stop().code, 0);
}

/// The status file, when it can be read as JSON.
fn status(lab: &Lab) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(lab.path("n1.status.json")).ok()?).ok()
}

/// User and system time of a process so far.
fn processor_time(process: &Process) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).expect("the process runs");
    let fields: Vec<&str> = text.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Duration::from_millis(ticks * 10)
}

fn until(what: &str, server: &Process, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", server.log());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
