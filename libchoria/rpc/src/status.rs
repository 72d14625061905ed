//! How an action went: the status codes of RPC replies (spec 03a §1.3).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The status of one reply, 0 to 5 as documented; other numbers up to 255 are carried as they came.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum StatusCode {
    /// 0: success.
    #[default]
    Ok,
    /// 1: understood but not possible, or not authorized.
    Aborted,
    /// 2: the agent has no such action.
    UnknownAction,
    /// 3: a required input is missing.
    MissingData,
    /// 4: the body or an input is not valid.
    InvalidData,
    /// 5: anything else.
    UnknownError,
    /// A number without a documented meaning, 6 to 255.
    Other(u8),
}

impl StatusCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Aborted => 1,
            Self::UnknownAction => 2,
            Self::MissingData => 3,
            Self::InvalidData => 4,
            Self::UnknownError => 5,
            Self::Other(number) => number,
        }
    }

    /// Whether the action succeeded.
    #[must_use]
    pub fn is_ok(self) -> bool {
        self == Self::Ok
    }

    /// The word shown beside a node's name on the console; empty for success.
    #[must_use]
    pub fn console_text(self) -> &'static str {
        match self {
            Self::Ok => "",
            Self::Aborted => "Request Aborted",
            Self::UnknownAction => "Unknown Action",
            Self::MissingData => "Missing Request Data",
            Self::InvalidData => "Invalid Request Data",
            Self::UnknownError | Self::Other(_) => "Unknown Request Status",
        }
    }
}

impl From<u8> for StatusCode {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Aborted,
            2 => Self::UnknownAction,
            3 => Self::MissingData,
            4 => Self::InvalidData,
            5 => Self::UnknownError,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Aborted => f.write_str("Aborted"),
            Self::UnknownAction => f.write_str("UnknownAction"),
            Self::MissingData => f.write_str("MissingData"),
            Self::InvalidData => f.write_str("InvalidData"),
            Self::UnknownError => f.write_str("UnknownError"),
            Self::Other(number) => write!(f, "status {number}"),
        }
    }
}

impl Serialize for StatusCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for StatusCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives() {
        for number in 0..=u8::MAX {
            assert_eq!(StatusCode::from(number).number(), number);
        }
    }

    #[test]
    fn console_words_are_the_documented_ones() {
        let words: Vec<&str> = (0..7).map(|number| StatusCode::from(number).console_text()).collect();
        assert_eq!(
            words,
            [
                "",
                "Request Aborted",
                "Unknown Action",
                "Missing Request Data",
                "Invalid Request Data",
                "Unknown Request Status",
                "Unknown Request Status"
            ]
        );
    }
}
