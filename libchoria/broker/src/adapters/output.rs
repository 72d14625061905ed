//! From a message of the fleet to what an adapter writes (spec 08 §1.3).

use super::Kind;
use names::{Identity, RequestId};
use protocol::{Invalid, Transport};
use serde::Serialize;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A message that is written to a stream.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Output {
    /// Who sent the message that it was made of, as that says.
    pub(super) sender: Identity,
    /// JSON text.
    pub(super) body: Vec<u8>,
}

/// Unwraps `message`. Signatures and hashes are not checked.
///
/// # Errors
/// What is not a message of `kind`.
pub(super) fn unwrap(message: &[u8], kind: Kind) -> Result<Output, Invalid> {
    let transport = Transport::parse(message)?;
    let (sender, request, time, data) = match kind {
        Kind::Request => {
            let request = transport.secure_request()?.unverified_request()?;
            (request.sender, request.id, request.time, request.payload)
        }
        Kind::Reply => {
            let reply = transport.secure_reply()?.unverified_reply()?;
            (reply.sender, reply.request, reply.time, reply.payload)
        }
    };
    let body = body(&sender, &request, time, &data);
    Ok(Output { sender, body })
}

/// The subject `topic` for messages of `sender`.
pub(super) fn subject(topic: &str, sender: &Identity) -> String {
    topic.replace("%s", sender.as_str())
}

fn body(sender: &Identity, request: &RequestId, time: SystemTime, data: &[u8]) -> Vec<u8> {
    let body = Body {
        protocol: "choria:adapters:choria_streams:output:1",
        data: &String::from_utf8_lossy(data),
        sender: sender.as_str(),
        // A time that this format cannot write is no time of a message.
        time: OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default(),
        requestid: request.as_str(),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

#[derive(Serialize)]
struct Body<'a> {
    protocol: &'static str,
    data: &'a str,
    sender: &'a str,
    time: String,
    requestid: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn vector(name: &str) -> Vec<u8> {
        std::fs::read(vectors::root().join("streams").join(name)).unwrap()
    }

    #[test]
    fn a_recorded_registration_becomes_what_the_original_writes() {
        let output = unwrap(&vector("wire-registration-publish-1365.bin"), Kind::Request).unwrap();
        let body: Value = serde_json::from_slice(&output.body).unwrap();
        let stored: Value = serde_json::from_slice(&vector("broker-CHORIA_REGISTRATION-196.bin")).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&body), keys(&stored));
        assert_eq!(body["protocol"], stored["protocol"]);
        assert_eq!(body["sender"], output.sender.as_str());
        let data = |value: &Value| serde_json::from_str::<Value>(value["data"].as_str().unwrap()).unwrap();
        assert_eq!(data(&body)["protocol"], data(&stored)["protocol"]);
        assert_eq!(keys(&data(&body)), keys(&data(&stored)));
        let time = |value: &Value| OffsetDateTime::parse(value["time"].as_str().unwrap(), &Rfc3339).unwrap();
        assert!(body["time"].as_str().unwrap().ends_with('Z'), "{body}");
        assert_eq!(time(&body).date(), time(&stored).date());
        assert_eq!(
            subject("choria.node_metadata.%s", &output.sender),
            format!("choria.node_metadata.{}", output.sender)
        );
        assert!(unwrap(&vector("wire-registration-publish-1365.bin"), Kind::Reply).is_err(), "a request is no reply");
    }

    #[test]
    fn times_have_as_many_digits_as_they_need() {
        let (sender, id) = ("n1".parse().unwrap(), "3MPYwIzdIJlM9KSmHgPjmppFlUK".parse().unwrap());
        let at = |nanoseconds| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::new(1_714_557_600, nanoseconds);
            serde_json::from_slice::<Value>(&body(&sender, &id, time, b"a\xffb\"c")).unwrap()
        };
        assert_eq!(at(0)["time"], "2024-05-01T10:00:00Z");
        assert_eq!(at(278_490_231)["time"], "2024-05-01T10:00:00.278490231Z");
        let expected = json!({"protocol": "choria:adapters:choria_streams:output:1", "data": "a\u{fffd}b\"c",
            "sender": "n1", "time": "2024-05-01T10:00:00.5Z", "requestid": "3MPYwIzdIJlM9KSmHgPjmppFlUK"});
        assert_eq!(at(500_000_000), expected);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["", "{}", "[]", "x", r#"{"protocol":"io.choria.protocol.v2.transport"}"#] {
            assert!(unwrap(text.as_bytes(), Kind::Request).is_err(), "{text}");
            assert!(unwrap(text.as_bytes(), Kind::Reply).is_err(), "{text}");
        }
        assert_eq!(subject("%s.a.%s", &"n1".parse().unwrap()), "n1.a.n1");
    }
}
