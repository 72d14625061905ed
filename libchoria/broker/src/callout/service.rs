//! The loop that answers nats-server's questions.
//!
//! A client gives up about two seconds after it connected, whatever the broker's own limits are, so a question that has
//! waited [`TOO_OLD`] is denied without being decided: that work would be for a peer that has left. The queue is
//! bounded, and what finds it full is left to nats-server's time limit; the newest question is answered first. This
//! keeps a storm of reconnections from feeding itself (spec 10 §7, §8).

use super::queue::Queue;
use super::record::Recorder;
use super::{Answer, Keys, Question, REQUEST_SUBJECT, XKEY_HEADER};
use crate::decision::{Decision, Grant, Policy, Reason, decide};
use crate::front::Peers;
use crate::metrics::Metrics;
use crate::sessions::{Place, Sessions};
use async_nats::{Client, Message, Subscriber};
use daemon::Beat;
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The callout of one nats-server.
#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    subscription: Subscriber,
    judge: Arc<Judge>,
}

/// The service ended although nobody asked it to; carries the cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// The subscription could not be made.
    #[error("the callout could not subscribe: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The connection closed for good, or a worker ended.
    #[error("the callout ended: {0}")]
    Ended(&'static str),
}

/// What is needed to answer one message.
#[derive(Debug)]
pub(crate) struct Judge {
    keys: Arc<Keys>,
    /// The newest counts: a reload changes it.
    policy: watch::Receiver<Arc<Policy>>,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    /// Who comes through the TLS front; `None` without one.
    peers: Option<Arc<Peers>>,
    /// Who speaks for which node that waits to be provisioned.
    sessions: Arc<Sessions>,
}

/// A message and when it was taken from the connection.
struct Waiting {
    message: Message,
    since: Instant,
}

impl Service {
    /// Subscribes on `client`, the connection of the callout's own user.
    ///
    /// # Errors
    /// [`ServiceError::Subscribe`].
    pub(crate) async fn subscribe(client: Client, judge: Judge) -> Result<Self, ServiceError> {
        let subscription = client.queue_subscribe(REQUEST_SUBJECT, QUEUE_GROUP.to_owned()).await?;
        // A failing flush shows as a closed subscription soon after.
        let _ = client.flush().await;
        Ok(Self { client, subscription, judge: Arc::new(judge) })
    }

    /// Answers for ever, and gives signs of life when `beat` asks; dropping the future ends it.
    ///
    /// # Errors
    /// [`ServiceError::Ended`] when it cannot go on.
    pub(crate) async fn run(mut self, beat: Arc<Beat>) -> Result<(), ServiceError> {
        let queue = Arc::new(Queue::new(QUEUE));
        let mut workers = JoinSet::new();
        for _ in 0..workers_wanted() {
            workers.spawn(work(Arc::clone(&queue), self.client.clone(), Arc::clone(&self.judge)));
        }
        loop {
            tokio::select! {
                message = self.subscription.next() => {
                    let Some(message) = message else { return Err(ServiceError::Ended("its connection closed")) };
                    if queue.push(Waiting { message, since: Instant::now() }).is_err() {
                        self.judge.metrics.dropped();
                    }
                }
                () = beat.asked() => beat.answer(),
                ended = workers.join_next() => {
                    tracing::error!("a worker of the callout ended: {ended:?}");
                    return Err(ServiceError::Ended("a worker stopped"));
                }
            }
        }
    }
}

/// One worker: takes the newest question as soon as the last one is answered.
async fn work(queue: Arc<Queue<Waiting>>, client: Client, judge: Arc<Judge>) {
    loop {
        let Waiting { message, since } = queue.pop().await;
        let Some(reply) = message.reply.clone() else { continue };
        let answer = judge.answer(&message, since.elapsed());
        // The connection's own loop sends it; an error here means that loop has ended, which ends the service.
        if client.publish(reply, answer.into()).await.is_err() {
            return;
        }
    }
}

impl Judge {
    /// Judges by the newest `policy`. Connections called `quiet` are the broker's own.
    pub(crate) fn new(
        keys: Arc<Keys>,
        policy: watch::Receiver<Arc<Policy>>,
        quiet: String,
        metrics: Arc<Metrics>,
        peers: Option<Arc<Peers>>,
        sessions: Arc<Sessions>,
    ) -> Self {
        Self { keys, policy, metrics, recorder: Recorder::new(quiet), peers, sessions }
    }

    /// The body that answers `message`, which has waited for `waited`. Empty, which nats-server takes as a denial
    /// without a reason, when there is nothing that could be said.
    fn answer(&self, message: &Message, waited: Duration) -> Vec<u8> {
        let curve = message.headers.as_ref().and_then(|headers| headers.get(XKEY_HEADER)).map(|value| value.as_str());
        let mut question = match Question::open(&message.payload, curve, &self.keys) {
            Ok(question) => question,
            Err(error) => {
                self.metrics.malformed();
                tracing::error!("a request of nats-server cannot be answered: {error}");
                return Vec::new();
            }
        };
        let peer = self.peers.as_ref().and_then(|peers| peers.redeem(&question.server, question.connection));
        if let Some(peer) = &peer {
            question.came_through_front(peer);
        }
        let now = SystemTime::now();
        // The time that nats-server states has whole seconds; it also counts what waited before it was taken.
        let stated = now.duration_since(question.asked).unwrap_or_default().saturating_sub(Duration::from_secs(1));
        let waited = waited.max(stated);
        self.metrics.waited(waited);
        let sealed = if waited >= TOO_OLD {
            self.metrics.late();
            let text = format!(
                "the broker is busy: the request waited {} ms, longer than the {} ms after which clients leave; they \
                 come back by themselves",
                waited.as_millis(),
                TOO_OLD.as_millis()
            );
            self.recorder.denied(&question, "late", &text);
            Answer::Error(text).seal(&question, curve.unwrap_or_default(), &self.keys, now)
        } else {
            let policy = Arc::clone(&self.policy.borrow());
            let decision = self.claim(&question, decide(&question.request, &policy, now));
            self.record(&question, &decision);
            if let (Some(peers), Some(peer)) = (&self.peers, &peer) {
                peers.decided(peer, matches!(decision, Decision::Allow(_)));
            }
            Answer::from(&decision).seal(&question, curve.unwrap_or_default(), &self.keys, now)
        };
        sealed.unwrap_or_else(|error| {
            tracing::error!("an answer to nats-server could not be made: {error}");
            Vec::new()
        })
    }

    /// Denies a connection for a node that another connection speaks for.
    fn claim(&self, question: &Question, decision: Decision) -> Decision {
        let Decision::Allow(Grant { sole: Some(node), .. }) = &decision else { return decision };
        let place = Place { server: question.server.clone(), connection: question.connection };
        match self.sessions.claim(node, place, &question.host, Instant::now()) {
            Ok(()) => decision,
            Err(holder) => Decision::Deny(Reason::NameInUse { node: node.clone(), holder }),
        }
    }

    fn record(&self, question: &Question, decision: &Decision) {
        match decision {
            Decision::Allow(_) => self.metrics.allowed(),
            Decision::Deny(reason) => self.metrics.denied(reason.label()),
        }
        self.recorder.decided(question, decision);
    }
}

/// Deciding is arithmetic: a few workers keep up with what nats-server can encrypt on the same machine.
fn workers_wanted() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4)
}

/// How long a question may wait before its client has most likely left.
const TOO_OLD: Duration = Duration::from_millis(1500);

/// More questions than can be decided before they are too old.
const QUEUE: usize = 4096;

/// The callout is alone in its account; the group matters for the moment in which one connection replaces another.
const QUEUE_GROUP: &str = "choria-broker";
