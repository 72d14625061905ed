//! What a connection sends to prove itself, and what it says when it is not believed.

mod support;

use choria_network::{ConnectError, Failure, Login, Options, Scheme, ServerAddress, State, connect};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use support::fake::{FakeBroker, Manner};
use support::{options, token, token_login, within};
use tokens::Seed;
use tokio_util::sync::CancellationToken;

fn stop() -> CancellationToken {
    CancellationToken::new()
}

#[tokio::test]
async fn connect_carries_token_and_signature_and_nothing_else() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let connection = within("connecting", connect(options(&broker.address, token_login("up=alice", [3; 32])), stop()))
        .await
        .expect("it connects");
    let sent = broker.next_connect().await;
    // Signature: vector of spec 01 §6 for this seed and nonce.
    let expected = "c4_cPPobZyXZfuDpTq6zMmphlLjW_4xzCf0cQgB5Zm8loX195UNqF5hRM4wzyAIgzKaNbYmdEzo6GqXSPeIyCQ";
    assert_eq!(sent["sig"], expected);
    assert!(sent["auth_token"].as_str().is_some_and(|token| token.starts_with("eyJ")));
    for absent in ["jwt", "nkey", "user", "pass"] {
        assert_eq!(sent[absent], Value::Null, "{absent}");
    }
    assert_eq!(sent["name"], "test");
    assert_eq!(*connection.changes().borrow(), State::Connected);
    assert_eq!(connection.connected_server(), Some(broker.address.to_string()));
}

#[tokio::test]
async fn a_renewed_token_is_sent_without_a_restart() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let directory = tempfile::tempdir().expect("a directory");
    let (token_file, seed_file) = (directory.path().join("token"), directory.path().join("seed"));
    let write = |caller: &str, number: u8| {
        let seed = Seed::from_bytes([number; 32]);
        let text = token(caller, &seed, SystemTime::now());
        // Files written by people end in a newline.
        std::fs::write(&token_file, format!("{text}\n")).expect("a token file");
        seed.write(&seed_file).expect("a seed file");
        text
    };
    let first = write("up=first", 1);
    let login = Login::Token { token_file: token_file.clone(), seed_file: Some(seed_file.clone()) };
    let connection = within("connecting", connect(options(&broker.address, login), stop())).await.expect("it connects");
    let before = broker.next_connect().await;
    assert_eq!(before["auth_token"], first);

    let second = write("up=second", 2);
    broker.drop_clients();
    let after = broker.next_connect().await;
    assert_eq!(after["auth_token"], second);
    assert_ne!(after["sig"], before["sig"]);
    let mut changes = connection.changes();
    within("being connected again", changes.wait_for(|state| *state == State::Connected)).await.expect("it lives");
    assert_eq!(connection.status().reconnects, 1);
}

#[tokio::test]
async fn clients_give_up_with_a_reason() {
    let alice = token_login("up=alice", [3; 32]);
    let seed = Seed::from_bytes([3; 32]);
    let old = token("up=late", &seed, SystemTime::now() - Duration::from_secs(5 * 3600));
    let expired = Login::TokenText { token: old.into(), seed: Arc::new(seed) };
    let missing = Login::Token { token_file: "/nonexistent/token".into(), seed_file: None };
    let garbage = Login::TokenText { token: "garbage".into(), seed: Arc::new(Seed::from_bytes([3; 32])) };
    let rows: &[(Manner, &Login, &str)] = &[
        (Manner::Refuse, &alice, "authorization violation: the broker refused this login"),
        (Manner::PingThenRefuse, &alice, "authorization violation: the broker refused this login"),
        (Manner::Complain("maximum connections exceeded"), &alice, "the broker refused the connection: maximum conn"),
        (Manner::HangUp, &alice, "the broker closed the connection during the handshake"),
        (Manner::Accept, &expired, "the token in memory expired 4 hours ago"),
        (Manner::Accept, &missing, "could not parse JWT: cannot read /nonexistent/token: No such file"),
        (Manner::Accept, &garbage, "could not parse JWT: memory: "),
    ];
    for (manner, login, expected) in rows {
        let broker = FakeBroker::start(*manner).await;
        let options = Options { patience: Some(Duration::ZERO), ..options(&broker.address, (*login).clone()) };
        let error = within("giving up", connect(options, stop())).await.expect_err("it must fail").to_string();
        let start = "could not connect to the Choria Broker after 1 attempts in ";
        assert!(error.starts_with(start), "{manner:?}: {error}");
        assert!(error.contains(&format!("{}: {expected}", broker.address)), "{manner:?}: {error}");
    }
}

#[tokio::test]
async fn nothing_listens_there() {
    let broker = FakeBroker::start(Manner::Accept).await;
    let port = broker.address.port();
    drop(broker);
    for scheme in [Scheme::Nats, Scheme::Tls, Scheme::Ws, Scheme::Wss] {
        let address = ServerAddress::new(scheme, "localhost", port);
        let options = Options { patience: Some(Duration::ZERO), ..options(&address, Login::Anonymous) };
        let error = within("giving up", connect(options, stop())).await.expect_err("it must fail");
        assert!(matches!(error, ConnectError::GaveUp { failure: Failure::Refused, .. }), "{address}: {error}");
    }
    let address = ServerAddress::new(Scheme::Nats, "name.invalid", port);
    let options = Options { patience: Some(Duration::ZERO), ..options(&address, Login::Anonymous) };
    let error = within("giving up", connect(options, stop())).await.expect_err("it must fail");
    assert!(matches!(error, ConnectError::GaveUp { failure: Failure::Name(_), .. }), "{error}");
}

#[tokio::test]
async fn a_slow_login_is_waited_for() {
    let mut broker = FakeBroker::start(Manner::PingThenAccept).await;
    let options = options(&broker.address, token_login("up=alice", [3; 32]));
    let connection = within("connecting", connect(options, stop())).await.expect("it connects");
    broker.next_connect().await;
    assert_eq!(connection.status().state, State::Connected);
}

#[tokio::test]
async fn servers_wait_for_ever_and_stop_when_told() {
    let mut broker = FakeBroker::start(Manner::Refuse).await;
    let options = Options { patience: None, ..options(&broker.address, token_login("up=alice", [3; 32])) };
    let stop = stop();
    let connecting = tokio::spawn(connect(options, stop.clone()));
    broker.next_connect().await;
    broker.next_connect().await;
    let started = Instant::now();
    stop.cancel();
    let ended = within("stopping", connecting).await.expect("no panic");
    assert!(matches!(ended, Err(ConnectError::Stopped)));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn the_first_connection_comes_when_the_broker_does() {
    let mut broker = FakeBroker::start(Manner::Refuse).await;
    let options = Options { patience: None, ..options(&broker.address, token_login("up=alice", [3; 32])) };
    let connecting = tokio::spawn(connect(options, stop()));
    broker.next_connect().await;
    broker.behave(Manner::Accept);
    let connection = within("connecting", connecting).await.expect("no panic").expect("it connects");
    assert_eq!(connection.status().state, State::Connected);
}
