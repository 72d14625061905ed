//! Records of connections that end, from what nats-server tells its system account.
//!
//! The connection that listens may subscribe to these events and publish nothing but what `roll_call.rs` asks, so holding
//! the system account costs little power over it. Events of other servers of a cluster arrive too and are left to their
//! own brokers, but for the names of nodes in provisioning mode, which are free then (`sessions.rs`). One structured
//! record each, bounded in number like those of decisions; fields as in `callout::record`, and `sent_messages`,
//! `received_messages` (seen from nats-server) and `lasted` in seconds.

use crate::child::Sampler;
use crate::decision::{Account, bounded};
use crate::metrics::Metrics;
use crate::sessions::{Place, Sessions};
use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use names::Identity;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The events of every account, the callout's own included.
pub(crate) const SUBJECT: &str = "$SYS.ACCOUNT.*.DISCONNECT";

/// Listens to the ends of connections.
#[derive(Debug)]
pub(crate) struct Departures {
    subscription: Subscriber,
    /// Kept: dropping it closes the connection.
    _client: Client,
    server: Identity,
    /// The broker's own checking connection, which is no news.
    quiet: String,
    metrics: Arc<Metrics>,
    sessions: Arc<Sessions>,
    sampler: Sampler,
}

impl Departures {
    /// Subscribes on `client`, a connection into the system account of the nats-server called `server`.
    ///
    /// # Errors
    /// What the client library says when the connection is closed.
    pub(crate) async fn subscribe(
        client: Client,
        server: Identity,
        quiet: String,
        metrics: Arc<Metrics>,
        sessions: Arc<Sessions>,
    ) -> Result<Self, async_nats::SubscribeError> {
        let subscription = client.subscribe(SUBJECT).await?;
        let sampler = Sampler::new(LOGGED, WINDOW);
        Ok(Self { subscription, _client: client, server, quiet, metrics, sessions, sampler })
    }

    /// Records until the connection ends, which it does with nats-server.
    pub(crate) async fn run(mut self) {
        while let Some(message) = self.subscription.next().await {
            let event = Event::parse(&message.payload);
            if let Some(event) = event.as_ref().filter(|event| event.client.account == Account::Provisioning.name()) {
                self.sessions.left(Place { server: event.server.id.clone(), connection: event.client.id });
            }
            match event {
                Some(event) if event.server.name == self.server.as_str() => self.record(&event),
                Some(_) => {}
                None => tracing::debug!("an event of nats-server on {} is not understood", message.subject),
            }
        }
    }

    fn record(&mut self, event: &Event) {
        let peer = &event.client;
        let accounts = [Account::Choria, Account::Provisioning, Account::System];
        if !accounts.iter().any(|account| account.name() == peer.account) || peer.name == self.quiet {
            return;
        }
        self.metrics.departed();
        let Some(missed) = self.sampler.admit(Instant::now()) else { return };
        let (connection, account, lasted) = (peer.id, &peer.account, event.lasted().as_secs());
        let (identity, address, client) = (&safe(&peer.user), &safe(&peer.host), &safe(&peer.name));
        let (sent_messages, received_messages, reason) = (event.sent.msgs, event.received.msgs, &safe(&event.reason));
        tracing::info!(
            event = "connection_closed",
            identity,
            address,
            connection,
            client,
            account,
            reason,
            lasted,
            sent_messages,
            received_messages,
            missed,
            "connection {connection} of {identity} from {address} ended after {lasted} s: {reason}"
        );
    }
}

/// Text of others for the log: bounded, without control characters, and without tokens, which old versions of
/// nats-server show for the name of a user.
fn safe(text: &str) -> String {
    bounded(&daemon::redact_tokens(text))
}

/// What nats-server tells about a connection that ended, as far as it is recorded.
#[derive(Debug, Deserialize)]
struct Event {
    server: Server,
    client: Peer,
    #[serde(default)]
    sent: Traffic,
    #[serde(default)]
    received: Traffic,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Server {
    #[serde(default)]
    name: String,
    #[serde(default)]
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Peer {
    id: u64,
    #[serde(rename = "acc")]
    account: String,
    user: String,
    name: String,
    host: String,
    start: String,
    stop: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Traffic {
    msgs: i64,
}

impl Event {
    fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// From start to end; zero when nats-server does not say.
    fn lasted(&self) -> Duration {
        let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
        let lasted = time(&self.client.stop).zip(time(&self.client.start)).map(|(stop, start)| stop - start);
        lasted.and_then(|lasted| Duration::try_from(lasted).ok()).unwrap_or_default()
    }
}

/// Records in each [`WINDOW`].
const LOGGED: u32 = 20;

/// See [`LOGGED`].
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_nats_server_is_read() {
        let text = r#"{"type":"io.nats.server.advisory.v1.client_disconnect","id":"x","timestamp":"2026-11-21T15:00:03Z",
            "server":{"name":"b1.example.net","host":"::","id":"N","ver":"2.10.26","seq":7,"jetstream":true,"time":"x"},
            "client":{"start":"2026-11-21T15:00:00.5Z","host":"192.0.2.7","id":12,"acc":"choria","user":"up=alice",
            "name":"alice","lang":"rust","ver":"1","rtt":5,"stop":"2026-11-21T15:00:03.5Z","kind":"Client"},
            "sent":{"msgs":3,"bytes":9},"received":{"msgs":4,"bytes":9},"reason":"Client Closed"}"#;
        let event = Event::parse(text.as_bytes()).unwrap();
        assert_eq!((event.client.id, event.client.account.as_str(), event.sent.msgs), (12, "choria", 3));
        assert_eq!((event.lasted(), event.reason.as_str()), (Duration::from_secs(3), "Client Closed"));
        for bad in ["", "{}", "[]", r#"{"server":{},"client":{"id":-1}}"#] {
            assert!(Event::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        let backwards =
            Event::parse(br#"{"server":{},"client":{"start":"2026-01-02T00:00:00Z","stop":"2026-01-01T00:00:00Z"}}"#);
        assert_eq!(backwards.unwrap().lasted(), Duration::ZERO);
    }

    #[test]
    fn a_token_in_the_place_of_a_name_is_not_logged() {
        let shown = safe("eyJhbGciOiJFZERTQSJ9.eyJqdGkiOiJ4In0.c2ln\n");
        assert!(!shown.contains("eyJ") && !shown.contains('\n'), "{shown}");
    }
}
