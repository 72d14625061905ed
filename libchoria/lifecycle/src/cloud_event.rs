//! The CloudEvents 1.0 envelope (spec 02 §15) around events of any kind.

use crate::Invalid;
use crate::wire::object;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An event in its envelope; the event itself stays the JSON text it came as.
#[derive(Clone, Debug)]
pub struct CloudEvent {
    /// Id of the envelope; lifecycle events use their own id.
    pub id: String,
    /// Who makes such events, for example `io.choria.lifecycle`.
    pub source: String,
    /// The protocol of the event, for example `io.choria.lifecycle.v1.startup`.
    pub kind: String,
    /// The node that the event is about.
    pub subject: String,
    /// When the envelope was made; nothing when it does not say so.
    pub time: Option<SystemTime>,
    /// The event, JSON text.
    pub data: Box<RawValue>,
}

/// The envelope on the wire, keys in the order they are written.
#[derive(Deserialize, Serialize)]
struct Wire<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl CloudEvent {
    /// The JSON text of the envelope and the event in it.
    ///
    /// # Panics
    /// Never: texts always have a JSON form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Years before 1970 and beyond 9999 do not occur; such an envelope goes without its time.
        let time = self.time.and_then(rfc3339);
        let wire = Wire {
            specversion: Cow::Borrowed("1.0"),
            id: Cow::Borrowed(&self.id),
            source: Cow::Borrowed(&self.source),
            kind: Cow::Borrowed(&self.kind),
            subject: Cow::Borrowed(&self.subject),
            datacontenttype: Some(Cow::Borrowed("application/json")),
            time,
            data: Some(&self.data),
        };
        serde_json::to_vec(&wire).expect("texts always have a JSON form")
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// What is not JSON or not a CloudEvent of version 1.0 with data, and a time that is not RFC 3339.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let wire: Wire<'_> = object(bytes)?;
        if wire.specversion != "1.0" {
            return Err(Invalid::Format);
        }
        let time = wire.time.map(|text| match OffsetDateTime::parse(&text, &Rfc3339) {
            Ok(time) => Ok(SystemTime::from(time)),
            Err(_) => Err(Invalid::Field { field: "time", rule: "is not an RFC 3339 time" }),
        });
        Ok(Self {
            id: wire.id.into_owned(),
            source: wire.source.into_owned(),
            kind: wire.kind.into_owned(),
            subject: wire.subject.into_owned(),
            time: time.transpose()?,
            data: wire.data.ok_or(Invalid::Field { field: "data", rule: "is missing" })?.to_owned(),
        })
    }
}

/// The RFC 3339 form of `time`, UTC; nothing for years it has no form for.
fn rfc3339(time: SystemTime) -> Option<String> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let nanoseconds = i128::try_from(since.as_nanos()).ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?.format(&Rfc3339).ok()
}
