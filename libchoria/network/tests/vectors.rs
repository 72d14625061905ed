//! What running components sent, compared with what we would send.

mod support;

use choria_network::connect;
use serde_json::Value;
use support::fake::{FakeBroker, Manner};
use support::{options, token_login, within};
use tokens::{PublicKey, Signature};
use tokio_util::sync::CancellationToken;
use vectors::{Folder, Tally};

/// The recorded cases.
fn cases() -> Vec<Value> {
    Folder::open("connect").index["cases"].as_array().expect("a list of cases").clone()
}

fn connect_of(case: &Value) -> Value {
    let line = case["connect_line"].as_str().and_then(|line| line.strip_prefix("CONNECT ")).expect("a CONNECT line");
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn recorded_signatures_are_over_the_nonce_as_text() {
    let mut tally = Tally::new("connect signatures");
    for case in cases().iter().filter(|case| case["signature_verifies"] == true) {
        tally.case(case["name"].as_str().expect("a name"), || {
            let connect = connect_of(case);
            let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("a field is missing");
            let key: PublicKey = text(&case["public_key"])?.parse().map_err(|error| format!("{error}"))?;
            let signature = decode(&text(&connect["sig"])?);
            let nonce = text(&case["nonce"])?;
            if !key.verify(nonce.as_bytes(), &signature) || key.verify(&nonce.as_bytes()[1..], &signature) {
                return Err("the signature is not that of the nonce".to_owned());
            }
            Ok(())
        });
    }
    tally.finish();
}

/// Ours has every field of a recorded server's login but the repeated token, and none that could change its meaning.
#[tokio::test]
async fn our_login_has_the_fields_of_a_recorded_one() {
    let mut broker = FakeBroker::start(Manner::Accept).await;
    let options = options(&broker.address, token_login("up=alice", [3; 32]));
    let _connection = within("connecting", connect(options, CancellationToken::new())).await.expect("it connects");
    let ours = broker.next_connect().await;
    for case in
        cases().iter().filter(|case| case["signature_verifies"] == true && case["registered_as"]["account"] == "choria")
    {
        let recorded = connect_of(case);
        for (field, theirs) in recorded.as_object().expect("an object") {
            let own = &ours[field];
            match field.as_str() {
                "jwt" => assert_eq!(*own, Value::Null, "{field}"),
                "user" | "pass" | "lang" | "version" | "tls_required" | "name" | "echo" => {}
                "sig" | "auth_token" => assert!(own.is_string() && theirs.is_string(), "{field}"),
                _ => assert_eq!(own, theirs, "{field} of {}", case["name"]),
            }
        }
    }
}

fn decode(text: &str) -> Signature {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64 without padding");
    Signature::from_slice(&bytes).expect("64 bytes")
}
