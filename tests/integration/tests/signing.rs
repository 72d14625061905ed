//! Requests of people who logged in: signed by the AAA service, whatever happens to it.

use choria_tests::Demonstration;
use std::sync::atomic::{AtomicBool, Ordering};

const NODE: &str = "n1";

/// A network with one ordinary server, an AAA service, and `choria` logged in.
fn network() -> (Demonstration, Vec<choria_tests::Process>) {
    let demo = Demonstration::new();
    let broker = demo.lab.start_broker();
    demo.lab.server(NODE, "n1.lab.example.net");
    let server = demo.lab.start("choria-server", &["--config", "n1.conf"]).ready();
    (demo, vec![server, broker])
}

#[test]
fn a_signing_burst_survives_a_restart_of_the_aaa_service() {
    let (demo, _running) = network();
    let aaa = demo.start_aaa();
    demo.login("choria");
    demo.wait_for_fleet("choria", 1);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut served = 0;
                    while !done.load(Ordering::Relaxed) {
                        demo.choria("choria", &["req", "rpcutil", "ping", "-I", "n1.lab.example.net"]).succeeded();
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        let mut aaa = aaa;
        for _ in 0..3 {
            aaa.stop().succeeded();
            aaa = demo.start_aaa();
        }
        done.store(true, Ordering::Relaxed);
        let served: usize = workers.into_iter().map(|worker| worker.join().expect("no request failed")).sum();
        assert!(served >= 3, "only {served} requests were made");
    });
}

#[test]
fn an_expired_login_says_what_to_do() {
    let (demo, _running) = network();
    let _aaa = demo.start_aaa();
    demo.login("choria");
    demo.lab.expire("users/choria/client", "chain.seed");
    let output = demo.choria("choria", &["req", "rpcutil", "ping"]);
    output.failed(1, &["expired", "choria login"]);
}

#[test]
fn requests_are_signed_over_http_too() {
    let (demo, _running) = network();
    let _aaa = demo.start_aaa();
    demo.login("choria");
    let conf = demo.lab.read("users/choria.conf");
    let url = format!("https://127.0.0.1:{}/choria/v1/sign", demo.aaa_port);
    let conf = conf.replace(
        "plugin.choria.security.request_signer.service = true",
        &format!("plugin.choria.security.request_signer.url = {url}"),
    );
    demo.lab.write("users/choria.conf", &conf);
    let said = demo.choria("choria", &["req", "rpcutil", "ping", "-I", "n1.lab.example.net"]).succeeded();
    assert!(said.contains("1 / 1"), "{said}");
    let denied = demo.choria("choria", &["req", "choria_provision", "restart", "token=x", "-I", "n1.lab.example.net"]);
    denied.failed(1, &["Request denied"]);
}

#[test]
fn without_the_aaa_service_nothing_is_sent_and_the_reason_is_told() {
    let (demo, _running) = network();
    let aaa = demo.start_aaa();
    demo.login("choria");
    aaa.stop().succeeded();
    let output = demo.choria("choria", &["req", "rpcutil", "ping", "-I", "n1.lab.example.net"]);
    output.failed(1, &["aaa_signer"]);
}
