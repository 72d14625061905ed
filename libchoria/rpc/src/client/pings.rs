//! The discovery message: every node that matches a filter answers it at once (spec 03a §8.1, 09 §4).

use super::patience::Patience;
use super::{Client, DISCOVERY_AGENT, RequestError};
use names::{Collective, Identity, RequestId};
use network::Subscription;
use protocol::{Filter, Invalid, Reply, Transport, subjects};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// How a ping is sent.
#[derive(Clone, Debug)]
pub struct PingOptions {
    /// The part of the fleet; the main collective unless given.
    pub collective: Option<Collective>,
    /// How long answers are waited for; longer while they keep coming, four times as long at most.
    pub timeout: Duration,
    /// Ends as soon as no answer came for 300 ms after the first one (`--discovery-window`).
    pub windowed: bool,
}

/// The answers to a ping, in the order they arrive. A node that answers twice is there twice.
#[derive(Debug)]
pub struct Pings {
    id: RequestId,
    subscription: Subscription,
    published: Instant,
    patience: Patience,
}

/// One answer to a ping.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pong {
    /// Who answers, as it says: answers to pings are not verified, what comes of them is.
    pub sender: Identity,
    /// From the publishing of the ping to the answer's arrival.
    pub latency: Duration,
}

impl Client {
    /// Asks every node that matches `filter` for a sign of life.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn ping(&self, filter: &Filter, options: &PingOptions) -> Result<Pings, RequestError> {
        let collective = self.collective(options.collective.as_ref())?;
        let agent = DISCOVERY_AGENT.parse()?;
        self.check_filter(&agent, filter, false)?;
        if let Err(error) = filter.compile().check() {
            tracing::warn!("{error}; nodes that find the same will not answer");
        }
        let id = self.new_id();
        let caller = self.0.provider.caller();
        let reply_to = subjects::reply(collective, caller, &id);
        let subscription = self.0.connection.subscribe(&reply_to, None).await?;
        let request = self.protocol_request(&id, collective, &agent, filter.clone(), PING.to_vec());
        let target = subjects::broadcast_agent(collective, &agent);
        let messages = self.sealed_messages(request, &reply_to, vec![target]).await?;
        let published = Instant::now();
        for (subject, payload) in messages {
            self.0.connection.publish(&subject, payload).await?;
        }
        let patience = if options.windowed { Patience::windowed } else { Patience::new };
        Ok(Pings { id, subscription, published, patience: patience(published, options.timeout, WINDOW) })
    }

    /// The defaults of the configuration: the main collective, `discovery_timeout`, and
    /// `plugin.choria.discovery.broadcast.windowed_timeout`.
    #[must_use]
    pub fn ping_options(&self) -> PingOptions {
        let defaults = &self.0.defaults;
        PingOptions { collective: None, timeout: defaults.discovery_timeout, windowed: defaults.windowed }
    }
}

impl Pings {
    /// The next answer; `None` when the time is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Pong> {
        loop {
            let delivery = tokio::select! {
                biased;
                arrived = self.subscription.recv() => arrived?,
                () = sleep_until(self.patience.end().into()) => return None,
            };
            let now = Instant::now();
            match sender(&delivery.payload) {
                Ok(sender) => {
                    self.patience.hear(now);
                    return Some(Pong { sender, latency: now.duration_since(self.published) });
                }
                Err(invalid) => tracing::error!("an answer to a ping cannot be read: {invalid}"),
            }
        }
    }

    /// The id of the ping.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// When it was sent.
    #[must_use]
    pub fn published(&self) -> Instant {
        self.published
    }
}

/// Who answers: the sender in the transport headers, else the one in the reply.
fn sender(payload: &[u8]) -> Result<Identity, Invalid> {
    let transport = Transport::parse(payload)?;
    match transport.headers.sender {
        Some(sender) => Ok(sender),
        None => transport.secure_reply()?.unverified_reply().map(|reply: Reply| reply.sender),
    }
}

/// What the discovery agent expects: base64, since the word itself would be taken for base64.
const PING: &[u8] = b"cGluZw==";

/// The gap between answers after which no more are expected.
const WINDOW: Duration = Duration::from_millis(300);
