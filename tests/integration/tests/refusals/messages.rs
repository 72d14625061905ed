//! Requests that a server drops, without an answer, and those it denies. The sentence is for the server's log.

use super::Refusal;
use agents::{Candidate, Replays};
use choria_tests::Lab;
use names::AgentName;
use protocol::facts::Facts;
use protocol::filter::{Compound, DataAnswers, NodeView};
use protocol::{Filter, Headers, Request, SecureRequest, Transport, Version};
use security::{Parts, Provider, Trust, TrustedTokens};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey, TrustRoots};

const ISSUER: u8 = 1;
const STRANGER: u8 = 2;
const ALICE: u8 = 3;
const DELEGATE: u8 = 4;

pub(crate) fn refusals() -> Vec<Refusal> {
    let mut all = unreadable();
    all.extend(untrusted());
    all.extend(not_for_this_node());
    all.push(denied());
    all
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

fn provider(trust: Trust) -> Provider {
    let identity = "n1.example.net".parse().expect("an identity");
    Provider::new(Parts { identity, credentials: None, trust, sign_replies: false })
}

fn issuers() -> Trust {
    let issuers = BTreeMap::from([("choria".to_owned(), seed(ISSUER).public())]);
    Trust::Tokens(Arc::new(TrustedTokens::new(TrustRoots::issuers(issuers))))
}

fn request() -> Request {
    Request {
        version: Version::V2,
        id: "2YBXZN2Ey2oglTXj87eEzpGHWSA".parse().expect("an id"),
        sender: "laptop".parse().expect("an identity"),
        caller: "up=alice".parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: "rpcutil".parse().expect("an agent"),
        ttl: 60,
        time: now(),
        filter: Filter::default(),
        payload: b"{}".to_vec(),
    }
}

fn message(secure: &SecureRequest) -> Vec<u8> {
    Transport { version: secure.version, data: secure.encode(), headers: Headers::default() }.encode()
}

fn token(issuer: u8, holder: u8, caller: &str, permissions: ClientPermissions) -> String {
    let mut claims =
        ClientClaims::new(caller, Duration::from_secs(3600), now(), &mut rand::rngs::OsRng).expect("claims");
    claims.standard.public_key = Some(seed(holder).public().to_string());
    claims.permissions = Some(permissions);
    claims.sign(&SigningKey::Ed25519(seed(issuer))).expect("a token")
}

fn alice(permissions: ClientPermissions) -> String {
    token(ISSUER, ALICE, "up=alice", permissions)
}

fn fleet() -> ClientPermissions {
    ClientPermissions { fleet_management: true, ..ClientPermissions::default() }
}

/// Alice's request, signed by `signed_by`.
fn signed(signed_by: u8, caller: String, signer: Option<String>) -> SecureRequest {
    let bytes = request().encode();
    let signature = seed(signed_by).sign(&bytes).as_bytes().to_vec();
    SecureRequest { version: Version::V2, signature, request: bytes, caller, signer }
}

fn unreadable() -> Vec<Refusal> {
    let transport = |data: &str| {
        format!(r#"{{"protocol":"io.choria.protocol.v2.transport","data":"{data}","headers":{{}}}}"#).into_bytes()
    };
    let rows = [
        ("dropped-too-large", vec![b'x'; 40_000_000]),
        ("dropped-not-json", b"hello".to_vec()),
        ("dropped-protocol", br#"{"protocol":"other","data":"e30=","headers":{}}"#.to_vec()),
        ("dropped-inner", transport("e30=")),
    ];
    rows.map(|(id, message)| opened(id, &message, issuers())).into()
}

fn opened(id: &'static str, message: &[u8], trust: Trust) -> Refusal {
    match Candidate::open(message, &provider(trust), now()) {
        Err(refusal) => Refusal::new(id, "agents::Candidate::open", refusal),
        Ok(_) => panic!("{id} was accepted"),
    }
}

fn untrusted() -> Vec<Refusal> {
    let signed_fleet = ClientPermissions { signed_fleet_management: true, ..ClientPermissions::default() };
    let good = || signed(ALICE, alice(fleet()), None);
    let server = {
        let key = seed(ALICE).public();
        let hour = Duration::from_secs(3600);
        let claims = ServerClaims::new("n2", vec!["choria".to_owned()], key, hour, now(), &mut rand::rngs::OsRng);
        claims.expect("claims").sign(&SigningKey::Ed25519(seed(ISSUER))).expect("a token")
    };
    let delegate = token(ISSUER, DELEGATE, "aaa", fleet());
    let rows = [
        ("dropped-no-trust", good(), Trust::Nobody),
        ("dropped-unsigned", SecureRequest { signature: protocol::INSECURE.to_vec(), ..good() }, issuers()),
        ("dropped-signature-size", SecureRequest { signature: vec![1; 12], ..good() }, issuers()),
        ("dropped-issuer", signed(ALICE, token(STRANGER, ALICE, "up=alice", fleet()), None), issuers()),
        ("dropped-signature", signed(STRANGER, alice(fleet()), None), issuers()),
        ("dropped-needs-delegate", signed(ALICE, alice(signed_fleet), None), issuers()),
        ("dropped-no-fleet-management", signed(ALICE, alice(ClientPermissions::default()), None), issuers()),
        ("dropped-not-a-delegate", signed(DELEGATE, alice(fleet()), Some(delegate)), issuers()),
        ("dropped-not-a-client", signed(ALICE, server, None), issuers()),
        ("dropped-caller", signed(ALICE, token(ISSUER, ALICE, "up=bob", fleet()), None), issuers()),
    ];
    rows.into_iter().map(|(id, secure, trust)| opened(id, &message(&secure), trust)).collect()
}

fn not_for_this_node() -> Vec<Refusal> {
    let minute = Duration::from_secs(61);
    let filtered = |filter: Filter| Request { filter, ..request() };
    let rows = [
        ("dropped-filter", filtered(Filter { classes: vec!["apache".to_owned()], ..Filter::default() })),
        (
            "dropped-expression",
            filtered(Filter { compound: vec![Compound::Expression("with(".to_owned())], ..Filter::default() }),
        ),
        ("dropped-collective", Request { collective: "uk".parse().expect("a collective"), ..request() }),
        ("dropped-old", Request { time: now() - minute, ..request() }),
        ("dropped-early", Request { time: now() + minute, ..request() }),
        ("dropped-agent", Request { agent: "nosuch".parse().expect("an agent"), ..request() }),
    ];
    let hosted: Vec<AgentName> = vec!["rpcutil".parse().expect("an agent")];
    let collectives = ["choria".parse().expect("a collective")];
    let node = NodeView {
        identity: "n1",
        agents: &hosted,
        classes: &[],
        facts: &Facts::default(),
        data: &DataAnswers::default(),
    };
    let served = Replays::default();
    let judge = |request: &Request| {
        let (version, caller) = (request.version, "nobody".to_owned());
        let signature = protocol::INSECURE.to_vec();
        let secure = SecureRequest { version, signature, request: request.encode(), caller, signer: None };
        let candidate = Candidate::open(&message(&secure), &provider(Trust::Insecure), now()).expect("a request");
        candidate.admit(node, |_| DataAnswers::default(), &collectives, &served, now())
    };
    let judged = rows.map(|(id, request)| match judge(&request) {
        Err(refusal) => Refusal::new(id, "agents::Candidate::admit", refusal),
        Ok(_) => panic!("{id} was accepted"),
    });
    // The first is served, each further one is not.
    let again = Request { id: "2YBXZN2Ey2oglTXj87eEzpGHWSB".parse().expect("an id"), ..request() };
    judge(&again).expect("the first of its id");
    let replayed = judge(&again).expect_err("the second of its id");
    let replayed = Refusal::new("dropped-replayed", "agents::Candidate::admit", replayed);
    judged.into_iter().chain([replayed]).collect()
}

/// What a caller reads whom a node's rules do not allow an action.
fn denied() -> Refusal {
    let lab = Lab::new();
    let _broker = lab.start_broker();
    lab.server("n1", "n1.lab.example.net");
    lab.write("n1.conf", &lab.read("n1.conf").replace("rpcauthorization = false", "rpcauthorization = true"));
    let _server = lab.start("choria-server", &["--config", "n1.conf"]).ready();
    lab.wait_for_fleet(1);
    let output = lab.choria(&["req", "rpcutil", "ping"]);
    assert_eq!(output.code, 2, "{output:#?}");
    Refusal::new("denied-by-node", "choria req", output.stdout)
}
