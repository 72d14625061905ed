//! What a call of `Submit` says, as JSON.

use crate::varlink::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use submission::{Draft, LONGEST_TTL, MOST_HEADERS, MessageId, Priority};

/// The parameters of `Submit`. A parameter nobody knows is refused: it could be a misspelt wish.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Submission<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
    /// Base64.
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reliable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tries: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign: Option<bool>,
    #[serde(default, deserialize_with = "headers", skip_serializing_if = "Option::is_none")]
    headers: Option<Cow<'a, BTreeMap<String, String>>>,
}

/// The answer to `Submit`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Submitted {
    /// The message's id.
    pub id: MessageId,
}

impl<'a> Submission<'a> {
    /// What a client sends for `draft`.
    #[must_use]
    pub fn of(draft: &'a Draft) -> Self {
        Self {
            subject: Cow::Borrowed(&draft.subject),
            payload: Cow::Owned(STANDARD.encode(&draft.payload)),
            reliable: Some(draft.reliable),
            priority: Some(i64::from(draft.priority.number())),
            ttl: Some(draft.ttl.as_secs_f64()),
            max_tries: Some(i64::from(draft.max_tries)),
            sender: draft.sender.as_deref().map(Cow::Borrowed),
            sign: Some(draft.sign),
            headers: Some(&draft.headers).filter(|headers| !headers.is_empty()).map(Cow::Borrowed),
        }
    }

    /// The draft that a service sees; its rules are judged by [`submission::Settings::accept`].
    ///
    /// # Errors
    /// What cannot be said in a draft: the error `Invalid`, or `InvalidParameter` for a payload that is not base64.
    pub fn into_draft(self) -> Result<Draft, Failure> {
        let invalid = |reason: &dyn std::fmt::Display| Failure::because("Invalid", reason);
        let not_base64 = |error| Failure::InvalidParameter(format!("payload: it is not base64: {error}"));
        let payload = STANDARD.decode(self.payload.as_bytes()).map_err(not_base64)?;
        let mut draft = Draft::new(self.subject, payload);
        if let Some(number) = self.priority {
            let number = u64::try_from(number).unwrap_or(u64::MAX);
            draft.priority = Priority::new(number).map_err(|error| invalid(&error))?;
        }
        if let Some(seconds) = self.ttl {
            // What is longer than a duration can say is too long as well.
            let ttl = if seconds > LONGEST_TTL.as_secs_f64() {
                Ok(Duration::MAX)
            } else {
                Duration::try_from_secs_f64(seconds)
            };
            draft.ttl = ttl.map_err(|_| invalid(&"ttl may not be less than 0"))?;
        }
        if let Some(tries) = self.max_tries {
            let wrong = |_| invalid(&format!("max_tries is {tries} and must be 1 to {}", u32::MAX));
            draft.max_tries = u32::try_from(tries).map_err(wrong)?;
        }
        draft.reliable = self.reliable.unwrap_or(draft.reliable);
        draft.sign = self.sign.unwrap_or(draft.sign);
        draft.sender = self.sender.map(Cow::into_owned);
        draft.headers = self.headers.map(Cow::into_owned).unwrap_or_default();
        Ok(draft)
    }
}

/// Headers, no more than a message may have, none twice: of two, which one counts would be chance.
fn headers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'static, BTreeMap<String, String>>>, D::Error> {
    struct Headers;
    impl<'de> Visitor<'de> for Headers {
        type Value = Option<Cow<'static, BTreeMap<String, String>>>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut headers = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, String>()? {
                if headers.len() == MOST_HEADERS {
                    return Err(A::Error::custom(format_args!("headers: there are more than {MOST_HEADERS}")));
                }
                if headers.contains_key(&name) {
                    return Err(A::Error::custom("headers: one is there twice"));
                }
                headers.insert(name, value);
            }
            Ok(Some(Cow::Owned(headers)))
        }
    }
    deserializer.deserialize_any(Headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft(text: &str) -> Result<Draft, String> {
        let submission: Submission<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        submission.into_draft().map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn what_a_client_says_is_what_the_service_sees() {
        let mut full = Draft::new("local.\"x\"", b"\0\xff payload".to_vec());
        full.reliable = true;
        full.sign = true;
        full.priority = Priority::new(0).expect("a priority");
        full.ttl = Duration::from_millis(1500);
        full.max_tries = u32::MAX;
        full.sender = Some("cron".to_owned());
        full.headers.insert("Acme".to_owned(), "1".to_owned());
        for sent in [Draft::new("local.x", b"1".to_vec()), full] {
            let text = serde_json::to_string(&Submission::of(&sent)).expect("JSON");
            assert_eq!(draft(&text).as_ref(), Ok(&sent), "{text}");
        }
        let least = draft(r#"{"subject":"local.x","payload":"MQ==","headers":null,"ttl":null}"#);
        assert_eq!(least, Ok(Draft::new("local.x", b"1".to_vec())));
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let many: BTreeMap<String, String> = (0..=MOST_HEADERS).map(|n| (format!("h{n}"), String::new())).collect();
        let many = json!({ "subject": "s", "payload": "MQ==", "headers": many }).to_string();
        let rows: [(&str, &str, &str); 13] = [
            ("no subject", r#"{"payload":"MQ=="}"#, "missing field `subject`"),
            ("no payload", r#"{"subject":"s"}"#, "missing field `payload`"),
            ("payload is no base64", r#"{"subject":"s","payload":"?"}"#, "payload: it is not base64"),
            ("padding is missing", r#"{"subject":"s","payload":"MQ"}"#, "payload: it is not base64"),
            ("misspelt", r#"{"subject":"s","payload":"MQ==","relaible":true}"#, "unknown field `relaible`"),
            ("priority 5", r#"{"subject":"s","payload":"MQ==","priority":5}"#, "priority must be 0...4"),
            ("priority -1", r#"{"subject":"s","payload":"MQ==","priority":-1}"#, "priority must be 0...4"),
            ("ttl -1", r#"{"subject":"s","payload":"MQ==","ttl":-1}"#, "ttl may not be less than 0"),
            ("tries -1", r#"{"subject":"s","payload":"MQ==","max_tries":-1}"#, "max_tries is -1"),
            ("tries too many", r#"{"subject":"s","payload":"MQ==","max_tries":4294967296}"#, "must be 1 to"),
            ("a header of a number", r#"{"subject":"s","payload":"MQ==","headers":{"a":1}}"#, "expected a string"),
            ("a header twice", r#"{"subject":"s","payload":"MQ==","headers":{"a":"1","a":"2"}}"#, "one is there twice"),
            ("many headers", &many, "more than 64"),
        ];
        for (name, text, why) in rows {
            let error = draft(text).expect_err(name);
            assert!(error.contains(why), "{name}: {error}");
        }
        let endless = draft(r#"{"subject":"s","payload":"MQ==","ttl":1e300}"#).expect("the core refuses it");
        assert!(endless.ttl > LONGEST_TTL);
    }
}
