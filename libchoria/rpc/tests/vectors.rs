//! Bodies, documents and discovery requests recorded from a running Choria system.

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use choria_rpc::body::{ReplyBody, RequestBody};
use choria_rpc::ddl::{AgentDdl, embedded};
use protocol::{Filter, Transport};
use security::Trust;
use serde_json::Value;
use std::collections::BTreeSet;
use support::broker::Broker;
use support::{client, within};
use vectors::{Folder, Tally};

#[test]
fn bodies_are_read_and_written_with_equal_fields() {
    let folder = Folder::open("rpc");
    let mut tally = Tally::new("RPC bodies");
    for case in folder.index["cases"].as_array().expect("cases") {
        let name = text(&case["name"]);
        for (key, file) in [("body", "file"), ("body", "reply_file"), ("request_body", "request_file")] {
            let (Some(expected), Some(file)) = (case.get(key), case.get(file)) else { continue };
            tally.case(&format!("{name} {key}"), || same_body(expected, &folder.read(text(file))));
        }
    }
    tally.finish();
}

fn same_body(expected: &Value, message: &[u8]) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let transport = Transport::parse(message).map_err(|error| words(&error))?;
    let encoded = if let Ok(secure) = transport.secure_reply() {
        let reply = secure.unverified_reply().map_err(|error| words(&error))?;
        ReplyBody::parse(&reply.payload).map_err(|error| words(&error))?.encode()
    } else {
        let secure = transport.secure_request().map_err(|error| words(&error))?;
        // One recorded message is empty on purpose, which no reader of requests lets through.
        let Ok(request) = secure.unverified_request() else { return Ok(()) };
        let body = RequestBody::parse(&request.body()).map_err(|error| words(&error))?;
        let again = RequestBody::parse(&body.encode()).map_err(|error| words(&error))?;
        if again != body {
            return Err(format!("{body:?} reads back as {again:?}"));
        }
        let left_out = expected.get("data").is_none();
        let mut fields = serde_json::to_value(&body).map_err(|error| words(&error))?;
        if let (true, Some(fields)) = (left_out, fields.as_object_mut()) {
            fields.remove("data");
        }
        let mut expected = expected.clone();
        // What a host passes over: legacy keys beside the three, and those left out.
        if let Some(expected) = expected.as_object_mut() {
            expected.retain(|key, _| ["agent", "action", "data"].contains(&key.as_str()));
        }
        return if fields == expected { Ok(()) } else { Err(format!("{fields} is not {expected}")) };
    };
    let fields: Value = serde_json::from_slice(&encoded).map_err(|error| words(&error))?;
    if fields == *expected { Ok(()) } else { Err(format!("{fields} is not {expected}")) }
}

#[test]
fn embedded_documents_hold_the_recorded_data() {
    let folder = Folder::open("rpc");
    let mut tally = Tally::new("DDL documents");
    let files = std::fs::read_dir(folder.path("ddl")).expect("the documents");
    for file in files.map(|entry| entry.expect("a file").file_name().into_string().expect("a name")) {
        tally.case(&file, || {
            let recorded = folder.text(&format!("ddl/{file}"));
            let read: AgentDdl = serde_json::from_str(&recorded).map_err(|error| error.to_string())?;
            if value(&read.to_json()) != value(&recorded) {
                return Err("reading and writing it changes it".to_owned());
            }
            let name = file.trim_end_matches(".json");
            let mut own = embedded::find(name).ok_or("it is not embedded")?;
            own.metadata.version.clone_from(&read.metadata.version);
            if own == read { Ok(()) } else { Err(format!("the embedded one differs: {own:?}")) }
        });
    }
    tally.finish();
}

#[tokio::test]
async fn discovery_requests_have_the_recorded_fields() {
    let broker = Broker::start(|_, _| vec![]).await;
    let collectives = [("collectives", "choria, provisioning"), ("main_collective", "choria")];
    let client = client(&broker, Trust::Nobody, &collectives).await;
    let folder = Folder::open("protocol");
    let mut tally = Tally::new("discovery requests");
    for case in folder.index["cases"].as_array().expect("cases") {
        if case["request"]["agent"] != "discovery" {
            continue;
        }
        let filter: Filter = serde_json::from_value(case["request"]["filter"].clone()).expect("a filter");
        let mut options = client.ping_options();
        options.collective = Some(text(&case["request"]["collective"]).parse().expect("a collective"));
        let _pings = within("a ping", client.ping(&filter, &options)).await.expect("it is sent");
        client.connection().flush().await.expect("it is flushed");
        let sent = within("its arrival", async {
            loop {
                if let Some(last) = broker.take_published().pop() {
                    return last;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        tally.case(text(&case["name"]), || {
            let recorded = value(&folder.text(text(&case["file"])));
            same("subject", &Value::from(sent.0), &case["subject"])?;
            same_fields(&value(std::str::from_utf8(&sent.1).expect("text")), &recorded)
        });
    }
    tally.finish();
}

/// The keys of every layer, and the values that do not depend on time or caller.
fn same_fields(sent: &Value, recorded: &Value) -> Result<(), String> {
    let layers = |message: &Value| {
        let mut secure = inner(&message["data"]);
        // Only those an AAA service signed name a signer; the client here signs itself.
        secure.as_object_mut().expect("an object").remove("signer");
        let request = inner(&secure["request"]);
        [message.clone(), message["headers"].clone(), secure, request]
    };
    for (name, (sent, recorded)) in
        ["transport", "headers", "secure request", "request"].iter().zip(layers(sent).iter().zip(&layers(recorded)))
    {
        same(name, &Value::from(keys(sent)), &Value::from(keys(recorded)))?;
        for key in ["protocol", "message", "agent", "collective", "ttl", "filter"] {
            same(&format!("{name}: {key}"), &sent[key], &recorded[key])?;
        }
    }
    Ok(())
}

fn same(what: &str, sent: &Value, recorded: &Value) -> Result<(), String> {
    if sent == recorded { Ok(()) } else { Err(format!("{what}: {sent} is not {recorded}")) }
}

fn keys(object: &Value) -> Vec<String> {
    let keys: BTreeSet<String> = object.as_object().expect("an object").keys().cloned().collect();
    keys.into_iter().collect()
}

/// The JSON in a base64 text.
fn inner(encoded: &Value) -> Value {
    serde_json::from_slice(&STANDARD.decode(text(encoded)).expect("base64")).expect("JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}
