//! A real server without configuration on a real broker: driven by a provisioner of the test through every step into
//! the fleet, sent back, and interrupted where it hurts.

use choria_tests::{Lab, PATIENCE, Process};
use network::{Login, Options, Role, ServerAddress, Servers, Tls, TlsFiles, UserPassword};
use protocol::{Filter, Headers, Request, Transport, Version};
use rpc::{ReplyBody, RequestBody};
use security::{Credentials, LocalSigner, Parts, Provider, Trust};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};
use tokens::{PublicKey, Seed, ServerClaims, SigningKey};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const IDENTITY: &str = "n9.lab.example.net";
const CALLER: &str = "up=provisioner";

/// A client that is what a provisioner is to nodes, without any of its judgement.
struct Provisioner {
    runtime: Runtime,
    connection: network::Connection,
    signer: LocalSigner,
}

impl Provisioner {
    fn connect(lab: &Lab) -> Self {
        let public = lab.keys("provisioner");
        let words = ["jwt", "client", "provisioner.jwt", CALLER, "issuer.seed", "--public-key", &public];
        lab.choria(&[&words[..], &["--server-provisioner", "--validity", "1d"]].concat()).succeeded();
        let token = tokens::read_token(&lab.path("provisioner.jwt")).expect("a token");
        let credentials = Credentials::new(&token, Seed::read(&lab.path("provisioner.seed")).expect("a seed"));
        let provider = Provider::new(Parts {
            identity: "provisioner.lab.example.net".parse().expect("a name"),
            credentials: Some(credentials.expect("credentials")),
            trust: Trust::Nobody,
            sign_replies: false,
        });
        let address: ServerAddress = format!("127.0.0.1:{}", lab.port).parse().expect("an address");
        let tls = Tls::new(&TlsFiles::default()).expect("TLS");
        let collective = "provisioning".parse().expect("a collective");
        let options = Options {
            login: Login::Token {
                token_file: lab.path("provisioner.jwt"),
                seed_file: Some(lab.path("provisioner.seed")),
            },
            user: Some(UserPassword { user: "provisioner".to_owned(), password: "lab-provisioning".to_owned() }),
            inbox_prefix: protocol::subjects::inbox_prefix(&collective, CALLER),
            ..Options::new(Role::Client, CALLER, Servers::Fixed(vec![address]), tls)
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let connection = runtime.block_on(network::connect(options, CancellationToken::new())).expect("connected");
        Self { runtime, connection, signer: LocalSigner::new(provider) }
    }

    /// Asks until there is an answer.
    fn call(&self, agent: &str, action: &str, data: &Value) -> ReplyBody {
        let began = Instant::now();
        loop {
            if let Some(reply) = self.runtime.block_on(self.ask(agent, action, data.clone())) {
                return reply;
            }
            assert!(began.elapsed() < PATIENCE, "no answer to {agent}#{action} within {PATIENCE:?}");
        }
    }

    async fn ask(&self, agent: &str, action: &str, data: Value) -> Option<ReplyBody> {
        let collective: names::Collective = "provisioning".parse().expect("a collective");
        let request = Request {
            version: Version::V2,
            id: protocol::new_request_id(Version::V2, SystemTime::now(), &mut rand::rngs::OsRng),
            sender: "provisioner.lab.example.net".parse().expect("a name"),
            caller: CALLER.parse().expect("a caller"),
            collective: collective.clone(),
            agent: agent.parse().expect("an agent"),
            ttl: 60,
            time: SystemTime::now(),
            filter: Filter::default(),
            payload: RequestBody { agent: agent.to_owned(), action: action.to_owned(), data }.encode(),
        };
        let reply_to = protocol::subjects::reply(&collective, &request.caller, &request.id);
        let mut replies = self.connection.subscribe(&reply_to, None).await.expect("subscribed");
        let headers = Headers { reply_to: Some(reply_to), ..Headers::default() };
        let message = self.signer.seal_now(&request).expect("sealed").transport(&headers);
        let subject = protocol::subjects::node(&collective, &IDENTITY.parse().expect("a name"));
        self.connection.publish(&subject, message.into()).await.expect("published");
        let reply = tokio::time::timeout(Duration::from_secs(4), replies.recv()).await.ok()??;
        let transport = Transport::parse(&reply.payload).expect("a transport message");
        let reply = transport.secure_reply().expect("a secure reply").unverified_reply().expect("a reply");
        Some(ReplyBody::parse(&reply.payload).expect("an RPC body"))
    }

    fn done(&self, agent: &str, action: &str, data: &Value) -> Value {
        let reply = self.call(agent, action, data);
        assert_eq!(reply.message, "OK", "{agent}#{action}");
        serde_json::from_str(reply.data.get()).expect("JSON")
    }

    fn new_key(&self) -> PublicKey {
        let reply = self.done("choria_provision", "gen25519", &json!({"token": "s3cret", "nonce": "0a1b"}));
        reply["public_key"].as_str().and_then(|key| key.parse().ok()).expect("a key")
    }

    /// From the node's new key to its restart.
    fn provision(&self, lab: &Lab) {
        let jwt = self.done("choria_provision", "jwt", &json!({"token": "s3cret"}));
        assert_eq!(jwt["jwt"], lab.read("node/provisioning.jwt"));
        let key = self.new_key();
        let inventory = self.done("rpcutil", "inventory", &json!({}));
        let expected = json!({"collectives": ["provisioning"], "main_collective": "provisioning", "facts": {},
            "agents": ["choria_provision", "choria_util", "discovery", "rpcutil"], "data_plugins": [], "upgradable": true});
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&inventory[name], value, "{name}");
        }
        let bundle = json!({
            "token": "s3cret", "config": configuration(lab).to_string(), "server_jwt": server_token(lab, key),
            "action_policies": {}, "opa_policies": {}, "ca": "", "certificate": "", "key": "", "ssldir": "", "ecdh_public": "",
        });
        let reply = self.done("choria_provision", "configure", &bundle);
        let message = reply["message"].as_str().expect("text");
        assert!(message.starts_with("Wrote ") && message.ends_with("/node/server.conf"), "{message}");
        let reply = self.done("choria_provision", "restart", &json!({"token": "s3cret", "splay": 1}));
        assert_eq!(reply["message"], "Restarting Choria Server after 2s");
    }
}

fn configuration(lab: &Lab) -> Value {
    json!({
        "identity": IDENTITY, "collectives": "choria", "loglevel": "info", "rpcauthorization": "0",
        "plugin.choria.server.provision": "false",
        "plugin.choria.middleware_hosts": format!("127.0.0.1:{}", lab.port),
        "plugin.security.provider": "choria",
        "plugin.security.choria.token_file": lab.path("node/server.jwt"),
        "plugin.security.choria.seed_file": lab.path("node/server.seed"),
        "plugin.security.issuer.names": "choria",
        "plugin.security.issuer.choria.public": lab.issuer,
    })
}

fn server_token(lab: &Lab, key: PublicKey) -> String {
    let (collectives, day) = (vec!["choria".to_owned()], Duration::from_secs(24 * 3600));
    let claims = ServerClaims::new(IDENTITY, collectives, key, day, SystemTime::now(), &mut rand::rngs::OsRng);
    let issuer = SigningKey::read(&lab.path("issuer.seed")).expect("a seed");
    claims.expect("claims").sign(&issuer).expect("signed")
}

/// A node that has nothing but its provisioning token.
fn node(lab: &Lab) -> Process {
    std::fs::create_dir(lab.path("node")).expect("a folder");
    let url = format!("127.0.0.1:{}", lab.port);
    let words = ["jwt", "provisioning", "node/provisioning.jwt", "issuer.seed", "--token", "s3cret", "--urls", &url];
    lab.choria(&[&words[..], &["--default", "--protocol-v2", "--upgrade"]].concat()).succeeded();
    start(lab)
}

fn start(lab: &Lab) -> Process {
    lab.start("choria-server", &["--config", "node/server.conf", "--identity", IDENTITY]).ready()
}

fn files(lab: &Lab) -> Vec<String> {
    let entries = std::fs::read_dir(lab.path("node")).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_node_comes_into_the_fleet_goes_back_and_returns() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let node = node(&lab);
    let process = node.pid();
    let provisioner = Provisioner::connect(&lab);
    provisioner.provision(&lab);
    let mut node = node.ready();
    lab.wait_for_fleet(1);
    assert_eq!((node.pid(), node.is_running()), (process, true), "the same process: {}", node.log());
    assert_eq!(files(&lab), ["provisioning.jwt", "server.conf", "server.jwt", "server.seed"]);
    let first = lab.read("node/server.seed");

    let refused = lab.choria(&["req", "choria_provision", "reprovision", "token=wrong"]);
    assert!(format!("{refused:?}").contains("Incorrect provision token supplied"), "{refused:?}");
    lab.choria(&["req", "choria_provision", "reprovision", "token=s3cret"]).succeeded();
    let node = node.ready();
    let key = provisioner.new_key();
    assert_ne!(Seed::from_hex(&first).expect("a seed").public(), key);
    assert_eq!(lab.read("node/server.seed"), first, "the old credentials stay until new ones have come");
    provisioner.provision(&lab);
    let node = node.ready();
    lab.wait_for_fleet(1);
    assert_eq!(node.pid(), process);
    assert_ne!(lab.read("node/server.seed"), first);
}

#[test]
fn a_reboot_between_key_and_configuration_leaves_nothing_behind() {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    let first = node(&lab);
    let provisioner = Provisioner::connect(&lab);
    let lost = provisioner.new_key();
    first.signal(nix::sys::signal::Signal::SIGKILL);
    drop(first);
    assert_eq!(files(&lab), ["provisioning.jwt"]);
    let second = start(&lab);
    // The provisioner goes on with the key of the process that is gone.
    let bundle =
        json!({"token": "s3cret", "config": configuration(&lab).to_string(), "server_jwt": server_token(&lab, lost)});
    let reply = provisioner.call("choria_provision", "configure", &bundle);
    assert!(reply.message.starts_with("JWT Setup Failed: there is no seed for the token"), "{}", reply.message);
    assert_eq!(files(&lab), ["provisioning.jwt"]);
    provisioner.provision(&lab);
    let _second = second.ready();
    lab.wait_for_fleet(1);
}
