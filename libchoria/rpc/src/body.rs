//! The bodies of RPC messages: `{agent, action, data}` in, `{action, statuscode, statusmsg, data}` out (spec 03a §1).
//!
//! Keys are matched without regard to ASCII case, as existing peers do. The base64 layer around a body belongs to
//! *protocol*.

use crate::StatusCode;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use std::fmt;

/// What a caller asks an agent to do; the payload of a request (spec 03a §1.1).
#[derive(Clone, Debug, PartialEq)]
pub struct RequestBody {
    /// The agent meant; a host compares it with its own name. Empty when the sender left it out.
    pub agent: String,
    /// The action to run. Empty when the sender left it out.
    pub action: String,
    /// The inputs: normally a JSON object; absent becomes `{}`, and `null` stays `null` (all inputs at their defaults).
    pub data: Value,
}

/// What an agent answers; the payload of a reply (spec 03a §1.2).
#[derive(Clone, Debug)]
pub struct ReplyBody {
    /// The action that ran, empty when the request could not be read.
    pub action: String,
    /// How it went.
    pub status: StatusCode,
    /// Words for people, `OK` on success.
    pub message: String,
    /// The outputs as the node wrote them, normally a JSON object; kept as text so that number formats and key order
    /// survive, and parsed only by who looks inside.
    pub data: Box<RawValue>,
}

/// A payload that is no RPC body.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBody {
    /// Not JSON, or JSON of another shape.
    #[error("not a JSON object with the keys of an RPC body: {0}")]
    Shape(#[from] serde_json::Error),
    /// The inputs do not fit the action.
    #[error("the data of {agent}#{action} does not have the expected form: {source}")]
    Inputs {
        /// Agent named by the body.
        agent: String,
        /// Action named by the body.
        action: String,
        /// Which key, and what was expected.
        source: serde_json::Error,
    },
}

impl RequestBody {
    /// A request for `action` of `agent` with these inputs.
    #[must_use]
    pub fn new(agent: &str, action: &str, data: Map<String, Value>) -> Self {
        Self { agent: agent.to_owned(), action: action.to_owned(), data: Value::Object(data) }
    }

    /// Reads the payload of a request.
    ///
    /// # Errors
    /// [`InvalidBody::Shape`] when it is not a JSON object or a key has the wrong type; hosts answer status 4.
    pub fn parse(payload: &[u8]) -> Result<Self, InvalidBody> {
        Ok(serde_json::from_slice(payload)?)
    }

    /// The payload of a request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The inputs as `T`, whose fields are named in lower case: keys are lower-cased first, since some clients change
    /// the case of input names; `null` counts as no inputs (spec 03a §1.1).
    ///
    /// # Errors
    /// [`InvalidBody::Inputs`] when a value has the wrong JSON type; hosts answer status 4.
    pub fn inputs<T: DeserializeOwned>(&self) -> Result<T, InvalidBody> {
        let lowered = match &self.data {
            Value::Null => Value::Object(Map::new()),
            Value::Object(data) => {
                Value::Object(data.iter().map(|(key, value)| (key.to_ascii_lowercase(), value.clone())).collect())
            }
            other => other.clone(),
        };
        T::deserialize(lowered).map_err(|source| InvalidBody::Inputs {
            agent: self.agent.clone(),
            action: self.action.clone(),
            source,
        })
    }
}

impl ReplyBody {
    /// A successful answer holding `data`.
    ///
    /// # Errors
    /// When `data` cannot be written as JSON, for example a map whose keys are not text.
    pub fn ok(action: &str, data: &impl Serialize) -> Result<Self, InvalidBody> {
        Ok(Self {
            action: action.to_owned(),
            status: StatusCode::Ok,
            message: "OK".to_owned(),
            data: to_raw_value(data)?,
        })
    }

    /// An answer without data that says why it failed.
    #[must_use]
    pub fn failure(action: &str, status: StatusCode, message: impl Into<String>) -> Self {
        Self { action: action.to_owned(), status, message: message.into(), data: empty_object() }
    }

    /// Reads the payload of a reply. Absent keys read as code 0, empty texts and `{}`.
    ///
    /// # Errors
    /// [`InvalidBody::Shape`] when it is not a JSON object, a key has the wrong type or the code exceeds 255.
    pub fn parse(payload: &[u8]) -> Result<Self, InvalidBody> {
        Ok(serde_json::from_slice(payload)?)
    }

    /// The payload of a reply, keys in the order `action, statuscode, statusmsg, data`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The outputs parsed. Data that only looks like JSON (numbers beyond 64-bit floats, nesting beyond 128) reads as `null`.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(self.data.get()).unwrap_or(Value::Null)
    }
}

impl PartialEq for ReplyBody {
    fn eq(&self, other: &Self) -> bool {
        self.action == other.action
            && self.status == other.status
            && self.message == other.message
            && self.value() == other.value()
    }
}

impl Serialize for RequestBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("RequestBody", 3)?;
        body.serialize_field("agent", &self.agent)?;
        body.serialize_field("action", &self.action)?;
        body.serialize_field("data", &self.data)?;
        body.end()
    }
}

impl Serialize for ReplyBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("ReplyBody", 4)?;
        body.serialize_field("action", &self.action)?;
        body.serialize_field("statuscode", &self.status)?;
        body.serialize_field("statusmsg", &self.message)?;
        body.serialize_field("data", &self.data)?;
        body.end()
    }
}

impl<'de> Deserialize<'de> for RequestBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

impl<'de> Deserialize<'de> for ReplyBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReplyVisitor)
    }
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = RequestBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RPC request {\"agent\", \"action\", \"data\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RequestBody, A::Error> {
        let mut body = RequestBody::new("", "", Map::new());
        while let Some(key) = map.next_key::<String>()? {
            match key.to_ascii_lowercase().as_str() {
                "agent" => body.agent = map.next_value::<Option<String>>()?.unwrap_or_default(),
                "action" => body.action = map.next_value::<Option<String>>()?.unwrap_or_default(),
                "data" => body.data = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(body)
    }
}

struct ReplyVisitor;

impl<'de> Visitor<'de> for ReplyVisitor {
    type Value = ReplyBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RPC reply {\"action\", \"statuscode\", \"statusmsg\", \"data\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReplyBody, A::Error> {
        let mut body = ReplyBody::failure("", StatusCode::Ok, "");
        while let Some(key) = map.next_key::<String>()? {
            match key.to_ascii_lowercase().as_str() {
                "action" => body.action = map.next_value::<Option<String>>()?.unwrap_or_default(),
                "statuscode" => body.status = map.next_value::<Option<StatusCode>>()?.unwrap_or(StatusCode::Ok),
                "statusmsg" => body.message = map.next_value::<Option<String>>()?.unwrap_or_default(),
                "data" => body.data = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(body)
    }
}

/// JSON text of a body; writing one cannot fail, since every key is text and every part is JSON already.
fn encode(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_are_read_as_existing_peers_send_them() {
        let rows: &[(&str, Option<RequestBody>)] = &[
            (
                r#"{"agent":"rpcutil","action":"get_fact","data":{"fact":"os"}}"#,
                Some(RequestBody { agent: "rpcutil".into(), action: "get_fact".into(), data: json!({"fact": "os"}) }),
            ),
            (
                r#"{"Agent":"a","ACTION":"b","Data":null,"ttl":3}"#,
                Some(RequestBody { agent: "a".into(), action: "b".into(), data: Value::Null }),
            ),
            ("{}", Some(RequestBody::new("", "", Map::new()))),
            (r#"{"agent":1}"#, None),
            ("[]", None),
            ("ping", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(RequestBody::parse(text.as_bytes()).ok(), *expected, "{text}");
        }
    }

    #[test]
    fn input_names_match_in_any_case() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Csr {
            #[serde(default)]
            c: String,
            #[serde(default)]
            ou: String,
        }
        let body = |data| RequestBody { agent: "p".into(), action: "gencsr".into(), data };
        let csr = Csr { c: "MT".into(), ou: "x".into() };
        assert_eq!(body(json!({"C": "MT", "Ou": "x", "other": 1})).inputs::<Csr>().expect("inputs"), csr);
        assert_eq!(body(Value::Null).inputs::<Csr>().expect("inputs"), Csr { c: String::new(), ou: String::new() });
        let error = body(json!({"c": 1})).inputs::<Csr>().expect_err("a number is no text").to_string();
        assert!(error.starts_with("the data of p#gencsr does not have the expected form:"), "{error}");
    }

    #[test]
    fn replies_keep_the_text_of_their_data() {
        let text = r#"{"action":"x","statuscode":0,"statusmsg":"OK","data":{"b":1.0,"a":12345678901234567890123}}"#;
        let reply = ReplyBody::parse(text.as_bytes()).expect("a reply");
        assert_eq!(String::from_utf8(reply.encode()).expect("text"), text);
    }

    #[test]
    fn replies_with_missing_or_odd_parts() {
        let rows: &[(&str, Option<(u8, &str)>)] = &[
            ("{}", Some((0, "{}"))),
            (r#"{"StatusCode":200,"data":"{}"}"#, Some((200, "\"{}\""))),
            (r#"{"statuscode":1,"data":null}"#, Some((1, "null"))),
            (r#"{"statuscode":256}"#, None),
            (r#"{"statuscode":-1}"#, None),
            ("null", None),
        ];
        for (text, expected) in rows {
            let reply = ReplyBody::parse(text.as_bytes()).ok();
            let got = reply.as_ref().map(|reply| (reply.status.number(), reply.data.get()));
            assert_eq!(got, *expected, "{text}");
        }
    }
}
