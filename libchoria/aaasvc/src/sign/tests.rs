//! Which requests are signed: the recorded ones, and every way to forge one.

use super::*;
use crate::metrics::Signature as Outcome;
use crate::testing::{CHAIN, DAY, ORGANIZATION, STRANGER, Site, USER, chain_issuer, claims, key, seed};
use protocol::{Filter, Request, SecureRequest, Version};
use security::{Parts, Provider, Role, Trust, TrustedTokens};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokens::{ClientClaims, ClientPermissions, TrustRoots};

const HOUR: Duration = Duration::from_secs(3600);

const POLICY: &str =
    "package io.choria.aaasvc\n\ndefault allow = false\n\nallow {\n  input.agent != \"choria_provision\"\n}\n";

/// A request of `caller` for an action of an agent.
fn request(agent: &str, action: &str) -> Request {
    Request {
        version: Version::V2,
        id: protocol::new_request_id(Version::V2, SystemTime::now(), &mut rand::thread_rng()),
        sender: "client.choria.local".parse().expect("an identity"),
        caller: "up=mallory".parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: agent.parse().expect("an agent"),
        ttl: 60,
        time: SystemTime::now(),
        filter: Filter::default(),
        payload: json!({"agent": agent, "action": action, "data": {}}).to_string().into_bytes(),
    }
}

/// Claims as a login gives them, with a chain issuer, after `change`.
fn user(change: impl FnOnce(&mut ClientClaims)) -> ClientClaims {
    let mut user = claims("up=jo@ex.net", USER, HOUR);
    user.opa_policy = Some(POLICY.to_owned());
    user.permissions = Some(ClientPermissions { signed_fleet_management: true, ..ClientPermissions::default() });
    user.standard.add_chain_issuer(&chain_issuer(ORGANIZATION, CHAIN), &seed(CHAIN)).expect("a chain");
    change(&mut user);
    user
}

fn token(change: impl FnOnce(&mut ClientClaims)) -> String {
    user(change).sign(&key(CHAIN)).expect("a token")
}

/// A server that trusts the organization.
fn node(site: &Site) -> Provider {
    let settings = site.settings(true).expect("settings");
    let choria = settings.choria.expect("a Choria configuration");
    let parts = Parts::from_settings(&choria, Role::Server, SystemTime::now()).expect("security");
    let issuers = BTreeMap::from([("choria".to_owned(), seed(ORGANIZATION).public())]);
    let trust = Trust::Tokens(Arc::new(TrustedTokens::new(TrustRoots::issuers(issuers))));
    Provider::new(Parts { trust, ..parts })
}

fn audited(site: &Site) -> Vec<(String, String)> {
    let lines = site.read("audit.json");
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| value[key].as_str().expect("text").to_owned();
        (text("action"), text("caller"))
    };
    lines.lines().map(line).collect()
}

#[tokio::test]
async fn what_is_signed_counts_on_nodes() {
    let site = Site::new();
    let (signer, metrics) = site.signer();
    let token = token(|_| {});
    let asked = request("rpcutil", "ping");
    let bytes = asked.encode();
    let sealed = signer.sign(&bytes, &token, &seed(USER).sign(&bytes).to_hex()).await.expect("signed");
    let mut secure = SecureRequest::parse(&sealed).expect("a secure request");
    assert_eq!(secure.signer.as_deref(), Some(site.read("request-signer.jwt").as_str()));
    secure.caller.clone_from(&token);
    let verified = node(&site).verify_request(&secure, SystemTime::now()).expect("taken by a node");
    assert_eq!((verified.caller.as_str(), &verified.payload), ("up=jo_ex_net", &asked.payload));
    assert_eq!((&verified.id, verified.ttl, verified.time), (&asked.id, asked.ttl, asked.time));
    assert_eq!(audited(&site), [("allow".to_owned(), "up=jo_ex_net".to_owned())]);
    assert_eq!(metrics.signatures(Outcome::Allowed), 1);
    // What was signed must not be changed by who asked.
    secure.request[60] ^= 1;
    assert!(node(&site).verify_request(&secure, SystemTime::now()).is_err());
}

/// Case, request, token, signature; whether it is signed; what the audit says, if anything.
type Row = (&'static str, Vec<u8>, String, String, bool, Option<(&'static str, &'static str)>);

fn rows() -> Vec<Row> {
    let bytes = request("rpcutil", "ping").encode();
    let by = |number: u8, bytes: &[u8]| seed(number).sign(bytes).to_hex();
    let good = token(|_| {});
    let mine = by(USER, &bytes);
    let rewritten = Some(("deny", "up=jo_ex_net"));
    let as_sent = Some(("deny", "up=mallory"));
    let denied = request("choria_provision", "restart").encode();
    let provision = by(USER, &denied);
    let discovery = request("discovery", "ping").encode();
    let found = by(USER, &discovery);
    let mut other = request("rpcutil", "ping");
    other.payload = json!({"agent": "choria_provision", "action": "restart"}).to_string().into_bytes();
    let other = other.encode();
    let hidden = by(USER, &other);
    let mut no_rpc = request("rpcutil", "ping");
    no_rpc.payload = b"ping".to_vec();
    let no_rpc = no_rpc.encode();
    let plain = by(USER, &no_rpc);
    let old = String::from_utf8(bytes.clone()).expect("text").replace("v2.request", "v3.request").into_bytes();
    let old_signed = by(USER, &old);
    vec![
        ("good", bytes.clone(), good.clone(), mine.clone(), true, Some(("allow", "up=jo_ex_net"))),
        (
            "discovery needs no policy",
            discovery,
            token(|user| user.opa_policy = None),
            found,
            true,
            Some(("allow", "up=jo_ex_net")),
        ),
        ("denied by the policy", denied, good.clone(), provision, false, rewritten),
        ("the message is for another agent", other, good.clone(), hidden, false, rewritten),
        ("the message is no RPC", no_rpc, good.clone(), plain, false, rewritten),
        ("no policy", bytes.clone(), token(|user| user.opa_policy = None), mine.clone(), false, rewritten),
        (
            "a policy that is none",
            bytes.clone(),
            token(|user| user.opa_policy = Some("allow".into())),
            mine.clone(),
            false,
            rewritten,
        ),
        ("no JSON", b"hello".to_vec(), good.clone(), by(USER, b"hello"), false, None),
        ("another protocol", old, good.clone(), old_signed, false, None),
        ("no signature", bytes.clone(), good.clone(), String::new(), false, as_sent),
        ("a signature that is none", bytes.clone(), good.clone(), "zz".to_owned(), false, as_sent),
        ("signed by somebody else", bytes.clone(), good.clone(), by(STRANGER, &bytes), false, as_sent),
        ("signed for another request", bytes.clone(), good, by(USER, b"other"), false, as_sent),
        ("no token", bytes.clone(), String::new(), mine.clone(), false, as_sent),
        (
            "no key in the token",
            bytes.clone(),
            token(|user| user.standard.public_key = None),
            mine.clone(),
            false,
            as_sent,
        ),
        ("no caller in the token", bytes.clone(), token(|user| user.caller_id.clear()), mine, false, as_sent),
    ]
}

#[tokio::test]
async fn every_rule_is_kept_and_audited() {
    for (case, request, token, signature, signed, audit) in rows() {
        let site = Site::new();
        let (signer, metrics) = site.signer();
        let result = signer.sign(&request, &token, &signature).await;
        assert_eq!(result.is_ok(), signed, "{case}");
        let expected = audit.map(|(action, caller)| (action.to_owned(), caller.to_owned()));
        assert_eq!(audited(&site).first(), expected.as_ref(), "{case}");
        let counted = metrics.signatures(if signed { Outcome::Allowed } else { Outcome::Denied });
        assert_eq!(counted, 1, "{case}");
        let errors = u64::from(!signed && case != "denied by the policy");
        assert_eq!(metrics.signatures(Outcome::Error), errors, "{case}");
    }
}

/// A chain that `issuer` made up, in a token with everything else as it should be.
fn forged(organization: u8, issuer: u8) -> String {
    let mut user = claims("up=admin", USER, HOUR);
    user.opa_policy = Some("package io.choria.aaasvc\ndefault allow = true".to_owned());
    user.standard.add_chain_issuer(&chain_issuer(organization, issuer), &seed(issuer)).expect("a chain");
    user.sign(&key(issuer)).expect("a token")
}

#[tokio::test]
async fn only_the_configured_key_decides_whose_tokens_count() {
    let plain = |signer: u8, validity: Duration| {
        let mut user = claims("up=jo", USER, validity);
        user.allowed_agents = vec!["*".to_owned()];
        user.sign(&key(signer)).expect("a token")
    };
    let mut expired_issuer = chain_issuer(ORGANIZATION, CHAIN);
    expired_issuer.standard.expires = Some(SystemTime::now() - HOUR);
    let mut late = claims("up=jo", USER, HOUR);
    late.standard.add_chain_issuer(&expired_issuer, &seed(CHAIN)).expect("a chain");
    late.standard.expires = Some(SystemTime::now() + HOUR);
    let late = late.sign(&key(CHAIN)).expect("a token");
    let service = |permissions: ClientPermissions| {
        let mut user = claims("up=jo", USER, DAY);
        user.permissions = Some(permissions);
        user.sign(&key(CHAIN)).expect("a token")
    };
    let lasting = ClientPermissions { extended_service_lifetime: true, ..ClientPermissions::default() };
    let mut borrowed = user(|_| {});
    borrowed.standard.public_key = Some(seed(STRANGER).public().to_string());
    let rows: [(&str, u8, String, bool); 13] = [
        ("a login of the configured chain issuer", CHAIN, forged(ORGANIZATION, CHAIN), true),
        ("the same, with the organization configured", ORGANIZATION, forged(ORGANIZATION, CHAIN), true),
        ("a chain issuer that only the token names", CHAIN, forged(STRANGER, STRANGER), false),
        ("the same, with the organization configured", ORGANIZATION, forged(STRANGER, STRANGER), false),
        ("an issuer of another organization", ORGANIZATION, forged(STRANGER, CHAIN), false),
        ("another chain issuer of the organization", CHAIN, forged(ORGANIZATION, STRANGER), false),
        ("signed by the configured key, without a chain", CHAIN, plain(CHAIN, HOUR), true),
        ("signed by another key", CHAIN, plain(STRANGER, HOUR), false),
        ("too long", CHAIN, plain(CHAIN, DAY), false),
        ("long, of a service", CHAIN, service(lasting), true),
        ("long, of nobody", CHAIN, service(ClientPermissions::default()), false),
        ("a chain issuer that has expired", CHAIN, late, false),
        ("a chain whose token was signed by its holder", CHAIN, borrowed.sign(&key(STRANGER)).expect("a token"), false),
    ];
    for (case, trusted, token, signed) in rows {
        let mut site = Site::new();
        site.config["authorizer"] = json!("actionlist");
        site.write("chain-signer.public", &seed(trusted).public().to_string());
        let (signer, _) = site.signer();
        // Discovery is allowed to every token that counts, so nothing but the token is judged.
        let bytes = request("discovery", "ping").encode();
        for round in ["first", "again, with the token known"] {
            let result = signer.sign(&bytes, &token, &seed(USER).sign(&bytes).to_hex()).await;
            assert_eq!(result.is_ok(), signed, "{case}, {round}");
        }
    }
}

#[tokio::test]
async fn bearer_tokens_need_no_signature_but_a_given_one_is_verified() {
    let mut site = Site::new();
    site.config["basicjwt_signer"]["allow_bearer_tokens"] = json!(true);
    let (signer, _) = site.signer();
    let (bytes, token) = (request("rpcutil", "ping").encode(), token(|_| {}));
    for (signature, signed) in [(String::new(), true), (seed(STRANGER).sign(&bytes).to_hex(), false)] {
        assert_eq!(signer.sign(&bytes, &token, &signature).await.is_ok(), signed, "{signature:?}");
    }
}

#[tokio::test]
async fn lists_of_actions_are_obeyed() {
    let mut site = Site::new();
    site.config["authorizer"] = json!("actionlist");
    let (signer, _) = site.signer();
    let bytes = request("rpcutil", "ping").encode();
    let signature = seed(USER).sign(&bytes).to_hex();
    let rows: [(&[&str], bool); 5] = [
        (&["rpcutil.ping"], true),
        (&["rpcutil.*"], true),
        (&["puppet.*"], false),
        (&["rpcutil", "*"], false),
        (&[], false),
    ];
    for (list, signed) in rows {
        let token = token(|user| user.allowed_agents = list.iter().map(|entry| (*entry).to_owned()).collect());
        assert_eq!(signer.sign(&bytes, &token, &signature).await.is_ok(), signed, "{list:?}");
    }
}

#[tokio::test]
async fn policies_see_the_whole_request() {
    let site = Site::new();
    let (signer, _) = site.signer();
    let rules = [
        "input.agent == \"rpcutil\"",
        "input.action == \"ping\"",
        "input.sender == \"client.choria.local\"",
        "input.collective == \"choria\"",
        "input.ttl == 60",
        "input.site == \"compose\"",
        "input.claims.callerid == \"up=jo@ex.net\"",
        "not requires_filter()",
    ];
    let bytes = request("rpcutil", "ping").encode();
    let signature = seed(USER).sign(&bytes).to_hex();
    for rule in rules {
        let policy = format!("package io.choria.aaasvc\ndefault allow = false\nallow {{ {rule} }}\n");
        let token = token(|user| user.opa_policy = Some(policy));
        assert!(signer.sign(&bytes, &token, &signature).await.is_ok(), "{rule}");
    }
}

#[tokio::test]
async fn files_are_followed_and_bad_ones_change_nothing() {
    let site = Site::new();
    let (signer, _) = site.signer();
    let bytes = request("discovery", "ping").encode();
    let signature = seed(USER).sign(&bytes).to_hex();
    let by = |number: u8| claims("up=jo", USER, HOUR).sign(&key(number)).expect("a token");
    let signed = async |number: u8| signer.sign(&bytes, &by(number), &signature).await.is_ok();
    assert!(signed(CHAIN).await && !signed(STRANGER).await);
    site.write("chain-signer.public", &seed(STRANGER).public().to_string());
    assert!(!signed(CHAIN).await && signed(STRANGER).await, "the new key counts, the old does not");
    site.write("chain-signer.public", "half a ke");
    assert!(signed(STRANGER).await, "what cannot be read changes nothing");
    seed(STRANGER).write(&site.path("request-signer.seed")).expect("written");
    assert!(signed(STRANGER).await, "a seed whose token has not come yet changes nothing");
}

#[tokio::test]
async fn the_recorded_request_is_read_and_its_issuer_recognized() {
    let folder = vectors::Folder::open("aaa");
    let case = folder.index["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .find(|case| case["name"] == "request-aaa_signer-sign-2448");
    let data = &case.expect("the recorded request")["body"]["data"];
    let text = |key: &str| data[key].as_str().expect("text").to_owned();
    let claims: Value =
        serde_json::from_value(case.expect("it")["signature"]["signer_claims"].clone()).expect("claims");
    let (_, chain) = claims["iss"].as_str().expect("an issuer").rsplit_once('.').expect("a chain");
    let site = Site::new();
    site.write("chain-signer.public", chain);
    let settings = site.settings(true).expect("settings");
    let keys = Keys::new(settings.signer.as_ref().expect("a signer"));
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(claims["iat"].as_u64().expect("a time") + 5);
    let authorization = Authorization::new(settings.authorizer, "compose");
    let metrics = Metrics::default();
    let (request, token, signature) = (text("request"), text("token"), text("signature"));
    let ask = |at| {
        let question =
            Question { request: request.as_bytes(), token: &token, signature: &signature, bearer_tokens: false };
        question.decide(&keys, &authorization, &metrics, at)
    };
    let allowed = ask(then).await.expect("allowed, as recorded");
    assert_eq!((allowed.request.caller.as_str(), allowed.action.as_str()), ("up=choria", "discovery"));
    assert!(ask(then + DAY).await.is_err(), "the token has expired by then");
    let sealed = keys.seal(&allowed.request, SystemTime::now()).expect("sealed");
    let secure = SecureRequest::parse(&sealed).expect("a secure request");
    assert_eq!(secure.request, request.as_bytes(), "the recorded service signed the same bytes");
}
