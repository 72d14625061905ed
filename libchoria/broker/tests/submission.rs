//! Streams of submitted messages beside the broker's own stream of executor events, over real nats-servers.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test uses a part of the lab")]
mod lab;

use bytes::Bytes;
use lab::member::{Member, until_answered};
use lab::{Holder, Lab, Served, free_port, until};
use network::{Connection, Options, Scheme, ServerAddress, Servers};
use serde_json::{Value, json};
use tokens::{ClientPermissions, ServerPermissions};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_takes_all_that_is_submitted_beside_the_executors() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let admin = admin(&lab, &broker).await;
    assert_eq!(made(&admin, SUBMIT).await, Value::Null);
    let node = server(&lab, "n1", lab.port).await;

    assert_eq!(published(&node, "choria.submission.in.hello.world").await, "SUBMIT");
    assert_eq!(published(&node, STARTED).await, "CHORIA_EXECUTOR");
    assert_eq!(last_subject(&admin, "SUBMIT").await, ["choria.submission.in.hello.world"]);
    assert_eq!(last_subject(&admin, "CHORIA_EXECUTOR").await, [STARTED_STORED]);
    let info = settings_of(&admin, "CHORIA_EXECUTOR").await;
    assert_eq!((&info["subjects"], &info["subject_transform"]), (&json!(["choria.executor.>"]), &Value::Null));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_those_of_the_submitted_subject() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let admin = admin(&lab, &broker).await;
    let elsewhere = lab.server_with("n3", |claims| {
        claims.collectives = vec!["other".to_owned()];
        claims.permissions = Some(ServerPermissions { submission: true, ..ServerPermissions::default() });
    });
    let client =
        lab.client_with(|claims| claims.additional_publish_subjects = vec!["choria.submission.in.*".to_owned()]);
    let rows = [
        ("may not submit", lab.server("n1"), STARTED),
        ("may not submit, and writes past it", lab.server("n2"), STARTED_STORED),
        ("may submit in another collective", elsewhere.clone(), STARTED),
        ("may submit in another collective, and writes past it", elsewhere, STARTED_STORED),
        ("may submit short subjects", client, STARTED),
    ];
    for (name, holder, subject) in rows {
        let node = lab.connect(lab.options(name, holder.login())).await.unwrap();
        node.publish(subject, Bytes::from_static(b"{}")).await.unwrap();
        until(name, async || node.status().errors > 0).await;
    }
    assert!(last_subject(&admin, "CHORIA_EXECUTOR").await.is_empty());
    broker.end().await;
}

/// A store of the existing broker, whose stream listens to the submitted subjects itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_existing_stream_keeps_its_messages_and_gives_the_subjects_free() {
    let lab = Lab::new();
    let before = lab.serve(&[("plugin.choria.network.stream.manage_streams", "0")]).await;
    let connection = admin(&lab, &before).await;
    let existing = json!({
        "name": "CHORIA_EXECUTOR", "subjects": ["choria.submission.in.choria.executor.>"], "retention": "limits",
        "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 86_400_000_000_000_u64, "discard": "old",
        "max_msgs_per_subject": -1, "max_msg_size": -1, "storage": "file", "num_replicas": 1, "allow_direct": true,
        "subject_transform": { "src": "choria.submission.in.choria.executor.>", "dest": "choria.executor.>" },
    });
    assert_eq!(made(&connection, &existing.to_string()).await, Value::Null);
    assert_eq!(published(&connection, STARTED).await, "CHORIA_EXECUTOR");
    assert_eq!(made(&connection, SUBMIT).await["err_code"], 10065, "the streams collide there");
    connection.close(lab::PATIENCE).await;
    before.end().await;

    let after = lab.serve(&[]).await;
    let connection = admin(&lab, &after).await;
    assert_eq!(last_subject(&connection, "CHORIA_EXECUTOR").await, [STARTED_STORED], "what was stored is still there");
    assert_eq!(made(&connection, SUBMIT).await, Value::Null);
    assert_eq!(published(&connection, "choria.submission.in.choria.executor.r1.j1.exit").await, "CHORIA_EXECUTOR");
    assert_eq!(last_subject(&connection, "CHORIA_EXECUTOR").await, ["choria.executor.r1.j1.exit"]);
    assert!(last_subject(&connection, "SUBMIT").await.is_empty());
    after.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_member_of_a_cluster_brings_events_to_their_stream() {
    let lab = Lab::new();
    let ports = [(); 3].map(|()| free_port());
    let peers = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let mut members = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let changes = [
            ("plugin.choria.network.peers", peers.clone()),
            ("plugin.choria.network.peer_port", port.to_string()),
            ("plugin.choria.network.peer_user", "peer".to_owned()),
            ("plugin.choria.network.peer_password", "secret".to_owned()),
        ];
        members.push(Member::start(&lab, &format!("b{number}"), &changes).await);
    }
    for member in &members {
        until("all streams are there", async || member.served.metrics.snapshot().streams_missing == 0).await;
    }
    let admin = members[0].admin(&lab).await;
    assert_eq!(made(&admin, SUBMIT).await, Value::Null);
    for (number, member) in members.iter().enumerate() {
        let node = server(&lab, &format!("n{number}"), member.port).await;
        assert_eq!(published(&node, STARTED).await, "CHORIA_EXECUTOR", "published on member {number}");
        assert_eq!(published(&node, "choria.submission.in.x").await, "SUBMIT", "published on member {number}");
    }
    assert_eq!(last_subject(&admin, "CHORIA_EXECUTOR").await, [STARTED_STORED]);
    for member in members {
        member.served.end().await;
    }
}

/// Also for a leaf node that maps nothing itself, as the existing broker.
#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_over_a_leaf_node_are_renamed_too() {
    let lab = Lab::new();
    let port = free_port();
    let listener = [
        ("plugin.choria.network.leafnode_port", port.to_string()),
        ("plugin.choria.network.leafnode_user", "leaf".to_owned()),
        ("plugin.choria.network.leafnode_password", "l3af".to_owned()),
    ];
    let hub = Member::start(&lab, "hub", &listener).await;
    let admin = hub.admin(&lab).await;
    assert_eq!(made(&admin, SUBMIT).await, Value::Null);
    for (name, managed) in [("maps", "1"), ("plain", "0")] {
        let changes = [
            ("plugin.choria.network.leafnode_remotes", "hub".to_owned()),
            ("plugin.choria.network.leafnode_remote.hub.url", format!("leafnode://leaf:l3af@127.0.0.1:{port}")),
            ("plugin.choria.network.stream.store", String::new()),
            ("plugin.choria.network.stream.manage_streams", managed.to_owned()),
        ];
        let leaf = Member::start(&lab, name, &changes).await;
        let node = server(&lab, "n1", leaf.port).await;
        assert_eq!(published(&node, STARTED).await, "CHORIA_EXECUTOR", "the leaf node {name}");
        assert_eq!(last_subject(&admin, "CHORIA_EXECUTOR").await, [STARTED_STORED], "the leaf node {name}");
        leaf.served.end().await;
    }
    assert!(last_subject(&admin, "SUBMIT").await.is_empty());
    hub.served.end().await;
}

// What the tests ask

async fn admin(lab: &Lab, broker: &Served) -> Connection {
    assert_eq!(broker.metrics.snapshot().streams_missing, 0);
    let holder = lab.client(ClientPermissions { org_admin: true, ..ClientPermissions::default() });
    lab.connect(lab.options("admin", holder.login())).await.unwrap()
}

/// A connection of a server that may submit, with the private reply subjects of its own.
async fn server(lab: &Lab, identity: &str, port: u16) -> Connection {
    let servers = Servers::Fixed(vec![ServerAddress::new(Scheme::Tls, "127.0.0.1", port)]);
    let inbox_prefix = format!("choria.reply.{}", names::NetworkId::of(identity));
    let options = lab.options(identity, submitter(lab, identity).login());
    lab.connect(Options { servers, inbox_prefix, ..options }).await.unwrap()
}

/// A server that may submit.
fn submitter(lab: &Lab, identity: &str) -> Holder {
    lab.server_with(identity, |claims| {
        claims.permissions = Some(ServerPermissions { submission: true, ..ServerPermissions::default() });
    })
}

/// Makes a stream; the error, `null` for none.
async fn made(connection: &Connection, settings: &str) -> Value {
    let name = serde_json::from_str::<Value>(settings).unwrap()["name"].as_str().unwrap().to_owned();
    let mut answer = until_answered(connection, &format!("$JS.API.STREAM.CREATE.{name}"), settings.to_owned()).await;
    answer["error"].take()
}

/// The stream that acknowledges a message on `subject`.
async fn published(connection: &Connection, subject: &str) -> String {
    let mut stream = None;
    until("a stream acknowledges", async || {
        let answer = until_answered(connection, subject, "{}".to_owned()).await;
        stream = answer["stream"].as_str().map(str::to_owned);
        stream.is_some()
    })
    .await;
    stream.unwrap()
}

async fn settings_of(connection: &Connection, stream: &str) -> Value {
    until_answered(connection, &format!("$JS.API.STREAM.INFO.{stream}"), String::new()).await["config"].take()
}

/// The subject of the last message of a stream; nothing when it is empty.
async fn last_subject(connection: &Connection, stream: &str) -> Vec<String> {
    let question = json!({ "last_by_subj": ">" }).to_string();
    let answer = until_answered(connection, &format!("$JS.API.STREAM.MSG.GET.{stream}"), question).await;
    answer["message"]["subject"].as_str().map(str::to_owned).into_iter().collect()
}

/// An event of the executor as a server submits it.
const STARTED: &str = "choria.submission.in.choria.executor.r1.j1.started";

/// The same as clients read it.
const STARTED_STORED: &str = "choria.executor.r1.j1.started";

/// The settings of a stream for everything that is submitted.
const SUBMIT: &str = r#"{"name":"SUBMIT","subjects":["choria.submission.in.>"],"retention":"limits","storage":"file",
    "max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"num_replicas":1,"discard":"old"}"#;
