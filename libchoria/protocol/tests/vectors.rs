//! The recorded messages of both generations: every layer is read to the given fields, written again to the same
//! bytes, and proven by its hash and signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use choria_protocol::{Invalid, Reply, Request, SecureReply, SecureRequest, Transport, Version};
use serde_json::Value;
use std::fmt::Debug;
use tokens::{PublicKey, Signature};
use vectors::{Folder, Tally};

#[test]
fn version_2_messages() {
    every_message(&Folder::open("protocol"), Version::V2);
}

#[test]
fn version_1_messages() {
    every_message(&Folder::open("protocol-v1"), Version::V1);
}

#[test]
fn messages_of_agents() {
    every_message(&Folder::open("rpc"), Version::V2);
}

#[test]
fn requests_written_by_hand_and_their_replies() {
    let folder = Folder::open("rpc");
    let mut tally = Tally::new("rpc, requests written by hand");
    for case in cases(&folder).filter(|case| !case["request_file"].is_null()) {
        tally.case(text(&case["name"]), || {
            let secure = open(&folder, &case["request_file"])?.secure_request().map_err(|error| error.to_string())?;
            if text(&case["request_body"]).is_empty() && case["request_body"].is_string() {
                return equal(&secure.unverified_request().map_err(|error| error.to_string()), &Err(EMPTY.to_owned()));
            }
            let request = secure.unverified_request().map_err(|error| error.to_string())?;
            same_body(&request.body(), &case["request_body"])?;
            if case["reply_file"].is_null() {
                return Ok(());
            }
            let secure = open(&folder, &case["reply_file"])?.secure_reply().map_err(|error| error.to_string())?;
            let reply = secure.unverified_reply().map_err(|error| error.to_string())?;
            equal(&(secure.hash_matches(), &reply.request, &reply.agent), &(true, &request.id, &request.agent))?;
            same_body(&reply.payload, &case["body"])
        });
    }
    tally.finish();
}

/// What is said of a request without a message.
const EMPTY: &str = "request: field message is empty";

fn every_message(folder: &Folder, version: Version) {
    let mut tally = Tally::new(&format!("version {version} messages"));
    for case in cases(folder).filter(|case| !case["file"].is_null()) {
        tally.case(text(&case["name"]), || message(folder, case, version));
    }
    tally.finish();
}

/// Reads one message from the outside in.
fn message(folder: &Folder, case: &Value, version: Version) -> Result<(), String> {
    let transport = open(folder, &case["file"])?;
    equal(&transport.version, &version)?;
    let raw = folder.read(text(&case["file"]));
    same_bytes("transport", &transport.encode(), raw.trim_ascii_end())?;
    equal(&json(&transport.encode())?["headers"], &case["transport_headers"])?;
    if case["request"].is_null() {
        let secure = transport.secure_reply().map_err(|error| error.to_string())?;
        same_bytes("secure reply", &secure.encode(), &transport.data)?;
        reply(case, &secure)
    } else {
        let secure = transport.secure_request().map_err(|error| error.to_string())?;
        same_bytes("secure request", &secure.encode(), &transport.data)?;
        request(case, &secure)
    }
}

fn request(case: &Value, secure: &SecureRequest) -> Result<(), String> {
    let request: Request = secure.unverified_request().map_err(|error: Invalid| error.to_string())?;
    same_bytes("request", &request.encode(), &secure.request)?;
    equal(&without_message(&request.encode())?, &case["request"])?;
    same_body(&request.body(), &case["body"])?;
    if secure.version == Version::V1 {
        return Ok(());
    }
    let signer = match text(&case["signature"]["by"]) {
        "signer" => secure.signer.as_deref().ok_or("no token of a signer")?,
        _ => &secure.caller,
    };
    signature(case, signer, &secure.signature, &secure.request)
}

fn reply(case: &Value, secure: &SecureReply) -> Result<(), String> {
    let reply: Reply = secure.unverified_reply().map_err(|error: Invalid| error.to_string())?;
    same_bytes("reply", &reply.encode(), &secure.reply)?;
    equal(&without_message(&reply.encode())?, &case["reply"])?;
    same_body(&reply.payload, &case["body"])?;
    equal(&secure.hash_matches(), &true)?;
    match (&secure.sender, &secure.signature) {
        (Some(sender), Some(bytes)) => signature(case, sender, bytes, &secure.reply),
        (None, None) if secure.version == Version::V1 => Ok(()),
        (None, None) => equal(&text(&case["signature"]["error"]), &"no token"),
        _ => Err("half signed".to_owned()),
    }
}

/// Checks the signature over the embedded bytes with the key of the token that came along.
fn signature(case: &Value, token: &str, signature: &[u8], bytes: &[u8]) -> Result<(), String> {
    let claims = Value::Object(tokens::claims_of(token.trim()).map_err(|error| error.to_string())?);
    for (name, expected) in case["signature"]["signer_claims"].as_object().ok_or("no claims")? {
        equal(&claims[name], expected)?;
    }
    let key: PublicKey = text(&claims["public_key"]).parse().map_err(|error| format!("{error}"))?;
    let signature = Signature::from_slice(signature).map_err(|error| error.to_string())?;
    equal(&key.verify(bytes, &signature), &case["signature"]["verifies"].as_bool().ok_or("no verdict")?)
}

fn open(folder: &Folder, file: &Value) -> Result<Transport, String> {
    Transport::parse(&folder.read(text(file))).map_err(|error| error.to_string())
}

fn cases(folder: &Folder) -> impl Iterator<Item = &Value> {
    folder.index["cases"].as_array().expect("cases").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// A request or reply as the index shows it.
fn without_message(bytes: &[u8]) -> Result<Value, String> {
    let mut layer = json(bytes)?;
    layer.as_object_mut().ok_or("no object")?.remove("message");
    Ok(layer)
}

/// Compares what an agent reads. The index has some bodies decoded once more from base64, or cut, or as found.
fn same_body(body: &[u8], expected: &Value) -> Result<(), String> {
    let shown = String::from_utf8_lossy(body);
    let decoded = STANDARD.decode(body).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let encoded = STANDARD.encode(body);
    match expected {
        Value::String(text) if *shown == **text || decoded.as_deref() == Ok(text) || encoded == *text => Ok(()),
        Value::String(text) => equal(&&*shown, &text.as_str()),
        object => equal(&json(body)?, object),
    }
}

fn same_bytes(layer: &str, got: &[u8], expected: &[u8]) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "{layer} is written as\n{}\nit was\n{}",
        String::from_utf8_lossy(got),
        String::from_utf8_lossy(expected)
    ))
}

fn equal<T: PartialEq + Debug>(got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}
