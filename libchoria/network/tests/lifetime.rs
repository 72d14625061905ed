//! A connection over its life: messages, losses, bounds, the end.

mod support;

use bytes::Bytes;
use choria_network::{Connection, Login, Options, PublishError, Role, State, SubscribeError, connect};
use std::time::Duration;
use support::fake::{FakeBroker, Manner};
use support::{options, token_login, within};
use tokio_util::sync::CancellationToken;

async fn connected(options: Options) -> Connection {
    within("connecting", connect(options, CancellationToken::new())).await.expect("it connects")
}

async fn reached(connection: &Connection, state: State) {
    let mut changes = connection.changes();
    within(&format!("{state:?}"), changes.wait_for(|now| *now == state)).await.expect("the connection lives");
}

#[tokio::test]
async fn subjects_of_strangers_cannot_leave_their_line() {
    let broker = FakeBroker::start(Manner::Accept).await;
    let connection = connected(options(&broker.address, Login::Anonymous)).await;
    let rows = ["a b", "a\r\nPUB x 0\r\n", "", "a..b", ".a", "a.", "a.*", "a.>", "a\tb", "a\u{a0}b"];
    for subject in rows {
        let refused = PublishError::BadSubject(subject.to_owned());
        assert_eq!(connection.publish(subject, Bytes::new()).await, Err(refused.clone()), "{subject:?}");
        assert_eq!(connection.publish_with_reply("ok", subject, Bytes::new()).await, Err(refused), "{subject:?}");
    }
    for subject in ["a b", "a\r\nx", "", "a..b"] {
        let refused = SubscribeError::BadSubject(subject.to_owned());
        assert_eq!(connection.subscribe(subject, None).await.err(), Some(refused.clone()), "{subject:?}");
        assert_eq!(connection.subscribe("ok", Some(subject)).await.err(), Some(refused), "{subject:?}");
    }
    for subject in ["a", "a.*.b", "a.>"] {
        assert!(connection.subscribe(subject, None).await.is_ok(), "{subject:?}");
    }
}

#[tokio::test]
async fn what_waits_for_a_lost_connection_is_bounded() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let connection = connected(Options { patience: None, ..options(&broker.address, Login::Anonymous) }).await;
    broker.behave(Manner::HangUp);
    broker.drop_clients();
    reached(&connection, State::Reconnecting).await;
    let four = Bytes::from(vec![b'x'; 4096]);
    assert_eq!(connection.publish("one", four.clone()).await, Ok(()));
    assert_eq!(connection.publish("two", four.clone()).await, Ok(()));
    assert_eq!(connection.publish("three", four.clone()).await, Err(PublishError::Disconnected { waiting: 8192 }));
    broker.behave(Manner::Accept);
    reached(&connection, State::Connected).await;
    assert_eq!(broker.line("PUB").await, "PUB one 4096");
    assert_eq!(broker.line("PUB").await, "PUB two 4096");
    assert_eq!(connection.publish("three", four).await, Ok(()));
    assert_eq!(broker.line("PUB").await, "PUB three 4096");
}

#[tokio::test]
async fn what_the_broker_would_not_take_is_not_sent() {
    let broker = FakeBroker::start(Manner::Accept).await;
    let connection = connected(options(&broker.address, Login::Anonymous)).await;
    let size = connection.max_payload() + 1;
    let refused = PublishError::TooLarge { size, limit: size - 1 };
    assert_eq!(connection.publish("a", Bytes::from(vec![0; size])).await, Err(refused));
}

#[tokio::test]
async fn messages_that_are_not_read_are_dropped_and_counted() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let options = Options { subscription_capacity: 2, ..options(&broker.address, Login::Anonymous) };
    let connection = connected(options).await;
    let mut subscription = connection.subscribe("a", None).await.expect("it subscribes");
    let mut other = connection.subscribe("b", None).await.expect("it subscribes");
    broker.line("SUB b").await;
    broker.say("MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\nMSG a 1 1\r\n3\r\nMSG a 1 1\r\n4\r\nMSG b 2 x.y 1\r\n5\r\n");
    let last = within("the last message", other.recv()).await.expect("a message");
    assert_eq!((last.subject.as_str(), last.reply.as_deref(), &last.payload[..]), ("b", Some("x.y"), &b"5"[..]));
    for expected in [b"1", b"2"] {
        let message = within("a message", subscription.recv()).await.expect("a message");
        assert_eq!(&message.payload[..], expected);
    }
    within("the counter", async {
        while connection.status().dropped_messages < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(connection.status().in_messages, 5);
}

#[tokio::test]
async fn closing_drains_and_says_whether_it_could() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let connection = connected(options(&broker.address, Login::Anonymous)).await;
    let mut subscription = connection.subscribe("a", None).await.expect("it subscribes");
    connection.publish("last.words", Bytes::from_static(b"x")).await.expect("it publishes");
    assert!(connection.close(Duration::from_secs(5)).await, "it is drained");
    assert_eq!(broker.line("PUB").await, "PUB last.words 1");
    assert_eq!(broker.line("UNSUB").await, "UNSUB 1");
    assert_eq!(within("the end", subscription.recv()).await, None);
    assert_eq!(connection.publish("a", Bytes::new()).await, Err(PublishError::Closed));
    assert_eq!(connection.status().state, State::Closed);
}

#[tokio::test]
async fn closing_a_lost_connection_does_not_wait() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let connection = connected(options(&broker.address, token_login("up=alice", [3; 32]))).await;
    broker.next_connect().await;
    broker.behave(Manner::HangUp);
    broker.drop_clients();
    reached(&connection, State::Reconnecting).await;
    assert!(!within("closing", connection.close(Duration::from_secs(600))).await, "nothing could be drained");
    assert_eq!(connection.status().state, State::Closed);
}

#[tokio::test]
async fn an_attempt_to_return_that_hangs_is_noticed() {
    for manner in [Manner::Mute, Manner::MuteAfterLogin] {
        let mut broker = FakeBroker::start(Manner::Accept).await;
        let login = token_login("up=alice", [3; 32]);
        let mut options = Options { patience: None, ..options(&broker.address, login) };
        options.handshake_limit = Duration::from_millis(500);
        let connection = connected(options.clone()).await;
        broker.next_connect().await;
        assert!(tokio::time::timeout(Duration::ZERO, connection.hangs()).await.is_err(), "a live one hangs");
        broker.behave(manner);
        broker.drop_clients();
        let age = within("noticing", connection.hangs()).await;
        assert!(age >= Duration::from_secs(9), "{manner:?}: {age:?}");
        connection.abandon();
        assert_eq!(connection.publish("a", Bytes::new()).await, Err(PublishError::Closed));
        broker.behave(Manner::Accept);
        let other = connected(options.clone()).await;
        assert_eq!(other.status().state, State::Connected);
        let counts = options.counters.counts();
        assert_eq!((counts.hung, counts.closed, counts.initial_connections), (1, 1, 2), "{manner:?}");
    }
}

#[tokio::test]
async fn an_attempt_that_fails_by_itself_does_not_hang() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let options = Options { patience: None, ..options(&broker.address, token_login("up=alice", [3; 32])) };
    let connection = connected(options.clone()).await;
    broker.next_connect().await;
    broker.behave(Manner::HangUp);
    broker.drop_clients();
    reached(&connection, State::Reconnecting).await;
    within("a failed attempt", async {
        while connection.status().errors < 2 {
            assert!(tokio::time::timeout(Duration::from_millis(5), connection.hangs()).await.is_err());
        }
    })
    .await;
    broker.behave(Manner::Accept);
    reached(&connection, State::Connected).await;
    let counts = options.counters.counts();
    assert_eq!((counts.reconnections, counts.closed, counts.hung, counts.initial_attempts), (1, 1, 0, 1));
    assert!(counts.errors >= 2, "{counts:?}");
}

#[tokio::test]
async fn roles_differ_in_patience_and_pings() {
    let broker = FakeBroker::start(Manner::Accept).await;
    let client = options(&broker.address, Login::Anonymous);
    let server = Options::new(Role::Server, "server", client.servers.clone(), client.tls.clone());
    assert_eq!((client.ping_interval, server.ping_interval), (Duration::from_secs(30), Duration::from_secs(120)));
    assert_eq!((client.patience.is_some(), server.patience), (true, None));
}
