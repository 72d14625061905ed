//! Why bytes are not a message, and which counters that moves.

use crate::{Layer, MAX_SIZE, Version};
use names::InvalidName;

/// Why bytes are refused as one layer of a message. A node drops such a message without an answer (spec 02 §9).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// Refused before reading it.
    #[error("{layer} of {size} bytes is larger than the {MAX_SIZE} bytes accepted")]
    TooLarge {
        /// What it should have been.
        layer: Layer,
        /// Its size in bytes.
        size: usize,
    },
    /// The text is not JSON.
    #[error("{layer} is not JSON: {reason}")]
    NotJson {
        /// What it should have been.
        layer: Layer,
        /// What the JSON reader says, with line and column.
        reason: String,
    },
    /// JSON of another shape: a value of the wrong type, or a list of the wrong things.
    #[error("{layer} has a value of the wrong type: {reason}")]
    Shape {
        /// What it should have been.
        layer: Layer,
        /// What the JSON reader says, with line and column.
        reason: String,
    },
    /// The field `protocol` names another layer or nothing known.
    #[error("{layer} has the protocol {found:?}; known are {:?} and {:?}", .layer.protocol(Version::V1), .layer.protocol(Version::V2))]
    Protocol {
        /// What it should have been.
        layer: Layer,
        /// The value found, cut to 64 characters.
        found: String,
    },
    /// A layer of one generation inside a layer of the other.
    #[error("version {inner} {layer} inside a version {outer} message")]
    MixedVersions {
        /// The inner layer.
        layer: Layer,
        /// Generation of the outer layer.
        outer: Version,
        /// Generation of the inner layer.
        inner: Version,
    },
    /// A field breaks a rule of the schema (spec 02 §2 to §4).
    #[error("{layer}: field {field} {rule}")]
    Field {
        /// The layer that holds the field.
        layer: Layer,
        /// The field as written in the message.
        field: &'static str,
        /// The rule in words.
        rule: &'static str,
    },
    /// A field holds text that is not a valid name.
    #[error("{layer}: field {field}: {name}")]
    Name {
        /// The layer that holds the field.
        layer: Layer,
        /// The field as written in the message.
        field: &'static str,
        /// The name and its rule.
        name: InvalidName,
    },
}

impl Invalid {
    /// The protocol counters that a receiver adds one to (spec 02 §9).
    #[must_use]
    pub fn counters(&self) -> &'static [Counter] {
        match self {
            Self::NotJson { layer: Layer::Request | Layer::SecureRequest, .. } => {
                &[Counter::JsonParseFailure, Counter::Error]
            }
            Self::Shape { layer, .. } | Self::Field { layer, .. } | Self::Name { layer, .. }
                if matches!(layer, Layer::Request | Layer::SecureRequest) =>
            {
                &[Counter::Error, Counter::Invalid]
            }
            _ => &[Counter::Error],
        }
    }
}

/// The protocol counters, each with the label `version` (spec 02 §9).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Counter {
    /// Messages that passed all checks.
    Valid,
    /// Messages that break a schema or whose signature or hash is wrong.
    Invalid,
    /// Messages that could not be judged.
    Error,
    /// Requests that are not JSON.
    JsonParseFailure,
}

impl Counter {
    /// The name of the metric.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Valid => "choria_protocol_valid",
            Self::Invalid => "choria_protocol_invalid",
            Self::Error => "choria_protocol_error",
            Self::JsonParseFailure => "choria_protocol_json_parse_failures",
        }
    }
}
