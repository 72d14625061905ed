//! A thousand servers on one broker: no reply is lost.

use choria_tests::{Lab, PATIENCE};
use serde_json::Value;
use std::time::Instant;

const SERVERS: &str = "1000";

#[test]
fn a_thousand_servers_answer_whole_five_times_in_a_row() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let _fleet = lab.start("choria", &["emulate", "--count", SERVERS, "--issuer", "issuer.seed"]).ready();
    let began = Instant::now();
    while lab.choria(&["ping", "--names", "--timeout", "20", "--expect", SERVERS]).stdout.lines().count() < 1000 {
        assert!(began.elapsed() < PATIENCE * 2, "the fleet is not complete");
    }
    for round in 1..=5 {
        let ping = lab.choria(&["ping", "--names", "--timeout", "30", "--expect", SERVERS]);
        assert_eq!(ping.stdout.lines().count(), 1000, "ping, round {round}");
        let request =
            lab.choria(&["req", "rpcutil", "ping", "--json", "--discovery-timeout", "30", "--discovery-window"]);
        let document: Value =
            serde_json::from_str(&request.stdout).unwrap_or_else(|error| panic!("{error}: {request:?}"));
        assert_eq!(document["request_stats"]["ok"], 1000, "req, round {round}: {}", document["request_stats"]);
        println!("scale: round {round}: ping {:?}, req {:?}", ping.took, request.took);
    }
}
