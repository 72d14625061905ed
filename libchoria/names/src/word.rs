//! One type per kind of name, all made by one rule table.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A text that is not a valid name: carries the text and the rule it breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}: {rule}")]
pub struct InvalidName {
    /// The refused text, cut to 128 characters.
    pub text: String,
    /// What the text should have been, for example `collective`.
    pub kind: &'static str,
    /// The rule in words.
    pub rule: &'static str,
}

/// Defines a name type: its kind for messages, its rule in words and the rule as a predicate over the text.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(InvalidName { text: text.chars().take(128).collect(), kind: $kind, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

word!(
    /// The name of a node: last part of `<collective>.node.<identity>` (spec 02 §5), used verbatim.
    Identity, "identity",
    "an identity is 1 to 255 visible characters that may stand in a NATS subject: no space, `*` or `>`, no empty part between dots",
    |text| text.len() <= 255 && is_subject(text)
);

word!(
    /// First word of every subject of one fleet partition (spec 02 §5).
    Collective, "collective",
    "a collective is 1 to 128 ASCII letters, digits, `_` or `-`",
    |text| text.len() <= 128 && is_word(text)
);

word!(
    /// Who asks, as `kind=name`, for example `up=alice` (spec 02 §2, 01 §3.1).
    CallerId, "caller id",
    "a caller id is 1 to 255 characters without control characters",
    |text| !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)
);

word!(
    /// The name of an agent (spec 03a §2.1).
    AgentName, "agent name",
    "an agent name is 1 to 128 ASCII letters, digits, `_` or `-`",
    |text| text.len() <= 128 && is_word(text)
);

word!(
    /// The id of one request: 27 base62 characters (version 2) or 32 hexadecimal ones (version 1), see spec 02 §4.
    /// The last part of a reply subject, so it obeys the subject rule; its length is not prescribed on receipt.
    RequestId, "request id",
    "a request id is 1 to 128 visible characters that may stand in a NATS subject: no space, `*` or `>`, no empty part between dots",
    |text| text.len() <= 128 && is_subject(text)
);

/// ASCII letters, digits, `_` and `-`; at least one.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Literal NATS subject text: visible characters, no wildcard, no empty token.
fn is_subject(text: &str) -> bool {
    let visible = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '*' | '>');
    text.chars().all(visible) && text.split('.').all(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_keeps_its_rule() {
        let rows: &[(&str, bool, bool, bool)] = &[
            // text, identity, collective, caller id
            ("n1.example.net", true, false, true),
            ("choria", true, true, true),
            ("up=alice", true, false, true),
            ("", false, false, false),
            ("a b", false, false, true),
            ("a..b", false, false, true),
            (".a", false, false, true),
            ("a.*", false, false, true),
            (">", false, false, true),
            ("a\nb", false, false, false),
            ("uk_2-b", true, true, true),
        ];
        for (text, identity, collective, caller) in rows {
            assert_eq!(text.parse::<Identity>().is_ok(), *identity, "identity {text:?}");
            assert_eq!(text.parse::<Collective>().is_ok(), *collective, "collective {text:?}");
            assert_eq!(text.parse::<CallerId>().is_ok(), *caller, "caller {text:?}");
        }
    }

    #[test]
    fn a_refusal_names_text_and_rule() {
        let error = "a b".parse::<Collective>().expect_err("a space is not allowed");
        assert_eq!(
            error.to_string(),
            "\"a b\" is not a valid collective: a collective is 1 to 128 ASCII letters, digits, `_` or `-`"
        );
    }

    #[test]
    fn json_refuses_what_parsing_refuses() {
        assert!(serde_json::from_str::<Identity>("\"n1\"").is_ok());
        assert!(serde_json::from_str::<Identity>("\"n 1\"").is_err());
    }
}
