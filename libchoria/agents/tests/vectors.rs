//! The recorded requests, answered here: same status, same words and the same shape of data as from the Go server.

mod support;

use choria_agents::Node;
use rpc::ReplyBody;
use security::{Trust, TrustedTokens};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{at, payload, reply_body};
use tokens::TrustRoots;
use vectors::{Folder, Tally};

const IDENTITY: &str = "s1.choria.local";

/// Agents that are not part of this version; nobody answers for them.
const NOT_HOSTED: [&str; 2] = ["choria_registry", "executor"];

#[tokio::test]
async fn requests_written_by_hand() {
    let folder = Folder::open("rpc");
    let files = tempfile::tempdir().expect("a folder");
    let mut tally = Tally::new("rpc, requests written by hand, answered");
    for case in cases(&folder).filter(|case| !case["request_file"].is_null()) {
        let node = node(files.path());
        // Ten seconds after the first and before the last of these requests was sent.
        let now = at(1_795_254_300);
        let response = node.respond(&folder.read(text(&case["request_file"])), now).await;
        tally.case(text(&case["name"]), || {
            let hosted =
                !NOT_HOSTED.contains(&text(&case["request_body"]["agent"])) || case["name"] == "raw-agent-mismatch";
            match (response, case["replied"] == true && hosted) {
                (None, false) => Ok(()),
                (Some(_), false) => Err("it was answered".to_owned()),
                (None, true) => Err(format!("it was not answered: {:?}", node.stats.counts())),
                (Some(response), true) => same_reply(&reply_body(&response, IDENTITY), &case["body"]),
            }
        });
    }
    tally.finish();
}

#[tokio::test]
async fn recorded_requests_and_the_shape_of_their_replies() {
    let folder = Folder::open("rpc");
    let files = tempfile::tempdir().expect("a folder");
    let node = node(files.path());
    let mut replies: BTreeMap<String, &Value> = BTreeMap::new();
    for case in cases(&folder).filter(|case| case["body"]["statuscode"] == 0 && !case["reply"].is_null()) {
        let key = format!("{}#{}", text(&case["reply"]["agent"]), text(&case["body"]["action"]));
        replies.insert(key, &case["body"]);
    }
    let mut tally = Tally::new("rpc, recorded requests answered");
    for case in cases(&folder).filter(|case| text(&case["name"]).starts_with("request-rpcutil-")) {
        let key = format!("rpcutil#{}", text(&case["body"]["action"]));
        let Some(recorded) = replies.get(&key) else { continue };
        let sent = case["request"]["time"].as_u64().expect("nanoseconds") / 1_000_000_000;
        let collective = text(&case["request"]["collective"]);
        if collective != "choria" {
            continue;
        }
        let response = node.respond(&folder.read(text(&case["file"])), at(sent)).await;
        tally.case(text(&case["name"]), || {
            let response = response.ok_or("it was not answered")?;
            same_reply(&reply_body(&response, IDENTITY), recorded)
        });
    }
    tally.finish();
}

#[tokio::test]
async fn recorded_discovery_with_each_kind_of_filter() {
    let folder = Folder::open("protocol");
    let files = tempfile::tempdir().expect("a folder");
    let node = node(files.path());
    // By number of the recorded message: a collective that is not ours, unknown classes, a fact named `agent` that is
    // not there, a map compared with a number.
    let silent = ["124", "5205", "7696", "6103", "7735"];
    let mut tally = Tally::new("protocol, filters of discovery requests");
    for case in cases(&folder).filter(|case| text(&case["name"]).starts_with("request-discovery-")) {
        let name = text(&case["name"]);
        let sent = case["request"]["time"].as_u64().expect("nanoseconds") / 1_000_000_000;
        let response = node.respond(&folder.read(text(&case["file"])), at(sent)).await;
        tally.case(name, || {
            let expected = !silent.iter().any(|number| name.ends_with(&format!("-{number}")));
            match response {
                Some(response) if expected && payload(&response, IDENTITY) == b"pong" => Ok(()),
                None if !expected => Ok(()),
                other => Err(format!("answered: {}, expected: {expected}", other.is_some())),
            }
        });
    }
    tally.finish();
}

/// A node like the recorded one: trusting the recorded issuer, authorizing nothing.
fn node(files: &std::path::Path) -> Arc<Node> {
    let facts = r#"{"cpu":{"vendor":"AuthenticAMD","threads":2},"bios":{}}"#;
    std::fs::write(files.join("facts.json"), facts).expect("written");
    let issuer = text(&Folder::open("tokens").index["issuer_public_key"]).parse().expect("a key");
    let roots = TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer)]));
    let trust = Trust::Tokens(Arc::new(TrustedTokens::new(roots)));
    support::node(IDENTITY, files, trust, &[("rpcauthorization", "0")])
}

fn same_reply(reply: &ReplyBody, recorded: &Value) -> Result<(), String> {
    let got = (u64::from(reply.status.number()), reply.message.as_str(), reply.action.as_str());
    let want =
        (recorded["statuscode"].as_u64().unwrap_or_default(), text(&recorded["statusmsg"]), text(&recorded["action"]));
    if got != want {
        return Err(format!("{got:?} instead of {want:?}"));
    }
    same_shape("data", &reply.value(), &recorded["data"])
}

/// The same keys and kinds of values at the top level; below it, the node's own facts and agents differ.
fn same_shape(name: &str, got: &Value, want: &Value) -> Result<(), String> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    };
    if kind(got) != kind(want) {
        return Err(format!("{name} is {got} instead of {want}"));
    }
    if let (Value::Object(got), Value::Object(want)) = (got, want) {
        let (mut got_keys, mut want_keys): (Vec<_>, Vec<_>) = (got.keys().collect(), want.keys().collect());
        got_keys.sort();
        want_keys.sort();
        if got_keys != want_keys && name == "data" {
            return Err(format!("{got_keys:?} instead of {want_keys:?}"));
        }
        if name == "data" {
            return got.iter().try_for_each(|(key, value)| same_shape(key, value, &want[key.as_str()]));
        }
    }
    Ok(())
}

fn cases(folder: &Folder) -> impl Iterator<Item = &Value> {
    folder.index["cases"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
