//! Parties for the tests of the client: a broker that hands every message to a fleet made of one function, and tokens.

#![allow(dead_code)] // each test binary uses its own part

pub(crate) mod broker;
pub(crate) mod http;

use choria_rpc::StatusCode;
use choria_rpc::body::{ReplyBody, RequestBody};
use choria_rpc::client::{Client, RequestError};
use names::Identity;
use network::{Connection, Options, Role, Servers, Tls, connect};
use protocol::{Request, Transport};
use security::{Credentials, Parts, Provider, Trust, TrustedTokens};
use serde_json::json;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey, TrustRoots};
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer unless it never ends.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// `future`, or a failed test that says what did not happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("{what}: did not happen within {LIMIT:?}"),
    }
}

/// A client of the caller `up=tester`, connected to `broker`, that signs its requests itself.
pub(crate) async fn client(broker: &broker::Broker, trust: Trust, lines: &[(&str, &str)]) -> Client {
    let provider = provider(trust, "up=tester");
    let signer = provider.signer();
    Client::new(connection(broker).await, provider, signer, &settings(lines))
}

/// The same, with the signer that the configuration asks for.
pub(crate) async fn signing_client(broker: &broker::Broker, lines: &[(&str, &str)]) -> Result<Client, RequestError> {
    Client::from_settings(connection(broker).await, client_provider("up=tester"), &settings(lines))
}

/// The credentials of a client that may ask everything.
pub(crate) fn client_provider(caller: &str) -> Provider {
    provider(Trust::Nobody, caller)
}

fn provider(trust: Trust, caller: &str) -> Provider {
    let credentials = Some(client_credentials(caller));
    Provider::new(Parts { identity: name("tester"), credentials, trust, sign_replies: false })
}

/// Settings without the wait of discovery, with `lines` after them.
fn settings(lines: &[(&str, &str)]) -> config::Settings {
    let defaults = [("discovery_timeout", "0"), ("collectives", "mcollective, uk"), ("main_collective", "mcollective")];
    let lines = defaults.iter().chain(lines);
    let builder = lines.fold(config::Settings::builder(), |builder, (key, text)| builder.set(key, text));
    builder.build().expect("settings")
}

async fn connection(broker: &broker::Broker) -> Connection {
    let tls = Tls::disabled().expect("no TLS");
    let options = Options::new(Role::Client, "test", Servers::Fixed(vec![broker.address()]), tls);
    within("connecting", connect(options, CancellationToken::new())).await.expect("it connects")
}

/// The trust in the issuer of all tokens here.
pub(crate) fn trust() -> Trust {
    let issuers = BTreeMap::from([("choria".to_owned(), issuer().public())]);
    Trust::Tokens(Arc::new(TrustedTokens::new(TrustRoots::issuers(issuers))))
}

/// A node without a token: its replies carry a hash only.
pub(crate) fn unsigned_node(identity: &str) -> Provider {
    Provider::new(Parts { identity: name(identity), credentials: None, trust: Trust::Insecure, sign_replies: false })
}

/// A node that signs its replies with a token for `token_identity`.
pub(crate) fn signing_node(identity: &str, token_identity: &str) -> Provider {
    let seed = Seed::from_bytes([3; 32]);
    let hour = Duration::from_secs(3600);
    let collectives = vec!["mcollective".to_owned()];
    let claims =
        ServerClaims::new(token_identity, collectives, seed.public(), hour, SystemTime::now(), &mut rand::thread_rng());
    let token = claims.expect("claims").sign(&SigningKey::Ed25519(issuer())).expect("a token");
    let credentials = Credentials::new(&token, seed).expect("credentials");
    Provider::new(Parts {
        identity: name(identity),
        credentials: Some(credentials),
        trust: Trust::Insecure,
        sign_replies: true,
    })
}

/// The request in a published message, and where its answers go.
pub(crate) fn request(payload: &[u8]) -> (Request, String) {
    let transport = Transport::parse(payload).expect("a transport message");
    let secure = transport.secure_request().expect("a secure request");
    (secure.unverified_request().expect("a request"), transport.headers.reply_to.expect("a reply subject"))
}

/// The RPC body of a published message.
pub(crate) fn body(payload: &[u8]) -> RequestBody {
    RequestBody::parse(&request(payload).0.payload).expect("an RPC request")
}

/// The answer of `node` to a published message: status `status`, the node's name as output `name`.
pub(crate) fn answer(node: &Provider, payload: &[u8], status: u8) -> Vec<u8> {
    let (request, _) = request(payload);
    let body = ReplyBody::ok("ping", &json!({"name": node.identity()})).expect("a body");
    let body = ReplyBody { status: StatusCode::from(status), ..body };
    transport(node, &request.reply(node.identity().clone(), body.encode(), SystemTime::now()))
}

/// A reply as `node` publishes it.
pub(crate) fn transport(node: &Provider, reply: &protocol::Reply) -> Vec<u8> {
    let headers = protocol::Headers { sender: Some(node.identity().clone()), ..protocol::Headers::default() };
    protocol::transport::encode(reply.version, &node.seal_reply(reply), &headers)
}

pub(crate) fn name(text: &str) -> Identity {
    text.parse().expect("an identity")
}

fn issuer() -> Seed {
    Seed::from_bytes([9; 32])
}

fn client_credentials(caller: &str) -> Credentials {
    let seed = Seed::from_bytes([1; 32]);
    let hour = Duration::from_secs(3600);
    let mut claims = ClientClaims::new(caller, hour, SystemTime::now(), &mut rand::thread_rng()).expect("claims");
    claims.standard.public_key = Some(seed.public().to_string());
    claims.permissions = Some(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    let token = claims.sign(&SigningKey::Ed25519(issuer())).expect("a token");
    Credentials::new(&token, seed).expect("credentials")
}
