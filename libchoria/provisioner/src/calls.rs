//! Asking nodes over the one connection of the provisioner (spec 06 §6).
//!
//! One subscription takes all replies; each goes to the call whose request it answers, if it comes from the node that was
//! asked. A node that learns of a request cannot answer for another one, and replies that nobody waits for end here.

use crate::counts::Counts;
use names::{AgentName, Collective, Identity, RequestId};
use network::{Connection, PublishError, SubscribeError, Subscription};
use protocol::{Filter, Headers, INSECURE, Request, SecureRequest, Transport, Version, new_request_id, subjects};
use rpc::{ReplyBody, RequestBody, StatusCode};
use security::{Provider, SignError};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Asks nodes over one connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    provider: Provider,
    collective: Collective,
    ttl: u32,
    counts: Arc<Counts>,
    /// At most one for each worker, and one for a discovery.
    pending: Mutex<HashMap<RequestId, Pending>>,
}

/// Who waits for replies to a request.
#[derive(Debug)]
enum Pending {
    /// A call to one node.
    Call { node: Identity, answer: oneshot::Sender<Result<ReplyBody, CallError>> },
    /// A discovery.
    Discovery { found: mpsc::Sender<Identity> },
}

/// The reading half: hands replies to those who wait for them.
#[derive(Debug)]
pub(crate) struct Replies {
    caller: Caller,
    subscription: Subscription,
}

/// Why one call brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The node did not answer.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Silent(Duration),
    /// The node answered that it did not do it.
    #[error("the node refused with status {status}: {message}", status = status.number())]
    Refused {
        /// How it went.
        status: StatusCode,
        /// The node's words, on one line and cut.
        message: String,
    },
    /// The node answered something else.
    #[error("the node answered with something that is no RPC reply: {0}")]
    NoReply(String),
    /// The request could not be signed.
    #[error("the request could not be signed: {0}")]
    Sign(#[from] SignError),
    /// The request could not be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The connection was given up.
    #[error("the connection to the broker was given up")]
    Disconnected,
}

/// One request to an agent.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Identity,
    pub(crate) agent: &'static str,
    pub(crate) action: &'static str,
    pub(crate) inputs: Map<String, Value>,
    pub(crate) limit: Duration,
}

impl Caller {
    /// Listens for replies; they are handed on while [`Replies::run`] runs.
    pub(crate) async fn new(
        connection: Connection,
        provider: Provider,
        collective: Collective,
        ttl: u32,
        counts: Arc<Counts>,
    ) -> Result<(Self, Replies), SubscribeError> {
        let all = format!("{}.>", subjects::inbox_prefix(&collective, provider.caller().as_str()));
        let subscription = connection.subscribe(&all, None).await?;
        let pending = Mutex::default();
        let caller = Self(Arc::new(Inner { connection, provider, collective, ttl, counts, pending }));
        Ok((caller.clone(), Replies { caller, subscription }))
    }

    /// Asks one node and waits for its answer, once.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<ReplyBody, CallError> {
        let body = RequestBody::new(call.agent, call.action, call.inputs).encode();
        let filter = Filter { agents: vec![call.agent.to_owned()], ..Filter::default() };
        let (answer, answered) = oneshot::channel();
        let request = self.request(call.agent, filter, body);
        let _waiting = self.wait_for(&request.id, Pending::Call { node: call.node.clone(), answer });
        let reply = async {
            self.publish(&subjects::node(&self.0.collective, call.node), &request).await?;
            answered.await.map_err(|_closed| CallError::Disconnected)?
        };
        let reply = timeout(call.limit, reply).await.map_err(|_elapsed| CallError::Silent(call.limit))??;
        if reply.status.is_ok() {
            return Ok(reply);
        }
        Err(CallError::Refused { status: reply.status, message: shown(&reply.message) })
    }

    /// Asks every node that can be provisioned for a sign of life and passes on who answers, until none answered for a
    /// while.
    pub(crate) async fn discover(&self, found: &mpsc::Sender<Identity>) -> Result<usize, CallError> {
        let filter = Filter { agents: vec![PROVISION_AGENT.to_owned()], ..Filter::default() };
        let request = self.request(DISCOVERY_AGENT, filter, PING.to_vec());
        let (heard, mut answers) = mpsc::channel(ANSWERS_IN_FLIGHT);
        let _waiting = self.wait_for(&request.id, Pending::Discovery { found: heard });
        let subject = subjects::broadcast_agent(&self.0.collective, &agent(DISCOVERY_AGENT));
        self.publish(&subject, &request).await?;
        let (mut count, mut patience) = (0, FIRST_ANSWER);
        while count < MOST_ANSWERS {
            match timeout(patience, answers.recv()).await {
                Ok(Some(identity)) => {
                    count += 1;
                    patience = NEXT_ANSWER;
                    if found.send(identity).await.is_err() {
                        break;
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        Ok(count)
    }

    fn request(&self, name: &str, filter: Filter, payload: Vec<u8>) -> Request {
        let Inner { provider, collective, ttl, .. } = &*self.0;
        Request {
            version: Version::V2,
            id: new_request_id(Version::V2, SystemTime::now(), &mut rand::thread_rng()),
            sender: provider.identity().clone(),
            caller: provider.caller().clone(),
            collective: collective.clone(),
            agent: agent(name),
            ttl: *ttl,
            time: SystemTime::now(),
            filter,
            payload,
        }
    }

    async fn publish(&self, subject: &str, request: &Request) -> Result<(), CallError> {
        let Inner { connection, provider, collective, .. } = &*self.0;
        let server = connection.connected_server().unwrap_or_else(|| "unknown".to_owned());
        let mut headers = Headers {
            reply_to: Some(subjects::reply(collective, provider.caller(), &request.id)),
            sender: Some(provider.identity().clone()),
            ..Headers::default()
        };
        headers.add_hop(&server, provider.identity().as_str(), &server);
        let message = if provider.credentials().is_some() {
            provider.signer().seal(request).await?.transport(&headers)
        } else {
            unsigned(request, &headers)
        };
        Ok(connection.publish(subject, message.into()).await?)
    }

    fn wait_for(&self, id: &RequestId, pending: Pending) -> Waiting<'_> {
        self.pending().insert(id.clone(), pending);
        Waiting { caller: self, id: id.clone() }
    }

    /// Hands a reply to who waits for it.
    fn receive(&self, payload: &[u8]) {
        let reply = Transport::parse(payload).and_then(|transport| transport.secure_reply());
        let reply = match reply.map(|secure| self.0.provider.verify_reply(&secure, SystemTime::now())) {
            Ok(Ok(verified)) => verified.into_inner(),
            Ok(Err(rejection)) => return self.ignore(format_args!("{rejection}")),
            Err(invalid) => return self.ignore(format_args!("{invalid}")),
        };
        let mut pending = self.pending();
        match pending.get(&reply.request) {
            None => tracing::debug!(request = %reply.request, node = %reply.sender, "a reply that nobody waits for"),
            Some(Pending::Discovery { found }) => {
                if found.try_send(reply.sender).is_err() {
                    tracing::debug!("an answer to a discovery is dropped: too many came at once");
                }
            }
            Some(Pending::Call { node, .. }) if *node != reply.sender => {
                let text = format!("a reply for the node {node} came from {}", reply.sender);
                drop(pending);
                self.ignore(format_args!("{text}"));
            }
            Some(Pending::Call { .. }) => {
                if let Some(Pending::Call { answer, .. }) = pending.remove(&reply.request) {
                    let body = ReplyBody::parse(&reply.payload);
                    // Who waited may have given up in this moment.
                    drop(answer.send(body.map_err(|error| CallError::NoReply(shown(&error.to_string())))));
                }
            }
        }
    }

    /// Counts a message that is no reply to anything asked; tells the first and then ever fewer.
    fn ignore(&self, reason: std::fmt::Arguments<'_>) {
        let count = self.0.counts.add_ignored_reply();
        if count.is_power_of_two() {
            tracing::warn!(ignored = count, "a reply is ignored: {reason}");
        }
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<RequestId, Pending>> {
        // Held for single insertions and removals, so what a panicking holder left is whole.
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replies {
    /// Hands replies on until the connection is closed.
    pub(crate) async fn run(mut self) {
        while let Some(delivery) = self.subscription.recv().await {
            self.caller.receive(&delivery.payload);
        }
    }
}

/// Ends the waiting for a request when dropped.
struct Waiting<'a> {
    caller: &'a Caller,
    id: RequestId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.caller.pending().remove(&self.id);
    }
}

/// A request without a signature, for networks without any (`choria_insecure`).
fn unsigned(request: &Request, headers: &Headers) -> Vec<u8> {
    let secure = SecureRequest {
        version: request.version,
        request: request.encode(),
        signature: INSECURE.to_vec(),
        caller: String::new(),
        signer: None,
    };
    protocol::transport::encode(request.version, &secure.encode(), headers)
}

fn agent(name: &str) -> AgentName {
    // The three agents asked here have valid names.
    name.parse().unwrap_or_else(|_| unreachable!("{name} is an agent name"))
}

/// A node's words, on one line and not endless.
fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    daemon::redact_tokens(&line).into_owned()
}

/// The agent that provisioning is done with.
pub(crate) const PROVISION_AGENT: &str = "choria_provision";
/// The agent that answers discoveries.
const DISCOVERY_AGENT: &str = "discovery";
/// What it expects: base64, since the word itself would be taken for base64.
const PING: &[u8] = b"cGluZw==";
/// How long a first answer to a discovery is waited for.
const FIRST_ANSWER: Duration = Duration::from_secs(2);
/// How long another one is waited for.
const NEXT_ANSWER: Duration = Duration::from_millis(300);
/// Answers to a discovery that wait to be taken; more are dropped, those nodes are found the next time.
const ANSWERS_IN_FLIGHT: usize = 8192;
/// Answers after which a discovery ends, so that a node that answers for ever does not keep it going.
const MOST_ANSWERS: usize = 50_000;
