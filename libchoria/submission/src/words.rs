//! The small words of a message: its id, its priority, and the rules for subjects, senders and header fields.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest subject in bytes, before the `<collective>.submission.in.` that delivery puts in front.
pub const LONGEST_SUBJECT: usize = 255;
/// Longest sender and identity in bytes.
pub const LONGEST_NAME: usize = 255;
/// Most headers that a message may bring.
pub const MOST_HEADERS: usize = 64;
/// Longest name of a header in bytes.
pub const LONGEST_HEADER_NAME: usize = 128;
/// Longest value of a header in bytes.
pub const LONGEST_HEADER_VALUE: usize = 4096;

/// The id of one message, which becomes `Nats-Msg-Id`: 1 to 128 visible ASCII characters, by custom a UUID.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(Arc<str>);

/// A text that is no [`MessageId`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message id is 1 to 128 visible ASCII characters")]
pub struct InvalidMessageId;

/// One of the five queues, 0 to 4. They are independent of each other; none is preferred (spec 04 §5.3).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Priority(u8);

/// A number that is no [`Priority`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("priority must be 0...4")]
pub struct InvalidPriority;

impl MessageId {
    /// A new id: a random UUID (version 4) of the system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self(Arc::from(&*uuid::Uuid::new_v4().hyphenated().encode_lower(&mut buffer)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        let valid = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(Arc::from(text))) } else { Err(InvalidMessageId) }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Priority {
    /// All of them, 0 first.
    pub const ALL: [Self; 5] = [Self(0), Self(1), Self(2), Self(3), Self(4)];

    /// The priority with this number.
    ///
    /// # Errors
    /// [`InvalidPriority`] above 4.
    pub fn new(number: u64) -> Result<Self, InvalidPriority> {
        u8::try_from(number).ok().filter(|number| *number <= 4).map(Self).ok_or(InvalidPriority)
    }

    /// The number, 0 to 4.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// The number as an index into five things.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The directory of the spool that holds messages of this priority: `P0` to `P4`.
    #[must_use]
    pub fn directory(self) -> &'static str {
        ["P0", "P1", "P2", "P3", "P4"][self.index()]
    }
}

impl Default for Priority {
    /// 4, as `choria tool submit` has it.
    fn default() -> Self {
        Self(4)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why `text` cannot be the subject of a message.
pub(crate) fn subject_fault(text: &str) -> Option<&'static str> {
    let unfit = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '*' | '>');
    if text.len() > LONGEST_SUBJECT {
        Some("a subject has at most 255 bytes")
    } else if text.contains(unfit) {
        Some("a subject has no spaces, no control characters and no wildcards (* and >)")
    } else if text.split('.').any(str::is_empty) {
        Some("a subject has no empty part before, between or after its dots")
    } else {
        None
    }
}

/// Why `text` cannot be a sender or an identity.
pub(crate) fn name_fault(text: &str) -> Option<&'static str> {
    if text.len() > LONGEST_NAME {
        Some("it has at most 255 bytes")
    } else if text.contains(char::is_control) {
        Some("it has no control characters")
    } else {
        None
    }
}

/// Why a header cannot be sent. That its name is not a reserved one is another rule.
pub(crate) fn header_fault(name: &str, value: &str) -> Option<&'static str> {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if name.is_empty() || name.len() > LONGEST_HEADER_NAME || !name.bytes().all(visible) {
        Some("a header's name is 1 to 128 visible ASCII characters without a colon")
    } else if value.len() > LONGEST_HEADER_VALUE {
        Some("a header's value has at most 4096 bytes")
    } else if value.contains(char::is_control) {
        Some("a header's value is one line without control characters")
    } else {
        None
    }
}

/// Whether headers of this name are written by Choria or the broker alone.
pub(crate) fn is_reserved(name: &str) -> bool {
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts("choria") || starts("nats")
}
