//! What agents may know about the server they run in.

use crate::audit::Audit;
use crate::authorize::Authorization;
use crate::replay::Replays;
use crate::roster::Roster;
use crate::sources::{ClassSource, FactSource};
use crate::stats::Stats;
use crate::times::HandlingTimes;
use config::Settings;
use names::{Collective, Identity};
use network::{Connection, Counters, ServerAddress, Status};
use security::Provider;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One server as its agents see it. Shared by all its tasks; facts, classes and roster also with other servers.
///
/// A value never changes: what is read anew while the server runs makes another one, with the same counters.
#[derive(Clone, Debug)]
pub struct Node {
    /// The configuration.
    pub settings: Settings,
    /// Verifies requests and seals replies.
    pub provider: Provider,
    /// The hosted agents.
    pub roster: Arc<Roster>,
    /// The node's facts.
    pub facts: Arc<FactSource>,
    /// The node's classes.
    pub classes: Arc<ClassSource>,
    /// The server's counters.
    pub stats: Arc<Stats>,
    /// The requests it has accepted.
    pub replays: Arc<Replays>,
    /// Decides about calls.
    pub authorization: Authorization,
    /// Where calls are written down, if anywhere.
    pub audit: Option<Arc<Audit>>,
    /// The connection to the network.
    pub broker: Broker,
    /// When the server started.
    pub started: SystemTime,
    /// Whether the server waits to be provisioned: no data providers, no Autonomous Agents (spec 06 §2.3).
    pub provisioning: bool,
    /// Where handling times are added, if anybody wants to know; shared among servers.
    pub times: Option<Arc<HandlingTimes>>,
}

/// What there is to say about the connection.
#[derive(Clone, Debug, Default)]
pub struct Broker {
    /// The connection; absent in tests.
    pub connection: Option<Connection>,
    /// Name of the connection.
    pub name: String,
    /// Where it may connect, as found at the start.
    pub servers: Vec<ServerAddress>,
    /// Whether it is encrypted.
    pub tls: bool,
    /// Limit of one attempt to connect.
    pub connect_timeout: Duration,
    /// Time between pings.
    pub ping_interval: Duration,
    /// What happened to the server's connections so far.
    pub counters: Arc<Counters>,
}

impl Node {
    /// The node's name.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.settings.identity()
    }

    /// The collectives it belongs to.
    #[must_use]
    pub fn collectives(&self) -> &[Collective] {
        self.settings.collectives()
    }

    /// How long the server runs at `now`.
    #[must_use]
    pub fn uptime(&self, now: SystemTime) -> Duration {
        now.duration_since(self.started).unwrap_or(Duration::ZERO)
    }
}

impl Broker {
    /// URL of the connected broker, empty while there is none.
    #[must_use]
    pub fn connected_server(&self) -> String {
        self.connection.as_ref().and_then(Connection::connected_server).unwrap_or_default()
    }

    /// State and counters of the connection.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.connection.as_ref().map(Connection::status)
    }
}
