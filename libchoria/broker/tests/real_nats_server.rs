//! A whole broker over a real nats-server: who gets in, what they may do there, and what happens when nats-server dies.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test program uses its part of the laboratory")]
mod lab;

use bytes::Bytes;
use choria_broker_role::{BrokerError, BuildError, ProgramError, StartError};
use lab::{Lab, PATIENCE, free_port, until, user};
use network::{Connection, Failure, Login, Options};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};
use tokens::{ClientPermissions, Seed, SigningKey};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn each_member_lands_in_its_account() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let none = ClientPermissions::default();
    let client = lab.client(none);
    let provisioner = lab.client(ClientPermissions { server_provisioner: true, ..none });
    let admin = lab.client(ClientPermissions { system_user: true, ..none });

    let login = |name: &str, holder: &lab::Holder, extra| Options { user: extra, ..lab.options(name, holder.login()) };
    let rows = [
        ("client", login("client", &client, None), "choria", "up=alice"),
        ("provisioner", login("p", &provisioner, user("provisioner", "s3cret\"}")), "provisioning", "provisioner"),
        ("system user", login("s", &admin, user("system", "sysp")), "system", "system"),
    ];
    for (name, options, account, shown) in rows {
        let connection = lab.connect(as_alice(options)).await.unwrap();
        let info = who_am_i(&connection).await;
        assert_eq!(info["data"]["account"], account, "{name}: {info}");
        assert_eq!(info["data"]["user"], shown, "{name}: {info}");
        connection.close(PATIENCE).await;
    }
    assert_eq!(broker.metrics.snapshot().denied.len(), 0);
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_hold_on_the_wire() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let fleet = lab.client(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    let client = lab.connect(as_alice(lab.options("client", fleet.login()))).await.unwrap();
    let node = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();

    let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
    let answers = format!("choria.reply.{ALICE}.x");
    let mut replies = client.subscribe(&answers, None).await.unwrap();
    settled(&node, "n1").await;
    client.publish("choria.node.n1", Bytes::from_static(b"ping")).await.unwrap();
    assert_eq!(inbox.recv().await.unwrap().payload, "ping");
    who_am_i(&client).await;
    node.publish(&answers, Bytes::from_static(b"pong")).await.unwrap();
    assert_eq!(replies.recv().await.unwrap().payload, "pong");
    assert_eq!((client.status().errors, node.status().errors), (0, 0));

    let refused = |name: &'static str, connection: Connection, before: u64| async move {
        until(name, async || connection.status().errors > before).await;
    };
    client.publish("choria.lifecycle.event.x", Bytes::new()).await.unwrap();
    refused("a client's publish is refused", client.clone(), 0).await;
    client.subscribe("choria.node.n1", None).await.unwrap();
    refused("a client's subscription is refused", client.clone(), 1).await;
    node.publish("choria.node.n2", Bytes::new()).await.unwrap();
    refused("a server's publish is refused", node.clone(), 0).await;
    node.subscribe("choria.node.n2", None).await.unwrap();
    refused("a server's subscription is refused", node.clone(), 1).await;
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_denied_with_a_reason() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let member = lab.server("n1");
    let stranger = lab.server_by("n1", &SigningKey::Ed25519(Seed::generate()), SystemTime::now());
    let expired = lab.server_by("n1", &lab.issuer, SystemTime::now() - Duration::from_secs(7200));
    let thief = Login::TokenText { token: member.token.clone(), seed: lab.server("n2").seed };
    let with = |name: &str, login: Login| lab.options(name, login);

    let rows = [
        ("another issuer", with("a", stranger.login()), "token"),
        ("expired", with("b", Login::Provisioning { token: expired.token }), "token"),
        ("seed of another", with("c", thief), "nonce"),
        ("nonce not signed", with("d", Login::Provisioning { token: member.token.clone() }), "nonce"),
        ("nothing at all", with("e", Login::Anonymous), "no_token"),
        ("wrong password", Options { user: user("system", "no"), ..with("f", member.login()) }, "system_user"),
    ];
    for (name, options, label) in rows {
        let before = broker.metrics.snapshot().denied.get(label).copied().unwrap_or_default();
        let failure = lab.connect(options).await.expect_err(name);
        assert_eq!(failure, Failure::Unauthorized, "{name}");
        let after = broker.metrics.snapshot().denied.get(label).copied().unwrap_or_default();
        assert!(after > before, "{name} is not counted as {label}: {:?}", broker.metrics.snapshot());
    }
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_to_be_provisioned_are_apart_and_their_events_arrive() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let waiting = Login::Provisioning { token: lab.provisioning() };
    let waiting = lab.connect(lab.options("waiting", waiting)).await.unwrap();
    let viewer = lab.client(ClientPermissions { events_viewer: true, ..ClientPermissions::default() });
    let viewer = lab.connect(as_alice(lab.options("viewer", viewer.login()))).await.unwrap();

    let subject = "choria.lifecycle.event.startup.provision_mode_server";
    let mut events = viewer.subscribe("choria.lifecycle.event.>", None).await.unwrap();
    who_am_i(&viewer).await;
    waiting.publish(subject, Bytes::from_static(b"up")).await.unwrap();
    assert_eq!(events.recv().await.unwrap().subject, subject);
    waiting.publish("choria.broadcast.agent.discovery", Bytes::new()).await.unwrap();
    until("it cannot reach the fleet", async || waiting.status().errors > 0).await;
    broker.end().await;
}

/// The streams that nats-server reports are those that the original made, but for what versions of nats-server add.
#[tokio::test(flavor = "multi_thread")]
async fn streams_are_those_of_the_original_and_stay_so() {
    let path = vectors::root().join("streams/stream-configs.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let lab = Lab::new();
    for (round, changes) in
        [("created", &[][..]), ("updated", &[("plugin.choria.network.stream.event_retention", "1h")])]
    {
        let broker = lab.serve(changes).await;
        let admin = lab.client(ClientPermissions { streams_admin: true, ..ClientPermissions::default() });
        let admin = lab.connect(as_alice(lab.options("admin", admin.login()))).await.unwrap();
        for (name, stream) in recorded["created_by_broker_at_start"].as_object().unwrap() {
            let answer = admin.request(&format!("$JS.API.STREAM.INFO.{name}"), Bytes::new(), PATIENCE).await.unwrap();
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
            let mut expected = stream["config"].clone();
            if round == "updated" && name == "CHORIA_EVENTS" {
                expected["max_age"] = 3_600_000_000_000_u64.into();
            }
            // The broker renames what the original's stream renames, so that other streams may take all submissions; what
            // is stored has the same subjects.
            if name == "CHORIA_EXECUTOR" {
                expected["subjects"] = Value::Array(vec![expected["subject_transform"]["dest"].take()]);
                expected["subject_transform"] = Value::Null;
            }
            for (setting, value) in expected.as_object().unwrap() {
                // Written by newer versions only; absent means false.
                if ["metadata", "allow_msg_ttl"].contains(&setting.as_str()) {
                    continue;
                }
                assert_eq!(&answer["config"][setting], value, "{round} {name} {setting}");
            }
        }
        broker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nats_server_comes_back_and_so_do_its_clients() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let client = lab.client(ClientPermissions::default());
    let client = lab.connect(lab.options("client", client.login())).await.unwrap();
    let first = child_of(&lab);

    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first), nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the client is back", async || client.status().reconnects == 1).await;
    assert_ne!(child_of(&lab), first);
    let seen = broker.metrics.snapshot();
    assert_eq!(seen.restarts, 1, "{seen:?}");
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_certificate_is_used_without_a_restart() {
    let lab = Lab::new();
    let (broker, metrics) = lab.build(&[]).await;
    let stop = CancellationToken::new();
    let mut running = broker.checking_every(Duration::from_millis(50)).start(stop.clone());
    running.ready().await.unwrap();
    let client = lab.client(ClientPermissions::default());
    let client = lab.connect(lab.options("client", client.login())).await.unwrap();
    let child = child_of(&lab);

    let key = rcgen::KeyPair::generate().unwrap();
    let renewed = rcgen::CertificateParams::new(["renewed.example.net".to_owned()]).unwrap().self_signed(&key).unwrap();
    let directory = private_directory(&lab).unwrap();
    // Half a replacement is not used: the certificate does not belong to the key.
    std::fs::write(directory.join("listener.pem"), renewed.pem()).unwrap();
    let checks = metrics.snapshot().allowed;
    until("the broker looked at it", async || metrics.snapshot().allowed > checks + 2).await;
    assert_eq!(client.status().reconnects, 0);
    std::fs::write(directory.join("listener.key"), key.serialize_pem()).unwrap();
    until("everybody reconnects", async || client.status().reconnects == 1).await;
    assert_eq!(child_of(&lab), child, "nats-server was not started anew");
    stop.cancel();
    running.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_leaves_nothing_behind() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let child = child_of(&lab);
    let config = std::fs::read_dir(private_directory(&lab).unwrap()).unwrap().filter_map(Result::ok);
    let config = config.map(|entry| entry.path()).find(|path| path.ends_with("nats-server.conf")).unwrap();
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);

    broker.end().await;
    assert!(!alive(child), "nats-server still runs");
    assert!(private_directory(&lab).is_none(), "the private directory is still there");
    std::net::TcpListener::bind(("127.0.0.1", lab.port)).expect("the port is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_of_its_own_does_not_keep_a_broker_from_serving_others() {
    let lab = Lab::new();
    let expired = lab.server_by("broker.example.net", &lab.issuer, SystemTime::now() - Duration::from_secs(7200));
    std::fs::write(lab.path("broker.jwt"), &*expired.token).unwrap();
    expired.seed.write(&lab.path("broker.seed")).unwrap();
    let broker = lab.serve(&[]).await;
    assert!(broker.running.status().borrow().text.contains("own token has expired"));
    lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_cannot_serve_says_why() {
    let lab = Lab::new();
    let other = lab.server_by("broker.example.net", &SigningKey::Ed25519(Seed::generate()), SystemTime::now());
    std::fs::write(lab.path("stranger.jwt"), &*other.token).unwrap();
    let stranger = lab.path("stranger.jwt").display().to_string();
    let script = |name: &str, text: &str| {
        let path = lab.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Some(path.into_os_string())
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port();
    let taken_text = taken_port.to_string();
    let port = [("plugin.choria.network.client_port", taken_text.as_str())];
    let missing = [("plugin.security.choria.certificate", "/none.pem"), ("plugin.security.choria.key", "/none.key")];
    let token = [("plugin.security.choria.token_file", stranger.as_str())];
    // Nobody can make a folder there, not even root.
    let store = [("plugin.choria.network.stream.store", "/proc/none")];

    let real = Some(lab::nats_server());
    let rows = [
        ("no nats-server", None, &[][..], "nats-server was not found in PATH"),
        ("named in vain", Some("/none/nats-server".into()), &[][..], "/none/nats-server cannot be run"),
        (
            "old",
            script("old", "#!/bin/sh\necho 'nats-server: v2.9.25'\n"),
            &[][..],
            "is nats-server 2.9.25, and this broker needs 2.10",
        ),
        ("something else", script("other", "#!/bin/sh\necho hello\n"), &[][..], "it said \"hello\""),
        ("port taken", real.clone(), &port[..], "is taken by another program"),
        (
            "streams where they cannot be",
            real.clone(),
            &store[..],
            "plugin.choria.network.stream.store: /proc/none cannot be used: mkdir /proc/none",
        ),
        ("no certificate", real.clone(), &missing[..], "plugin.security.choria.certificate /none.pem cannot be read"),
        ("own token of another issuer", real.clone(), &token[..], "the broker refuses its own token"),
    ];
    for (name, program, changes, expected) in rows {
        let text = failure(&lab, program, changes).await;
        assert!(text.contains(expected), "{name}: {text}");
    }
}

/// The sentence with which a broker does not start.
async fn failure(lab: &Lab, program: Option<std::ffi::OsString>, changes: &[(&str, &str)]) -> String {
    let mut surroundings = lab.surroundings();
    surroundings.nats_server = program;
    let built =
        choria_broker_role::Broker::build(lab.settings(changes), &surroundings, std::sync::Arc::default()).await;
    let broker = match built {
        Ok(broker) => broker,
        Err(error) => return error.to_string(),
    };
    let ended = tokio::time::timeout(PATIENCE, broker.start(CancellationToken::new()).wait()).await;
    ended.expect("it gives up soon").expect_err("it does not serve").to_string()
}

/// Failures keep their type, for callers that act on them.
#[tokio::test(flavor = "multi_thread")]
async fn failures_can_be_told_apart() {
    let lab = Lab::new();
    let surroundings = choria_broker_role::Surroundings { nats_server: Some("/none".into()), ..lab.surroundings() };
    let missing = choria_broker_role::Broker::build(lab.settings(&[]), &surroundings, std::sync::Arc::default()).await;
    assert!(matches!(missing, Err(BuildError::Program(ProgramError::Unusable { .. }))), "{missing:?}");

    let port = free_port();
    let _held = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (broker, _) = lab.build(&[("plugin.choria.network.client_port", &port.to_string())]).await;
    let taken = broker.start(CancellationToken::new()).wait().await;
    assert!(matches!(taken, Err(BrokerError::Start(StartError::PortTaken { .. }))), "{taken:?}");
}

// What the tests ask

/// Answers come to the private reply subjects of the caller `up=alice`.
fn as_alice(options: Options) -> Options {
    Options { inbox_prefix: format!("choria.reply.{ALICE}"), ..options }
}

/// The private network id of `up=alice`.
const ALICE: &str = "9ff94a8781520105e44481be68e5d47f";

async fn who_am_i(connection: &Connection) -> Value {
    let answer = connection.request("$SYS.REQ.USER.INFO", Bytes::new(), PATIENCE).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// Waits until nats-server has taken everything that `connection` sent so far, by a message that comes back on the
/// private reply subject of its `owner`.
async fn settled(connection: &Connection, owner: &str) {
    let subject = format!("choria.reply.{}.settled", names::NetworkId::of(owner));
    let mut own = connection.subscribe(&subject, None).await.unwrap();
    connection.publish(&subject, Bytes::new()).await.unwrap();
    tokio::time::timeout(PATIENCE, own.recv()).await.expect("a message to oneself arrives");
}

/// The process of the lab's nats-server: nats-server puts its number into the name of the file with its ports.
fn child_of(lab: &Lab) -> i32 {
    let directory = private_directory(lab).unwrap();
    let names = std::fs::read_dir(directory).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut numbers = names.filter_map(|name| name.strip_suffix(".ports")?.rsplit_once('_')?.1.parse().ok());
    numbers.find(|number| alive(*number)).expect("a nats-server runs")
}

fn private_directory(lab: &Lab) -> Option<std::path::PathBuf> {
    let entries = std::fs::read_dir(lab.directory.path()).unwrap().filter_map(Result::ok);
    entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("choria-broker-")))
}

fn alive(process: i32) -> bool {
    std::path::Path::new(&format!("/proc/{process}/exe")).exists()
}
