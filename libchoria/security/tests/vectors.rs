//! The recorded version 2 messages under the rules of the provider, with the organization issuer of the recording.

use choria_security::{Credentials, Parts, Provider, Trust, TrustedTokens, Verification};
use protocol::{Expired, SecureRequest, Transport};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokens::TrustRoots;
use vectors::{Folder, Tally};

/// A server of the recorded network; all messages go through one, so that it knows the tokens.
fn provider() -> Provider {
    let issuer = Folder::open("tokens").index["issuer_public_key"].as_str().expect("a key").parse().expect("a key");
    let roots = TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), issuer)]));
    let credentials: Option<Credentials> = None;
    let trust = Trust::Tokens(Arc::new(TrustedTokens::new(roots)));
    Provider::new(Parts {
        identity: "s1.choria.local".parse().expect("an identity"),
        credentials,
        trust,
        sign_replies: false,
    })
}

#[test]
fn recorded_messages_get_the_recorded_verdict() {
    let provider = provider();
    for name in ["protocol", "rpc"] {
        let folder = Folder::open(name);
        let mut tally = Tally::new(&format!("{name}, verification"));
        for case in cases(&folder).filter(|case| !case["file"].is_null()) {
            tally.case(text(&case["name"]), || verdict(&provider, &folder, case));
        }
        tally.finish();
    }
}

#[test]
fn requests_written_by_hand_get_silence_where_they_got_silence() {
    let (provider, folder) = (provider(), Folder::open("rpc"));
    let mut tally = Tally::new("rpc, verification of requests written by hand");
    let normal = open(&folder, "raw-ok.request.json").and_then(|transport| secure(&transport)).expect("a request");
    let sent = normal.unverified_request().expect("a request").time;
    for case in cases(&folder).filter(|case| !case["request_file"].is_null()) {
        let name = text(&case["name"]);
        tally.case(name, || {
            let secure = secure(&open(&folder, text(&case["request_file"]))?)?;
            let verdict = match provider.verify_request(&secure, sent) {
                Ok(request) => match request.check_ttl(sent) {
                    Ok(()) => "counts",
                    Err(Expired::Old { .. }) => "old",
                    Err(Expired::Future { .. }) => "future",
                },
                Err(rejection) => rejection.label(),
            };
            let expected = match name {
                "raw-caller-mismatch" => "caller_mismatch",
                "raw-empty-message" => "request",
                "raw-expired" => "old",
                "raw-future-time" => "future",
                // An unknown agent and a filter are the business of those who get what counts.
                _ => "counts",
            };
            if verdict == expected { Ok(()) } else { Err(format!("{verdict}, expected {expected}")) }
        });
    }
    tally.finish();
}

/// Verifies one message at the time it was made.
fn verdict(provider: &Provider, folder: &Folder, case: &Value) -> Result<(), String> {
    let transport = open(folder, text(&case["file"]))?;
    if case["request"].is_null() {
        let secure = transport.secure_reply().map_err(|error| error.to_string())?;
        let time = secure.unverified_reply().map_err(|error| error.to_string())?.time;
        let reply = provider.verify_reply(&secure, time).map_err(|error| error.to_string())?;
        let signed = case["signature"]["verifies"] == true;
        let expected = if signed { Verification::Signature } else { Verification::Hash };
        return equal(&format!("{:?}", reply.verification()), &format!("{expected:?}"));
    }
    let secure = secure(&transport)?;
    let time = secure.unverified_request().map_err(|error| error.to_string())?.time;
    let label = provider.verify_request(&secure, time).map_or_else(|rejection| rejection.label(), |_| "");
    // Registration data is signed by servers, whose requests no server takes.
    let is_server = case["signature"]["signer_claims"]["purpose"] == "choria_server";
    equal(label, if is_server { "not_a_client" } else { "" })
}

fn open(folder: &Folder, file: &str) -> Result<Transport, String> {
    Transport::parse(&folder.read(file)).map_err(|error| error.to_string())
}

fn secure(transport: &Transport) -> Result<SecureRequest, String> {
    transport.secure_request().map_err(|error| error.to_string())
}

fn cases(folder: &Folder) -> impl Iterator<Item = &Value> {
    folder.index["cases"].as_array().expect("cases").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn equal(got: &str, expected: &str) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}")) }
}
