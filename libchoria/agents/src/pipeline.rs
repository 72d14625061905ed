//! From the bytes of a message to the bytes of its reply, without the network (spec 02 §9).

use crate::admit::{Admitted, Candidate, Refusal};
use crate::agent::{Agent, Unanswered};
use crate::data;
use crate::node::Node;
use crate::replay::Replay;
use crate::stats::Counter;
use protocol::filter::{DataAnswers, NodeView};
use protocol::{Counter as ProtocolCounter, Version, transport};
use security::Rejection;
use std::sync::Arc;
use std::time::SystemTime;

/// A reply, ready to be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// Where the requester listens.
    pub subject: String,
    /// The transport message.
    pub payload: Vec<u8>,
}

/// A request whose agent is known.
#[derive(Debug)]
pub(crate) struct Dispatch {
    agent: Arc<dyn Agent>,
    admitted: Admitted,
}

impl Node {
    /// Takes a message as it arrived at `now` and gives the reply. `None`: nobody gets an answer, and the counters and
    /// the log know why.
    pub async fn respond(self: &Arc<Self>, message: &[u8], now: SystemTime) -> Option<Response> {
        self.judge(message, now)?.answer(Arc::clone(self)).await
    }

    /// Decides about a message, counts and logs the decision.
    pub(crate) fn judge(&self, message: &[u8], now: SystemTime) -> Option<Dispatch> {
        self.stats.count(Counter::Total);
        match self.admit(message, now) {
            Ok((admitted, agent)) => {
                self.stats.count_protocol(Version::V2, ProtocolCounter::Valid);
                admitted.counters().iter().for_each(|counter| self.stats.count(*counter));
                self.stats.accepted(now);
                self.tell_of_displaced(&admitted);
                Some(Dispatch { agent, admitted })
            }
            Err(refusal) => {
                // What cannot be read is of no version; the provider speaks the second.
                let version = match &refusal {
                    Refusal::Untrusted(Rejection::Version(version)) => *version,
                    _ => Version::V2,
                };
                refusal.protocol_counters().iter().for_each(|counter| self.stats.count_protocol(version, *counter));
                refusal.counters().iter().for_each(|counter| self.stats.count(*counter));
                match &refusal {
                    Refusal::Expired(_) | Refusal::Unfilterable(_) | Refusal::Replayed(Replay::Forgotten) => {
                        tracing::warn!("request dropped: {refusal}");
                    }
                    // Its issuer is trusted, so it is no stranger's: this node's clock may be behind.
                    Refusal::Untrusted(Rejection::Token { reason: tokens::Invalid::NotYetValid, .. }) => {
                        tracing::warn!("request dropped: {refusal}");
                    }
                    _ => tracing::debug!("message dropped: {refusal}"),
                }
                None
            }
        }
    }

    /// A full memory of ids is worth a line at first, then ever more rarely.
    fn tell_of_displaced(&self, admitted: &Admitted) {
        let displaced = self.stats.value(Counter::Displaced);
        if admitted.counters().contains(&Counter::Displaced) && displaced.is_power_of_two() {
            tracing::warn!(
                displaced,
                "more requests than can be remembered: older ones of the same callers are refused from now on, since they \
                 may have been served already"
            );
        }
    }

    fn admit(&self, message: &[u8], now: SystemTime) -> Result<(Admitted, Arc<dyn Agent>), Refusal> {
        let candidate = Candidate::open(message, &self.provider, now)?;
        let identity = self.identity();
        let facts = self.facts.read();
        let classes = self.classes.read();
        let view = NodeView {
            identity: identity.as_str(),
            agents: self.roster.names(),
            classes: &classes,
            facts: &facts,
            data: &DataAnswers::default(),
        };
        let answers = |needs| data::answers(self, needs, now);
        let admitted = candidate.admit(view, answers, self.collectives(), &self.replays, now)?;
        let name = &admitted.request().agent;
        let agent = self.roster.find(name).ok_or_else(|| Refusal::NoSuchAgent(name.clone()))?;
        Ok((admitted, Arc::clone(agent)))
    }
}

impl Dispatch {
    /// Lets the agent answer within its time, and seals the answer.
    pub(crate) async fn answer(self, node: Arc<Node>) -> Option<Response> {
        let Self { agent, admitted } = self;
        let request = Arc::new(admitted.request().clone());
        let subject = admitted.reply_to().map(str::to_owned);
        let headers = admitted.reply_headers(&node.identity(), &node.broker.connected_server());
        let limit = agent.metadata().timeout;
        let handled = match tokio::time::timeout(limit, agent.handle(admitted, Arc::clone(&node))).await {
            Ok(handled) => handled,
            Err(_elapsed) => {
                node.stats.count(Counter::TimedOut);
                Err(Unanswered::TimedOut(limit.as_secs()))
            }
        };
        let body = match handled {
            Ok(body) => body,
            Err(why) => {
                tracing::error!(request = %request.id, caller = %request.caller, agent = %request.agent, "request failed, discarding: {why}");
                return None;
            }
        };
        let Some(subject) = subject else {
            tracing::error!(request = %request.id, "do not know how to reply, no reply-to header has been set on the message");
            return None;
        };
        let reply = request.reply(node.identity(), body, SystemTime::now());
        let sealed = node.provider.seal_reply(&reply);
        Some(Response { subject, payload: transport::encode(reply.version, &sealed, &headers) })
    }
}
