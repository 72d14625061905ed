//! Bursts of messages and what a stream says about each, on a real nats-server (spec 04 §5.3).

mod support;

use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use choria_network::{
    Connection, Login, NotStored, Options, Outbox, Outgoing, Scheme, ServerAddress, State, Stored, UserPassword,
    connect,
};
use std::time::Duration;
use support::real::NatsServer;
use support::{options, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(5);
const USERS: &str = r#"
authorization { users: [
  { user: all, password: x }
  { user: some, password: x, permissions: { publish: { deny: "in.>" } } }
] }
"#;

async fn login(address: &ServerAddress, user: &str) -> Connection {
    let user = UserPassword { user: user.to_owned(), password: "x".to_owned() };
    let options = Options { user: Some(user), patience: None, ..options(address, Login::Anonymous) };
    within("connecting", connect(options, CancellationToken::new())).await.expect("it connects")
}

async fn make_stream(connection: &Connection, limits: stream::Config) {
    let config = stream::Config { name: "IN".to_owned(), subjects: vec!["in.>".to_owned()], ..limits };
    jetstream::new(connection.client().clone()).create_stream(config).await.expect("a stream");
}

fn message(subject: &str, id: usize, bytes: usize) -> Outgoing {
    let id = id.to_string();
    let payload = Bytes::from(vec![b'x'; bytes]);
    Outgoing::new(subject.to_owned(), [("Nats-Msg-Id", id.as_str())], payload).expect("sendable")
}

fn numbers(answers: &[Result<Stored, NotStored>]) -> Vec<u64> {
    answers.iter().map(|answer| answer.as_ref().map_or(0, |stored| stored.sequence)).collect()
}

#[tokio::test]
async fn a_burst_is_answered_message_by_message() {
    let server = NatsServer::start_with(USERS);
    let connection = login(&server.nats, "all").await;
    let mut outbox = Outbox::open(&connection).await.expect("an outbox");

    let nobody = outbox.store(vec![message("in.a", 1, 9), message("in.a", 2, 9)], LIMIT).await;
    assert_eq!(nobody, vec![Err(NotStored::NoStream("in.a".to_owned())); 2]);

    make_stream(&connection, stream::Config::default()).await;
    let burst = (1..=100).map(|id| message("in.a", id, 9)).collect();
    let answers = outbox.store(burst, LIMIT).await;
    assert_eq!(numbers(&answers), (1..=100).collect::<Vec<u64>>());
    let again = outbox.store(vec![message("in.a", 7, 9), message("in.b", 101, 9)], LIMIT).await;
    let stored = |sequence, duplicate| Ok(Stored { stream: "IN".to_owned(), sequence, duplicate });
    assert_eq!(again, [stored(7, true), stored(101, false)]);

    // What the broker would not take is known before it is sent, and does not hold up the others.
    let limit = connection.max_payload();
    let large = message("in.a", 200, limit);
    let size = large.size();
    let answers = outbox.store(vec![message("in.a", 199, 1), large, message("in.a", 201, 1)], LIMIT).await;
    assert_eq!(numbers(&answers), [102, 0, 103]);
    assert_eq!(answers[1], Err(NotStored::TooLarge { size, limit }));

    // More than one piece holds is left for the next burst.
    let answers = outbox.store((300..700).map(|id| message("in.a", id, 9)).collect(), LIMIT).await;
    let sent = answers.iter().take_while(|answer| answer.is_ok()).count();
    assert_eq!(sent, outbox.longest_burst());
    assert!(answers[sent..].iter().all(|answer| *answer == Err(NotStored::NotSent)));
    let answers = outbox.store((800..810).map(|id| message("in.a", id, 20_000)).collect(), LIMIT).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let server = NatsServer::start_with(USERS);
    let connection = login(&server.nats, "all").await;
    let mut outbox = Outbox::open(&connection).await.expect("an outbox");
    let full = stream::Config { max_messages: 3, discard: stream::DiscardPolicy::New, ..stream::Config::default() };
    make_stream(&connection, full).await;
    let answers = outbox.store((1..=5).map(|id| message("in.a", id, 9)).collect(), LIMIT).await;
    assert_eq!(numbers(&answers), [1, 2, 3, 0, 0]);
    assert!(
        matches!(&answers[3], Err(NotStored::Refused { description, .. }) if description.contains("maximum messages")),
        "{answers:?}"
    );

    let some = login(&server.nats, "some").await;
    let mut outbox = Outbox::open(&some).await.expect("an outbox");
    let denied = |answer: &NotStored| matches!(answer, NotStored::Denied(text) if text.contains("in.a"));
    let answers = outbox.store(vec![message("in.a", 9, 9)], LIMIT).await;
    assert!(answers[0].as_ref().is_err_and(denied), "{answers:?}");
    let answers = outbox.publish(vec![message("in.a", 9, 9)], LIMIT).await;
    assert!(answers[0].as_ref().is_err_and(denied), "{answers:?}");
    assert_eq!(outbox.publish(vec![message("out.a", 9, 9)], LIMIT).await, [Ok(())]);

    // Something answers that is no stream, and something that does not answer at all.
    let mut echo = connection.subscribe("echo", None).await.expect("a subscription");
    let mut silent = connection.subscribe("silent", None).await.expect("a subscription");
    connection.flush().await.expect("subscribed");
    let mut outbox = Outbox::open(&connection).await.expect("an outbox");
    let answer = async {
        let reply = echo.recv().await.expect("a message").reply.expect("wants an answer");
        connection.publish(&reply, Bytes::from_static(b"what?")).await.expect("answered");
    };
    let (answers, ()) = tokio::join!(outbox.store(vec![message("echo", 1, 9)], LIMIT), answer);
    assert_eq!(answers, [Err(NotStored::Malformed)]);
    let short = Duration::from_millis(50);
    assert_eq!(outbox.store(vec![message("silent", 1, 9)], short).await, [Err(NotStored::TimedOut(short))]);
    assert!(silent.recv().await.is_some());
}

/// The promise of a burst: whatever was cut off, later messages are never in the stream without earlier ones.
#[tokio::test]
async fn a_connection_cut_anywhere_in_a_burst_keeps_the_order() {
    const MESSAGES: usize = 1500;
    let server = NatsServer::start_with(USERS);
    let direct = login(&server.nats, "all").await;
    make_stream(&direct, stream::Config::default()).await;
    let (address, budgets) = cutting_proxy(server.nats.clone()).await;
    let connection = login(&address, "all").await;
    let mut outbox = Outbox::open(&connection).await.expect("an outbox");
    let mut state = connection.changes();
    let (mut next, mut cuts) = (0, 0);
    while next < MESSAGES {
        if cuts < 12 && next > cuts * 100 {
            // Within the next burst, a little further in each time.
            budgets.send(700 + cuts * 1337).await.expect("the proxy runs");
            cuts += 1;
        }
        within("connected", state.wait_for(|state| *state == State::Connected)).await.expect("it returns");
        let burst = (next..MESSAGES.min(next + outbox.longest_burst())).map(|id| message("in.a", id, 100)).collect();
        let answers = outbox.store(burst, LIMIT).await;
        next += answers.iter().take_while(|answer| answer.is_ok()).count();
    }
    assert!(connection.status().reconnects >= 6, "the proxy cut: {:?}", connection.status());
    let stream = jetstream::new(direct.client().clone()).get_stream("IN").await.expect("the stream");
    let mut order = Vec::new();
    for sequence in 1..=MESSAGES as u64 {
        let stored = stream.get_raw_message(sequence).await.expect("a message");
        order.push(
            stored
                .headers
                .get(async_nats::header::NATS_MESSAGE_ID)
                .expect("an id")
                .as_str()
                .parse::<usize>()
                .expect("a number"),
        );
    }
    assert_eq!(order, (0..MESSAGES).collect::<Vec<_>>());
}

/// Forwards to `server`; each budget ends the current connection after so many bytes more towards the server.
async fn cutting_proxy(server: ServerAddress) -> (ServerAddress, mpsc::Sender<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, mut budgets) = mpsc::channel::<usize>(1);
    let target = server.to_string().trim_start_matches("nats://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&target).await.expect("the server");
            let (mut budget, mut up, mut down) = (None::<usize>, vec![0; 4096], vec![0; 4096]);
            loop {
                tokio::select! {
                    new = budgets.recv(), if budget.is_none() => budget = new,
                    read = client.read(&mut up) => {
                        let Ok(length @ 1..) = read else { break };
                        let allowed = budget.map_or(length, |left| left.min(length));
                        if server.write_all(&up[..allowed]).await.is_err() || allowed < length {
                            break;
                        }
                        budget = budget.map(|left| left - allowed);
                    }
                    read = server.read(&mut down) => {
                        let Ok(length @ 1..) = read else { break };
                        if client.write_all(&down[..length]).await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
    });
    (ServerAddress::new(Scheme::Nats, "127.0.0.1", port), sender)
}
