//! The message as it lies in the spool: one JSON object per file (spec 04 §5.2).

use crate::timestamp::Timestamp;
use crate::words::{MOST_HEADERS, MessageId, Priority, header_fault, is_reserved, name_fault, subject_fault};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Longest time to live: 31 days, which the existing system writes as `744h0m0s`.
pub const LONGEST_TTL: Duration = Duration::from_secs(31 * 86_400);

/// One submitted message. Made by [`crate::accept`] and [`Message::parse`] only, so its parts obey the rules of spec
/// 04 §5.2; whether it has expired or was tried often enough is a question of time, see [`Message::is_expired`].
///
/// Written with [`Message::to_json`] it has the bytes that the existing system writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// `id`: becomes `Nats-Msg-Id`.
    pub id: MessageId,
    /// `subject`: what follows `<collective>.submission.in.`; no wildcards.
    pub subject: String,
    /// `payload`: at least one byte; base64 in the file.
    #[serde(serialize_with = "write_payload")]
    pub payload: Vec<u8>,
    /// `reliable`: delivered until JetStream acknowledges it, in order.
    pub reliable: bool,
    /// `priority`: which of the five queues.
    #[serde(serialize_with = "write_priority")]
    pub priority: Priority,
    /// `created`: when it was accepted, never zero.
    pub created: Timestamp,
    /// `ttl`: seconds after `created` until it is dropped, more than 0 and at most 31 days. Whole seconds count.
    #[serde(serialize_with = "write_seconds")]
    pub ttl: f64,
    /// `max_tries`: how often a reliable message is tried, at least once.
    pub max_tries: u64,
    /// `tries`: how often it was tried without success.
    pub tries: u64,
    /// `next_try`: when to try again; means something only when `tries` is more than 0.
    pub next_try: Timestamp,
    /// `sender`: who handed it in, `user 0` for example.
    pub sender: String,
    /// `identity`: the node it was handed in at. Can be empty.
    pub identity: String,
    /// `sign`: whether the server signs the payload when it delivers.
    pub sign: bool,
    /// `headers`: sent as they are; `None` is `null` in the file.
    pub headers: Option<BTreeMap<String, String>>,
}

/// Why bytes or parts are no message that may be delivered. The texts in quotes are those of the existing system.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidMessage {
    /// No JSON object with the right types in it.
    #[error("not a submitted message: {0}")]
    Json(String),
    /// `id`.
    #[error("the message has no usable id: an id is 1 to 128 visible ASCII characters")]
    Id,
    /// `subject` is empty.
    #[error("subject is required")]
    NoSubject,
    /// `subject` cannot be published to.
    #[error("the subject {subject:?} cannot be published to: {rule}")]
    Subject {
        /// The subject, cut to 64 characters.
        subject: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// `payload` is empty.
    #[error("payload is required")]
    NoPayload,
    /// `priority` is above 4.
    #[error("priority must be 0...4")]
    Priority,
    /// `created` is missing or the zero time.
    #[error("created time is zero")]
    NoCreated,
    /// `ttl` is 0 or no number.
    #[error("ttl may not be 0")]
    NoTtl,
    /// `ttl` is too long.
    #[error("ttl exceeds maximum 744h0m0s")]
    LongTtl,
    /// `ttl` is less than 0: a message that never was valid.
    #[error("message has expired")]
    NegativeTtl,
    /// `max_tries` is 0, with which the existing system drops the message without a word.
    #[error("max_tries may not be 0: the message would never be delivered; the default is 100")]
    NoTries,
    /// `sender` is empty.
    #[error("sender is required")]
    NoSender,
    /// `sender` or `identity` cannot stand in a header.
    #[error("the {part} cannot be used: {rule}")]
    Name {
        /// `sender` or `identity`.
        part: &'static str,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// A header that only Choria or the broker may write.
    #[error("headers may not start with 'choria' or 'nats'")]
    ReservedHeader,
    /// A header that cannot be sent.
    #[error("the header {name:?} cannot be sent: {rule}")]
    Header {
        /// The header's name, cut to 64 characters.
        name: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// More headers than [`MOST_HEADERS`].
    #[error("a message has at most 64 headers, this one has {0}")]
    ManyHeaders(usize),
}

impl Message {
    /// Reads the content of a file of the spool. What is missing has the empty value of its kind, fields nobody knows
    /// are ignored, both as the existing system reads.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidMessage> {
        let raw: Raw<'_> =
            serde_json::from_slice(bytes).map_err(|error| InvalidMessage::Json(shortened(&error.to_string())))?;
        let message = Self {
            id: raw.id.parse().map_err(|_| InvalidMessage::Id)?,
            subject: raw.subject.into_owned(),
            payload: raw.payload.0,
            reliable: raw.reliable,
            priority: Priority::new(raw.priority).map_err(|_| InvalidMessage::Priority)?,
            created: raw.created.unwrap_or(Timestamp::ZERO),
            ttl: raw.ttl.map_or(Ok(0.0), seconds)?,
            max_tries: raw.max_tries,
            tries: raw.tries,
            next_try: raw.next_try.unwrap_or(Timestamp::ZERO),
            sender: raw.sender.into_owned(),
            identity: raw.identity.into_owned(),
            sign: raw.sign,
            headers: raw.headers,
        };
        message.check()?;
        Ok(message)
    }

    /// The bytes of the file: keys in their order, no spaces, no line end.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Nothing in a message can fail to be written: its map has texts as keys.
        escape(serde_json::to_string(self).unwrap_or_default()).into_bytes()
    }

    /// Whether it is too old to be delivered at `now`: more than its `ttl`, of which whole seconds count, has passed
    /// since it was created. What was created in the future, as clocks are set back, is new.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.created.age(now) > self.lifetime()
    }

    /// How long after `created` it may be delivered: `ttl` in whole seconds.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.ttl.max(0.0).min(LONGEST_TTL.as_secs_f64()) as u64)
    }

    /// Every rule that needs no clock, in the order of the existing system.
    pub(crate) fn check(&self) -> Result<(), InvalidMessage> {
        if self.subject.is_empty() {
            return Err(InvalidMessage::NoSubject);
        }
        if let Some(rule) = subject_fault(&self.subject) {
            return Err(InvalidMessage::Subject { subject: self.subject.chars().take(64).collect(), rule });
        }
        if self.payload.is_empty() {
            return Err(InvalidMessage::NoPayload);
        }
        if self.created.is_zero() {
            return Err(InvalidMessage::NoCreated);
        }
        if self.ttl == 0.0 || self.ttl.is_nan() {
            return Err(InvalidMessage::NoTtl);
        }
        if self.ttl < 0.0 {
            return Err(InvalidMessage::NegativeTtl);
        }
        if self.ttl > LONGEST_TTL.as_secs_f64() {
            return Err(InvalidMessage::LongTtl);
        }
        if self.max_tries == 0 {
            return Err(InvalidMessage::NoTries);
        }
        if self.sender.is_empty() {
            return Err(InvalidMessage::NoSender);
        }
        for (part, text) in [("sender", &self.sender), ("identity", &self.identity)] {
            if let Some(rule) = name_fault(text) {
                return Err(InvalidMessage::Name { part, rule });
            }
        }
        self.headers.as_ref().map_or(Ok(()), check_headers)
    }
}

/// A JSON number, exactly.
fn seconds(text: &RawValue) -> Result<f64, InvalidMessage> {
    let fault = || InvalidMessage::Json("its ttl is no number".to_owned());
    text.get().parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(fault)
}

/// One line of bounded length, as the reason may repeat what stands in the file.
fn shortened(text: &str) -> String {
    text.chars().take(160).flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), InvalidMessage> {
    if headers.len() > MOST_HEADERS {
        return Err(InvalidMessage::ManyHeaders(headers.len()));
    }
    for (name, value) in headers {
        if is_reserved(name) {
            return Err(InvalidMessage::ReservedHeader);
        }
        if let Some(rule) = header_fault(name, value) {
            return Err(InvalidMessage::Header { name: name.chars().take(64).collect(), rule });
        }
    }
    Ok(())
}

/// A file's content before judgement.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Cow<'a, str>,
    #[serde(default)]
    payload: Payload,
    #[serde(default)]
    reliable: bool,
    #[serde(default)]
    priority: u64,
    #[serde(default)]
    created: Option<Timestamp>,
    /// As text: it is written again with the same digits.
    #[serde(borrow, default)]
    ttl: Option<&'a RawValue>,
    #[serde(default)]
    max_tries: u64,
    #[serde(default)]
    tries: u64,
    #[serde(default)]
    next_try: Option<Timestamp>,
    #[serde(borrow, default)]
    sender: Cow<'a, str>,
    #[serde(borrow, default)]
    identity: Cow<'a, str>,
    #[serde(default)]
    sign: bool,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
}

/// Bytes that stand in JSON as base64 with padding; `null` is no bytes.
#[derive(Default)]
struct Payload(Vec<u8>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Cow<'de, str>>::deserialize(deserializer)?.unwrap_or_default();
        // The existing system's decoder skips line ends.
        let decoded = if text.contains(['\r', '\n']) {
            STANDARD.decode(text.replace(['\r', '\n'], ""))
        } else {
            STANDARD.decode(text.as_bytes())
        };
        decoded.map(Self).map_err(|_| serde::de::Error::custom("the payload is no base64"))
    }
}

fn write_payload<S: Serializer>(payload: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(payload))
}

fn write_priority<S: Serializer>(priority: &Priority, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(priority.number())
}

/// A number as the existing system writes floats: without a point when it is whole, with an exponent only when it is
/// tiny.
fn write_seconds<S: Serializer>(seconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    let text = if seconds.abs() < 1e-6 { format!("{seconds:e}") } else { seconds.to_string() };
    RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

/// JSON with the characters escaped that the existing system escapes besides those that must be; they stand in texts
/// only.
fn escape(json: String) -> String {
    let special = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if !json.contains(special) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 32);
    for c in json.chars() {
        if special(c) { escaped.push_str(&format!("\\u{:04x}", u32::from(c))) } else { escaped.push(c) }
    }
    escaped
}

#[cfg(test)]
mod tests;
