//! Faults: whatever dies or lies, the fleet is whole again with nothing done by hand.

use choria_tests::{Lab, PATIENCE, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Instant;

#[test]
fn a_killed_nats_server_comes_back_under_load() {
    let lab = Lab::new();
    let mut broker = lab.start_broker();
    let mut servers = lab.start_servers(5);
    lab.wait_for_fleet(5);
    let nats = nats_server_of(&broker);
    let load = lab.start("choria", &["req", "rpcutil", "ping", "--batch", "1", "--batch-sleep", "1", "--json"]);
    kill(Pid::from_raw(nats), Signal::SIGKILL).expect("the nats-server runs");
    let began = Instant::now();
    let again = loop {
        let children = broker.children();
        if let Some(child) = children.into_iter().find(|child| *child != nats && is_nats_server(*child)) {
            break child;
        }
        assert!(began.elapsed() < PATIENCE, "not restarted:\n{}", broker.log());
        std::thread::yield_now();
    };
    assert_ne!(again, nats);
    let back = lab.wait_for_fleet(5);
    println!("fault: nats-server killed: all 5 servers answered again {back:?} after it was restarted");
    assert!(broker.is_running() && servers.iter_mut().all(Process::is_running));
    drop(load);
}

#[test]
fn a_broker_stops_its_child_and_servers_survive_its_absence() {
    let lab = Lab::new();
    let broker = lab.start_broker();
    let nats = nats_server_of(&broker);
    let servers = lab.start_servers(2);
    lab.wait_for_fleet(2);
    let output = broker.stop();
    assert_eq!(output.code, 0, "{output:#?}");
    assert!(!is_nats_server(nats), "the child outlived its broker");
    let _broker = lab.start_broker();
    lab.wait_for_fleet(2);
    for server in servers {
        let output = server.stop();
        assert_eq!(output.code, 0, "{output:#?}");
    }
}

fn nats_server_of(broker: &Process) -> i32 {
    broker.children().into_iter().find(|child| is_nats_server(*child)).expect("the broker runs a nats-server")
}

fn is_nats_server(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("nats-server"))
}
