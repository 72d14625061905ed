//! Provisioning over a real nats-server: what nodes get, and what neither nodes nor helpers can do.

mod support;

use choria_provisioner_role::Counter;
use lifecycle::Format;
use security::key_transport::{Exchange, open};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use support::node::{Does, Node};
use support::{CONFIGURES, LIMIT, Site, seed};
use tokens::TrustRoots;

fn usual(_action: &str, _data: &Value) -> Does {
    Does::Usual
}

#[tokio::test]
async fn a_node_that_is_found_gets_everything_and_restarts() {
    let site = Site::new();
    let node = Node::start(&site, "n1.example.net", usual).await;
    let running = site.start(site.settings(CONFIGURES, ""));
    let line = site.audited("n1.example.net", "provisioned").await;
    assert_eq!((&line["reason"], &line["provisioner"]), (&json!(""), &json!("provisioner_signer")));
    assert_eq!(node.actions(), ["jwt", "gen25519", "inventory", "configure", "restart"]);

    let index = std::fs::read_to_string(vectors::root().join("provisioning/index.json")).expect("the recordings");
    let index: Value = serde_json::from_str(&index).expect("JSON");
    let recorded = |action: &str| {
        let cases = index["cases"].as_array().expect("cases").iter();
        let case = cases.clone().find(|case| case["body"]["action"] == action && case["body"]["agent"].is_string());
        case.expect("a recorded request")["body"]["data"].clone()
    };
    let keys = |data: &Value| data.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let sorted = |data: &Value| {
        let mut keys = keys(data);
        keys.sort();
        keys
    };
    for action in ["jwt", "gen25519", "configure", "restart"] {
        assert_eq!(sorted(&node.inputs(action)), sorted(&recorded(action)), "{action}");
    }
    assert_eq!(node.inputs("restart"), recorded("restart"));
    assert_eq!(node.inputs("gen25519")["nonce"].as_str().map(str::len), Some(32));

    let configure = node.inputs("configure");
    let configuration: Value = serde_json::from_str(configure["config"].as_str().expect("a text")).expect("JSON");
    assert_eq!(configuration["plugin.choria.server.provision"], "false");
    let roots = TrustRoots::signers(vec![site.issuer.public().into()]);
    let token = configure["server_jwt"].as_str().expect("a token");
    let claims = roots.verify_server(token, SystemTime::now()).expect("a valid token").into_claims();
    assert_eq!(claims.identity, "n1.example.net");
    assert_eq!(claims.standard.holder_key(), Ok(seed(7).public()));
    assert_eq!(running.counts().value(Counter::Provisioned), 1);
    running.wait(async {}).await.expect("an orderly end");
}

#[tokio::test]
async fn nodes_that_announce_themselves_are_provisioned_and_again_when_they_come_back() {
    let site = Site::new();
    let running = site.start(site.settings(CONFIGURES, ""));
    let counts = running.counts();
    until("the first discovery is made", || counts.value(Counter::DiscoverCycles) == 1).await;
    for (number, format) in [(1_u64, Format::CloudEvent), (2, Format::Bare)] {
        let node = Node::start(&site, &format!("n{number}.example.net"), usual).await;
        node.announce(format).await;
        site.audited(node.identity.as_str(), "provisioned").await;
        let found = counts.value(Counter::EventDiscovered) + counts.value(Counter::Discovered);
        assert_eq!(found, number);
    }
    let node = Node::start(&site, "n3.example.net", usual).await;
    node.announce(Format::CloudEvent).await;
    site.audited("n3.example.net", "provisioned").await;
    // Announced until it counts: what comes within a second was sent before the restart.
    let began = Instant::now();
    while site.audit_lines("n3.example.net") < 2 {
        assert!(began.elapsed() < LIMIT, "a node that comes back is not provisioned again");
        node.announce(Format::CloudEvent).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.wait(async {}).await.expect("an orderly end");
}

#[tokio::test]
async fn answers_that_are_none_are_ordinary_failures() {
    let site = Site::new();
    let (bad, huge) = (Does::Data(json!({"jwt": 1})), Does::Data(json!({"jwt": "x".repeat(100_000)})));
    let other = json!({"public_key": seed(8).public().to_string(), "directory": "/", "signature": "00".repeat(64)});
    let rows = [
        ("jwt", bad, "lacks jwt, or it is no text"),
        ("jwt", huge, "100000 bytes"),
        ("jwt", Does::Data(Value::Null), "holds no data"),
        ("jwt", Does::Data(json!({"jwt": "a.b.c"})), "provisioning token is refused"),
        ("jwt", Does::Refuses(1, "Incorrect provision token supplied"), "status 1: Incorrect provision token"),
        ("jwt", Does::Nonsense(b"[1,2"), "no RPC reply"),
        ("jwt", Does::Nonsense(b""), "no RPC reply"),
        ("gen25519", Does::Data(json!({})), "lacks public_key"),
        ("gen25519", Does::Data(other), "does not hold that key's seed"),
        ("inventory", Does::Data(json!([])), "holds no data"),
        ("inventory", Does::Nonsense(br#"{"statuscode":"x"}"#), "no RPC reply"),
        (
            "configure",
            Does::Refuses(1, "disk full"),
            "configure failed 5 times, the last time because: the node refused",
        ),
        ("restart", Does::Refuses(1, "enables provisioning"), "restart failed 3 times"),
    ];
    let mut nodes = Vec::new();
    for (number, (action, does, _)) in rows.iter().enumerate() {
        let (action, does) = (*action, does.clone());
        let script = move |asked: &str, _: &Value| if asked == action { does.clone() } else { Does::Usual };
        nodes.push(Node::start(&site, &format!("bad{number}.example.net"), script).await);
    }
    let good = Node::start(&site, "good.example.net", usual).await;
    let running = site.start(site.settings(CONFIGURES, ""));
    for (number, (action, _, expected)) in rows.iter().enumerate() {
        let line = site.audited(&format!("bad{number}.example.net"), "failed").await;
        let reason = line["reason"].as_str().expect("a text");
        assert!(reason.contains(expected), "{number}: {reason}");
        let last = nodes[number].actions().last().cloned();
        assert_eq!(last.as_deref(), Some(*action), "nothing more is asked of a node that failed");
    }
    site.audited("good.example.net", "provisioned").await;
    assert_eq!(good.actions().len(), 5);
    assert_eq!(running.counts().value(Counter::ProvisionErrors), rows.len() as u64);
    running.wait(async {}).await.expect("an orderly end");
}

#[tokio::test]
async fn nobody_answers_for_another_node() {
    let site = Site::new();
    // Hears what is asked of the victim, and answers at once, with a key of its own.
    let token = site.provisioning_token(1);
    let own = json!({"public_key": seed(8).public().to_string(), "directory": "/", "signature": "00".repeat(64)});
    let thief = move |action: &str, _: &Value| match action {
        "gen25519" => Does::Data(own.clone()),
        _ => Does::Usual,
    };
    let thief = Node::start_as(&site, "victim.example.net", "thief.example.net", token, thief).await;
    let victim = Node::start(&site, "victim.example.net", |_, _| Does::Slowly(Duration::from_millis(100))).await;
    let running = site.start(site.settings(CONFIGURES, ""));
    site.audited("victim.example.net", "provisioned").await;
    let token = victim.inputs("configure")["server_jwt"].as_str().expect("a token").to_owned();
    let claims = tokens::read_server(&token).expect("claims");
    assert_eq!(claims.identity, "victim.example.net");
    assert_eq!(claims.standard.holder_key(), Ok(seed(7).public()), "the thief's key is in the victim's token");
    assert_eq!(thief.actions(), victim.actions());
    assert_eq!(running.counts().value(Counter::IgnoredReplies), 5, "each of the thief's answers is counted");
    running.wait(async {}).await.expect("an orderly end");
}

#[tokio::test]
async fn a_provisioning_token_of_somebody_else_ends_the_round_before_the_node_is_changed() {
    let site = Site::new();
    let forged = site.provisioning_token(9);
    let node = Node::start_as(&site, "n1.example.net", "n1.example.net", forged, usual).await;
    let running = site.start(site.settings(CONFIGURES, ""));
    let line = site.audited("n1.example.net", "failed").await;
    assert!(line["reason"].as_str().expect("a text").contains("jwt_verify_cert"), "{line}");
    assert_eq!(node.actions(), ["jwt"]);
    running.wait(async {}).await.expect("an orderly end");
}

/// Does what the node's name says.
const HELPER: &str = r#"
input=$(cat)
case $input in
*'"identity":"hangs'*) sleep 1000 ;;
*'"identity":"garbage'*) echo 'this is no JSON' ;;
*'"identity":"trailing'*) echo '{"configuration":{"a":"b"}} and more' ;;
*'"identity":"fails'*) echo '{"configuration":{"a":"b"}}'; echo 'cannot reach the CA' >&2; exit 1 ;;
*'"identity":"silent'*) exit 0 ;;
*'"identity":"forks'*) sleep 1000 & echo '{"configuration":{"a":"b"}}' ;;
*'"identity":"waits'*) echo '{"defer":true,"msg":"not yet"}' ;;
*'"identity":"stops'*) echo '{"shutdown":true,"msg":"unwanted"}' ;;
*'"identity":"renames'*) echo '{"configuration":{"identity":"admin.example.net"}}' ;;
*'"identity":"claims'*) echo '{"configuration":{"a":"b"},"server_claims":{"identity":"admin.example.net"}}' ;;
*'"identity":"injects'*) printf '{"configuration":{"a":"b\\nrpcauthorization=0"}}' ;;
*'"identity":"climbs'*) echo '{"configuration":{"a":"b"},"opa_policies":{"../../x.rego":"p"}}' ;;
*) echo '{"configuration":{"a":"b"}}' ;;
esac"#;

#[tokio::test]
async fn a_helper_that_misbehaves_harms_one_node_only() {
    let site = Site::new();
    let rows = [
        ("hangs", "failed", "did not end within 2 s (helper_timeout)"),
        ("garbage", "failed", "not exactly one JSON document"),
        ("trailing", "failed", "not exactly one JSON document"),
        ("fails", "failed", "exit status: 1"),
        ("silent", "failed", "answered nothing"),
        ("forks", "provisioned", ""),
        ("waits", "deferred", "not yet"),
        ("stops", "stopped", "unwanted"),
        ("renames", "failed", "sets identity to \"admin.example.net\""),
        ("claims", "failed", "sets identity to \"admin.example.net\""),
        ("injects", "failed", "no control characters"),
        ("climbs", "failed", "has no slash"),
        ("normal", "provisioned", ""),
    ];
    let mut nodes = Vec::new();
    for (name, ..) in rows {
        nodes.push(Node::start(&site, &format!("{name}.example.net"), usual).await);
    }
    let running = site.start(site.settings(HELPER, "helper_timeout: 2s"));
    for ((name, outcome, reason), node) in rows.iter().zip(&nodes) {
        let line = site.audited(&format!("{name}.example.net"), outcome).await;
        assert!(line["reason"].as_str().expect("a text").contains(reason), "{name}: {line}");
        let configured = node.actions().contains(&"configure".to_owned());
        assert_eq!(configured, *outcome == "provisioned", "{name}: {:?}", node.actions());
        assert_eq!(node.actions().contains(&"shutdown".to_owned()), *name == "stops");
    }
    let counts = running.counts();
    let failed = rows.iter().filter(|(_, outcome, _)| *outcome == "failed").count() as u64;
    assert_eq!(counts.value(Counter::HelperErrors), failed);
    assert_eq!(counts.value(Counter::ProvisionErrors), failed + 1, "a deferred node counts as an error");
    assert_eq!((counts.value(Counter::Deferred), counts.value(Counter::Shutdowns)), (1, 1));
    running.wait(async {}).await.expect("an orderly end");
}

#[tokio::test]
async fn a_hung_helper_blocks_one_worker_and_not_the_others() {
    let site = Site::new();
    let _hangs = Node::start(&site, "hangs.example.net", usual).await;
    let running = site.start(site.settings(HELPER, "helper_timeout: 20s"));
    let (counts, live) = (running.counts(), running.live());
    until("a worker is busy with it", || counts.calls(choria_provisioner_role::Ask::Inventory).0 == 1).await;
    for number in 0..5 {
        let node = Node::start(&site, &format!("n{number}.example.net"), usual).await;
        node.announce(Format::CloudEvent).await;
        site.audited(node.identity.as_str(), "provisioned").await;
    }
    assert_eq!((live.busy(), site.audit_lines("hangs.example.net")), (1, 0), "the helper hangs no longer");
    // Being told to stop does not wait for the helper's limit.
    let began = Instant::now();
    running.wait(async {}).await.expect("an orderly end");
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn private_keys_reach_the_node_alone_and_requests_for_other_names_go_nowhere() {
    let site = Site::new();
    let exchange = Arc::new(Exchange::generate(&mut rand::thread_rng()));
    let key = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let script = format!(
        "cat >/dev/null\ncat <<'END'\n{}\nEND\n",
        json!({"configuration": {"a": "b"}, "certificate": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
            "ca": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "key": key, "ssldir": "/helper/ssl"}),
    );
    let node = |name: &'static str, asks_for: &'static str, public: String, token: String| {
        let request = csr(asks_for);
        move |action: &str, _: &Value| match action {
            "jwt" => Does::Data(json!({"jwt": token, "ecdh_public": public})),
            "gencsr" => Does::Data(json!({"csr": request, "public_key": name, "ssldir": "/node/ssl"})),
            _ => Does::Usual,
        }
    };
    let token = site.provisioning_token(1);
    let honest = node("honest", "honest.example.net", exchange.public(), token.clone());
    let honest = Node::start(&site, "honest.example.net", honest).await;
    let greedy = node("greedy", "admin.privileged.choria", exchange.public(), token.clone());
    let greedy = Node::start(&site, "greedy.example.net", greedy).await;
    let simple = node("simple", "simple.example.net", String::new(), token);
    let simple = Node::start(&site, "simple.example.net", simple).await;
    let running = site.start(site.settings_with("features: {jwt: true, pki: true}", &script, ""));

    site.audited("honest.example.net", "provisioned").await;
    let inputs = honest.inputs("configure");
    assert_eq!((inputs["ssldir"].as_str(), inputs["server_jwt"].as_str()), (Some("/node/ssl"), Some("")));
    let sealed = inputs["key"].as_str().expect("a text");
    assert!(sealed.contains("Proc-Type: 4,ENCRYPTED") && !sealed.contains(&key[30..60]), "{sealed}");
    let shared = exchange.agree(inputs["ecdh_public"].as_str().expect("a text")).expect("a secret");
    let opened = open(sealed, &shared).expect("the key");
    let body = |pem: &str| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    assert_eq!(body(&opened), body(&key));

    let line = site.audited("greedy.example.net", "failed").await;
    assert!(line["reason"].as_str().expect("a text").contains("cert_deny_list"), "{line}");
    assert_eq!(greedy.actions(), ["jwt", "inventory", "gencsr"]);
    let line = site.audited("simple.example.net", "failed").await;
    assert!(line["reason"].as_str().expect("a text").contains("did not begin a key exchange"), "{line}");
    assert!(!simple.actions().contains(&"configure".to_owned()));
    running.wait(async {}).await.expect("an orderly end");
}

#[tokio::test]
async fn silent_nodes_cost_a_worker_for_their_time_only() {
    let site = Site::new();
    let silent = Node::start(&site, "silent.example.net", |_, _| Does::Nothing).await;
    let good = Node::start(&site, "good.example.net", usual).await;
    let running = site.start(site.settings(CONFIGURES, "node_timeout: 10s"));
    site.audited("good.example.net", "provisioned").await;
    let line = site.audited("silent.example.net", "failed").await;
    assert!(
        line["reason"]
            .as_str()
            .expect("a text")
            .contains("failed 3 times, the last time because: no answer within 2 s")
    );
    assert_eq!(silent.actions(), ["jwt", "jwt", "jwt"]);
    assert_eq!(good.actions().len(), 5);
    running.wait(async {}).await.expect("an orderly end");
}

fn csr(name: &str) -> String {
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().expect("a key");
    params.serialize_request(&key).expect("a request").pem().expect("PEM")
}

/// Waits until `done`.
async fn until(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
