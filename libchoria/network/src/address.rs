//! Where a broker listens: one parsed type for every text that names one (spec 02 §14).

use std::fmt;
use std::str::FromStr;

/// Address of one NATS listener. Made from `host:port` or `scheme://host:port`; user information and a path in the
/// text are dropped, since neither decides where to connect and the first may be secret.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServerAddress {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// How to speak to a listener.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// `nats://`: TCP, upgraded to TLS after the server's first line unless TLS is disabled.
    Nats,
    /// `tls://`: as `nats://`; TLS is demanded even where it is disabled by an option.
    Tls,
    /// `ws://`: websocket without TLS.
    Ws,
    /// `wss://`: websocket within TLS.
    Wss,
}

/// A text that does not name a broker: carries the text (never its user information) and the rule it breaks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidAddress {
    /// No port was given; there is no default one.
    #[error("could not parse host {0}: address {0}: missing port in address")]
    MissingPort(String),
    /// The port is not a number from 1 to 65535.
    #[error("could not parse host {host}: {port:?} is not a port; a port is a number from 1 to 65535")]
    BadPort {
        /// The text without user information and path.
        host: String,
        /// The refused port.
        port: String,
    },
    /// The scheme is none that a broker speaks.
    #[error("could not parse host {host}: scheme {scheme:?} is not known; use nats, tls, ws or wss")]
    UnknownScheme {
        /// The text without user information and path.
        host: String,
        /// The refused scheme.
        scheme: String,
    },
    /// The host part is empty or contains a character that no host name or address has.
    #[error("could not parse host {0:?}: a host is a name, an IPv4 address or an IPv6 address in brackets")]
    BadHost(String),
}

impl ServerAddress {
    /// An address from its parts. `host` is a host name, an IPv4 address or an IPv6 address in brackets.
    #[must_use]
    pub fn new(scheme: Scheme, host: impl Into<String>, port: u16) -> Self {
        Self { scheme, host: host.into(), port }
    }

    /// How to speak to the listener.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_user_information, host)| host);

        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "nats" => Scheme::Nats,
            "tls" => Scheme::Tls,
            "ws" => Scheme::Ws,
            "wss" => Scheme::Wss,
            _ => {
                return Err(InvalidAddress::UnknownScheme { host: authority.to_owned(), scheme: scheme.to_owned() });
            }
        };
        let (host, port) = split_port(authority)?;
        if !is_host(host) {
            return Err(InvalidAddress::BadHost(authority.to_owned()));
        }
        match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Self { scheme, host: host.to_owned(), port }),
            _ => Err(InvalidAddress::BadPort { host: authority.to_owned(), port: port.to_owned() }),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nats => "nats",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        })
    }
}

/// Splits `host:port`, `[v6]:port`; an IPv6 address without brackets has no port that could be told from it.
fn split_port(authority: &str) -> Result<(&str, &str), InvalidAddress> {
    let missing = || InvalidAddress::MissingPort(authority.to_owned());
    let (host, port) = authority.rsplit_once(':').ok_or_else(missing)?;
    let unbracketed = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let in_brackets = host.starts_with('[') && !host.ends_with(']');
    if port.is_empty() || unbracketed || in_brackets { Err(missing()) } else { Ok((host, port)) }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_middleware_hosts_may_hold() {
        let rows: &[(&str, Result<&str, &str>)] = &[
            ("broker:4222", Ok("nats://broker:4222")),
            (" broker.example.net:4222 ", Ok("nats://broker.example.net:4222")),
            ("nats://broker:4222", Ok("nats://broker:4222")),
            ("NATS://broker:4222", Ok("nats://broker:4222")),
            ("tls://broker:4222", Ok("tls://broker:4222")),
            ("wss://broker:443/path?x", Ok("wss://broker:443")),
            ("ws://127.0.0.1:8080", Ok("ws://127.0.0.1:8080")),
            ("nats://user:secret@broker:4222", Ok("nats://broker:4222")),
            ("nats://[::1]:4222", Ok("nats://[::1]:4222")),
            ("[2001:db8::1]:4222", Ok("nats://[2001:db8::1]:4222")),
            ("broker", Err("could not parse host broker: address broker: missing port in address")),
            ("nats://u:secret@broker", Err("could not parse host broker: address broker: missing port in address")),
            ("broker:", Err("could not parse host broker:: address broker:: missing port in address")),
            ("::1", Err("could not parse host ::1: address ::1: missing port in address")),
            ("[::1]", Err("could not parse host [::1]: address [::1]: missing port in address")),
            ("broker:0", Err("could not parse host broker:0: \"0\" is not a port; a port is a number from 1 to 65535")),
            (
                "broker:66000",
                Err("could not parse host broker:66000: \"66000\" is not a port; a port is a number from 1 to 65535"),
            ),
            (
                "http://broker:80",
                Err("could not parse host broker:80: scheme \"http\" is not known; use nats, tls, ws or wss"),
            ),
            (
                "bro ker:80",
                Err(
                    "could not parse host \"bro ker:80\": a host is a name, an IPv4 address or an IPv6 address in brackets",
                ),
            ),
            (
                ":4222",
                Err("could not parse host \":4222\": a host is a name, an IPv4 address or an IPv6 address in brackets"),
            ),
        ];
        for (text, expected) in rows {
            let got = text.parse::<ServerAddress>();
            match expected {
                Ok(url) => assert_eq!(got.map(|address| address.to_string()).as_deref(), Ok(*url), "{text:?}"),
                Err(message) => assert_eq!(got.map_err(|e| e.to_string()), Err((*message).to_owned()), "{text:?}"),
            }
        }
    }
}
