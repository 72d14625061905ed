//! A fleet without a broker: it starts, counts itself and stops. With one it is tested by the integration tests.

use choria_emulator::{Fleet, Plan, run};
use network::Tls;
use std::time::Duration;
use tokens::Seed;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// `count` servers that connect to a port where nobody listens.
fn plan(name: &str, count: usize) -> Plan {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    Plan {
        count,
        name: name.to_owned(),
        issuer: Seed::from_bytes([7; 32]),
        organization: "choria".to_owned(),
        servers: vec![format!("nats://127.0.0.1:{port}").parse().expect("an address")],
        tls: Tls::disabled().expect("no TLS"),
        collective: "choria".parse().expect("a collective"),
        facts: Vec::new(),
        classes: None,
        at_once: 2,
    }
}

#[tokio::test]
async fn a_fleet_counts_itself_and_stops_in_order() {
    let stop = CancellationToken::new();
    let fleet = Fleet::start(plan("e", 5), stop.clone());
    let mut fleet = tokio::time::timeout(PATIENCE, fleet).await.expect("in time").expect("a fleet");
    let report = fleet.report();
    assert_eq!((report.instances, report.connected, report.failed, report.replies), (5, 0, 0, 0));
    assert!(report.resident_bytes > 0);
    tokio::time::timeout(PATIENCE, fleet.stop()).await.expect("it stops");
    assert_eq!(fleet.report().failed, 0);
}

#[tokio::test]
async fn running_ends_when_told_to() {
    let stop = CancellationToken::new();
    let mut reports = 0;
    let told = |_: &_| {
        reports += 1;
        stop.cancel();
    };
    let ended = run(plan("e", 1), stop.clone(), Duration::from_millis(10), told);
    let report = tokio::time::timeout(PATIENCE, ended).await.expect("in time").expect("a report");
    assert_eq!((reports, report.instances), (1, 1));
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_its_rule() {
    let error = Fleet::start(plan("two words", 1), CancellationToken::new()).await.expect_err("not a name");
    assert!(error.to_string().contains("two words"), "{error}");
    let error = Fleet::start(plan("e", usize::MAX / 2), CancellationToken::new()).await.expect_err("too many");
    assert!(error.to_string().contains("open files"), "{error}");
}
