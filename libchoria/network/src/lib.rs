//! The one connector to the Choria Broker: where it is, how to log in, how to stay connected (spec 02 §13, §14).
//!
//! | module | holds |
//! |---|---|
//! | `address` | [`ServerAddress`], every text that names a broker |
//! | `srv`, `search` | SRV records and [`Search`]: configured hosts, DNS, last resort |
//! | `login` | [`Login`]: tokens and seeds, read anew at each attempt; NKeys |
//! | `tls`, `verifier` | [`Tls`], shared by all connections of a process |
//! | `settings` | all of these from the configuration |
//! | `options`, `connect` | [`Options`] and [`connect()`], the first connection |
//! | `shared`, `observer` | what happens to it later: returns, log lines |
//! | `counters` | [`Counters`] of one role's connections |
//! | `connection` | [`Connection`], [`Subscription`], [`Delivery`] |
//! | `outbox` | [`Outbox`]: messages that a stream acknowledges, in bursts |
//! | `failure` | [`Failure`], why an attempt failed and what to do |
//! | [`election`] | leader election on a JetStream key-value bucket |
//! | [`http`] | one bounded HTTP request, for logins and signatures |
//! | [`backoff`] | the waits between attempts |
//!
//! Messages are bytes here: what they mean is the business of the crates above.

mod address;
pub mod backoff;
mod connect;
mod connection;
mod counters;
pub mod election;
mod failure;
pub mod http;
mod login;
mod observer;
mod options;
mod outbox;
pub mod probe;
mod search;
mod settings;
mod shared;
mod srv;
mod tls;
mod verifier;

pub use address::{InvalidAddress, Scheme, ServerAddress};
pub use connect::connect;
pub use connection::{Connection, Delivery, PublishError, RequestError, State, Status, SubscribeError, Subscription};
pub use counters::{ConnectorCounts, Counters};
pub use failure::Failure;
pub use login::{Login, LoginError, UserPassword};
pub use observer::{FailedAttempt, Observer};
pub use options::{
    CLIENT_PATIENCE, CLIENT_PING_INTERVAL, ConnectError, LONGEST_CONNECT, Options, Role, SERVER_PING_INTERVAL,
};
pub use outbox::{NotStored, Outbox, Outgoing, Stored, Unsendable};
pub use search::{Search, SearchError, Servers, parse_addresses};
pub use settings::SettingsError;
pub use srv::{Dns, LookupError, ServiceLookup, ServiceRecord, in_order_of_use};
pub use tls::{Tls, TlsError, TlsFiles, Trust, cryptography};
