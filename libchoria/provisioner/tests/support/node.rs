//! A node in provisioning mode that does as a test tells it.

use super::{Site, seed};
use lifecycle::{Event, Format, Kind};
use names::Identity;
use network::{Connection, Options, Role, Servers, Tls};
use protocol::{Headers, Request, SecureReply, Transport, Version, subjects};
use security::key_transport::Exchange;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokens::Seed;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a node does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// What nodes do.
    Usual,
    /// Answers with these data.
    Data(Value),
    /// Answers with this status and text.
    Refuses(u8, &'static str),
    /// Answers with something that is no RPC body.
    Nonsense(&'static [u8]),
    /// Does not answer.
    Nothing,
    /// Answers as usual after a while.
    Slowly(Duration),
}

/// What it does by action and inputs.
pub(crate) type Script = dyn Fn(&str, &Value) -> Does + Send + Sync;

pub(crate) struct Node {
    pub(crate) identity: Identity,
    connection: Connection,
    asked: Asked,
    task: JoinHandle<()>,
}

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

struct Inside {
    identity: Identity,
    /// Under which name it answers.
    answers_as: Identity,
    key: Seed,
    exchange: Exchange,
    token: String,
    connection: Connection,
    asked: Asked,
    script: Box<Script>,
}

impl Node {
    /// A node that waits to be found.
    pub(crate) async fn start(
        site: &Site,
        name: &str,
        script: impl Fn(&str, &Value) -> Does + Send + Sync + 'static,
    ) -> Self {
        let token = site.provisioning_token(1);
        Self::start_as(site, name, name, token, script).await
    }

    /// A node that listens as `name` and answers as `answers_as`.
    pub(crate) async fn start_as(
        site: &Site,
        name: &str,
        answers_as: &str,
        token: String,
        script: impl Fn(&str, &Value) -> Does + Send + Sync + 'static,
    ) -> Self {
        let tls = Tls::disabled().expect("no TLS");
        let options = Options::new(Role::Client, name, Servers::Fixed(vec![site.nats.address()]), tls);
        let connection = network::connect(options, CancellationToken::new()).await.expect("a connection");
        let identity: Identity = name.parse().expect("an identity");
        let collective = "provisioning".parse().expect("a collective");
        let mut requests =
            connection.subscribe(&subjects::node(&collective, &identity), None).await.expect("subscribed");
        let discovery = subjects::broadcast_agent(&collective, &"discovery".parse().expect("an agent"));
        let mut discoveries = connection.subscribe(&discovery, None).await.expect("subscribed");
        connection.flush().await.expect("flushed");
        let asked = Asked::default();
        let inside = Inside {
            identity: identity.clone(),
            answers_as: answers_as.parse().expect("an identity"),
            key: seed(7),
            exchange: Exchange::generate(&mut rand::thread_rng()),
            token,
            connection: connection.clone(),
            asked: Arc::clone(&asked),
            script: Box::new(script),
        };
        let task = tokio::spawn(async move {
            loop {
                let delivery = tokio::select! {
                    Some(request) = requests.recv() => request,
                    Some(discovery) = discoveries.recv() => discovery,
                    else => return,
                };
                inside.serve(&delivery.payload).await;
            }
        });
        Self { identity, connection, asked, task }
    }

    /// Tells the network that it started.
    pub(crate) async fn announce(&self, format: Format) {
        let component = "provision_mode_server".parse().expect("a component");
        let kind = Kind::Startup { version: "1.0".to_owned() };
        let event = Event::new(self.identity.clone(), component, kind, SystemTime::now(), &mut rand::thread_rng());
        self.connection.publish(&event.subject(), event.encode(format).into()).await.expect("published");
    }

    /// The actions that were asked for, discoveries aside.
    pub(crate) fn actions(&self) -> Vec<String> {
        self.asked.lock().expect("the list").iter().map(|(action, _)| action.clone()).collect()
    }

    /// The inputs of the last request for `action`.
    pub(crate) fn inputs(&self, action: &str) -> Value {
        let asked = self.asked.lock().expect("the list");
        asked.iter().rev().find(|(name, _)| name == action).map(|(_, data)| data.clone()).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inside {
    async fn serve(&self, payload: &[u8]) {
        let transport = Transport::parse(payload).expect("a transport message");
        let request = transport.secure_request().expect("a secure request").unverified_request().expect("a request");
        let reply_to = transport.headers.reply_to.clone().expect("a reply subject");
        assert_eq!(request.sender, "provisioner_signer");
        if request.agent == "discovery" {
            if self.identity == self.answers_as {
                self.answer(&request, &reply_to, b"pong".to_vec()).await;
            }
            return;
        }
        let body: Value = serde_json::from_slice(&request.body()).expect("an RPC body");
        let (action, data) = (body["action"].as_str().expect("an action").to_owned(), body["data"].clone());
        self.asked.lock().expect("the list").push((action.clone(), data.clone()));
        let does = (self.script)(&action, &data);
        if let Does::Slowly(time) = does {
            tokio::time::sleep(time).await;
        }
        let body = |status: u8, text: &str, data: Value| {
            json!({"action": action, "statuscode": status, "statusmsg": text, "data": data}).to_string().into_bytes()
        };
        let payload = match does {
            Does::Nothing => return,
            Does::Usual | Does::Slowly(_) => body(0, "OK", self.usual(&action, &data)),
            Does::Data(data) => body(0, "OK", data),
            Does::Refuses(status, text) => body(status, text, json!({})),
            Does::Nonsense(bytes) => bytes.to_vec(),
        };
        self.answer(&request, &reply_to, payload).await;
    }

    fn usual(&self, action: &str, data: &Value) -> Value {
        match action {
            "jwt" => json!({"jwt": self.token, "ecdh_public": self.exchange.public()}),
            "gen25519" => json!({
                "public_key": self.key.public().to_string(),
                "directory": "/etc/choria",
                "signature": self.key.sign(data["nonce"].as_str().unwrap_or_default().as_bytes()).to_hex(),
            }),
            "inventory" => json!({"version": "1.0.0", "upgradable": true, "facts": {"os": "Debian"}}),
            _ => json!({"message": "done"}),
        }
    }

    async fn answer(&self, request: &Request, reply_to: &str, payload: Vec<u8>) {
        let reply = request.reply(self.answers_as.clone(), payload, SystemTime::now());
        let secure = SecureReply::unsigned(Version::V2, reply.encode());
        let headers = Headers { sender: Some(self.answers_as.clone()), ..Headers::default() };
        let message = Transport { version: Version::V2, data: secure.encode(), headers }.encode();
        self.connection.publish(reply_to, message.into()).await.expect("published");
    }
}
