//! Programs that do not start: configuration, token, seed, trust, nats-server.

use super::Refusal;
use choria_tests::Lab;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};
use tokens::SigningKey;

/// Lines to add to a configuration, or text to replace in it.
enum Change {
    Add(&'static str),
    Replace(&'static str, &'static str),
}
use Change::{Add, Replace};

pub(crate) fn refusals() -> Vec<Refusal> {
    let lab = Lab::new();
    lab.server("n1", "n1.lab.example.net");
    let mut all = brokers(&lab);
    all.extend(broker_files(&lab));
    all.extend(servers(&lab));
    all.extend(clients(&lab));
    all.extend(tokens_of_others(&lab));
    all
}

/// `FROM.conf` changed, as `changed.conf`.
fn changed(lab: &Lab, from: &str, change: &Change) {
    let text = lab.read(&format!("{from}.conf"));
    let text = match change {
        Add(lines) => format!("{text}{lines}\n"),
        Replace(old, new) => {
            assert!(text.contains(old), "{old}: {text}");
            text.replace(old, new)
        }
    };
    lab.write("changed.conf", &text);
}

fn run(lab: &Lab, program: &str) -> String {
    lab.start(program, &["--config", "changed.conf"]).output().stderr
}

fn brokers(lab: &Lab) -> Vec<Refusal> {
    const NETWORK: &str = "plugin.choria.broker_network = true";
    let rows = [
        ("broker-value", Add("plugin.choria.network.client_port = many")),
        ("broker-off", Replace(NETWORK, "plugin.choria.broker_network = false")),
        ("broker-provider", Replace("provider = choria", "provider = puppet")),
        ("broker-no-trust", Replace("plugin.security.issuer.names = choria", "")),
        ("broker-two-trusts", Add("plugin.choria.network.client_signer_cert = /x")),
        ("broker-issuer-key", Replace("plugin.security.issuer.choria.public", "plugin.security.issuer.other.public")),
        ("broker-no-token", Replace("plugin.security.choria.token_file", "plugin.unknown.token")),
        ("broker-no-seed", Replace("plugin.security.choria.seed_file", "plugin.unknown.seed")),
        ("broker-certificate-alone", Add("plugin.security.choria.certificate = /x")),
        ("broker-key-alone", Add("plugin.security.choria.key = /x")),
        ("broker-listen-address", Add("plugin.choria.network.listen_address = not/an/address")),
        ("broker-public-url", Add("plugin.choria.network.public_url = broker")),
        ("broker-system-user-alone", Add("plugin.choria.network.system.user = sys")),
        ("broker-system-password-alone", Add("plugin.choria.network.system.password = sys")),
        (
            "broker-mapping",
            Add("plugin.choria.network.mapping.names = m\nplugin.choria.network.mapping.m.source = a..b"),
        ),
        ("broker-client-hosts", Add("plugin.choria.network.client_hosts = 10.0.0.0/99")),
    ];
    rows.into_iter()
        .map(|(id, change)| {
            changed(lab, "broker", &change);
            Refusal::new(id, "choria-broker", run(lab, "choria-broker"))
        })
        .collect()
}

fn broker_files(lab: &Lab) -> Vec<Refusal> {
    const FROM: &str = "choria-broker";
    let start =
        |environment: &[(&str, &str)]| lab.start_with(FROM, &["--config", "broker.conf"], environment).output().stderr;
    let mut all = vec![
        Refusal::new("broker-config-missing", FROM, lab.start(FROM, &["--config", "nosuch.conf"]).output().stderr),
        Refusal::new("nats-server-missing", FROM, start(&[("CHORIA_NATS_SERVER", ""), ("PATH", "/nonexistent")])),
        Refusal::new("nats-server-unusable", FROM, start(&[("CHORIA_NATS_SERVER", "/nonexistent/nats-server")])),
    ];
    lab.write("old-nats-server", "#!/bin/sh\necho 'nats-server: v2.9.10'\n");
    let old = lab.path("old-nats-server");
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    all.push(Refusal::new("nats-server-old", FROM, start(&[("CHORIA_NATS_SERVER", old.to_str().expect("a path"))])));
    let taken = TcpListener::bind(("127.0.0.1", lab.port)).expect("the port was free");
    all.push(Refusal::new("broker-port-taken", FROM, start(&[])));
    drop(taken);
    changed(lab, "broker", &Replace("broker.jwt", "nosuch.jwt"));
    all.push(Refusal::new("broker-token-missing", FROM, run(lab, FROM)));
    lab.keys("stranger");
    lab.server_token("broker.lab.example.net", "foreign", "stranger.seed");
    lab.write(
        "changed.conf",
        &lab.read("broker.conf").replace("/broker.jwt", "/foreign.jwt").replace("/broker.seed", "/foreign.seed"),
    );
    all.push(Refusal::new("broker-token-refused", FROM, run(lab, FROM)));
    all
}

fn servers(lab: &Lab) -> Vec<Refusal> {
    const FROM: &str = "choria-server";
    let rows = [
        ("server-value", Add("ttl = soon")),
        (
            "server-hosts",
            Replace(
                "plugin.choria.middleware_hosts = 127.0.0.1:",
                "plugin.choria.middleware_hosts = one.example.net, 127.0.0.1:",
            ),
        ),
        ("server-provider", Replace("provider = choria", "provider = puppet")),
        ("server-exclusive", Add("plugin.choria.security.server.token_file = /x")),
        ("server-no-token", Replace("plugin.security.choria.token_file", "plugin.unknown.token")),
        ("server-no-seed", Replace("plugin.security.choria.seed_file", "plugin.unknown.seed")),
        ("server-token-missing", Replace("n1.jwt", "nosuch.jwt")),
        ("server-seed-missing", Replace("n1.seed", "nosuch.seed")),
        ("server-seed-no-key", Replace("n1.seed", "n1.conf")),
        ("server-other-seed", Replace("n1.seed", "client.seed")),
        ("server-client-token", Replace("/n1.", "/client.")),
        ("server-other-identity", Replace("identity = n1.", "identity = n2.")),
        ("server-no-trust", Replace("plugin.security.issuer.names = choria", "")),
        (
            "server-two-trusts",
            Add(
                "plugin.security.choria.trusted_signers = 0101010101010101010101010101010101010101010101010101010101010101",
            ),
        ),
        (
            "server-issuer-key-missing",
            Replace("plugin.security.issuer.choria.public", "plugin.security.issuer.other.public"),
        ),
        ("server-issuer-key-wrong", Add("plugin.security.issuer.choria.public = 01")),
        ("server-ca-missing", Add("plugin.security.choria.ca = /nonexistent/ca.pem")),
        (
            "server-certificate-missing",
            Add(
                "plugin.security.choria.certificate = /nonexistent/c.pem\nplugin.security.choria.key = /nonexistent/k.pem",
            ),
        ),
    ];
    let mut all: Vec<Refusal> = rows
        .into_iter()
        .map(|(id, change)| {
            changed(lab, "n1", &change);
            Refusal::new(id, FROM, run(lab, FROM))
        })
        .collect();
    all.push(Refusal::new(
        "server-config-missing",
        FROM,
        lab.start(FROM, &["--config", "nosuch.conf"]).output().stderr,
    ));
    std::fs::create_dir(lab.path("unprovisioned")).expect("a folder");
    let make = ["jwt", "provisioning", "unprovisioned/provisioning.jwt", "issuer.seed", "--token", "s3cret"];
    let tokens: [(&str, Option<&[&str]>); 3] = [
        ("server-not-by-default", Some(&["--urls", "127.0.0.1:4222", "--protocol-v2"])),
        ("server-protocol-1", Some(&["--urls", "127.0.0.1:4222", "--default"])),
        ("server-provisioning-token", None),
    ];
    for (id, words) in tokens {
        match words {
            Some(words) => _ = lab.choria(&[&make[..], words].concat()).succeeded(),
            None => lab.write("unprovisioned/provisioning.jwt", "garbage"),
        }
        let output = lab.start(FROM, &["--config", "unprovisioned/server.conf"]).output();
        all.push(Refusal::new(id, FROM, output.stderr));
    }
    lab.write("empty.pem", "");
    changed(lab, "n1", &Add("plugin.security.choria.ca = empty.pem"));
    all.push(Refusal::new("server-ca-empty", FROM, run(lab, FROM)));
    lab.write("ignored.conf", "\u{0}");
    all
}

/// A change to claims, with the time and an hour.
type Alter = fn(&mut tokens::ServerClaims, SystemTime, Duration);

/// Tokens that no `choria jwt` command makes.
fn tokens_of_others(lab: &Lab) -> Vec<Refusal> {
    const FROM: &str = "choria-server";
    let key = SigningKey::read(&lab.path("issuer.seed")).expect("a seed");
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    let rows: [(&str, Alter); 4] = [
        ("token-never-expires", |claims, _, _| claims.standard.expires = None),
        ("token-not-yet-valid", |claims, now, hour| claims.standard.not_before = Some(now + hour)),
        ("token-no-key", |claims, _, _| claims.standard.public_key = None),
        ("token-bad-name", |claims, _, _| "no such name".clone_into(&mut claims.identity)),
    ];
    changed(lab, "n1", &Replace("n1.jwt", "odd.jwt"));
    let mut all = Vec::new();
    for (id, change) in rows {
        let mut claims =
            tokens::read_server(&tokens::read_token(&lab.path("n1.jwt")).expect("a token")).expect("claims");
        change(&mut claims, now, hour);
        lab.write("odd.jwt", &claims.sign(&key).expect("a signature"));
        all.push(Refusal::new(id, FROM, run(lab, FROM)));
    }
    lab.write("odd.jwt", "no token");
    all.push(Refusal::new("token-malformed", FROM, run(lab, FROM)));
    lab.choria(&["jwt", "provisioning", "odd.jwt", "issuer.seed", "--token", "x", "--urls", "nats://b:4222"])
        .succeeded();
    all.push(Refusal::new("token-provisioning", FROM, run(lab, FROM)));
    all
}

fn clients(lab: &Lab) -> Vec<Refusal> {
    const FROM: &str = "choria ping";
    let ping = |environment: &[(&str, &str)]| lab.start_with("choria", &["ping"], environment).output().stderr;
    let mut all = vec![
        Refusal::new("client-config-missing", FROM, lab.choria_as("nosuch", &["ping"]).stderr),
        Refusal::new("client-no-user", FROM, ping(&[("USER", "")])),
        Refusal::new("client-user-name", FROM, ping(&[("USER", "no such user")])),
    ];
    let rows = [
        ("client-value", Add("color = perhaps")),
        ("client-token-missing", Replace("client.jwt", "nosuch.jwt")),
        ("client-other-seed", Replace("client.seed", "issuer.seed")),
    ];
    for (id, change) in rows {
        changed(lab, "client", &change);
        all.push(Refusal::new(id, FROM, lab.choria_as("changed", &["ping"]).stderr));
    }
    std::fs::write(lab.path("binary.conf"), [0xff, 0xfe]).expect("written");
    all.push(Refusal::new("client-config-binary", FROM, lab.choria_as("binary", &["ping"]).stderr));
    lab.write("long.conf", &"x".repeat(70_000));
    all.push(Refusal::new("client-config-long", FROM, lab.choria_as("long", &["ping"]).stderr));
    lab.client("late", "issuer.seed");
    lab.expire("late", "issuer.seed");
    all.push(Refusal::new("client-token-expired", FROM, lab.choria_as("late", &["ping"]).stderr));
    all
}
