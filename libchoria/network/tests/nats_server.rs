//! The connector against a real nats-server.

mod support;

use bytes::Bytes;
use choria_network::{Login, Options, ServerAddress, State, connect};
use std::time::Duration;
use support::real::NatsServer;
use support::{options, within};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn nkeys_log_in_and_connections_return() {
    let pair = nkeys::KeyPair::new_user();
    let mut server = NatsServer::start(&pair.public_key());
    for address in [server.nats.clone(), server.websocket.clone()] {
        exchange_restart_exchange(&mut server, &address, &pair).await;
    }
}

#[tokio::test]
async fn strangers_are_refused_in_words() {
    let server = NatsServer::start(&nkeys::KeyPair::new_user().public_key());
    let stranger = nkeys::KeyPair::new_user();
    for address in [&server.nats, &server.websocket] {
        let failed = within("giving up", connect(hurried(address, &stranger), CancellationToken::new())).await;
        let text = failed.expect_err("it must fail").to_string();
        assert!(text.contains("authorization violation: the broker refused this login"), "{address}: {text}");
    }
}

async fn exchange_restart_exchange(server: &mut NatsServer, address: &ServerAddress, pair: &nkeys::KeyPair) {
    let options = hurried(address, pair);
    let connection = within("connecting", connect(options, CancellationToken::new())).await.expect("it connects");
    assert_eq!(connection.connected_server(), Some(address.to_string()));
    let mut subscription = connection.subscribe("greetings.*", None).await.expect("it subscribes");
    let mut changes = connection.changes();

    connection.publish("greetings.one", Bytes::from_static(b"hello")).await.expect("it publishes");
    let first = within("the first message", subscription.recv()).await.expect("a message");
    assert_eq!((first.subject.as_str(), &first.payload[..]), ("greetings.one", &b"hello"[..]), "{address}");

    server.kill();
    within("losing it", changes.wait_for(|state| *state == State::Reconnecting)).await.expect("it lives");
    assert_eq!(connection.connected_server(), None);
    server.restart();
    within("returning", changes.wait_for(|state| *state == State::Connected)).await.expect("it lives");

    connection.publish("greetings.two", Bytes::from_static(b"again")).await.expect("it publishes");
    let second = within("the second message", subscription.recv()).await.expect("a message");
    assert_eq!(second.subject, "greetings.two", "{address}");
    assert_eq!(connection.status().reconnects, 1, "{address}");
    assert!(connection.close(Duration::from_secs(5)).await, "{address}");
}

fn hurried(address: &ServerAddress, pair: &nkeys::KeyPair) -> Options {
    let login = Login::nkey(&pair.seed().expect("a seed")).expect("an nkey");
    options(address, login)
}
