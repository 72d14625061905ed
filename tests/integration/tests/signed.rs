//! Requests of a logged-in person, each signed by the AAA service: allowed, refused, and none lost while that restarts.

use choria_tests::{Lab, free_port, programs};
use serde_json::json;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// bcrypt of `secret`, cost 5.
const HASH: &str = "$2a$05$zQIl4gUZbqmKhpQhIeWx3uDWhAZaHoG34zW1ZsxXQt5xpL5f4uyny";

/// As the demonstration's, in Rego of the older dialect.
const POLICY: &str =
    "package io.choria.aaasvc\n\ndefault allow = false\n\nallow {\n  input.agent != \"choria_provision\"\n}\n";

#[test]
fn requests_are_signed_by_either_way_and_none_is_lost_in_a_restart() {
    let lab = Lab::new();
    let port = prepare(&lab);
    let _broker = lab.start_broker();
    let _servers = lab.start_servers(1);
    lab.wait_for_fleet(1);
    let mut service = lab.start("choria-aaasvc", &["run", "--config", "aaa.json"]).ready();
    let url = format!("plugin.choria.security.request_signer.url = https://localhost:{port}/choria/v1/sign");
    let ways = [
        ("rpc", "plugin.choria.security.request_signer.service = true", "signing failed: Request Denied"),
        ("http", url.as_str(), "error from remote signer: Request denied"),
    ];
    for (way, line, refusal) in ways {
        person(&lab, way, port, line);
        login(&lab, way);
        lab.choria_as(way, &["req", "rpcutil", "ping", "-I", "n1.lab.example.net"]).succeeded();
        let refused = ["req", "choria_provision", "restart", "token=x", "-I", "n1.lab.example.net"];
        lab.choria_as(way, &refused).failed(1, &[&format!("could not perform request: {refusal}")]);

        let over = AtomicBool::new(false);
        let asked = std::thread::scope(|scope| {
            let burst = scope.spawn(|| {
                let mut asked = 0;
                while !over.load(Ordering::Relaxed) || asked < 5 {
                    lab.choria_as(way, &["ping", "--expect", "1", "--names"]).succeeded();
                    asked += 1;
                }
                asked
            });
            for _ in 0..2 {
                let old = std::mem::replace(&mut service, lab.start("choria", &["--version"]));
                drop(old.stop());
                let new = lab.start("choria-aaasvc", &["run", "--config", "aaa.json"]).ready();
                drop(std::mem::replace(&mut service, new));
            }
            over.store(true, Ordering::Relaxed);
            burst.join().expect("every request is signed")
        });
        assert!(asked >= 5, "{way}: {asked}");
    }
}

/// The AAA service's credentials and configuration; the port of its HTTPS listener.
fn prepare(lab: &Lab) -> u16 {
    let client = |name: &str, caller: &str, flags: &[&str]| {
        let (file, public) = (format!("{name}.jwt"), lab.keys(name));
        let words = ["jwt", "client", &file, caller, "issuer.seed", "--public-key", &public, "--no-fleet-management"];
        lab.choria(&[words.as_slice(), flags, &["--validity", "1d"]].concat()).succeeded();
    };
    client("chain", "aaa_chain_delegator", &["--issuer"]);
    client("signer", "aaa_request_signer", &["--auth-delegation"]);
    let public = lab.keys("service");
    let words =
        ["jwt", "server", "service.jwt", "aaa.lab.example.net", &public, "issuer.seed", "--collectives", "choria"];
    lab.choria(&[words.as_slice(), &["--service"]].concat()).succeeded();
    let at = |name: &str| lab.path(name).display().to_string();
    let choria = [
        "identity = aaa.lab.example.net".to_owned(),
        "collectives = choria".to_owned(),
        "plugin.security.provider = choria".to_owned(),
        format!("plugin.security.choria.seed_file = {}", at("service.seed")),
        format!("plugin.security.choria.token_file = {}", at("service.jwt")),
        format!("plugin.choria.middleware_hosts = 127.0.0.1:{}", lab.port),
        "plugin.choria.use_srv = 0".to_owned(),
        format!("plugin.choria.status_file_path = {}", at("aaa-status.json")),
    ];
    lab.write("aaa-choria.conf", &choria.map(|line| line + "\n").concat());
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    lab.write("https.pem", &pair.cert.pem());
    lab.write("https.key", &pair.key_pair.serialize_pem());
    lab.write("policy.rego", POLICY);
    let port = free_port();
    let user = json!({
        "username": "choria", "password": HASH, "opa_policy_file": at("policy.rego"),
        "broker_permissions": {"signed_fleet_management": true},
    });
    let configuration = json!({
        "choria_config": at("aaa-choria.conf"), "logfile": "stderr", "loglevel": "info", "site": "lab", "port": port,
        "tls_certificate": at("https.pem"), "tls_key": at("https.key"),
        "authenticator": "userlist", "authorizer": "opa", "signer": "basicjwt", "auditors": ["logfile"],
        "logfile_auditor": {"logfile": at("audit.log")},
        "basicjwt_signer": {
            "signing_certificate": at("chain.public"), "signing_token": at("signer.jwt"),
            "signing_seed": at("signer.seed"), "max_validity": "2h", "choria_service": true,
        },
        "userlist_authenticator": {
            "signing_key": at("chain.seed"), "signing_token": at("chain.jwt"), "validity": "1h", "users": [user],
        },
    });
    lab.write("aaa.json", &configuration.to_string());
    port
}

/// A client who logs in, and whose requests are signed as `signer` says.
fn person(lab: &Lab, name: &str, port: u16, signer: &str) {
    let base = lab.read("client.conf");
    let kept: String = base.lines().filter(|line| !line.contains("_file")).map(|line| format!("{line}\n")).collect();
    let folder = lab.folder().display();
    lab.write(
        &format!("{name}.conf"),
        &format!(
            "{kept}{signer}\nplugin.login.aaasvc.login.url = https://localhost:{port}/choria/v1/login\n\
             plugin.security.choria.token_file = {folder}/{name}.jwt\nplugin.security.choria.seed_file = {folder}/{name}.key\n"
        ),
    );
}

fn login(lab: &Lab, name: &str) {
    let mut child = Command::new(programs().join("choria"))
        .arg("login")
        .env("CHORIA_CONFIG", lab.path(&format!("{name}.conf")))
        .env("HOME", lab.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(b"choria\nsecret\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{name}: {output:?}");
}
