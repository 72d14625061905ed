//! Tells [`Sessions`] which nodes in provisioning mode are connected: what nats-server tells by itself, and what all
//! nats-servers of the cluster answer when they are asked.
//!
//! Asked at the start, every [`PAUSE`], and when a node was refused because its name is in use: so a name that is held
//! for nobody is free at the next attempt but one. Uses the connection of `departures.rs`, whose user may ask this one
//! question of this one account and end connections, and nothing else.

use crate::decision::NODE;
use crate::sessions::{Double, Place, Present, Sessions};
use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt as _;
use names::{Identity, NetworkId};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Connections that begin in the account of nodes in provisioning mode.
pub(crate) const ARRIVALS: &str = "$SYS.ACCOUNT.provisioning.CONNECT";

/// Asks every nats-server for the connections of that account.
pub(crate) const QUESTION: &str = "$SYS.REQ.ACCOUNT.provisioning.CONNZ";

/// Ends one connection of one nats-server.
pub(crate) const KICK: &str = "$SYS.REQ.SERVER.*.KICK";

/// Where this broker is answered: others of the cluster use the same account.
pub(crate) fn answers_subject(server: &Identity) -> String {
    format!("_INBOX.choria-broker.{}", NetworkId::of(server.as_str()))
}

/// Keeps [`Sessions`] true.
#[derive(Debug)]
pub(crate) struct RollCall {
    client: Client,
    arrivals: Subscriber,
    answers: Subscriber,
    inbox: String,
    sessions: Arc<Sessions>,
}

/// A question that is being answered.
#[derive(Default)]
struct Round {
    asked: Option<Instant>,
    answered: HashSet<String>,
    /// Who answered the question before.
    before: HashSet<String>,
}

impl Round {
    /// Who answered this question or the one before: a busy nats-server may miss one. `None` when nobody answered, which
    /// says nothing about anybody.
    fn alive(&self) -> Option<HashSet<String>> {
        (!self.answered.is_empty()).then(|| self.answered.union(&self.before).cloned().collect())
    }
}

impl RollCall {
    /// Subscribes on `client`, and asks for the first time.
    ///
    /// # Errors
    /// What the client library says when the connection is closed.
    pub(crate) async fn subscribe(
        client: Client,
        server: &Identity,
        sessions: Arc<Sessions>,
    ) -> Result<Self, async_nats::SubscribeError> {
        let inbox = answers_subject(server);
        let arrivals = client.subscribe(ARRIVALS).await?;
        let answers = client.subscribe(inbox.clone()).await?;
        Ok(Self { client, arrivals, answers, inbox, sessions })
    }

    /// Listens and asks until the connection ends, which it does with nats-server.
    pub(crate) async fn run(mut self) {
        let mut next = tokio::time::Instant::now();
        let mut round = Round::default();
        loop {
            let answering = round.asked.is_some();
            let doubt = async {
                self.sessions.doubt.notified().await;
                tokio::time::sleep(LEAST_PAUSE).await;
            };
            tokio::select! {
                message = self.arrivals.next() => match message {
                    Some(message) => self.arrived(&message).await,
                    None => return,
                },
                message = self.answers.next() => match message {
                    Some(message) => self.counted(&message, &mut round).await,
                    None => return,
                },
                () = tokio::time::sleep_until(next) => {
                    if let Some(asked) = round.asked.take() {
                        if let Some(alive) = round.alive() {
                            self.sessions.silent(&alive, asked);
                        }
                        next += PAUSE;
                    } else {
                        next = self.ask(&mut round).await;
                    }
                },
                () = doubt, if !answering => next = self.ask(&mut round).await,
            }
        }
    }

    async fn ask(&self, round: &mut Round) -> tokio::time::Instant {
        let before = std::mem::take(&mut round.answered);
        *round = Round { asked: Some(Instant::now()), answered: HashSet::new(), before };
        let question = format!("{{\"limit\":{MOST},\"auth\":true}}");
        if let Err(error) = self.client.publish_with_reply(QUESTION, self.inbox.clone(), question.into()).await {
            tracing::debug!("nats-server cannot be asked for its connections: {error}");
        }
        tokio::time::Instant::now() + PATIENCE
    }

    async fn arrived(&self, message: &Message) {
        let Ok(Event { server, client }) = serde_json::from_slice(&message.payload) else {
            tracing::debug!("an event of nats-server on {} is not understood", message.subject);
            return;
        };
        let Some(present) = client.present(&server.id) else { return };
        if let Some(double) = self.sessions.arrived(present, Instant::now()) {
            self.end(double).await;
        }
    }

    async fn counted(&self, message: &Message, round: &mut Round) {
        let Some(asked) = round.asked else { return };
        let Ok(Answer { server, data }) = serde_json::from_slice(&message.payload) else {
            tracing::debug!("nats-server's answer about its connections is not understood");
            return;
        };
        round.answered.insert(server.id.clone());
        if data.total > data.connections.len() as u64 {
            tracing::warn!("nats-server told of {} of its {} connections", data.connections.len(), data.total);
            return;
        }
        let present: Vec<Present> =
            data.connections.into_iter().filter_map(|connection| connection.present(&server.id)).collect();
        tracing::debug!("{} nodes wait to be provisioned on nats-server {}", present.len(), server.id);
        for double in self.sessions.counted(&server.id, present, asked) {
            self.end(double).await;
        }
    }

    /// Ends the later of two connections of one node.
    async fn end(&self, double: Double) {
        let Double { name, first, second } = double;
        let (identity, address, connection) = (name.as_str(), &second.1, second.0.connection);
        let (holder_address, holder_connection) = (&first.1, first.0.connection);
        tracing::warn!(
            event = "connection_doubled",
            identity,
            address,
            connection,
            holder_address,
            holder_connection,
            "connection {connection} from {address} is ended: {identity} waits to be provisioned on connection \
             {holder_connection} from {holder_address} too, on another broker of the cluster"
        );
        let subject = KICK.replace('*', &second.0.server);
        // nats-server does nothing without a reply subject; nobody listens there.
        let (reply, order) = (format!("{}.ended", self.inbox), format!("{{\"cid\":{connection}}}"));
        if let Err(error) = self.client.publish_with_reply(subject, reply, order.into()).await {
            tracing::error!("connection {connection} cannot be ended: {error}");
        }
    }
}

#[derive(Deserialize)]
struct Event {
    server: Server,
    client: Connection,
}

#[derive(Deserialize)]
struct Answer {
    server: Server,
    data: Data,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

/// Both are required: what is no answer to the question must not count as a nats-server without connections.
#[derive(Deserialize)]
struct Data {
    total: u64,
    connections: Vec<Connection>,
}

/// A connection, as events and answers tell of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Connection {
    #[serde(alias = "cid")]
    id: u64,
    #[serde(alias = "ip")]
    host: String,
    /// The name of its user.
    #[serde(alias = "authorized_user")]
    user: String,
    start: String,
}

impl Connection {
    /// The node that it speaks for; the provisioner's connections speak for none.
    fn present(self, server: &str) -> Option<Present> {
        let name = self.user.strip_prefix(NODE)?.parse().ok()?;
        let began = OffsetDateTime::parse(&self.start, &Rfc3339).ok()?;
        let place = Place { server: server.to_owned(), connection: self.id };
        Some(Present { name, place, address: self.host, began })
    }
}

/// Time between two questions.
const PAUSE: Duration = Duration::from_secs(30);

/// How long answers are waited for.
const PATIENCE: Duration = Duration::from_millis(1500);

/// After a doubt: refused nodes come back often, and one answer serves all.
const LEAST_PAUSE: Duration = Duration::from_millis(200);

/// More than one nats-server has connections.
const MOST: u32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_nats_server_tells_nodes_from_provisioners() {
        let text = r#"{"server":{"name":"b1","id":"NA"},"data":{"server_id":"NA","num_connections":3,"total":3,"offset":0,
            "limit":65536,"connections":[
            {"cid":7,"kind":"Client","ip":"192.0.2.7","start":"2026-11-21T18:30:25.1Z","name":"a.example.net",
             "authorized_user":"provisioning/a.example.net","account":"provisioning"},
            {"cid":8,"ip":"192.0.2.8","start":"2026-11-21T18:30:26Z","name":"b","authorized_user":"provisioner"},
            {"cid":9,"ip":"192.0.2.9","start":"2026-11-21T18:30:27Z","authorized_user":"provisioning/*"}]}}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        let present: Vec<Present> =
            answer.data.connections.into_iter().filter_map(|connection| connection.present("NA")).collect();
        assert_eq!(present.len(), 1);
        let (name, place) = (present[0].name.as_str(), &present[0].place);
        assert_eq!((name, place.connection, present[0].address.as_str()), ("a.example.net", 7, "192.0.2.7"));
        for other in [r#"{"server":{"id":"NA"}}"#, r#"{"server":{"id":"NA"},"data":{}}"#, r#"{"error":"x"}"#] {
            assert!(serde_json::from_str::<Answer>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn two_missed_questions_in_a_row_mean_that_a_nats_server_is_gone() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>();
        struct Row(&'static [&'static str], &'static [&'static str], Option<&'static [&'static str]>);
        let rows =
            [Row(&["a"], &["a", "b"], Some(&["a", "b"])), Row(&["a"], &["a"], Some(&["a"])), Row(&[], &["a"], None)];
        for Row(answered, before, alive) in rows {
            let round = Round { asked: None, answered: names(answered), before: names(before) };
            assert_eq!(round.alive(), alive.map(names), "{answered:?} {before:?}");
        }
    }
}
