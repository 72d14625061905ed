//! The life of a server: without a broker, and on one that is small enough to see every line.

use agents::{ClassSource, FactSource, Roster, builtin};
use choria_server_role::{Live, Parts, Running, Server, Settings};
use network::{Options, Role, Servers, Tls};
use protocol::{Filter, Headers, Request, SecureRequest, Transport, Version};
use security::{Provider, Trust};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn without_a_broker_it_says_so_and_stops_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let running = start(port, folder.path(), false);
    tokio::time::timeout(PATIENCE, running.attempted()).await.expect("a first attempt");
    assert!(running.node().is_none());
    let status = status(folder.path());
    assert_eq!((&status["connected_server"], &status["stats"]["total"]), (&"".into(), &0.into()));
    running.wait(std::future::ready(())).await.expect("a stop in order");
}

#[tokio::test]
async fn a_whole_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = start(broker.local_addr().expect("bound").port(), folder.path(), false);
    let mut broker = Broker::accept(&broker).await;

    let startup = broker.published("choria.lifecycle.event.startup.server").await;
    let event: Value = serde_json::from_slice(&startup).expect("JSON");
    assert_eq!((&event["source"], &event["data"]["identity"]), (&"io.choria.lifecycle".into(), &"n1".into()));
    let mut subjects: Vec<&str> = broker.subscriptions.iter().map(|(subject, _)| subject.as_str()).collect();
    subjects.sort_unstable();
    assert_eq!(
        subjects,
        [
            "choria.broadcast.agent.choria_util",
            "choria.broadcast.agent.discovery",
            "choria.broadcast.agent.rpcutil",
            "choria.node.n1"
        ]
    );

    broker.deliver("choria.broadcast.agent.discovery", &ping()).await;
    let reply = Transport::parse(&broker.published("choria.reply.me").await).expect("a transport message");
    let reply = reply.secure_reply().expect("a secure reply").unverified_reply().expect("a reply");
    assert_eq!((reply.sender.as_str(), reply.payload.as_slice()), ("n1", b"pong".as_slice()));

    let node = running.node().expect("it serves");
    assert_eq!((node.stats.counts().replies, node.stats.counts().events), (1, 1));
    let stopped = tokio::spawn(running.wait(std::future::ready(())));
    let shutdown = broker.published("choria.lifecycle.event.shutdown.server").await;
    let event: Value = serde_json::from_slice(&shutdown).expect("JSON");
    assert_eq!(event["type"], "io.choria.lifecycle.v1.shutdown");
    broker.until_closed().await;
    stopped.await.expect("no panic").expect("a stop in order");
    assert!(status(folder.path())["uptime"].is_u64());
}

#[tokio::test]
async fn a_broker_that_falls_silent_while_the_server_returns_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = start_impatient(listener.local_addr().expect("bound").port(), folder.path());
    let mut broker = Broker::accept(&listener).await;
    broker.published("choria.lifecycle.event.startup.server").await;
    drop(broker);

    // It takes the connection and says nothing, neither to the attempt to return nor ever after.
    let (mute, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a peer");
    let mut broker = Broker::accept(&listener).await;
    let subscribed = async {
        while broker.subscriptions.len() < 4 {
            assert_eq!(broker.line().await.expect("the connection lives"), None, "a second startup event");
        }
    };
    tokio::time::timeout(PATIENCE, subscribed).await.expect("it subscribes again");
    broker.deliver("choria.broadcast.agent.discovery", &ping()).await;
    broker.published("choria.reply.me").await;
    let node = running.node().expect("it serves");
    let counts = node.broker.counters.counts();
    assert_eq!((counts.hung, counts.initial_connections), (1, 2));
    assert_eq!((node.stats.counts().replies, node.stats.counts().events), (1, 1), "counters go on, no second start");
    drop(mute);
    let stopped = tokio::spawn(running.wait(std::future::ready(())));
    broker.published("choria.lifecycle.event.shutdown.server").await;
    broker.until_closed().await;
    stopped.await.expect("no panic").expect("a stop in order");
}

#[tokio::test]
async fn what_is_read_anew_counts_from_the_next_request_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = start(listener.local_addr().expect("bound").port(), folder.path(), false);
    let mut broker = Broker::accept(&listener).await;
    broker.published("choria.lifecycle.event.startup.server").await;
    let before = running.node().expect("it serves");
    assert_eq!(before.facts.read().json(), "{}");

    let facts = folder.path().join("facts.json");
    std::fs::write(&facts, r#"{"a":1}"#).expect("written");
    let config = config::Settings::builder()
        .set("identity", "n1")
        .set("collectives", "choria")
        .set("plugin.yaml", facts.to_str().expect("text"))
        .protection(config::Protection { signed_messages: false, validate_security: false, ..Default::default() })
        .set("plugin.security.provider", "choria")
        .build()
        .expect("settings");
    running.handle().apply(Live::from_settings(&config, SystemTime::now()).expect("parts"));
    let node = running.node().expect("it serves");
    assert_eq!(node.facts.read().json(), r#"{"a":1}"#);
    assert!(Arc::ptr_eq(&node.stats, &before.stats) && Arc::ptr_eq(&node.replays, &before.replays));
    broker.deliver("choria.broadcast.agent.discovery", &ping()).await;
    broker.published("choria.reply.me").await;
    assert_eq!(node.stats.counts().replies, 1);
    drop(running);
}

#[tokio::test]
async fn a_service_host_listens_for_services_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let running = start(broker.local_addr().expect("bound").port(), folder.path(), true);
    let mut broker = Broker::accept(&broker).await;
    broker.published("choria.lifecycle.event.startup.service_host").await;
    assert_eq!(broker.subscriptions, []);
    assert!(!running.has_ended(), "a server without subscriptions must not end");
    let stopped = tokio::spawn(running.wait(std::future::ready(())));
    broker.published("choria.lifecycle.event.shutdown.service_host").await;
    broker.until_closed().await;
    stopped.await.expect("no panic").expect("a stop in order");
}

/// A server whose attempts to return may take little time.
fn start_impatient(port: u16, folder: &Path) -> Running {
    start_with(port, folder, false, |options| {
        options.connect_timeout = Duration::from_millis(500);
        options.handshake_limit = Duration::from_millis(500);
    })
}

fn start(port: u16, folder: &Path, services_only: bool) -> Running {
    start_with(port, folder, services_only, |_| {})
}

fn start_with(port: u16, folder: &Path, services_only: bool, change: impl FnOnce(&mut Options)) -> Running {
    let file = folder.join("status.json").display().to_string();
    let config = config::Settings::builder()
        .set("identity", "n1")
        .set("collectives", "choria")
        .set("plugin.choria.status_file_path", &file)
        .build()
        .expect("settings");
    let roster = Roster::new(builtin::agents().expect("agents"), services_only).expect("a roster");
    let address = format!("nats://127.0.0.1:{port}").parse().expect("an address");
    let tls = Tls::disabled().expect("no TLS");
    let mut network = Options::new(Role::Server, "n1", Servers::Fixed(vec![address]), tls);
    change(&mut network);
    let parts = Parts {
        provider: Provider::new(security::Parts {
            identity: config.identity(),
            credentials: None,
            trust: Trust::Insecure,
            sign_replies: false,
        }),
        network,
        facts: Arc::new(FactSource::new(Vec::new())),
        classes: Arc::new(ClassSource::new(None)),
        roster: Arc::new(roster),
        times: None,
        delivery: None,
        orders: None,
        context: None,
    };
    Server::build(Settings::new(config, services_only), parts, 7, SystemTime::now()).expect("a server").start()
}

fn status(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("status.json")).expect("a status file")).expect("JSON")
}

/// A discovery request that nobody signed.
fn ping() -> Vec<u8> {
    let request = Request {
        version: Version::V2,
        id: "2Q3".parse().expect("an id"),
        sender: "client".parse().expect("a name"),
        caller: "up=alice".parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: "discovery".parse().expect("an agent"),
        ttl: 60,
        time: SystemTime::now(),
        filter: Filter::default(),
        payload: b"cGluZw==".to_vec(),
    };
    let secure = SecureRequest {
        version: Version::V2,
        request: request.encode(),
        signature: protocol::INSECURE.to_vec(),
        caller: "nobody".to_owned(),
        signer: None,
    };
    let headers = Headers { reply_to: Some("choria.reply.me".to_owned()), ..Headers::default() };
    Transport { version: Version::V2, data: secure.encode(), headers }.encode()
}

/// The broker's side of one connection.
struct Broker {
    stream: BufReader<TcpStream>,
    /// Subject and number of each subscription.
    subscriptions: Vec<(String, String)>,
}

impl Broker {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) =
            tokio::time::timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a peer");
        let info = "INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"max_payload\":1048576,\"headers\":true}\r\n";
        stream.write_all(info.as_bytes()).await.expect("written");
        Self { stream: BufReader::new(stream), subscriptions: Vec::new() }
    }

    /// The next message published to `subject`.
    async fn published(&mut self, subject: &str) -> Vec<u8> {
        let wait = async {
            loop {
                match self.step().await {
                    Some((published, payload)) if published == subject => return payload,
                    Some(_) => {}
                    None => panic!("the connection ended before anything was published to {subject}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("nothing was published to {subject}"))
    }

    async fn until_closed(&mut self) {
        let wait = async { while self.step().await.is_some() {} };
        tokio::time::timeout(PATIENCE, wait).await.expect("the connection was not closed");
    }

    async fn deliver(&mut self, subject: &str, payload: &[u8]) {
        let (_, number) = self.subscriptions.iter().find(|(known, _)| known == subject).expect("a subscription");
        let head = format!("MSG {subject} {number} {}\r\n", payload.len());
        let message = [head.as_bytes(), payload, b"\r\n"].concat();
        self.stream.get_mut().write_all(&message).await.expect("written");
    }

    /// Reads until something is published; `None` at the end of the connection.
    async fn step(&mut self) -> Option<(String, Vec<u8>)> {
        loop {
            if let Some(published) = self.line().await? {
                return Some(published);
            }
        }
    }

    /// Reads one line and what belongs to it: something published, or something that is answered or noted; `None` at the
    /// end of the connection.
    async fn line(&mut self) -> Option<Option<(String, Vec<u8>)>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => self.stream.get_mut().write_all(b"PONG\r\n").await.ok()?,
            ["SUB", subject, .., number] => self.subscriptions.push(((*subject).to_owned(), (*number).to_owned())),
            ["PUB", subject, .., length] => {
                let mut payload = vec![0; length.parse::<usize>().expect("a length") + 2];
                self.stream.read_exact(&mut payload).await.ok()?;
                payload.truncate(payload.len() - 2);
                return Some(Some(((*subject).to_owned(), payload)));
            }
            _ => {}
        }
        Some(None)
    }
}
