//! nats-server's first line, `INFO {…}`: what the front reads from it and what members of the fleet are shown.

use serde_json::{Map, Value};
use std::net::IpAddr;

/// nats-server's first line on one connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Greeting {
    /// The public key of the nats-server, `N…`.
    pub(super) server: String,
    /// The number of the connection.
    pub(super) connection: u64,
    fields: Map<String, Value>,
}

/// The line is not a greeting of nats-server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the first line of nats-server is not INFO with server_id and client_id")]
pub(super) struct InvalidGreeting;

impl Greeting {
    /// Reads one line without its end.
    ///
    /// # Errors
    /// [`InvalidGreeting`].
    pub(super) fn parse(line: &[u8]) -> Result<Self, InvalidGreeting> {
        let json = line.strip_prefix(b"INFO ").ok_or(InvalidGreeting)?;
        let fields: Map<String, Value> = serde_json::from_slice(json).map_err(|_| InvalidGreeting)?;
        let server = fields.get("server_id").and_then(Value::as_str).ok_or(InvalidGreeting)?.to_owned();
        let connection = fields.get("client_id").and_then(Value::as_u64).ok_or(InvalidGreeting)?;
        Ok(Self { server, connection, fields })
    }

    /// The line for the member at `address`: it must speak TLS, and sees its own address instead of the front's.
    pub(super) fn line_for(mut self, address: IpAddr) -> Vec<u8> {
        self.fields.insert("tls_required".to_owned(), Value::Bool(true));
        self.fields.insert("client_ip".to_owned(), Value::String(address.to_string()));
        format!("INFO {} \r\n", Value::Object(self.fields)).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_asks_for_tls_and_keeps_the_rest() {
        let line = br#"INFO {"server_id":"NA","client_id":7,"client_ip":"127.0.0.1","nonce":"n","max_payload":5} "#;
        let greeting = Greeting::parse(line).unwrap();
        assert_eq!((greeting.server.as_str(), greeting.connection), ("NA", 7));
        let shown = String::from_utf8(greeting.line_for("192.0.2.7".parse().unwrap())).unwrap();
        let json: Value = serde_json::from_str(shown.strip_prefix("INFO ").unwrap()).unwrap();
        let expected = serde_json::json!({"server_id": "NA", "client_id": 7, "client_ip": "192.0.2.7", "nonce": "n",
            "max_payload": 5, "tls_required": true});
        assert_eq!(json, expected);
        assert!(shown.ends_with("\r\n"));
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [&b""[..], b"INFO", b"INFO ", b"INFO {}", b"PING", br#"INFO {"server_id":"N"}"#, b"INFO {\"server"]
        {
            assert_eq!(Greeting::parse(line), Err(InvalidGreeting), "{line:?}");
        }
    }
}
