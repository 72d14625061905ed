//! Five hundred servers lose their broker at once and find it again.

use choria_tests::{Lab, PATIENCE};
use std::collections::BTreeMap;
use std::time::Instant;

const SERVERS: usize = 500;

#[test]
fn five_hundred_servers_return_after_a_broker_restart_without_a_herd() {
    let lab = Lab::new();
    let broker = lab.start_broker();
    let count = SERVERS.to_string();
    let fleet = lab.start("choria", &["--debug", "emulate", "--count", &count, "--issuer", "issuer.seed"]).ready();
    whole(&lab, "before");
    assert_eq!(broker.stop().code, 0);
    let began = Instant::now();
    let broker = lab.start_broker();
    let ready = began.elapsed();
    whole(&lab, "after");
    println!(
        "fault: broker restarted: ready after {ready:?}, all {SERVERS} servers answered after {:?}",
        began.elapsed()
    );

    let log = fleet.log();
    let returned = log.matches("reconnected to the broker").count();
    assert_eq!(returned, SERVERS, "each server returned once");
    // No login was refused, here or there: a herd's logins come too late.
    let broker_log = broker.log();
    for line in log.lines().chain(broker_log.lines()) {
        let lower = line.to_lowercase();
        let refused = ["authorization violation", "authentication error", "authentication timeout"];
        assert!(!refused.iter().any(|words| lower.contains(words)), "a login failed: {line}");
    }
    spread(&log);
}

/// The fleet answers whole.
fn whole(lab: &Lab, when: &str) {
    let began = Instant::now();
    let expect = SERVERS.to_string();
    while lab.choria(&["ping", "--names", "--timeout", "10", "--expect", &expect]).stdout.lines().count() < SERVERS {
        assert!(began.elapsed() < PATIENCE * 2, "the fleet is not whole {when}");
    }
}

/// The waits before first attempts to return are spread: no tenth of a second holds more than a quarter of them.
fn spread(log: &str) {
    let mut tenths: BTreeMap<u64, usize> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("attempt=1 ") || line.ends_with("attempt=1")) {
        let wait =
            line.split_once("reconnecting in ").and_then(|(_, rest)| rest.split_once(" s")?.0.parse::<f64>().ok());
        if let Some(wait) = wait {
            *tenths.entry((wait * 10.0).round() as u64).or_default() += 1;
        }
    }
    let waits: usize = tenths.values().sum();
    println!("fault: waits before the first attempt, by tenths of a second: {tenths:?}");
    assert!(waits >= SERVERS, "only {waits} waits are in the log");
    let most = tenths.values().max().copied().unwrap_or_default();
    assert!(most <= waits / 4, "{most} of {waits} servers return within a tenth of a second: {tenths:?}");
}
