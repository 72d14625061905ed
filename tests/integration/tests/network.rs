//! Networks that fail: cut, silent, half-open, slow. The fleet is whole again with nothing done by hand.

use choria_tests::{Cut, Lab, PATIENCE, Process, Proxy, Wire, skipped};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Servers that ping their broker each second and tell in their status file within another whether they are connected.
const QUICK: &str = "plugin.choria.network.ping_interval = 1s\nplugin.choria.status_update_interval = 1\n";

#[test]
fn a_cut_network_heals_by_itself() {
    let wire = match Wire::new() {
        Ok(wire) => wire,
        Err(why) => return skipped("a_cut_network_heals_by_itself", &why),
    };
    let lab = Lab::new();
    for file in ["broker.conf", "client.conf"] {
        lab.write(file, &lab.read(file).replace("127.0.0.1", Wire::BROKER));
    }
    let mut broker = lab.start_behind(&wire.broker_side(), "choria-broker", &["--config", "broker.conf"]).ready();
    let mut servers: Vec<Process> = ["n1", "n2"]
        .map(|name| {
            lab.server(name, &format!("{name}.lab.example.net"));
            lab.write(
                &format!("{name}.conf"),
                &(lab.read(&format!("{name}.conf")).replace("127.0.0.1", Wire::BROKER) + QUICK),
            );
            lab.start_behind(&wire.nodes_side(), "choria-server", &["--config", &format!("{name}.conf")]).ready()
        })
        .into();
    let fleet = |count| wait_for_fleet(&lab, &wire, count);
    fleet(2);
    for how in [Cut::Pulled, Cut::Silent, Cut::Pulled] {
        let began = Instant::now();
        wire.cut(how);
        until("n1 notices the cut", &servers[0], || connected_server(&lab, "n1").is_empty());
        until("n2 notices the cut", &servers[1], || connected_server(&lab, "n2").is_empty());
        let noticed = began.elapsed();
        wire.heal(how);
        let began = Instant::now();
        fleet(2);
        println!(
            "fault: network cut ({how:?}): noticed after {noticed:?}, both servers answered {:?} after healing",
            began.elapsed()
        );
    }
    assert!(broker.is_running() && servers.iter_mut().all(Process::is_running));
    assert!(servers.iter().all(|server| !server.log().contains("panicked")));
}

#[test]
fn a_broker_that_falls_silent_is_noticed_while_connected_and_while_connecting() {
    let lab = Lab::new();
    let broker = lab.start_broker();
    let proxy = Proxy::before(lab.port);
    lab.server("n1", "n1.lab.example.net");
    let through = lab.read("n1.conf").replace(&format!("127.0.0.1:{}", lab.port), &format!("127.0.0.1:{}", proxy.port));
    lab.write("n1.conf", &(through + QUICK));
    let mut server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    lab.wait_for_fleet(1);

    // While connected: three pings of a second.
    let began = Instant::now();
    proxy.silent(true);
    until("the server notices the silence", &server, || connected_server(&lab, "n1").is_empty());
    let noticed = began.elapsed();
    // While connecting: the attempt to return is taken and gets no answer, not even when others get one again.
    let taken = proxy.accepted();
    until("the server tries to return", &server, || proxy.accepted() > taken);
    proxy.silent(false);
    let began = Instant::now();
    lab.wait_for_fleet(1);
    println!(
        "fault: silent broker: noticed after {noticed:?}; a hanging attempt was given up after {:?}",
        began.elapsed()
    );

    // A first attempt that hangs ends, too.
    proxy.silent(true);
    assert_eq!(server.stop().code, 0, "a server that hangs in an attempt stops when told");
    server = lab.start("choria-server", &["--config", "n1.conf"]);
    let taken = proxy.accepted();
    until("the server tries to connect", &server, || proxy.accepted() > taken);
    proxy.silent(false);
    lab.wait_for_fleet(1);
    drop(broker);
}

#[test]
fn a_client_that_does_not_read_is_dropped_alone() {
    let lab = Lab::new();
    let mut broker = lab.start_broker();
    let servers = lab.start_servers(3);
    lab.wait_for_fleet(3);
    let public = lab.keys("flood");
    let flags = ["--public-key", &public, "--validity", "1d", "--org-admin"];
    lab.choria(&[&["jwt", "client", "flood.jwt", "up=flood", "issuer.seed"][..], &flags].concat()).succeeded();
    lab.write("flood.conf", &lab.read("client.conf").replace("/client.", "/flood."));
    let proxy = Proxy::before(lab.port);
    let through = lab.read("flood.conf").replace(&format!(":{}", lab.port), &format!(":{}", proxy.port));
    lab.write("slow.conf", &through);

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let slow = runtime.block_on(lab.connect("slow")).connection;
    let subscription = runtime.block_on(slow.subscribe("flood.slow", None)).expect("a subscription");
    runtime.block_on(slow.flush()).expect("the broker knows the subscription");
    proxy.deaf(true);
    let fast = runtime.block_on(lab.connect("flood")).connection;
    let began = Instant::now();
    // Until the broker gives up on the reader that does not read; nats-server waits ten seconds for a write.
    while !broker.log().to_lowercase().contains("slow consumer") {
        runtime.block_on(async {
            for _ in 0..8 {
                fast.publish("flood.slow", vec![b'x'; 256 * 1024].into()).await.expect("the publisher is not held up");
            }
            fast.flush().await.expect("the broker takes it all");
        });
        let ping = lab.choria(&["ping", "--names", "--timeout", "5", "--expect", "3"]);
        assert_eq!(ping.stdout.lines().count(), 3, "the fleet suffers: {ping:?}");
        assert!(began.elapsed() < PATIENCE, "the broker never gave up on the reader:\n{}", broker.log());
    }
    println!("fault: slow consumer: dropped after {:?}; every ping in between was whole", began.elapsed());
    for server in &servers {
        assert!(!server.log().contains("connection to the broker is lost"), "{}", server.log());
    }
    lab.wait_for_fleet(3);
    // And it may come back when it reads again.
    proxy.deaf(false);
    runtime.block_on(async {
        let began = Instant::now();
        while slow.status().reconnects == 0 {
            assert!(began.elapsed() < PATIENCE, "the slow client did not return: {:?}", slow.status());
            tokio::task::yield_now().await;
        }
    });
    runtime.block_on(async { drop(subscription) });
    assert!(broker.is_running());
}

/// The broker that the server's status file names; empty while it is not connected.
fn connected_server(lab: &Lab, name: &str) -> String {
    let text = std::fs::read_to_string(lab.path(&format!("{name}.status.json"))).unwrap_or_default();
    let status: Value = serde_json::from_str(&text).unwrap_or_default();
    status["connected_server"].as_str().unwrap_or("unknown").to_owned()
}

/// Polls until `done`.
#[track_caller]
fn until(what: &str, server: &Process, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", server.log());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// As [`Lab::wait_for_fleet`], with a client on the broker's side of the wire.
fn wait_for_fleet(lab: &Lab, wire: &Wire, count: usize) {
    let began = Instant::now();
    loop {
        let expect = count.to_string();
        let arguments = ["ping", "--names", "--timeout", "2", "--expect", &expect];
        let output = lab.start_behind(&wire.broker_side(), "choria", &arguments).output();
        if output.stdout.lines().count() == count {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "no {count} answers within {PATIENCE:?}, last:\n{output:?}");
    }
}
