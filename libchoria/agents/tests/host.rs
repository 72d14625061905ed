//! The loop that takes requests: signs of life, agents that take too long, queue groups.

mod support;

use choria_agents::{
    Admitted, Agent, Authorization, Broker, ClassSource, FactSource, Host, Metadata, Node, Pulse, Replays, Roster,
    Stats, Unanswered,
};
use config::Settings;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use network::{Connection, Options, Role, Servers, Tls};
use protocol::{Filter, Request, Version};
use security::{Parts, Provider, Trust};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use support::message;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

/// Never answers; counts who asked and who was sent away.
#[derive(Debug)]
struct Stuck {
    metadata: Metadata,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

struct CountsItsEnd(Arc<AtomicUsize>);

impl Drop for CountsItsEnd {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Agent for Stuck {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn handle(&self, _request: Admitted, _node: Arc<Node>) -> BoxFuture<'_, Result<Vec<u8>, Unanswered>> {
        let end = CountsItsEnd(Arc::clone(&self.ended));
        self.begun.fetch_add(1, Ordering::SeqCst);
        async move {
            let _end = end;
            std::future::pending().await
        }
        .boxed()
    }
}

#[derive(Default)]
struct Asking {
    ask: Notify,
    alive: AtomicUsize,
}

impl Pulse for Asking {
    fn asked(&self) -> BoxFuture<'_, ()> {
        self.ask.notified().boxed()
    }

    fn alive(&self) {
        self.alive.fetch_add(1, Ordering::SeqCst);
    }
}

fn stuck_node() -> (Arc<Node>, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (begun, ended) = (Arc::default(), Arc::default());
    let metadata = Metadata {
        license: "Apache-2.0".into(),
        author: "tests".into(),
        timeout: Duration::from_secs(1),
        name: "stuck".parse().expect("an agent"),
        version: "1.0.0".into(),
        url: "".into(),
        description: "never answers".into(),
        provider: "".into(),
        service: false,
    };
    let agent: Arc<dyn Agent> = Arc::new(Stuck { metadata, begun: Arc::clone(&begun), ended: Arc::clone(&ended) });
    let settings = Settings::builder().set("identity", "n1").set("collectives", "choria").build().expect("settings");
    let identity = settings.identity();
    let node = Node {
        provider: Provider::new(Parts { identity, credentials: None, trust: Trust::Insecure, sign_replies: false }),
        roster: Arc::new(Roster::new(vec![agent], false).expect("a roster")),
        facts: Arc::new(FactSource::new(Vec::new())),
        classes: Arc::new(ClassSource::new(None)),
        stats: Arc::new(Stats::default()),
        replays: Arc::new(Replays::default()),
        authorization: Authorization::from_settings(&settings),
        audit: None,
        broker: Broker::default(),
        started: SystemTime::now(),
        provisioning: false,
        times: None,
        settings,
    };
    (Arc::new(node), begun, ended)
}

fn request() -> Vec<u8> {
    let request = Request {
        version: Version::V2,
        id: "2Q3".parse().expect("an id"),
        sender: "client".parse().expect("a name"),
        caller: "up=alice".parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: "stuck".parse().expect("an agent"),
        ttl: 60,
        time: SystemTime::now(),
        filter: Filter::default(),
        payload: b"x".to_vec(),
    };
    message(&request, Some("choria.reply.x"))
}

/// A connection to a broker that answers pings and nothing else.
async fn connection() -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("nats://{}", listener.local_addr().expect("bound")).parse().expect("an address");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a peer");
        let mut stream = BufReader::new(stream);
        let info = "INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"max_payload\":1048576,\"headers\":true}\r\n";
        stream.write_all(info.as_bytes()).await.expect("written");
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
            if line.starts_with("PING") {
                stream.write_all(b"PONG\r\n").await.expect("written");
            }
            line.clear();
        }
    });
    let options = Options::new(Role::Server, "n1", Servers::Fixed(vec![address]), Tls::disabled().expect("no TLS"));
    let connected = network::connect(options, CancellationToken::new());
    tokio::time::timeout(PATIENCE, connected).await.expect("in time").expect("connected")
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} did not happen"));
}

#[tokio::test]
async fn an_agent_that_takes_too_long_is_ended_and_nobody_is_answered() {
    let (node, begun, ended) = stuck_node();
    assert_eq!(node.respond(&request(), SystemTime::now()).await, None);
    assert_eq!((begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst)), (1, 1), "begun and ended");
    let counts = node.stats.counts();
    assert_eq!((counts.valid, counts.timed_out, counts.replies), (1, 1, 0));
}

#[tokio::test]
async fn only_the_loop_that_takes_requests_gives_signs_of_life() {
    let (node, ..) = stuck_node();
    let node = watch::Sender::new(node);
    let pulse = Arc::new(Asking::default());
    let alive = || pulse.alive.load(Ordering::SeqCst);
    let host = Host::subscribe(node.subscribe(), connection().await, false).await.expect("subscribed");
    let stop = CancellationToken::new();
    let mut run = Box::pin(host.run(stop.clone(), Duration::ZERO, &*pulse));
    assert_eq!(alive(), 0, "a loop that was never run lives");

    assert!(run.as_mut().now_or_never().is_none());
    let before = alive();
    pulse.ask.notify_one();
    assert_eq!(alive(), before, "a loop that is not run lives");
    assert!(run.as_mut().now_or_never().is_none());
    assert!(alive() > before, "the loop gave no sign of life when asked");

    stop.cancel();
    run.await;
    let before = alive();
    pulse.ask.notify_one();
    until("the last turn", || alive() == before).await;
}
