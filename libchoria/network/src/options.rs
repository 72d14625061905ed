//! Everything that decides a connection, as one value.

use crate::counters::Counters;
use crate::login::{Login, UserPassword};
use crate::observer::Observer;
use crate::search::{SearchError, Servers};
use crate::tls::Tls;
use crate::{Failure, ServerAddress};
use std::sync::Arc;
use std::time::Duration;

/// What one connection is made of. Start from [`Options::new`] and change fields.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name shown by the broker's monitoring: the certificate or identity name, or the caller id and a purpose.
    pub name: String,
    /// Where to connect.
    pub servers: Servers,
    /// Who connects.
    pub login: Login,
    /// User and password in addition to `login`.
    pub user: Option<UserPassword>,
    /// First words of reply subjects made by the connection, without the last dot: `<collective>.reply.<network id>`.
    pub inbox_prefix: String,
    /// Limit of one TCP connect. At most [`LONGEST_CONNECT`]; longer values are cut to it.
    pub connect_timeout: Duration,
    /// What one attempt may take beyond the TCP connect: TLS and the broker's decision about the login, which may take the
    /// broker four seconds.
    pub handshake_limit: Duration,
    /// Time between pings; when two have no answer at the third, the connection counts as lost: a peer that falls silent is
    /// noticed within three of these.
    pub ping_interval: Duration,
    /// Encryption and trust.
    pub tls: Tls,
    /// How long the first connection may take, all retries included; then [`connect`](crate::connect()) gives up.
    /// `None`: for ever.
    pub patience: Option<Duration>,
    /// Most messages that wait in one subscription; more are dropped and counted.
    pub subscription_capacity: usize,
    /// Told of every failed attempt.
    pub observer: Option<Observer>,
    /// What happens is counted here.
    pub counters: Arc<Counters>,
}

/// Who connects: long-running servers try for ever, clients give up and say why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A daemon.
    Server,
    /// A command or a program that embeds the client.
    Client,
}

/// No connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No address is known.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The last attempt failed and no more are made.
    #[error("could not connect to the Choria Broker after {attempts} attempts in {seconds:.1} s; {server}: {failure}", seconds = waited.as_secs_f64())]
    GaveUp {
        /// The server tried last.
        server: ServerAddress,
        /// Why it failed.
        failure: Failure,
        /// Passes over the list of servers.
        attempts: usize,
        /// Time since the first.
        waited: Duration,
    },
    /// The stop signal came first.
    #[error("connecting was stopped before a broker answered")]
    Stopped,
}

/// More than this is refused for `plugin.choria.network.connect_timeout`.
pub const LONGEST_CONNECT: Duration = Duration::from_secs(120);
/// Time between pings of a daemon: two wake-ups in two minutes.
pub const SERVER_PING_INTERVAL: Duration = Duration::from_secs(120);
/// Time between pings of a command.
pub const CLIENT_PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long a command waits for its first connection.
pub const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

impl Options {
    /// Usual values for `role`; no login, and TLS as given.
    #[must_use]
    pub fn new(role: Role, name: impl Into<String>, servers: Servers, tls: Tls) -> Self {
        let (ping_interval, patience, subscription_capacity) = match role {
            Role::Server => (SERVER_PING_INTERVAL, None, 1024),
            Role::Client => (CLIENT_PING_INTERVAL, Some(CLIENT_PATIENCE), 65536),
        };
        Self {
            name: name.into(),
            servers,
            login: Login::Anonymous,
            user: None,
            inbox_prefix: "_INBOX".to_owned(),
            connect_timeout: Duration::from_secs(2),
            handshake_limit: Duration::from_secs(10),
            ping_interval,
            tls,
            patience,
            subscription_capacity,
            observer: None,
            counters: Arc::default(),
        }
    }
}
