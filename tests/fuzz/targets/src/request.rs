//! Requests and replies inside their secure layers, and the bodies that agents read and write.

use crate::assert_readable;
use crate::party::now;
use lifecycle::{CloudEvent, Event};
use protocol::{Reply, Request};
use rpc::{ReplyBody, RequestBody, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The bytes are tried as each layer.
pub(crate) fn run(data: &[u8]) {
    match Request::parse(data) {
        Ok(request) => whole_request(&request),
        Err(why) => assert_readable(&why.to_string()),
    }
    match Reply::parse(data) {
        Ok(reply) => {
            assert_eq!(Reply::parse(&reply.encode()).as_ref(), Ok(&reply));
            reply_body(&reply.payload);
        }
        Err(why) => assert_readable(&why.to_string()),
    }
    request_body(data);
    reply_body(data);
    if let Ok(event) = Event::parse(data) {
        assert!(!event.subject().contains(char::is_whitespace), "{}", event.subject());
    }
    drop(CloudEvent::parse(data));
}

fn whole_request(request: &Request) {
    assert_eq!(Request::parse(&request.encode()).as_ref(), Ok(request));
    if let Err(expired) = request.check_ttl(now()) {
        assert_readable(&expired.to_string());
    }
    if let Err(why) = request.check() {
        assert_readable(&why.to_string());
    }
    request_body(&request.body());
    let reply = request.reply("n1.example.net".parse().expect("an identity"), b"{}".to_vec(), now());
    assert_eq!(Reply::parse(&reply.encode()), Ok(reply));
}

fn request_body(payload: &[u8]) {
    /// Inputs of some kinds that agents take.
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "reading them is the test")]
    struct Inputs {
        #[serde(default)]
        fact: Option<String>,
        #[serde(default)]
        count: Option<i64>,
        #[serde(default)]
        splay: Option<bool>,
        #[serde(default)]
        more: Option<BTreeMap<String, Value>>,
    }

    let body = match RequestBody::parse(payload) {
        Ok(body) => body,
        Err(why) => return assert_readable(&why.to_string()),
    };
    let again = RequestBody::parse(&body.encode()).expect("what was read can be read again");
    assert_eq!((&again.agent, &again.action), (&body.agent, &body.action));
    assert!(same(&again.data, &body.data), "{} became {}", body.data, again.data);
    if let Err(why) = body.inputs::<Inputs>() {
        assert_readable(&why.to_string());
    }
}

fn reply_body(payload: &[u8]) {
    let body = match ReplyBody::parse(payload) {
        Ok(body) => body,
        Err(why) => return assert_readable(&why.to_string()),
    };
    let again = ReplyBody::parse(&body.encode()).expect("what was read can be read again");
    assert_eq!((&again.action, again.status, &again.message), (&body.action, body.status, &body.message));
    assert_eq!(again.data.get(), body.data.get(), "the outputs as text");
    assert!(body.status == StatusCode::Ok || !body.status.is_ok());
    drop(rpc::json_text::indented(body.data.get(), "  ", "  "));
    drop(rpc::json_text::compact(body.data.get()));
}

/// Whether two values are the same but for the last digits of floats.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => one == other || ((one - other) / one).abs() < 1e-12,
            _ => false,
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|((name, one), (twin, other))| name == twin && same(one, other))
        }
        _ => one == other,
    }
}
