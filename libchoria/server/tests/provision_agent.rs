//! The agent `choria_provision` on a node without a network: what a provisioner does, and what strangers try.

use agents::{Authorization, Broker, ClassSource, FactSource, Node, Replays, Roster, Stats, builtin};
use choria_server_role::provisioning::ProvisioningToken;
use choria_server_role::{ProvisionSetup, control, provision_agent};
use config::{Protection, Settings};
use protocol::{Filter, Headers, Request, SecureRequest, Transport, Version};
use rand::SeedableRng;
use rand::rngs::{OsRng, StdRng};
use rpc::{ReplyBody, RequestBody};
use security::key_transport::{self, Exchange};
use security::{Parts, Provider, Trust};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokens::{ProvisioningClaims, PublicKey, Seed, ServerClaims, Signature, SigningKey};

const IDENTITY: &str = "s3.choria.local";
const SECRET: &str = "s3cret";

struct Rig {
    folder: TempDir,
    node: Arc<Node>,
    issuer: SigningKey,
    count: AtomicUsize,
}

impl Rig {
    fn new(provisioning: bool) -> Self {
        Self::with(provisioning, |_| {})
    }

    fn with(provisioning: bool, change: impl FnOnce(&mut ProvisioningClaims)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let issuer = SigningKey::Ed25519(Seed::generate());
        let year = Duration::from_secs(365 * 24 * 3600);
        let mut claims = ProvisioningClaims::new(SECRET, year, SystemTime::now(), &mut OsRng).expect("claims");
        claims.urls = "nats://broker.choria.local:4222".to_owned();
        (claims.provision_by_default, claims.protocol_v2) = (true, true);
        change(&mut claims);
        let file = folder.path().join("provisioning.jwt");
        fs::write(&file, claims.sign(&issuer).expect("signed")).expect("written");

        let config_file = folder.path().join("server.conf");
        let protection = Protection { signed_messages: false, validate_security: false, ..Protection::default() };
        let settings = Settings::builder()
            .set("identity", IDENTITY)
            .set("collectives", "provisioning,choria")
            .set("rpcauthorization", "0")
            .set("plugin.choria.ssldir", &folder.path().join("ssl").display().to_string())
            .config_file(&config_file)
            .protection(protection)
            .build()
            .expect("settings");
        let (control, orders) = control();
        // Orders are taken by nobody here; they must not be lost for want of a taker.
        std::mem::forget(orders);
        let token = ProvisioningToken::read(&file).expect("a token");
        let setup = ProvisionSetup { provisioning, token, config_file, name: None, program: None };
        let agent = provision_agent(setup, control, StdRng::from_entropy()).expect("an agent");
        let mut agents = builtin::agents().expect("agents");
        agents.push(agent);
        let identity = settings.identity();
        let parts = Parts { identity, credentials: None, trust: Trust::Insecure, sign_replies: false };
        let node = Arc::new(Node {
            provider: Provider::new(parts),
            roster: Arc::new(Roster::new(agents, false).expect("a roster")),
            facts: Arc::new(FactSource::new(Vec::new())),
            classes: Arc::new(ClassSource::new(None)),
            stats: Arc::new(Stats::default()),
            replays: Arc::new(Replays::default()),
            audit: None,
            authorization: Authorization::from_settings(&settings),
            broker: Broker::default(),
            started: SystemTime::now(),
            provisioning,
            times: None,
            settings,
        });
        Self { folder, node, issuer, count: AtomicUsize::new(0) }
    }

    async fn call(&self, action: &str, data: Value) -> ReplyBody {
        self.call_as("provisioner", action, data).await
    }

    async fn call_as(&self, caller: &str, action: &str, data: Value) -> ReplyBody {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let body = RequestBody { agent: "choria_provision".to_owned(), action: action.to_owned(), data };
        let request = Request {
            version: Version::V2,
            id: format!("id{number}").parse().expect("an id"),
            sender: caller.parse().expect("a name"),
            caller: caller.parse().expect("a caller"),
            collective: "provisioning".parse().expect("a collective"),
            agent: "choria_provision".parse().expect("an agent"),
            ttl: 60,
            time: SystemTime::now(),
            filter: Filter::default(),
            payload: body.encode(),
        };
        let secure = SecureRequest {
            version: Version::V2,
            request: request.encode(),
            signature: protocol::INSECURE.to_vec(),
            caller: "nobody".to_owned(),
            signer: None,
        };
        let headers = Headers { reply_to: Some("provisioning.reply.x".to_owned()), ..Headers::default() };
        let message = Transport { version: Version::V2, data: secure.encode(), headers }.encode();
        self.respond(&message, SystemTime::now()).await
    }

    async fn respond(&self, message: &[u8], now: SystemTime) -> ReplyBody {
        let response = self.node.respond(message, now).await.expect("a reply");
        let transport = Transport::parse(&response.payload).expect("a transport message");
        let reply = transport.secure_reply().expect("a secure reply").unverified_reply().expect("a reply");
        ReplyBody::parse(&reply.payload).expect("an RPC body")
    }

    /// Calls `gen25519` and gives the new public key.
    async fn new_key(&self) -> PublicKey {
        let reply = self.call("gen25519", json!({"token": SECRET, "nonce": "ab12"})).await;
        let data = data(&reply);
        assert_eq!(data["directory"], self.folder.path().display().to_string());
        let key: PublicKey = text(&data["public_key"]).parse().expect("a key");
        assert!(key.verify(b"ab12", &Signature::from_hex(text(&data["signature"])).expect("a signature")));
        key
    }

    fn token_for(&self, identity: &str, key: PublicKey) -> String {
        let (collectives, hour) = (vec!["choria".to_owned()], Duration::from_secs(7200));
        let claims = ServerClaims::new(identity, collectives, key, hour, SystemTime::now(), &mut OsRng);
        claims.expect("claims").sign(&self.issuer).expect("signed")
    }

    /// Configuration that lets the node into a fleet.
    fn configuration(&self) -> Value {
        json!({
            "identity": IDENTITY,
            "plugin.choria.server.provision": "false",
            "plugin.security.provider": "choria",
            "plugin.security.choria.token_file": self.path("server.jwt"),
            "plugin.security.choria.seed_file": self.path("server.seed"),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).expect("there").permissions().mode() & 0o777
    }

    /// Every file but the provisioning token, with its content.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("provisioning.jwt") {
                    all.push((path.clone(), fs::read(&path).expect("readable")));
                }
            }
        }
        all.sort();
        all
    }
}

fn data(reply: &ReplyBody) -> Value {
    assert_eq!((status(reply), reply.message.as_str()), (0, "OK"));
    serde_json::from_str(reply.data.get()).expect("JSON")
}

fn status(reply: &ReplyBody) -> u64 {
    serde_json::to_value(reply.status).expect("a number").as_u64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn refused(reply: &ReplyBody) -> &str {
    assert_eq!(status(reply), 1, "{}", reply.message);
    &reply.message
}

#[tokio::test]
async fn a_node_is_provisioned() {
    let rig = Rig::new(true);
    let reply = data(&rig.call("jwt", json!({"token": SECRET})).await);
    assert_eq!(reply["jwt"], rig.read("provisioning.jwt").expect("the token"));
    assert_eq!(text(&reply["ecdh_public"]).len(), 64);

    let key = rig.new_key().await;
    assert_eq!(rig.files(), [], "a reboot now leaves nothing behind");
    let bundle = json!({
        "token": SECRET, "config": rig.configuration().to_string(), "server_jwt": rig.token_for(IDENTITY, key),
        "ca": "", "certificate": "", "key": "", "ssldir": "", "ecdh_public": "",
        "action_policies": {"rpcutil.policy": "policy default deny\n"}, "opa_policies": {"main.rego": "package x\n"},
    });
    let reply = data(&rig.call("configure", bundle.clone()).await);
    assert_eq!(reply["message"], format!("Wrote 6 lines to {}", rig.path("server.conf").display()));
    let seed = Seed::read(&rig.path("server.seed")).expect("a seed");
    assert_eq!(seed.public(), key);
    assert_eq!(rig.read("server.jwt").as_deref(), bundle["server_jwt"].as_str());
    let config = rig.read("server.conf").expect("written");
    let heading = "# configuration file written in request id2 from provisioner (provisioner) at 20";
    assert!(config.starts_with(heading) && config.contains("\nplugin.choria.server.provision=false\n"), "{config}");
    let modes = ["server.conf", "server.seed", "server.jwt", "policies/rpcutil.policy", "policies/rego/main.rego"];
    assert_eq!(modes.map(|name| rig.mode(name)), [0o600, 0o600, 0o600, 0o400, 0o400]);
    assert_eq!(["policies", "policies/rego"].map(|name| rig.mode(name)), [0o700, 0o700]);

    // The reply may be lost, so the provisioner may ask again.
    data(&rig.call("configure", bundle).await);
    let reply = data(&rig.call("restart", json!({"token": SECRET, "splay": 1})).await);
    assert_eq!(reply["message"], "Restarting Choria Server after 2s");
}

#[tokio::test]
async fn recorded_requests_are_understood_and_answered_in_kind() {
    let folder = vectors::Folder::open("provisioning");
    let rig = Rig::new(true);
    let cases = folder.index["cases"].as_array().expect("cases").clone();
    let mut requests = 0;
    for case in cases.iter().filter(|case| case["name"].as_str().is_some_and(|name| name.starts_with("request-"))) {
        let bytes = fs::read(vectors::root().join("provisioning").join(text(&case["file"]))).expect("the message");
        let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(case["request"]["time"].as_u64().expect("a time"));
        let reply = rig.respond(&bytes, now).await;
        let (status, message) = (status(&reply), reply.message.as_str());
        let got: Value = serde_json::from_str(reply.data.get()).expect("JSON");
        let keys: Vec<&String> = got.as_object().expect("an object").keys().collect();
        match text(&case["body"]["action"]) {
            "jwt" => assert_eq!((status, keys.len()), (0, 2)),
            "gen25519" => assert_eq!((status, keys.len()), (0, 3)),
            // It is for a key that another process made.
            "configure" => assert!(status == 1 && message.starts_with("JWT Setup Failed: "), "{message}"),
            "restart" => assert!(message.contains("could not be parsed, restart cannot continue"), "{message}"),
            "reprovision" => assert!(message.starts_with("Server is already in provisioning mode"), "{message}"),
            other => panic!("an action {other}"),
        }
        requests += 1;
    }
    assert_eq!(requests, 5);

    // The recorded bundle with a token for this node's key.
    let recorded = cases.iter().find(|case| case["name"] == "request-choria_provision-configure-1145").expect("there");
    let mut bundle = recorded["body"]["data"].clone();
    let here = rig.folder.path().display().to_string();
    bundle["config"] = text(&bundle["config"]).replace("/etc/choria", &here).into();
    // It was asked by another caller, who holds the lock.
    let key = rig.call_as("provisioner_signer", "gen25519", json!({"token": SECRET, "nonce": "1"})).await;
    let key: PublicKey = text(&data(&key)["public_key"]).parse().expect("a key");
    bundle["server_jwt"] = rig.token_for(IDENTITY, key).into();
    let reply = data(&rig.call_as("provisioner_signer", "configure", bundle).await);
    assert_eq!(reply["message"], format!("Wrote 27 lines to {here}/server.conf"));
    let reply = data(&rig.call_as("provisioner_signer", "restart", json!({"splay": 1, "token": SECRET})).await);
    assert_eq!(reply["message"], "Restarting Choria Server after 2s", "as recorded");
}

#[tokio::test]
async fn nobody_gets_in_without_the_secret_and_nobody_is_locked_out_by_trying() {
    let rig = Rig::new(true);
    let actions = ["jwt", "gen25519", "gencsr", "configure", "restart", "shutdown", "release_update"];
    for token in [json!(""), json!("S3cret"), json!("s3cret "), Value::Null] {
        for action in actions {
            let reply = rig.call_as("stranger", action, json!({"token": token, "config": "{}"})).await;
            assert_eq!(refused(&reply), "Incorrect provision token supplied", "{action} with {token}");
            assert_eq!(reply.data.get(), "{}", "{action}");
        }
    }
    data(&rig.call("jwt", json!({"token": SECRET})).await);
    for action in ["jwt", "gen25519", "gencsr", "configure", "release_update"] {
        let reply = rig.call_as("other", action, json!({"token": SECRET, "config": "{}"})).await;
        assert_eq!(refused(&reply), "Could not obtain provisioning lock", "{action}");
    }
    assert_eq!(rig.files(), []);
    let reply = rig.call("jwt", json!({"token": 7})).await;
    assert_eq!(status(&reply), 4);
    assert!(reply.message.starts_with("Could not parse request data for choria_provision#jwt: "), "{}", reply.message);
    assert_eq!(status(&rig.call("fly", json!({"token": SECRET})).await), 2);
}

#[tokio::test]
async fn a_member_of_the_fleet_only_restarts_leaves_or_goes_back() {
    let rig = Rig::new(false);
    let rows = [
        ("jwt", "Cannot reconfigure a server that is not in provisioning mode"),
        ("gen25519", "Cannot reconfigure a server that is not in provisioning mode"),
        ("gencsr", "Cannot reconfigure a server that is not in provisioning mode"),
        ("configure", "Cannot reconfigure a server that is not in provisioning mode"),
        ("release_update", "Cannot update a server that is not in provisioning mode"),
    ];
    for (action, words) in rows {
        assert_eq!(refused(&rig.call(action, json!({"token": SECRET})).await), words);
    }
    assert_eq!(refused(&rig.call("reprovision", json!({"token": "x"})).await), "Incorrect provision token supplied");
    fs::write(rig.path("server.conf"), format!("identity = {IDENTITY}\nloglevel = warn\n")).expect("written");
    let reply = data(&rig.call("restart", json!({"token": SECRET})).await);
    assert!(text(&reply["message"]).starts_with("Restarting Choria Server after "));
    let reply = data(&rig.call("shutdown", json!({"token": SECRET})).await);
    assert!(text(&reply["message"]).starts_with("Shutting Choria Server down after "));
    let reply = data(&rig.call("reprovision", json!({"token": SECRET})).await);
    assert!(text(&reply["message"]).starts_with("Restarting after "));
    let config = rig.read("server.conf").expect("written");
    let lines: Vec<&str> = config.lines().skip(1).collect();
    assert_eq!(lines, [&format!("identity={IDENTITY}"), "loglevel=debug", "plugin.choria.server.provision=1"]);
    assert!(rig.read("server.conf.before-reprovision").is_some_and(|old| old.contains("loglevel = warn")));
}

#[tokio::test]
async fn restart_refuses_what_would_not_work() {
    let rig = Rig::new(true);
    let file = rig.path("server.conf").display().to_string();
    let rows = [
        (
            None,
            json!({"token": SECRET}),
            format!("Configuration {file} could not be parsed, restart cannot continue: "),
        ),
        (
            Some("plugin.choria.server.provision = 1"),
            json!({"token": SECRET}),
            format!("Configuration {file} enables provisioning, restart cannot continue"),
        ),
        (
            Some("loglevel = warn"),
            json!({"token": SECRET}),
            format!("Configuration {file} enables provisioning, restart cannot continue: "),
        ),
        (
            Some("plugin.choria.server.provision = maybe"),
            json!({"token": SECRET}),
            format!("Configuration {file} could not be parsed"),
        ),
        (Some("plugin.choria.server.provision = 0"), json!({"token": SECRET, "splay": -1}), "splay must be".to_owned()),
        (
            Some("plugin.choria.server.provision = 0"),
            json!({"token": SECRET, "splay": i64::MAX}),
            "splay must be".to_owned(),
        ),
    ];
    for (config, inputs, words) in rows {
        if let Some(config) = config {
            fs::write(&file, config).expect("written");
        }
        let reply = rig.call("restart", inputs).await;
        assert!(refused(&reply).starts_with(&words), "{config:?}: {}", reply.message);
    }
    let reply = rig.call("restart", json!({"token": SECRET, "splay": "soon"})).await;
    assert_eq!(status(&reply), 4);
}

#[tokio::test]
async fn bundles_that_are_refused_change_nothing() {
    let rig = Rig::new(true);
    for (name, content) in [("server.conf", "old"), ("server.seed", "old"), ("server.jwt", "old")] {
        fs::write(rig.path(name), content).expect("written");
    }
    data(&rig.call("jwt", json!({"token": SECRET})).await);
    let key = rig.new_key().await;
    let before = rig.files();
    let good = || json!({"token": SECRET, "config": rig.configuration().to_string(), "server_jwt": rig.token_for(IDENTITY, key)});
    let with = |key: &str, value: Value| {
        let mut bundle = good();
        bundle[key] = value;
        bundle
    };
    let configured = |key: &str, value: &str| {
        let mut config = rig.configuration();
        config[key] = value.into();
        with("config", config.to_string().into())
    };
    let other = Seed::generate().public();
    let long = "x".repeat(70_000);
    let tls = |ssldir: &str| {
        let mut bundle = good();
        (bundle["certificate"], bundle["ca"], bundle["ssldir"]) = ("c".into(), "a".into(), ssldir.into());
        bundle
    };
    let mut bad_key = tls("/nonexistent/ssl");
    (bad_key["key"], bad_key["ecdh_public"]) = ("no key".into(), "00".into());
    let mut no_exchange = bad_key.clone();
    no_exchange["ecdh_public"] = "".into();
    let rows = [
        ("nothing", with("config", "".into()), "Did not receive any configuration to write"),
        ("no JSON", with("config", "{".into()), "Could not decode configuration data: "),
        ("numbers", with("config", r#"{"a":1}"#.into()), "Could not decode configuration data: "),
        (
            "newline",
            configured("loglevel", "warn\nrpcauthorization=0"),
            "Could not write config: the value of loglevel",
        ),
        ("newline in a key", configured("a\nb", "c"), "Could not write config: \"a\\nb\" is no key"),
        ("comment", configured("#a", "c"), "Could not write config: \"#a\" is no key"),
        ("oversize", configured("plugin.x", &long), "Could not write config: "),
        ("bad value", configured("plugin.choria.stats_port", "many"), "Could not write config: "),
        ("other provider", configured("plugin.security.provider", "puppet"), "Could not write config: this version"),
        ("other identity", configured("identity", "s4.choria.local"), "Could not write config: the token is for s3"),
        (
            "another's token",
            with("server_jwt", rig.token_for("s4.choria.local", key).into()),
            "JWT Setup Failed: the token is for s4",
        ),
        ("another key's token", with("server_jwt", rig.token_for(IDENTITY, other).into()), "JWT Setup Failed: "),
        ("no token at all", with("server_jwt", "".into()), "Could not write config: "),
        ("no token", with("server_jwt", "x".into()), "JWT Setup Failed: "),
        (
            "policy outside",
            with("action_policies", json!({"../x.policy": "p"})),
            "Could not save Action Policies: \"../x.policy\" is no name",
        ),
        (
            "policy of another kind",
            with("action_policies", json!({"x.rego": "p"})),
            "Could not save Action Policies: expected \"x.rego\" to have .policy extension",
        ),
        ("hidden policy", with("opa_policies", json!({".x.rego": "p"})), "Could not save Open Policy Agent Policies: "),
        ("relative ssldir", tls("ssl"), "TLS Setup Failed: ssldir"),
        ("ssldir outside", tls("/etc/../root"), "TLS Setup Failed: ssldir"),
        ("key without exchange", no_exchange, "EDCH Public Key not supplied"),
        ("bad exchange", bad_key, "TLS Setup Failed: "),
        ("full disk", tls("/proc/ssl"), "Could not write config: nothing was changed: "),
    ];
    for (name, bundle, words) in rows {
        let reply = rig.call("configure", bundle).await;
        assert!(refused(&reply).starts_with(words), "{name}: {}", reply.message);
        assert_eq!(rig.files(), before, "{name}");
    }
    data(&rig.call("configure", good()).await);
    assert_eq!(rig.read("server.jwt").map(|token| token.matches('.').count()), Some(2));
}

#[tokio::test]
async fn private_keys_arrive_sealed_and_policies_are_replaced_by_kind() {
    let rig = Rig::new(true);
    let public = data(&rig.call("jwt", json!({"token": SECRET})).await)["ecdh_public"].clone();
    let mine = Exchange::generate(&mut OsRng);
    let secret = mine.agree(text(&public)).expect("a secret");
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nY2hvcmlh\n-----END RSA PRIVATE KEY-----\n";
    let sealed = key_transport::seal(pem, &secret, [7; 16]).expect("sealed");
    let key = rig.new_key().await;
    let mut bundle = json!({
        "token": SECRET, "config": rig.configuration().to_string(), "server_jwt": rig.token_for(IDENTITY, key),
        "certificate": "cert", "ca": "ca", "ssldir": rig.path("tls/here"), "key": sealed, "ecdh_public": mine.public(),
        "action_policies": {"a.policy": "1", "b.policy": "1"}, "opa_policies": {"x.rego": "1"},
    });
    data(&rig.call("configure", bundle.clone()).await);
    assert_eq!(rig.read("tls/here/private.pem").as_deref(), Some(pem));
    let modes = ["tls/here", "tls/here/private.pem", "tls/here/certificate.pem", "tls/here/ca.pem"];
    assert_eq!(modes.map(|name| rig.mode(name)), [0o700, 0o600, 0o644, 0o644]);

    bundle["action_policies"] = json!({"b.policy": "2"});
    bundle["opa_policies"] = json!({});
    data(&rig.call("configure", bundle).await);
    assert_eq!((rig.read("policies/a.policy"), rig.read("policies/b.policy").as_deref()), (None, Some("2")));
    assert_eq!(rig.read("policies/rego/x.rego").as_deref(), Some("1"), "no policy of its kind came");
}

#[tokio::test]
async fn a_request_for_a_certificate_keeps_its_key_until_the_certificate_comes() {
    let rig = Rig::new(true);
    let reply = data(&rig.call("gencsr", json!({"token": SECRET, "C": "MT", "O": "Example"})).await);
    assert!(text(&reply["csr"]).starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
    assert!(text(&reply["public_key"]).starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(reply["ssldir"], rig.path("ssl").display().to_string());
    assert_eq!(rig.files(), []);
    let key = rig.new_key().await;
    let bundle = json!({
        "token": SECRET, "config": rig.configuration().to_string(), "server_jwt": rig.token_for(IDENTITY, key),
        "certificate": "cert", "ca": "ca", "ssldir": reply["ssldir"],
    });
    data(&rig.call("configure", bundle).await);
    assert!(rig.read("ssl/private.pem").is_some_and(|pem| pem.starts_with("-----BEGIN RSA PRIVATE KEY-----")));
    assert_eq!(rig.read("ssl/csr.pem").as_deref(), Some(text(&reply["csr"])));
    assert_eq!(["ssl/private.pem", "ssl/csr.pem"].map(|name| rig.mode(name)), [0o600, 0o644]);
}

#[tokio::test]
async fn updates_are_refused_unless_the_token_allows_them() {
    let rig = Rig::new(true);
    let inputs = json!({"token": SECRET, "repository": "http://127.0.0.1:1/repo", "version": "1.2.3"});
    let reply = rig.call("release_update", inputs.clone()).await;
    assert_eq!(refused(&reply), "Version updates is not enabled in the configuration");
    let rig = Rig::with(true, |claims| claims.allow_update = true);
    let reply = rig.call("release_update", inputs).await;
    assert!(refused(&reply).starts_with("Update to version 1.2.3 failed, release rolled back: "), "{}", reply.message);
}

#[tokio::test]
async fn a_link_to_the_configuration_stays_a_link() {
    let rig = Rig::new(true);
    fs::create_dir(rig.path("real")).expect("made");
    fs::write(rig.path("real/choria.conf"), "old").expect("written");
    std::os::unix::fs::symlink(rig.path("real/choria.conf"), rig.path("server.conf")).expect("a link");
    let key = rig.new_key().await;
    let bundle = json!({
        "token": SECRET, "config": rig.configuration().to_string(), "server_jwt": rig.token_for(IDENTITY, key),
    });
    data(&rig.call("configure", bundle).await);
    assert!(fs::symlink_metadata(rig.path("server.conf")).expect("there").is_symlink());
    assert!(rig.read("real/choria.conf").is_some_and(|text| text.contains("identity=")));
    assert!(Path::new(&rig.path("server.seed")).is_file());
}
