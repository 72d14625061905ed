//! `io.choria.Daemon`: what anybody may ask a daemon that has no interface of its own. The server half is the daemon's.

use crate::varlink::Interface;
use serde::{Deserialize, Serialize};

/// The interface.
pub const INTERFACE: Interface =
    Interface { name: "io.choria.Daemon", text: include_str!("../interfaces/io.choria.Daemon.varlink") };

/// The answer to `Ping`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Pong {
    /// The program's name, such as `choria-broker`.
    pub role: String,
    /// Its version.
    pub version: String,
    /// Its time, RFC 3339.
    pub time: String,
}

/// The answer to `Status`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The program's name, such as `choria-broker`.
    pub role: String,
    /// Its version.
    pub version: String,
    /// The name that it has in the network, empty where it has none.
    pub identity: String,
    /// Whether it serves.
    pub ready: bool,
    /// The line that `systemctl status` shows.
    pub line: String,
    /// Seconds since it started.
    pub uptime: f64,
}
