//! Events as JSON: bare, or as the data of a CloudEvent.

use crate::cloud_event::CloudEvent;
use crate::{Event, GovernorStage, Kind};
use names::Identity;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// In a CloudEvent, as servers do unless `plugin.choria.legacy_lifecycle_format` is set.
    #[default]
    CloudEvent,
    /// The event alone, as governors and provisioners always do.
    Bare,
}

/// Why bytes are not a lifecycle event.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// Not JSON, or a value of the wrong type.
    #[error("event is not readable: {0}")]
    NotReadable(String),
    /// JSON that is neither a lifecycle event nor a CloudEvent of one.
    #[error(
        "unsupported event format: neither a `protocol` that starts with {SOURCE} nor a CloudEvent 1.0 with that source"
    )]
    Format,
    /// A lifecycle event of an unknown type.
    #[error("unknown protocol '{0}' received")]
    UnknownProtocol(String),
    /// A field breaks a rule.
    #[error("event field {field} {rule}")]
    Field {
        /// The field as written in the event.
        field: &'static str,
        /// The rule in words.
        rule: &'static str,
    },
    /// A field holds text that is not a valid name.
    #[error("event field {field}: {reason}")]
    Name {
        /// The field as written in the event.
        field: &'static str,
        /// The text and the rule it breaks.
        reason: String,
    },
}

/// The source of lifecycle events and the beginning of their protocol ids.
const SOURCE: &str = "io.choria.lifecycle";

/// The event on the wire, keys in the order they are written.
#[derive(Default, Deserialize, Serialize)]
struct Wire<'a> {
    #[serde(borrow)]
    protocol: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    identity: Cow<'a, str>,
    #[serde(borrow, default)]
    component: Cow<'a, str>,
    #[serde(default)]
    timestamp: i64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    new_version: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    governor: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    event_type: Option<Cow<'a, str>>,
}

/// The two keys that tell the format.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow, default)]
    protocol: Cow<'a, str>,
    #[serde(borrow, default)]
    specversion: Cow<'a, str>,
}

impl Event {
    /// The JSON text of the event.
    #[must_use]
    pub fn encode(&self, format: Format) -> Vec<u8> {
        let wire = Wire::of(self);
        match format {
            Format::Bare => wire.text().get().as_bytes().to_vec(),
            Format::CloudEvent => {
                let envelope = CloudEvent {
                    id: self.id.clone(),
                    source: SOURCE.to_owned(),
                    kind: wire.protocol.to_string(),
                    subject: self.identity.to_string(),
                    time: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds(self.time).unsigned_abs())),
                    data: wire.text(),
                };
                envelope.encode()
            }
        }
    }

    /// Reads an event in either format.
    ///
    /// # Errors
    /// Every [`Invalid`]. Events with the old ids `choria:lifecycle:…` are of no supported format.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let outline: Outline<'_> = object(bytes)?;
        if outline.protocol.starts_with(SOURCE) {
            return Self::parse_bare(bytes);
        }
        if outline.specversion != "1.0" {
            return Err(Invalid::Format);
        }
        let envelope = CloudEvent::parse(bytes)?;
        if envelope.source == SOURCE { Self::parse_bare(envelope.data.get().as_bytes()) } else { Err(Invalid::Format) }
    }

    /// Reads an event without an envelope.
    fn parse_bare(bytes: &[u8]) -> Result<Self, Invalid> {
        let wire: Wire<'_> = object(bytes)?;
        Ok(Self {
            kind: wire.kind()?,
            identity: wire.identity()?,
            component: wire.component.parse().map_err(|error: crate::InvalidComponent| Invalid::Name {
                field: "component",
                reason: error.to_string(),
            })?,
            time: time(wire.timestamp)?,
            id: wire.id.into_owned(),
        })
    }
}

impl<'a> Wire<'a> {
    /// The wire form of `event`.
    fn of(event: &'a Event) -> Self {
        let base = Self {
            protocol: Cow::Owned(format!("{SOURCE}.v1.{}", event.kind.name())),
            id: Cow::Borrowed(&event.id),
            identity: Cow::Borrowed(event.identity.as_str()),
            component: Cow::Borrowed(event.component.as_str()),
            timestamp: seconds(event.time),
            ..Self::default()
        };
        let text = |text: &'a str| Some(Cow::Borrowed(text));
        match &event.kind {
            Kind::Shutdown | Kind::Provisioned => base,
            Kind::Startup { version } | Kind::Alive { version } => Self { version: text(version), ..base },
            Kind::Upgraded { version, new_version } => {
                Self { version: text(version), new_version: text(new_version), ..base }
            }
            Kind::Governor { governor, sequence, stage } => {
                Self { governor: text(governor), sequence: Some(*sequence), event_type: text(stage.as_str()), ..base }
            }
        }
    }

    /// The JSON text.
    fn text(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(self).expect("texts and numbers always have a JSON form")
    }

    /// The type of the event with its own fields.
    fn kind(&self) -> Result<Kind, Invalid> {
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
        let version = text(&self.version);
        Ok(match self.protocol.strip_prefix(SOURCE).and_then(|rest| rest.strip_prefix(".v1.")) {
            Some("startup") => Kind::Startup { version },
            Some("shutdown") => Kind::Shutdown,
            Some("alive") => Kind::Alive { version },
            Some("provisioned") => Kind::Provisioned,
            Some("upgraded") => Kind::Upgraded { version, new_version: text(&self.new_version) },
            Some("governor") => {
                let governor = text(&self.governor);
                if governor.is_empty() {
                    return Err(Invalid::Field { field: "governor", rule: "is empty: governor name is not set" });
                }
                let stage = GovernorStage::from_word(&text(&self.event_type));
                Kind::Governor { governor, sequence: self.sequence.unwrap_or_default(), stage }
            }
            _ => return Err(Invalid::UnknownProtocol(self.protocol.chars().take(128).collect())),
        })
    }

    /// The identity, checked.
    fn identity(&self) -> Result<Identity, Invalid> {
        let parsed: Result<Identity, names::InvalidName> = self.identity.parse();
        parsed.map_err(|error| Invalid::Name { field: "identity", reason: error.to_string() })
    }
}

/// Reads the JSON object in `bytes`; a list of its values in their order is none.
pub(crate) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Invalid> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Invalid::NotReadable("not a JSON object".to_owned()));
    }
    serde_json::from_slice(bytes).map_err(|error| Invalid::NotReadable(error.to_string()))
}

/// Whole seconds since the start of 1970, UTC; 0 for earlier times.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The time `seconds` after the start of 1970, UTC.
fn time(seconds: i64) -> Result<SystemTime, Invalid> {
    let rule =
        Invalid::Field { field: "timestamp", rule: "is not a number of seconds since 1970 in a year of four digits" };
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(time) if seconds >= 0 => Ok(time.into()),
        _ => Err(rule),
    }
}
