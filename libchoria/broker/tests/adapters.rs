//! Data adapters on a real nats-server, and the configuration of the demonstration that uses one.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test program uses its part of the laboratory")]
mod lab;

use bytes::Bytes;
use choria_broker_role::Settings;
use config::Kind;
use lab::{Lab, PATIENCE, Served, until};
use network::Connection;
use serde_json::Value;
use tokens::ClientPermissions;

const ADAPTER: &[(&str, &str)] = &[
    ("plugin.choria.adapters", "registration"),
    ("plugin.choria.adapter.registration.type", "choria_streams"),
    ("plugin.choria.adapter.registration.stream.topic", "choria.node_metadata.%s"),
    ("plugin.choria.adapter.registration.ingest.topic", "choria.broadcast.agent.registration"),
    ("plugin.choria.adapter.registration.ingest.protocol", "request"),
];

#[tokio::test(flavor = "multi_thread")]
async fn registration_data_arrives_in_a_stream() {
    let lab = Lab::new();
    let broker = lab.serve(ADAPTER).await;
    let admin = lab.client(ClientPermissions { org_admin: true, ..ClientPermissions::default() });
    let admin = lab.connect(lab.options("admin", admin.login())).await.unwrap();
    let streams = async_nats::jetstream::new(admin.client().clone());
    let config = async_nats::jetstream::stream::Config {
        name: "REGISTRATION".to_owned(),
        subjects: vec!["choria.node_metadata.>".to_owned()],
        ..Default::default()
    };
    let stream = streams.create_stream(config).await.unwrap();
    let node = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    let message = std::fs::read(vectors::root().join("streams/wire-registration-publish-1365.bin")).unwrap();
    let subject = "choria.broadcast.agent.registration";
    node.publish(subject, Bytes::from_static(b"no message")).await.unwrap();
    for _ in 0..MESSAGES {
        node.publish(subject, message.clone().into()).await.unwrap();
    }
    until("all of them are stored", async || {
        let info = streams.get_stream(&stream.cached_info().config.name).await.unwrap();
        info.cached_info().state.messages == MESSAGES
    })
    .await;
    let stored = stream.get_raw_message(MESSAGES).await.unwrap();
    let body: Value = serde_json::from_slice(&stored.payload).unwrap();
    let sender = body["sender"].as_str().unwrap();
    assert_eq!(stored.subject.as_str(), format!("choria.node_metadata.{sender}"));
    assert_eq!(body["protocol"], "choria:adapters:choria_streams:output:1");

    let (taken, written) =
        (count(&broker, "received_msgs", "input").await, count(&broker, "published_msgs", "output").await);
    assert_eq!((taken, written), (MESSAGES, MESSAGES));
    assert_eq!(count(&broker, "errors", "input").await, 1, "what is no message is counted");
    node.close(PATIENCE).await;
    broker.end().await;
}

/// An adapter belongs to one run of nats-server, and works in the next.
#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_is_there_again_after_nats_server_was_started_again() {
    let lab = Lab::new();
    let changes: Vec<(&str, String)> = ADAPTER.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let member = lab::member::Member::start(&lab, "b1", &changes).await;
    let admin = member.admin(&lab).await;
    let mut written = admin.subscribe("choria.node_metadata.>", None).await.unwrap();
    let killed = member.nats_server();
    lab::member::kill(killed);
    until("nats-server runs again", async || member.running().is_some_and(|now| now != killed)).await;
    let message = std::fs::read(vectors::root().join("streams/wire-registration-publish-1365.bin")).unwrap();
    until("a message is written", async || {
        publish(&admin, &message).await;
        tokio::time::timeout(std::time::Duration::from_millis(200), written.recv()).await.is_ok()
    })
    .await;
    member.served.end().await;
}

/// Unchanged but for paths and the issuer's key, which the file leaves open.
#[test]
fn the_configuration_of_the_demonstration_loads() {
    let lab = Lab::new();
    let file = lab.path("broker.conf");
    let text = std::fs::read_to_string(vectors::root().join("config/broker.conf")).unwrap();
    let text = text.replace("ISSUER", &lab.issuer_key());
    let credentials = format!("{}/", lab.directory.path().display());
    std::fs::write(&file, text.replace("/etc/choria/credentials/", &credentials)).unwrap();
    let environment = config::SystemEnvironment;
    let config = config::load(&file, Kind::Server, &environment).unwrap().check().unwrap();
    Settings::try_from(&config).unwrap();
}

async fn publish(connection: &Connection, message: &[u8]) {
    // While the connection is lost this is told, and tried again.
    let _ = connection.publish("choria.broadcast.agent.registration", message.to_vec().into()).await;
}

/// The sum of an adapter's counter over the workers of `role`, as it is exported.
async fn count(broker: &Served, counter: &str, role: &str) -> u64 {
    let mut scrape = daemon::metrics::Scrape::default();
    daemon::metrics::Exporter::export(&*broker.running.exporter(), &mut scrape).await;
    let text = String::from_utf8(scrape.encode()).unwrap();
    let name = format!("choria_adapter_{counter}{{");
    let lines = text.lines().filter(|line| line.starts_with(&name) && line.contains(&format!("role=\"{role}\"")));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64).sum()
}

const MESSAGES: u64 = 300;
