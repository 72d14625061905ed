//! The rules that values obey beyond their type.

use crate::duration::parse_duration;
use crate::value::Value;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

/// What values a key allows, beyond being readable by its type.
///
/// The original stores most values that break these rules and fails later, or ignores them; here they are named
/// before anything starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Every value of the type.
    Any,
    /// One of these words; each element of a list.
    OneOf(&'static [&'static str]),
    /// A number in this range, both ends included.
    Between(i64, i64),
    /// A length of time of more than zero and at most this.
    UpTo(Duration),
    /// Elements `host:port` or `scheme://host:port`.
    Servers,
    /// Elements that are an IP address or a network such as `192.0.2.0/24`.
    Networks,
    /// Elements (or the text) that are an ed25519 public key, 64 hexadecimal digits.
    PublicKey,
    /// A text that is a length of time of more than zero, read by a machine's watcher.
    Interval,
    /// A text that is a file mode such as `0600`.
    FileMode,
    /// Elements (or the text) that can be a collective's name.
    Collective,
    /// Texts that can be a node's name in subjects.
    Identity,
}

impl Rule {
    /// Checks a value that was read by its type.
    ///
    /// # Errors
    /// The rule in words.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let valid = match (self, value) {
            (Self::Any, _) => true,
            (Self::Between(least, most), Value::Integer(number)) => (least..=most).contains(&number),
            (Self::UpTo(most), Value::Duration(time)) => !time.is_zero() && time <= most,
            (_, Value::Text(text)) => self.allows(text),
            (_, Value::List(elements)) => elements.iter().all(|element| self.allows(element)),
            _ => true,
        };
        if valid { Ok(()) } else { Err(self.in_words()) }
    }

    /// The rule as part of a sentence that starts with "must"; empty for [`Rule::Any`].
    #[must_use]
    pub fn in_words(&self) -> String {
        let fixed = match self {
            Self::Any => "",
            Self::OneOf(words) => return format!("must be one of {}", words.join(", ")),
            Self::Between(least, i64::MAX) => return format!("must be {least} or more"),
            Self::Between(least, most) => return format!("must be from {least} to {most}"),
            Self::UpTo(Duration::MAX) => "must be longer than zero",
            Self::UpTo(most) => return format!("must be longer than zero and at most {} seconds", most.as_secs()),
            Self::Servers => {
                "must name brokers as host:port, nats://host:port, tls://host:port, ws://host:port or wss://host:port"
            }
            Self::Networks => "must name IP addresses or networks such as 192.0.2.0/24",
            Self::PublicKey => "must be an ed25519 public key of 64 hexadecimal digits",
            Self::Interval => "must be a length of time longer than zero, for example 30s or 5m",
            Self::FileMode => "must be a file mode in octal, for example 0600",
            Self::Collective => "must be letters, digits, _ and -, at most 128 of them",
            Self::Identity => "must be a name without spaces, wildcards (* and >) and empty parts between dots",
        };
        fixed.to_owned()
    }

    /// The rule as `choria tool config` shows it after `Validation:`; `None` for [`Rule::Any`].
    #[must_use]
    pub fn label(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Any => None,
            Self::OneOf(words) => Some(format!("enum={}", words.join(",")).into()),
            _ => Some(self.in_words().into()),
        }
    }

    /// Whether one element or text is allowed.
    fn allows(&self, text: &str) -> bool {
        match self {
            Self::Any | Self::Between(..) | Self::UpTo(_) => true,
            Self::OneOf(words) => words.contains(&text),
            Self::Servers => is_server(text),
            Self::Networks => is_network(text),
            Self::PublicKey => text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Self::Interval => parse_duration(text).is_ok_and(|time| !time.is_zero()),
            Self::FileMode => is_file_mode(text),
            Self::Collective => text.parse::<names::Collective>().is_ok(),
            Self::Identity => text.parse::<names::Identity>().is_ok(),
        }
    }
}

/// `host:port` with an optional scheme, `user:password@` and path; an IPv6 address stands in brackets.
fn is_server(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let host_is_valid = !host.is_empty() && (bracketed || !host.contains(':')) && !host.contains(char::is_whitespace);
    let port_is_valid = port.parse::<u16>().is_ok_and(|port| port > 0);
    let scheme_is_valid = ["nats", "tls", "ws", "wss"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
    scheme_is_valid && host_is_valid && port_is_valid
}

/// An address, or an address and the length of its network part.
fn is_network(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest))
}

/// Octal digits of a mode, with the prefixes `0` and `0o` that the original knows.
fn is_file_mode(text: &str) -> bool {
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).unwrap_or_default();
    u32::from_str_radix(digits, 8).is_ok_and(|mode| mode > 0 && mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_judges_texts() {
        let key = "ab".repeat(32);
        let rows: &[(Rule, &[&str], &[&str])] = &[
            (Rule::OneOf(&["a", "b"]), &["a"], &["A", "", "c"]),
            (
                Rule::Servers,
                &[
                    "h:4222",
                    "nats://h:1",
                    "wss://h.example.net:443/",
                    "[::1]:4222",
                    "tls://u:p@h:4222",
                    "NATS://h:1",
                    "ws://h:80/x",
                ],
                &["h", "nats://h", "h:0", "h:65536", ":4222", "http://h:80", "::1:4222", "a b:1", "nats://h/x:1"],
            ),
            (
                Rule::Networks,
                &["192.0.2.1", "192.0.2.0/24", "2001:db8::/32"],
                &["h", "192.0.2.0/33", "192.0.2.0/", "1.2.3"],
            ),
            (Rule::PublicKey, &[&key], &["", "ISSUER", "abcd"]),
            (Rule::Interval, &["1m", "30"], &["0", "often", ""]),
            (Rule::FileMode, &["0600", "0o640", "02750"], &["600", "0x1ff", "rw", "0", "0999", ""]),
            (Rule::Collective, &["uk_1"], &["a.b", ""]),
            (Rule::Identity, &["n1.example.net"], &["n 1", "a..b"]),
        ];
        for (rule, good, bad) in rows {
            for text in *good {
                assert_eq!(rule.check(&Value::Text((*text).into())), Ok(()), "{rule:?} {text:?}");
            }
            for text in *bad {
                assert_eq!(rule.check(&Value::Text((*text).into())), Err(rule.in_words()), "{rule:?} {text:?}");
                assert!(rule.check(&Value::List(Box::new([(*text).to_owned()]))).is_err(), "list {rule:?} {text:?}");
            }
        }
    }

    #[test]
    fn ranges_include_their_ends() {
        let ports = Rule::Between(0, 65535);
        for (number, valid) in [(0, true), (65535, true), (-1, false), (65536, false)] {
            assert_eq!(ports.check(&Value::Integer(number)).is_ok(), valid, "{number}");
        }
        let limit = Rule::UpTo(Duration::from_secs(60));
        for (seconds, valid) in [(0, false), (1, true), (60, true), (61, false)] {
            assert_eq!(limit.check(&Value::Duration(Duration::from_secs(seconds))).is_ok(), valid, "{seconds}");
        }
    }
}
