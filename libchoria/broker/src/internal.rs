//! Connections of this process into its own nats-server: over its websocket listener, by nkey.
//!
//! These bypass the callout, live exactly as long as one run of nats-server, and come back at once when they break,
//! because everybody waits for them: none of which is true of the fleet's connections in the crate `network`.

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use nkeys::KeyPair;
use std::time::Duration;

/// The loopback listener cannot be reached; carries the cause.
#[derive(Debug, thiserror::Error)]
#[error("the broker could not reach its own nats-server at {address}: {problem}")]
pub struct InternalError {
    /// The address of the listener.
    pub address: String,
    /// What went wrong.
    pub problem: String,
}

/// Where the listener is, and how to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// `ws://127.0.0.1:PORT`, or `wss://HOST:PORT` where the listener serves members of the fleet too.
    pub(crate) address: String,
    /// With a client certificate where the listener demands one.
    pub(crate) tls: network::Tls,
}

/// Connects as the user with the key `login`.
///
/// # Errors
/// [`InternalError`] after [`PATIENCE`] or when the login is refused.
pub(crate) async fn connect(access: &Access, name: &str, login: &KeyPair) -> Result<Client, InternalError> {
    let address = access.address.as_str();
    let failed = |problem: String| InternalError { address: address.to_owned(), problem };
    let seed = login.seed().map_err(|error| failed(error.to_string()))?;
    let options = ConnectOptions::with_nkey(seed)
        .name(name)
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .ignore_discovered_servers()
        .tls_client_config(access.tls.config().as_ref().clone())
        .reconnect_delay_callback(|_| RECONNECT_DELAY);
    options.connect(address).await.map_err(|error| failed(error.to_string()))
}

/// Whether the connection is there right now.
pub(crate) fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// Whether nats-server answers a question on this connection right now.
pub(crate) async fn answers(client: &Client) -> bool {
    client.connection_state() == State::Connected && client.request(WHO_AM_I, Bytes::new()).await.is_ok()
}

/// The question every user may ask nats-server: who am I?
const WHO_AM_I: &str = "$SYS.REQ.USER.INFO";

/// How long the own nats-server may take for anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// No growing delay: while this connection is down, nobody can connect (spec 10 §7).
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Most messages that wait in a subscription before the library drops some.
const SUBSCRIPTION_CAPACITY: usize = 16 * 1024;
