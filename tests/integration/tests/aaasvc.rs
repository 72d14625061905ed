//! The AAA service as a process on a real network: login and signature over HTTPS and RPC, reload, restart.

use choria_tests::{Lab, PATIENCE, Process, free_port};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokens::Seed;
use tokio_rustls::rustls;

/// bcrypt of `secret`, cost 5.
const HASH: &str = "$2a$05$zQIl4gUZbqmKhpQhIeWx3uDWhAZaHoG34zW1ZsxXQt5xpL5f4uyny";

/// As the demonstration's, in Rego of the older dialect.
const POLICY: &str =
    "package io.choria.aaasvc\n\ndefault allow = false\n\nallow {\n  input.agent != \"choria_provision\"\n}\n";

/// Makes everything that the service needs, as an administrator would; `aaa.json` is its configuration.
fn prepare(lab: &Lab) -> Value {
    let chain = lab.keys("chain");
    let issuing = ["--issuer", "--no-fleet-management", "--validity", "30d"];
    let words = ["jwt", "client", "chain.jwt", "aaa_chain_delegator", "issuer.seed", "--public-key", &chain];
    lab.choria(&[words.as_slice(), &issuing].concat()).succeeded();
    let signer = lab.keys("signer");
    let words = ["jwt", "client", "signer.jwt", "aaa_request_signer", "issuer.seed", "--public-key", &signer];
    lab.choria(&[words.as_slice(), &["--no-fleet-management", "--auth-delegation", "--validity", "30d"]].concat())
        .succeeded();
    let service = lab.keys("service");
    let words = ["jwt", "server", "service.jwt", "aaa.lab.example.net", &service, "issuer.seed"];
    lab.choria(&[words.as_slice(), &["--org", "choria", "--collectives", "choria", "--service"]].concat()).succeeded();
    let at = |name: &str| lab.path(name).display().to_string();
    lab.write(
        "aaa-choria.conf",
        &format!(
            "identity = aaa.lab.example.net\ncollectives = choria\nplugin.security.provider = choria\nplugin.security.choria.seed_file = {}\n\
             plugin.security.choria.token_file = {}\nplugin.choria.middleware_hosts = 127.0.0.1:{}\nplugin.choria.use_srv = 0\n\
             plugin.choria.status_file_path = {}\n",
            at("service.seed"),
            at("service.jwt"),
            lab.port,
            at("aaa-status.json")
        ),
    );
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    lab.write("https.pem", &pair.cert.pem());
    lab.write("https.key", &pair.key_pair.serialize_pem());
    lab.write("policy.rego", POLICY);
    lab.write(
        "users.json",
        &json!([{"username": "choria", "password": HASH, "opa_policy_file": at("policy.rego"),
        "broker_permissions": {"signed_fleet_management": true, "events_viewer": true}}])
        .to_string(),
    );
    json!({
        "choria_config": at("aaa-choria.conf"), "logfile": "stderr", "loglevel": "info", "site": "lab",
        "port": free_port(), "monitor_port": free_port(),
        "tls_certificate": at("https.pem"), "tls_key": at("https.key"),
        "authenticator": "userlist", "signer": "basicjwt", "authorizer": "opa", "auditors": ["logfile"],
        "logfile_auditor": {"logfile": at("audit.json")},
        "basicjwt_signer": {"signing_certificate": at("chain.public"), "signing_token": at("signer.jwt"),
            "signing_seed": at("signer.seed"), "max_validity": "2h", "choria_service": true},
        "userlist_authenticator": {"validity": "1h", "signing_key": at("chain.seed"), "signing_token": at("chain.jwt"),
            "users_file": at("users.json")},
    })
}

fn start(lab: &Lab, config: &Value) -> Process {
    lab.write("aaa.json", &config.to_string());
    lab.start("choria-aaasvc", &["run", "--config", "aaa.json"]).ready()
}

fn port(config: &Value, key: &str) -> u16 {
    u16::try_from(config[key].as_u64().expect("a port")).expect("a port")
}

/// Posts over HTTPS: status and body.
fn post(port: u16, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
    let tls = network::Tls::unverified().expect("TLS");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let mut connection = rustls::ClientConnection::new(Arc::clone(tls.config()), name).expect("a connection");
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = rustls::Stream::new(&mut connection, &mut socket);
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, serde_json::from_str(body)?))
}

/// Logs in as `user` with a fresh key; the answer.
fn login(port: u16, user: &str, password: &str, seed: &Seed) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let signature = seed.sign(format!("{now}:{user}:{password}").as_bytes()).to_hex();
    let body = json!({"username": user, "password": password, "public_key": seed.public(), "timestamp": now.to_string(),
        "signature": signature});
    let (status, answer) = post(port, "/choria/v1/login", &body).expect("an answer");
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Makes `choria.jwt`, `choria.seed` and a configuration with which that person is signed for over RPC.
fn write_client(lab: &Lab, token: &str, seed: &Seed) {
    lab.write("choria.jwt", token);
    seed.write(&lab.path("choria.seed")).expect("written");
    lab.write(
        "choria.conf",
        &format!(
            "collectives = choria\nplugin.security.provider = choria\nplugin.security.choria.token_file = {}\n\
             plugin.security.choria.seed_file = {}\nplugin.choria.middleware_hosts = 127.0.0.1:{}\nplugin.choria.use_srv = 0\n\
             plugin.choria.security.request_signer.service = true\n",
            lab.path("choria.jwt").display(),
            lab.path("choria.seed").display(),
            lab.port
        ),
    );
}

fn request(agent: &str, caller: &str) -> Vec<u8> {
    let now = SystemTime::now();
    protocol::Request {
        version: protocol::Version::V2,
        id: protocol::new_request_id(protocol::Version::V2, now, &mut rand::thread_rng()),
        sender: "client.lab.example.net".parse().expect("an identity"),
        caller: caller.parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: agent.parse().expect("an agent"),
        ttl: 60,
        time: now,
        filter: protocol::Filter::default(),
        payload: json!({"agent": agent, "action": "ping", "data": {}}).to_string().into_bytes(),
    }
    .encode()
}

fn sign_body(token: &str, seed: &Seed, agent: &str) -> Value {
    let bytes = request(agent, "up=choria");
    json!({"request": base64(&bytes), "token": token, "signature": seed.sign(&bytes).to_hex()})
}

/// Padded standard base64.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = bytes.chunks(3).flat_map(|chunk| {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..4).map(
            move |at| if at <= chunk.len() { char::from(LETTERS[(word >> (18 - 6 * at)) as usize & 63]) } else { '=' },
        )
    });
    letters.collect()
}

#[test]
fn people_log_in_and_are_signed_for() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let _servers = lab.start_servers(2);
    let config = prepare(&lab);
    let service = start(&lab, &config);
    lab.wait_for_fleet(2);
    let https = port(&config, "port");

    assert_eq!(login(https, "choria", "wrong", &Seed::generate()), json!({"error": "Login failed"}));
    assert_eq!(login(https, "nobody", "secret", &Seed::generate()), json!({"error": "Login failed"}));
    let seed = Seed::generate();
    let token = login(https, "choria", "secret", &seed)["token"].as_str().expect("a token").to_owned();

    let (status, answer) = post(https, "/choria/v1/sign", &sign_body(&token, &seed, "rpcutil")).expect("an answer");
    assert!(status == 200 && answer["secure_request"].is_string(), "{answer}");
    let (_, answer) = post(https, "/choria/v1/sign", &sign_body(&token, &seed, "choria_provision")).expect("an answer");
    assert_eq!(answer, json!({"error": "Request denied"}));

    write_client(&lab, &token, &seed);
    let output = wait_for_service(&lab);
    assert_eq!(output.stdout.lines().count(), 2, "{output:#?}");
    let output = lab.choria_as("choria", &["req", "rpcutil", "get_fact", "fact=name", "--senders"]);
    assert!(output.code == 0 && output.stdout.lines().count() == 2, "{output:#?}");
    let output = lab.choria_as("choria", &["req", "choria_provision", "restart", "token=x"]);
    assert_ne!(output.code, 0, "{output:#?}");

    // Every decision is in the audit, with the caller.
    let audit = lab.read("audit.json");
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let count =
        |action: &str| lines.iter().filter(|line| line["action"] == action && line["caller"] == "up=choria").count();
    assert!(count("allow") >= 3 && count("deny") >= 1, "{audit}");

    let metrics = choria_tests::http::get(port(&config, "monitor_port"), "/metrics").body;
    for line in [
        "choria_aaa_signer_allowed{signer=\"basicjwt\",site=\"lab\"}",
        "choria_aaa_service_connected{site=\"lab\"} 1",
        "choria_aaa_authenticator_errors{authenticator=\"userlist\",site=\"lab\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    every_metric_is_explained(&metrics);
    let log = service.log();
    assert!(!log.contains("secret\"") && !log.contains(&token), "a secret is in the log:\n{log}");
    let status: Value = serde_json::from_str(&lab.read("aaa-status.json")).expect("a status file");
    assert_eq!(status["identity"], "aaa.lab.example.net");
}

/// The table of daemons/monitoring/README.md names what the service exports, and nothing else.
#[track_caller]
fn every_metric_is_explained(metrics: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/monitoring/README.md");
    let text = std::fs::read_to_string(folder).expect("the table of metrics");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `choria_aaa_")?.split('|').map(str::trim);
        Some(format!("choria_aaa_{} {}", cells.next()?.trim_end_matches('`'), cells.next()?))
    };
    let explained: BTreeSet<String> = text.lines().filter_map(row).collect();
    let exported = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: BTreeSet<String> =
        exported.filter(|line| line.starts_with("choria_aaa_")).map(str::to_owned).collect();
    assert_eq!(exported, explained);
}

/// Asks as `up=choria` until the service answers.
fn wait_for_service(lab: &Lab) -> choria_tests::Output {
    let began = Instant::now();
    loop {
        let output = lab.choria_as("choria", &["ping", "--names", "--timeout", "3", "--expect", "2"]);
        if output.code == 0 && output.stdout.lines().count() == 2 {
            return output;
        }
        assert!(began.elapsed() < PATIENCE, "nobody signs: {output:#?}");
    }
}

#[test]
fn a_restart_during_a_burst_loses_nothing_and_users_are_reloaded() {
    let lab = Lab::new();
    let mut config = prepare(&lab);
    config["basicjwt_signer"]["choria_service"] = json!(false);
    let mut service = start(&lab, &config);
    let https = port(&config, "port");
    let seed = Seed::generate();
    let token = login(https, "choria", "secret", &seed)["token"].as_str().expect("a token").to_owned();

    // Callers as the client is: whoever gets no answer asks again. What was read is answered.
    let (stop, answered, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    match post(https, "/choria/v1/sign", &sign_body(&token, &seed, "rpcutil")) {
                        Ok((200, answer)) if answer["secure_request"].is_string() => {
                            answered.fetch_add(1, Ordering::Relaxed)
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(_) => refused.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        let wait = |count: usize| {
            let (began, target) = (Instant::now(), answered.load(Ordering::Relaxed) + count);
            while answered.load(Ordering::Relaxed) < target && began.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
            answered.load(Ordering::Relaxed) >= target
        };
        let first = wait(20);
        service.signal(Signal::SIGTERM);
        let output = std::mem::replace(&mut service, start_again(&lab)).output();
        let second = wait(20);
        stop.store(true, Ordering::Relaxed);
        assert!(first && second, "too few answers: {answered:?}");
        assert_eq!(output.code, 0, "{output:#?}");
    });
    let allowed = lab.read("audit.json").lines().count();
    assert!(allowed >= answered.load(Ordering::Relaxed), "an answer without its audit");

    lab.write("users.json", &json!([{"username": "ann", "password": HASH}]).to_string());
    assert_eq!(login(https, "choria", "secret", &Seed::generate()), json!({"error": "Login failed"}));
    assert!(login(https, "ann", "secret", &Seed::generate())["token"].is_string());
    config["userlist_authenticator"]["users_file"] = json!("");
    config["userlist_authenticator"]["users"] = json!([{"username": "jo", "password": HASH}]);
    lab.write("aaa.json", &config.to_string());
    service.signal(Signal::SIGHUP);
    let began = Instant::now();
    while !login(https, "jo", "secret", &Seed::generate())["token"].is_string() {
        assert!(began.elapsed() < PATIENCE, "not reloaded:\n{}", service.log());
    }
    lab.write("aaa.json", "{");
    service.signal(Signal::SIGHUP);
    while !service.log().contains("the configuration read anew is refused") {
        assert!(began.elapsed() < PATIENCE, "not refused:\n{}", service.log());
        std::thread::yield_now();
    }
    assert!(login(https, "jo", "secret", &Seed::generate())["token"].is_string());
}

/// Starts the service as soon as the port is free.
fn start_again(lab: &Lab) -> Process {
    let began = Instant::now();
    loop {
        let mut process = lab.start("choria-aaasvc", &["run", "--config", "aaa.json"]);
        let listening = || process.log().contains("are served on");
        let mut ended = false;
        while !listening() && !ended {
            ended = process.log().contains("cannot be listened on");
            std::thread::yield_now();
        }
        if !ended && process.is_running() {
            return process;
        }
        assert!(began.elapsed() < PATIENCE, "{}", process.log());
    }
}

#[test]
fn the_socket_may_come_from_systemd_and_mistakes_are_all_said() {
    let lab = Lab::new();
    let mut config = prepare(&lab);
    config["basicjwt_signer"]["choria_service"] = json!(false);
    config["authorizer"] = json!("");
    config["auditors"] = json!(["nobody"]);
    config["tls_key"] = json!("");
    lab.write("aaa.json", &config.to_string());
    let output = lab.start("choria-aaasvc", &["run", "--config", "aaa.json"]).output();
    assert_eq!(output.code, 1);
    for part in ["tls_key is not", "authorizer is not", "unknown auditors: nobody"] {
        assert!(output.stderr.contains(part), "{part}: {output:#?}");
    }
    // The shell stands in for systemd: it passes an open socket on as the third file.
    let config = prepare(&lab);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let given = listener.local_addr().expect("an address").port();
    let mut config = config;
    config["port"] = json!(0);
    config["basicjwt_signer"]["choria_service"] = json!(false);
    lab.write("aaa.json", &config.to_string());
    nix::fcntl::fcntl(&listener, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("inherited");
    let pass = format!("exec \"$0\" \"$@\" 3<&{}", listener.as_raw_fd());
    let shell = format!("export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=https; {pass}");
    let service =
        lab.start_behind(&["/bin/bash", "-c", &shell], "choria-aaasvc", &["run", "--config", "aaa.json"]).ready();
    assert!(login(given, "choria", "secret", &Seed::generate())["token"].is_string(), "{}", service.log());
}
