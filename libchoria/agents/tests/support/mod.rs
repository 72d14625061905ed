//! A node without a network, and requests to it. Each test program uses a part of this.
#![allow(dead_code, reason = "no test program needs all of it")]

use choria_agents::{
    Audit, Authorization, Broker, ClassSource, FactSource, Node, Replays, Response, Roster, Stats, builtin,
};
use config::Settings;
use names::Identity;
use protocol::{Headers, Request, SecureRequest, Transport};
use rpc::ReplyBody;
use security::{Parts, Provider, Trust};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A node named `identity` with the built-in agents; its facts and classes are files in `folder`.
pub(crate) fn node(identity: &str, folder: &Path, trust: Trust, extra: &[(&str, &str)]) -> Arc<Node> {
    node_at(identity, folder, trust, extra, None)
}

/// The same, whose configuration came from `config_file`.
pub(crate) fn node_at(
    identity: &str,
    folder: &Path,
    trust: Trust,
    extra: &[(&str, &str)],
    config_file: Option<&Path>,
) -> Arc<Node> {
    let mut builder = Settings::builder().set("identity", identity).set("collectives", "choria,uk");
    for (key, value) in extra {
        builder = builder.set(key, value);
    }
    if let Some(file) = config_file {
        builder = builder.config_file(file);
    }
    let settings = builder.build().expect("settings");
    let parts = Parts { identity: settings.identity(), credentials: None, trust, sign_replies: false };
    let roster = Roster::new(builtin::agents().expect("agents"), false).expect("a roster");
    let facts = folder.join("facts.json").display().to_string();
    Arc::new(Node {
        provider: Provider::new(parts),
        roster: Arc::new(roster),
        facts: Arc::new(FactSource::new(vec![facts])),
        classes: Arc::new(ClassSource::new(Some(folder.join("classes.txt")))),
        stats: Arc::new(Stats::default()),
        replays: Arc::new(Replays::default()),
        audit: Audit::from_settings(&settings).expect("an audit").map(Arc::new),
        authorization: Authorization::from_settings(&settings),
        broker: Broker::default(),
        started: at(1_795_250_000),
        provisioning: false,
        times: None,
        settings,
    })
}

/// A time in unix seconds.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The message of a request that nobody signed, for nodes that trust insecurely.
pub(crate) fn message(request: &Request, reply_to: Option<&str>) -> Vec<u8> {
    let secure = SecureRequest {
        version: request.version,
        request: request.encode(),
        signature: protocol::INSECURE.to_vec(),
        caller: "nobody".to_owned(),
        signer: None,
    };
    let headers = Headers { reply_to: reply_to.map(str::to_owned), ..Headers::default() };
    Transport { version: request.version, data: secure.encode(), headers }.encode()
}

/// The RPC body of a response of `identity`, whose hash is checked on the way.
pub(crate) fn reply_body(response: &Response, identity: &str) -> ReplyBody {
    ReplyBody::parse(&payload(response, identity)).expect("an RPC body")
}

/// What the agent said.
pub(crate) fn payload(response: &Response, identity: &str) -> Vec<u8> {
    let transport = Transport::parse(&response.payload).expect("a transport message");
    assert_eq!(transport.headers.sender, Some(identity.parse::<Identity>().expect("a name")));
    let secure = transport.secure_reply().expect("a secure reply");
    assert!(secure.hash_matches(), "the hash differs");
    secure.unverified_reply().expect("a reply").payload
}
