//! Service agents on a real broker: of several hosts in one queue group, one serves each request, also after one left.

mod support;

use choria_agents::{
    Admitted, Agent, Authorization, Broker, ClassSource, Drained, FactSource, Host, Metadata, Node, Replays, Roster,
    Stats, Unanswered,
};
use config::Settings;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use network::{Connection, Options, Role, Servers, Tls};
use protocol::{Filter, Request, Transport, Version};
use security::{Parts, Provider, Trust};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use support::message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers with the name of its host.
#[derive(Debug)]
struct Says(Metadata);

impl Agent for Says {
    fn metadata(&self) -> &Metadata {
        &self.0
    }

    fn handle(&self, _request: Admitted, node: Arc<Node>) -> BoxFuture<'_, Result<Vec<u8>, Unanswered>> {
        async move { Ok(node.identity().as_str().as_bytes().to_vec()) }.boxed()
    }
}

fn node(identity: &str) -> Arc<Node> {
    let agent = |name: &str, service: bool| -> Arc<dyn Agent> {
        Arc::new(Says(Metadata {
            license: "Apache-2.0".into(),
            author: "tests".into(),
            timeout: Duration::from_secs(5),
            name: name.parse().expect("an agent"),
            version: "1.0.0".into(),
            url: "".into(),
            description: "says who answers".into(),
            provider: "".into(),
            service,
        }))
    };
    let settings = Settings::builder().set("identity", identity).set("collectives", "choria,uk");
    let settings = settings.build().expect("settings");
    let name = settings.identity();
    Arc::new(Node {
        provider: Provider::new(Parts {
            identity: name,
            credentials: None,
            trust: Trust::Insecure,
            sign_replies: false,
        }),
        roster: Arc::new(Roster::new(vec![agent("says", true), agent("tells", false)], true).expect("a roster")),
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
    })
}

fn request(id: usize, collective: &str, agent: &str) -> Vec<u8> {
    let request = Request {
        version: Version::V2,
        id: format!("id{id}").parse().expect("an id"),
        sender: "client".parse().expect("a name"),
        caller: "up=alice".parse().expect("a caller"),
        collective: collective.parse().expect("a collective"),
        agent: agent.parse().expect("an agent"),
        ttl: 60,
        time: SystemTime::now(),
        filter: Filter::default(),
        payload: b"x".to_vec(),
    };
    message(&request, Some("replies"))
}

type Hosts = Vec<(Arc<Node>, CancellationToken, JoinHandle<Drained>)>;

#[tokio::test]
async fn of_two_hosts_one_serves_each_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = NatsServer::start(folder.path());
    let client = broker.connect("client").await;
    let mut replies = client.subscribe("replies", None).await.expect("a subscription");
    let mut hosts: Hosts = Vec::new();
    for identity in ["h1", "h2"] {
        let (node, stop) = (node(identity), CancellationToken::new());
        let sender = watch::Sender::new(Arc::clone(&node));
        let host = Host::subscribe(sender.subscribe(), broker.connect(identity).await, true).await.expect("subscribed");
        let (stopped, task_node) = (stop.clone(), sender);
        let task = tokio::spawn(async move {
            let _node = task_node;
            host.run(stopped, Duration::from_secs(5), &()).await
        });
        hosts.push((node, stop, task));
    }
    let served = |index: usize, hosts: &Hosts| hosts[index].0.stats.counts().replies;
    let mut sent = 0;
    let began = Instant::now();
    while served(0, &hosts) == 0 || served(1, &hosts) == 0 {
        assert!(began.elapsed() < PATIENCE, "both hosts never had a share of {sent} requests");
        sent += 1;
        client
            .publish("choria.broadcast.service.says", request(sent, "choria", "says").into())
            .await
            .expect("published");
        tokio::time::timeout(Duration::from_millis(500), replies.recv()).await.ok();
    }

    // With a reply for each of fifty more, none was served twice.
    let mut answered = BTreeSet::new();
    for number in 0..50 {
        let collective = if number % 2 == 0 { "choria" } else { "uk" };
        let subject = format!("{collective}.broadcast.service.says");
        client.publish(&subject, request(1000 + number, collective, "says").into()).await.expect("published");
    }
    while answered.len() < 50 {
        let reply = tokio::time::timeout(PATIENCE, replies.recv()).await.expect("in time").expect("a reply");
        let reply = Transport::parse(&reply.payload).and_then(|reply| reply.secure_reply()).expect("a secure reply");
        let id = reply.unverified_reply().expect("a reply").request.to_string();
        // Late answers to the first requests may still come.
        if id.len() > 5 {
            assert!(answered.insert(id.clone()), "{id} was served twice");
        }
    }
    let sent = sent + 50;
    let totals: u64 = hosts.iter().map(|(node, ..)| node.stats.counts().total).sum();
    assert!(totals <= sent as u64, "{sent} requests were delivered {totals} times");

    // What is no service is not hosted, and a host that leaves leaves its share to the other.
    client.publish("choria.broadcast.agent.tells", request(2000, "choria", "tells").into()).await.expect("published");
    let (gone, stop, task) = hosts.remove(0);
    stop.cancel();
    tokio::time::timeout(PATIENCE, task).await.expect("in time").expect("it ends");
    let (left_by, before) = (gone.stats.counts().total, hosts[0].0.stats.counts().replies);
    for number in 0..20 {
        let message = request(3000 + number, "choria", "says");
        client.publish("choria.broadcast.service.says", message.into()).await.expect("published");
    }
    let began = Instant::now();
    while hosts[0].0.stats.counts().replies < before + 20 {
        assert!(began.elapsed() < PATIENCE, "the host that is left serves {:?}", hosts[0].0.stats.counts());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(gone.stats.counts().total, left_by);
    assert_eq!(hosts[0].0.stats.counts().replies, before + 20);
}

/// A broker that lets everybody do everything, killed when dropped.
struct NatsServer {
    child: Child,
    url: String,
}

impl NatsServer {
    fn start(folder: &Path) -> Self {
        let program = std::env::var_os("CHORIA_NATS_SERVER")
            .expect("CHORIA_NATS_SERVER is not set: use tests/run, or set it to the output of compose/nats-server");
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        let began = Instant::now();
        let url = loop {
            assert!(began.elapsed() < PATIENCE, "nats-server wrote no ports file");
            let file = std::fs::read_dir(folder).expect("a folder").flatten().next();
            let text = file.and_then(|file| std::fs::read_to_string(file.path()).ok()).unwrap_or_default();
            if let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text) {
                break ports["nats"][0].as_str().expect("an address").to_owned();
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, url }
    }

    async fn connect(&self, name: &str) -> Connection {
        let servers = Servers::Fixed(vec![self.url.parse().expect("an address")]);
        let options = Options::new(Role::Client, name, servers, Tls::disabled().expect("no TLS"));
        network::connect(options, CancellationToken::new()).await.expect("connected")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
