//! Records on their way into a stream, on a real nats-server too.

use super::super::Action;
use super::*;
use network::{ServerAddress, Tls};
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);

fn record() -> Record<'static> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_252_601);
    Record { action: Action::Deny, caller: "up=jo", request: br#"{"a":"%s"}"#, time }
}

#[test]
fn the_request_is_embedded_as_an_object() {
    let expected = r#"{"protocol":"io.choria.signer.v1.signature_audit","callerid":"up=jo","action":"deny","site":"lon1","time":1795252601,"request":{"a":"%s"}}"#;
    assert_eq!(message(&record(), "lon1"), expected.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_wait_and_then_refuses() {
    let (sender, mut queue) = mpsc::channel(1);
    let sender = Queue(sender);
    sender.put(&record(), "x").await.expect("room");
    let error = sender.put(&record(), "x").await.expect_err("no room").to_string();
    assert!(error.starts_with("the audit queue is full: 1 records wait"), "{error}");
    queue.recv().await.expect("the first");
    sender.put(&record(), "x").await.expect("room again");
}

/// A nats-server with JetStream.
struct Server(Child);

impl Server {
    fn start(folder: &Path, port: u16) -> Self {
        let program = std::env::var_os("CHORIA_NATS_SERVER")
            .expect("CHORIA_NATS_SERVER is not set: use tests/run, or set it to the output of compose/nats-server");
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-js", "-p", &port.to_string(), "-sd"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("nats-server starts"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("ended");
    }
}

fn options(port: u16) -> Options {
    let address: ServerAddress = format!("nats://127.0.0.1:{port}").parse().expect("an address");
    Options::new(Role::Server, "audit", Servers::Fixed(vec![address]), Tls::disabled().expect("no TLS"))
}

/// Asks JetStream until it gives an answer that `wanted` takes.
async fn ask(
    connection: &Connection,
    what: &str,
    body: serde_json::Value,
    wanted: impl Fn(&serde_json::Value) -> bool,
) {
    let began = Instant::now();
    loop {
        let answer = connection.request(&format!("$JS.API.{what}"), body.to_string().into(), PATIENCE).await;
        let answer = answer.map(|delivery| serde_json::from_slice(&delivery.payload).unwrap_or_default());
        if answer.as_ref().is_ok_and(&wanted) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_wait_for_server_and_stream_and_what_is_left_at_the_end_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let metrics = Arc::new(Metrics::default());
    let (sender, queue) = mpsc::channel(CAPACITY);
    let queue_of_records = Queue(sender);
    let stream =
        Stream { queue, options: options(port), topic: "audit.sign".to_owned(), metrics: Arc::clone(&metrics) };
    let stop = CancellationToken::new();
    let running = tokio::spawn(stream.run(stop.clone(), Duration::from_secs(1)));
    // Nobody is there yet, then a server without the stream, then all of it; later the server goes away for a while.
    for _ in 0..3 {
        queue_of_records.put(&record(), "x").await.expect("room");
    }
    let server = Server::start(folder.path(), port);
    let connection = network::connect(options(port), CancellationToken::new()).await.expect("connected");
    let create = json!({"name": "AUDIT", "subjects": ["audit.>"], "storage": "file", "num_replicas": 1});
    ask(&connection, "STREAM.CREATE.AUDIT", create, |answer| answer["error"].is_null() && answer["config"].is_object())
        .await;
    let holds = |count: u64| move |answer: &serde_json::Value| answer["state"]["messages"].as_u64() >= Some(count);
    ask(&connection, "STREAM.INFO.AUDIT", json!({}), holds(3)).await;
    drop(server);
    for _ in 0..3 {
        queue_of_records.put(&record(), "x").await.expect("room");
    }
    let server = Server::start(folder.path(), port);
    ask(&connection, "STREAM.INFO.AUDIT", json!({}), holds(6)).await;
    drop(server);
    queue_of_records.put(&record(), "x").await.expect("room");
    queue_of_records.put(&record(), "x").await.expect("room");
    stop.cancel();
    running.await.expect("an end");
    assert_eq!(
        metrics.auditor_errors("jetstream"),
        2,
        "records that were not confirmed are counted, and logged in full"
    );
    assert!(queue_of_records.put(&record(), "x").await.is_err(), "nothing is taken any more");
}
