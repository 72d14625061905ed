//! `io.choria.Server`: what local tools ask the server of this machine. The server half is the server's.

use crate::varlink::{CallError, ConnectError, Interface};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// The interface.
pub const INTERFACE: Interface =
    Interface { name: "io.choria.Server", text: include_str!("../interfaces/io.choria.Server.varlink") };

/// Where the server listens.
pub const SOCKET: &str = config::build::SERVER_SOCKET;

/// The answer to `Ping`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Pong {
    /// The node's name.
    pub identity: String,
    /// The server's version.
    pub version: String,
    /// Its time, RFC 3339.
    pub time: String,
}

/// What a server is for as long as it runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A member of the fleet.
    Fleet,
    /// It waits to be provisioned.
    Provisioning,
}

/// The answer to `Status`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The node's name.
    pub identity: String,
    /// The server's version.
    pub version: String,
    /// What it is.
    pub mode: Mode,
    /// The broker it is connected to.
    pub broker: Option<String>,
    /// Seconds since it started.
    pub uptime: f64,
    /// The line that `systemctl status` shows.
    pub line: String,
    /// As in the status file (spec 04 §4.3).
    pub details: Map<String, Value>,
}

/// The answer to `Facts`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Facts {
    /// The facts.
    pub facts: Map<String, Value>,
}

/// The parameters of `VerifyToken`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TokenText {
    /// The token, as it stands in its file.
    pub token: String,
}

/// The answer to `VerifyToken`: a token that counts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct VerifiedToken {
    /// Its claim `purpose`, such as `choria_server`.
    pub kind: String,
    /// Whom it names: a caller or an identity.
    pub subject: String,
    /// The key it is about, in hex.
    pub public_key: Option<String>,
    /// Its claim `iss`.
    pub issuer: String,
    /// When it expires, RFC 3339.
    pub expires: Option<String>,
    /// All claims.
    pub claims: Map<String, Value>,
}

/// A connection to the server of this machine; blocking.
#[derive(Debug)]
pub struct Client(crate::varlink::Client);

impl Client {
    /// Connects to the socket at `path`, usually [`SOCKET`]. Each wait is bounded by `limit`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(path: &Path, limit: Duration) -> Result<Self, ConnectError> {
        crate::varlink::Client::connect(path, limit).map(Self)
    }

    /// `Ping`.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn ping(&mut self) -> Result<Pong, CallError> {
        self.0.call("io.choria.Server.Ping", &json!({}))
    }

    /// `Status`.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn status(&mut self) -> Result<Status, CallError> {
        self.0.call("io.choria.Server.Status", &json!({}))
    }

    /// `Facts`.
    ///
    /// # Errors
    /// [`CallError`], with `FactsUnavailable` or `Refused`.
    pub fn facts(&mut self) -> Result<Map<String, Value>, CallError> {
        self.0.call("io.choria.Server.Facts", &json!({})).map(|Facts { facts }| facts)
    }

    /// `VerifyToken`: judged by the issuers that the server trusts.
    ///
    /// # Errors
    /// [`CallError`], with `TokenRefused` when it does not count.
    pub fn verify_token(&mut self, token: &str) -> Result<VerifiedToken, CallError> {
        self.0.call("io.choria.Server.VerifyToken", &TokenText { token: token.to_owned() })
    }
}
