//! Bad input: one clear sentence on standard error, the right exit code, and no daemon dies.

use choria_tests::{Lab, Output};
use std::net::TcpListener;

/// One line that says what is wrong, nothing that looks like a crash.
#[track_caller]
fn refused(output: &Output, texts: &[&str]) {
    output.failed(1, texts);
    let errors = output.stderr.lines().filter(|line| !line.contains("level=info") && !line.contains("level=warning"));
    assert!(errors.count() <= 6, "an error is a sentence, not a page: {output:#?}");
}

#[test]
fn clients_explain_bad_credentials() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    lab.keys("stranger");
    lab.client("foreign", "stranger.seed");
    refused(&lab.choria_as("foreign", &["ping"]), &["foreign.jwt"]);
    lab.client("late", "issuer.seed");
    lab.expire("late", "issuer.seed");
    refused(&lab.choria_as("late", &["ping"]), &["late.jwt", "expired"]);
    lab.client("mixed", "issuer.seed");
    std::fs::copy(lab.path("client.seed"), lab.path("mixed.seed")).expect("a copy");
    refused(&lab.choria_as("mixed", &["ping"]), &["mixed.jwt", "the seed does not belong to it"]);
    lab.client("cut", "issuer.seed");
    let token = lab.read("cut.jwt");
    lab.write("cut.jwt", &token[..token.len() / 2]);
    refused(&lab.choria_as("cut", &["ping"]), &["cut.jwt"]);
    lab.client("bare", "issuer.seed");
    std::fs::remove_file(lab.path("bare.seed")).expect("removal");
    refused(&lab.choria_as("bare", &["ping"]), &["bare.seed"]);
    refused(&lab.choria_as("nosuch", &["ping"]), &["nosuch.conf"]);
}

#[test]
fn a_client_says_when_the_broker_is_down() {
    let lab = Lab::new();
    let output = lab.choria(&["ping", "--connect-timeout", "2s"]);
    refused(&output, &[&format!("127.0.0.1:{}", lab.port)]);
    assert!(output.took.as_secs() < 10, "{output:?}");
}

#[test]
fn servers_refuse_what_they_cannot_use() {
    let lab = Lab::new();
    let start = |config: &str| lab.start("choria-server", &["--config", config]).output();
    refused(&start("missing.conf"), &["missing.conf"]);
    lab.server("n1", "n1.lab.example.net");
    lab.write("bad.conf", &format!("{}\nttl = soon\nregisterinterval = 5 minutes\n", lab.read("n1.conf")));
    refused(&start("bad.conf"), &["bad.conf", "ttl", "soon", "registerinterval", "5 minutes"]);
    let public = lab.read("n1.public");
    lab.write("n1.public", &public);
    std::fs::copy(lab.path("client.seed"), lab.path("n1.seed")).expect("a copy");
    refused(&start("n1.conf"), &["n1.jwt", "n1.seed", "the seed does not belong to it"]);
    std::fs::remove_file(lab.path("n1.seed")).expect("removal");
    refused(&start("n1.conf"), &["n1.seed"]);
}

#[test]
fn brokers_refuse_what_they_cannot_use() {
    let lab = Lab::new();
    let start = |environment: &[(&str, &str)]| {
        lab.start_with("choria-broker", &["--config", "broker.conf"], environment).output()
    };
    refused(&start(&[("CHORIA_NATS_SERVER", "/nonexistent/nats-server")]), &["/nonexistent/nats-server"]);
    refused(&start(&[("CHORIA_NATS_SERVER", ""), ("PATH", "/nonexistent")]), &["nats-server", "install"]);
    lab.write("old-nats-server", "#!/bin/sh\necho 'nats-server: v2.9.10'\n");
    let old = lab.path("old-nats-server");
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    refused(&start(&[("CHORIA_NATS_SERVER", old.to_str().expect("a path"))]), &["2.9.10", "2.10"]);
    let taken = TcpListener::bind(("127.0.0.1", lab.port)).expect("the port was free");
    refused(&start(&[]), &[&lab.port.to_string()]);
    drop(taken);
    lab.write("empty.conf", "plugin.security.provider = choria\n");
    lab.start("choria-broker", &["--config", "empty.conf"]).output().failed(1, &["broker"]);
}
