//! `choria doctor`: all is well on a whole network; and for each fault the line that names it and what to do.

use choria_tests::{Lab, Output, free_port};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

/// What the doctor must find: check, result, words of the finding, words of what to do.
type Expected = (&'static str, &'static str, &'static [&'static str], &'static str);

/// Compares a report with what must be in it, and its exit code with its result.
#[track_caller]
fn found(name: &str, output: &Output, expected: &[Expected]) {
    let report: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}: {output:#?}"));
    let checks = report["checks"].as_array().unwrap_or_else(|| panic!("{name}: {report:#}"));
    for (check, result, words, fix) in expected {
        let is_it = |found: &&Value| {
            let text = found["text"].as_str().unwrap_or_default();
            found["check"] == *check && found["result"] == *result && words.iter().all(|word| text.contains(word))
        };
        let finding = checks.iter().find(is_it);
        let finding = finding.unwrap_or_else(|| panic!("{name}: no {check} {result} {words:?} in {report:#}"));
        let advice = finding["fix"].as_str().unwrap_or_default();
        assert!(advice.contains(fix), "{name}: {check}: {advice:?} lacks {fix:?}");
    }
    let code = match report["result"].as_str() {
        Some("ok") => 0,
        Some("fail") => 1,
        Some("warn") => 2,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(output.code, code, "{name}: {report:#}");
    let worst = checks.iter().filter(|found| found["result"] == "fail" || found["result"] == "warn");
    for finding in worst {
        assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{name}: nothing to do: {finding}");
    }
}

fn doctor(lab: &Lab, config: &str) -> Output {
    lab.choria_as(config, &["doctor", "--json"])
}

#[track_caller]
fn all_is_well(output: Output) {
    let text = output.succeeded();
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["result"], "ok", "{report:#}");
}

/// The client's configuration with `from` replaced by `to`, as `NAME.conf`.
fn variant(lab: &Lab, name: &str, from: &str, to: &str) {
    let text = lab.read("client.conf");
    assert!(text.contains(from), "{from}: {text}");
    lab.write(&format!("{name}.conf"), &text.replace(from, to));
}

#[test]
fn a_whole_network_is_found_to_be_well() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let _servers = lab.start_servers(2);
    lab.wait_for_fleet(2);
    for name in ["client", "n1", "broker"] {
        all_is_well(doctor(&lab, name));
    }
    let text = lab.choria(&["doctor"]).succeeded();
    for words in
        ["Examining the client of ", "2 nodes answer in collective choria", "2 of 2 nodes asked", "All is well."]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let secret = lab.read("client.seed");
    let token = lab.read("client.jwt");
    assert!(!text.contains(secret.trim()) && !text.contains(token.trim()), "{text}");

    a_server_is_not_disturbed(&lab);
    faults_of_files(&lab);
    faults_of_logins(&lab);
    faults_of_requests(&lab);
    faults_of_servers(&lab);
}

/// The server that is examined still answers everything.
fn a_server_is_not_disturbed(lab: &Lab) {
    all_is_well(doctor(lab, "n1"));
    lab.wait_for_fleet(2);
}

fn faults_of_files(lab: &Lab) {
    let row = |name: &str, expected: &[Expected]| found(name, &doctor(lab, name), expected);
    row(
        "nosuch",
        &[
            ("configuration", "fail", &["nosuch.conf does not exist"], "plugin.choria.middleware_hosts"),
            ("login", "skipped", &["because of configuration"], ""),
        ],
    );
    lab.write("bad.conf", &format!("{}ttl = soon\n", lab.read("client.conf")));
    row("bad", &[("configuration", "fail", &["bad.conf:", "ttl = soon"], "choria tool config ttl")]);

    variant(lab, "tokenless", "client.jwt", "nosuch.jwt");
    row(
        "tokenless",
        &[
            ("token", "fail", &["nosuch.jwt"], "choria login"),
            ("tls", "ok", &["certificate"], ""),
            ("login", "skipped", &["because of token"], ""),
        ],
    );
    variant(lab, "unset", "plugin.security.choria.token_file", "plugin.unknown");
    row("unset", &[("token", "fail", &["no token is configured"], "plugin.security.choria.token_file")]);
    lab.write("cut.jwt", &lab.read("client.jwt")[..100]);
    variant(lab, "cut", "client.jwt", "cut.jwt");
    row("cut", &[("token", "fail", &["cut.jwt", "malformed"], "choria login")]);
    lab.client("late", "issuer.seed");
    lab.expire("late", "issuer.seed");
    row("late", &[("token", "fail", &["late.jwt expired", "ago"], "choria login"), ("login", "skipped", &[], "")]);

    variant(lab, "seedless", "client.seed", "nosuch.seed");
    row(
        "seedless",
        &[("seed", "fail", &["nosuch.seed"], "choria jwt keys"), ("login", "skipped", &["because of seed"], "")],
    );
    lab.keys("other");
    variant(lab, "wrongseed", "client.seed", "other.seed");
    row("wrongseed", &[("seed", "fail", &["other.seed does not belong to the token"], "have a token issued for")]);
    std::fs::copy(lab.path("client.seed"), lab.path("open.seed")).expect("a copy");
    std::fs::set_permissions(lab.path("open.seed"), std::fs::Permissions::from_mode(0o644)).expect("a mode");
    variant(lab, "open", "client.seed", "open.seed");
    row("open", &[("seed", "warn", &["open.seed (mode 0644)"], "chmod 0600"), ("fleet", "ok", &["2 nodes"], "")]);

    variant(lab, "noissuer", "plugin.security.issuer.choria.public", "plugin.security.issuer.other.public");
    row("noissuer", &[("issuer", "fail", &["plugin.security.issuer.choria.public"], "64 hexadecimal digits")]);
}

fn faults_of_logins(lab: &Lab) {
    let row = |name: &str, expected: &[Expected]| found(name, &doctor(lab, name), expected);
    lab.keys("stranger");
    lab.client("foreign", "stranger.seed");
    row(
        "foreign",
        &[
            ("issuer", "fail", &["not signed by the expected issuer"], "plugin.security.issuer.choria.public"),
            ("login", "fail", &["the broker refuses up=foreign", "issuer"], "journalctl -u choria-broker"),
        ],
    );
    let text = lab.read("foreign.conf");
    lab.write("trusting.conf", text.split("plugin.security.issuer").next().expect("a part"));
    row(
        "trusting",
        &[
            ("issuer", "ok", &["none configured"], ""),
            ("login", "fail", &["the broker refuses up=foreign"], "journalctl"),
            ("fleet", "skipped", &["because of login"], ""),
        ],
    );

    let host = format!("127.0.0.1:{}", lab.port);
    variant(lab, "nameless", &host, "broker.invalid:4222");
    row(
        "nameless",
        &[
            ("names", "fail", &["broker.invalid cannot be resolved"], "plugin.choria.middleware_hosts"),
            ("port", "skipped", &["because of names"], ""),
        ],
    );
    variant(lab, "notaddress", &host, "broker");
    row(
        "notaddress",
        &[(
            "configuration",
            "fail",
            &["plugin.choria.middleware_hosts = broker"],
            "choria tool config plugin.choria.middleware_hosts",
        )],
    );
    let closed = format!("127.0.0.1:{}", free_port());
    variant(lab, "closed", &host, &closed);
    row(
        "closed",
        &[
            ("port", "fail", &["127.0.0.1 refuses connections"], "systemctl start choria-broker"),
            ("tls", "skipped", &["because of port"], ""),
        ],
    );
    variant(lab, "half", &host, &format!("{host}, {closed}"));
    row(
        "half",
        &[
            ("port", "ok", &["nats-server"], ""),
            ("port", "warn", &["refuses connections"], "systemctl"),
            ("fleet", "ok", &[], ""),
        ],
    );
    variant(lab, "half2", &host, &format!("{host}, broker.invalid:4222"));
    row("half2", &[("names", "warn", &["broker.invalid"], "DNS"), ("fleet", "ok", &[], "")]);

    let ssh = listener(b"SSH-2.0-OpenSSH_9.2\r\n");
    variant(lab, "ssh", &host, &format!("127.0.0.1:{ssh}"));
    row("ssh", &[("port", "fail", &["no broker", "SSH-2.0-OpenSSH_9.2"], "4222")]);
    let plain = listener(b"INFO {\"server_name\":\"plain\",\"version\":\"2.10.0\",\"nonce\":\"x\"}\r\n");
    variant(lab, "plain", &host, &format!("127.0.0.1:{plain}"));
    row(
        "plain",
        &[("tls", "fail", &["does not speak TLS"], "turn its TLS on"), ("login", "skipped", &["because of tls"], "")],
    );
}

fn faults_of_requests(lab: &Lab) {
    let row = |name: &str, expected: &[Expected]| found(name, &doctor(lab, name), expected);
    let token = |name: &str, flags: &[&str]| {
        lab.client(name, "issuer.seed");
        let (file, caller, public) = (format!("{name}.jwt"), format!("up={name}"), lab.read(&format!("{name}.public")));
        let fixed = ["jwt", "client", &file, &caller, "issuer.seed", "--public-key", &public, "--validity", "1d"];
        lab.choria(&[&fixed[..], flags].concat()).succeeded();
    };
    token("weak", &["--no-fleet-management", "--event-viewer"]);
    row(
        "weak",
        &[
            ("login", "ok", &["up=weak"], ""),
            ("permissions", "fail", &["grants events_viewer", "fleet_management"], "choria jwt client"),
            ("fleet", "skipped", &["because of permissions"], ""),
        ],
    );
    token("signed", &["--signed-fleet-management"]);
    row("signed", &[("permissions", "fail", &["AAA service"], "plugin.choria.security.request_signer.service")]);
    lab.write("elsewhere.conf", &format!("{}main_collective = uk\ncollectives = uk\n", lab.read("client.conf")));
    row(
        "elsewhere",
        &[
            (
                "fleet",
                "fail",
                &["no node answers in collective uk, but 2 in collective choria"],
                "main_collective = choria",
            ),
            ("request", "skipped", &["because of fleet"], ""),
        ],
    );

    lab.server("n3", "n3.lab.example.net");
    lab.write(
        "n3.conf",
        &lab.read("n3.conf")
            .replace("rpcauthorization = false", "rpcauthorization = true\nrpcauthprovider = action_policy"),
    );
    let strict = lab.start("choria-server", &["--config", "n3.conf"]).ready();
    lab.wait_for_fleet(3);
    found(
        "strict",
        &doctor(lab, "client"),
        &[
            ("fleet", "ok", &["3 nodes"], ""),
            ("request", "fail", &["n3.lab.example.net", "not authorized"], "rpcauthorization"),
        ],
    );
    assert_eq!(strict.stop().code, 0);
}

fn faults_of_servers(lab: &Lab) {
    let row = |name: &str, expected: &[Expected]| found(name, &doctor(lab, name), expected);
    let change =
        |name: &str, from: &str, to: &str| lab.write(&format!("{name}.conf"), &lab.read("n1.conf").replace(from, to));
    change("renamed", "identity = n1.lab", "identity = n9.lab");
    row(
        "renamed",
        &[(
            "token",
            "fail",
            &["of n1.lab.example.net, this node is called n9.lab.example.net"],
            "set identity = n1.lab.example.net",
        )],
    );
    lab.write("joining.conf", &format!("{}collectives = choria, uk\n", lab.read("n1.conf")));
    row("joining", &[("permissions", "fail", &["the configuration joins uk"], "--collectives")]);
    change("careless", "plugin.security.issuer.names = choria", "");
    row("careless", &[("issuer", "fail", &["every request would be refused"], "plugin.security.issuer.names")]);
    change("statusless", "n1.status.json", "nosuch.json");
    row("statusless", &[("status", "warn", &["nosuch.json cannot be read"], "start the server")]);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    lab.write("old.json", "{\"connected_server\":\"nats://b:4222\"}");
    std::fs::File::options()
        .write(true)
        .open(lab.path("old.json"))
        .and_then(|file| file.set_modified(old))
        .expect("a time");
    change("stale", "n1.status.json", "old.json");
    row("stale", &[("status", "warn", &["written 60 minutes ago"], "systemctl status choria-server")]);
    lab.write("lonely.json", "{\"connected_server\":\"\"}");
    change("lonely", "n1.status.json", "lonely.json");
    row("lonely", &[("status", "warn", &["not connected"], "journalctl")]);
    change("confused", "n1.jwt", "client.jwt");
    let output = lab.choria_as("confused", &["doctor", "--json", "--server"]);
    found("confused", &output, &[("token", "fail", &["a client token cannot run a server"], "choria jwt server")]);
}

#[test]
fn nobody_answers_and_brokers_have_faults() {
    let lab = Lab::new();
    let broker_down: &[Expected] = &[
        ("nats-server", "ok", &["is version"], ""),
        ("port", "fail", &["refuses connections"], "systemctl start choria-broker"),
    ];
    found("not running", &doctor(&lab, "broker"), broker_down);
    {
        let _broker = lab.start_broker();
        found(
            "no servers",
            &doctor(&lab, "client"),
            &[
                ("permissions", "ok", &["fleet_management"], ""),
                ("fleet", "fail", &["no node answers in collective choria"], "systemctl status choria-server"),
            ],
        );
    }
    let run = |environment: &[(&str, &str)]| {
        let config = lab.path("broker.conf").display().to_string();
        lab.start_with("choria", &["doctor", "--json", "--config", &config], environment).output()
    };
    let missing = run(&[("CHORIA_NATS_SERVER", "/nonexistent/nats-server")]);
    found(
        "no nats-server",
        &missing,
        &[("nats-server", "fail", &["/nonexistent/nats-server cannot be run"], "CHORIA_NATS_SERVER")],
    );
    let text = lab.read("broker.conf");
    let row = |name: &str, from: &str, to: &str, expected: &[Expected]| {
        lab.write(&format!("{name}.conf"), &text.replace(from, to));
        found(name, &doctor(&lab, name), expected);
    };
    row(
        "half",
        "plugin.security.choria.seed_file",
        "plugin.unknown",
        &[("broker", "fail", &["plugin.security.choria.seed_file"], "")],
    );
    let store = format!("{}/streams", lab.folder().display());
    row(
        "file",
        &store,
        "/dev/null/streams",
        &[("store", "fail", &["/dev/null is not a directory"], "plugin.choria.network.stream.store")],
    );
    let taken = listener(b"HTTP/1.1 400 Bad Request\r\n");
    row(
        "taken",
        &format!("client_port = {}", lab.port),
        &format!("client_port = {taken}"),
        &[("port", "fail", &["no broker", "HTTP/1.1 400"], "4222")],
    );
}

#[test]
fn certificates_are_judged_as_connections_judge_them() {
    let authority = authority("Lab CA");
    let other = self::authority("Other CA");
    let rows: [(&str, CertificateParams, &str, &[Expected]); 5] = [
        (
            "good",
            leaf(&["localhost", "127.0.0.1"], false, 3650),
            "ca.pem",
            &[
                ("tls", "ok", &["CN=broker, signed by CN=Lab CA, verified by", "ends in"], ""),
                ("login", "ok", &["up=client"], ""),
            ],
        ),
        (
            "wrong CA",
            leaf(&["127.0.0.1"], false, 3650),
            "other.pem",
            &[
                (
                    "tls",
                    "fail",
                    &["UnknownIssuer", "it presents certificate CN=broker, signed by CN=Lab CA"],
                    "put the certificate of CN=Lab CA into",
                ),
                ("login", "skipped", &["because of tls"], ""),
            ],
        ),
        (
            "wrong name",
            leaf(&["elsewhere.example.net"], false, 3650),
            "ca.pem",
            &[(
                "tls",
                "fail",
                &["not valid for name"],
                "reach it by a name of its certificate (elsewhere.example.net)",
            )],
        ),
        ("ends soon", leaf(&["127.0.0.1"], false, 3), "ca.pem", &[("tls", "warn", &["ends in 2 days"], "renew")]),
        (
            "marked as CA",
            leaf(&["127.0.0.1"], true, 3650),
            "ca.pem",
            &[("tls", "fail", &["CaUsedAsEndEntity", "marked as a CA"], "basicConstraints CA:FALSE")],
        ),
    ];
    for (name, parameters, trusted, expected) in rows {
        let lab = Lab::new();
        lab.write("ca.pem", &authority.0.pem());
        lab.write("other.pem", &other.0.pem());
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &authority.0, &authority.1).expect("a certificate");
        lab.write("listener.pem", &certificate.pem());
        lab.write("listener.key", &key.serialize_pem());
        let folder = lab.folder().display();
        let settings = format!(
            "plugin.security.choria.certificate = {folder}/listener.pem\nplugin.security.choria.key = {folder}/listener.key\n"
        );
        lab.write("broker.conf", &format!("{}{settings}", lab.read("broker.conf")));
        let _broker = lab.start_broker();
        lab.write(
            "client.conf",
            &format!("{}plugin.security.choria.ca = {folder}/{trusted}\n", lab.read("client.conf")),
        );
        found(name, &doctor(&lab, "client"), expected);
    }
}

fn authority(name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = named(name, &[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (parameters.self_signed(&key).expect("a certificate"), key)
}

/// A broker's certificate for `names` that ends in `days`.
fn leaf(names: &[&str], is_authority: bool, days: i64) -> CertificateParams {
    let mut parameters = named("broker", names);
    parameters.not_before = parameters.not_before.max(rcgen::date_time_ymd(2020, 1, 1));
    parameters.not_after = std::time::SystemTime::now().into();
    parameters.not_after += std::time::Duration::from_secs(days.unsigned_abs() * 86_400 - 3_600);
    if is_authority {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    parameters
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    parameters
}

/// A listener that says `words` to everybody until the test ends; gives its port.
fn listener(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _gone_already = stream.write_all(words);
        }
    });
    port
}
