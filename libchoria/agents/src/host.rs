//! The only loop: takes what arrives, lets each request run as a task of its own, publishes the replies.

use crate::node::Node;
use crate::pipeline::Response;
use crate::stats::Counter;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::SelectAll;
use futures_util::{FutureExt, StreamExt};
use network::{Connection, Delivery, SubscribeError, Subscription};
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The agents of one server at work.
#[derive(Debug)]
pub struct Host {
    /// The node as it is now; what is read anew while the server runs replaces it between two requests.
    node: watch::Receiver<Arc<Node>>,
    connection: Connection,
    inbox: SelectAll<Subscription>,
    running: JoinSet<()>,
}

/// Who wants to know whether the host works. Only the loop that takes requests answers, so a loop that is stuck or not
/// run any more is noticed.
pub trait Pulse: Send + Sync {
    /// Completes when a sign of life is wanted.
    fn asked(&self) -> BoxFuture<'_, ()>;

    /// The loop went round.
    fn alive(&self);
}

/// Nobody wants to know.
impl Pulse for () {
    fn asked(&self) -> BoxFuture<'_, ()> {
        pending().boxed()
    }

    fn alive(&self) {}
}

/// How a host ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Requests that did not end within the grace period and got no reply.
    pub abandoned: usize,
    /// Whether the connection ended before the host was told to stop.
    pub disconnected: bool,
}

impl Host {
    /// Subscribes for all agents of `node`, and for requests to the node itself unless `services_only`.
    ///
    /// # Errors
    /// [`SubscribeError`] when the connection is closed.
    pub async fn subscribe(
        node: watch::Receiver<Arc<Node>>,
        connection: Connection,
        services_only: bool,
    ) -> Result<Self, SubscribeError> {
        let mut inbox = SelectAll::new();
        let listening = {
            let node = node.borrow();
            let identity = node.identity();
            node.roster.listen(node.collectives(), (!services_only).then_some(&identity))
        };
        for listening in listening {
            inbox.push(connection.subscribe(&listening.subject, listening.queue.as_deref()).await?);
        }
        Ok(Self { node, connection, inbox, running: JoinSet::new() })
    }

    /// Serves until `stop` is cancelled or the connection is closed. Then takes nothing more, and gives running
    /// requests at most `grace` to end. Tells `pulse` that it works each time it goes round and when it is asked.
    pub async fn run(mut self, stop: CancellationToken, grace: Duration, pulse: &dyn Pulse) -> Drained {
        // A host of services may have none; an empty inbox must not be taken for the end of the connection.
        let listens = !self.inbox.is_empty();
        let mut asked = pulse.asked();
        let disconnected = loop {
            pulse.alive();
            let has_room = self.running.len() < MAX_RUNNING;
            self.node.borrow().stats.set_running(self.running.len());
            tokio::select! {
                biased;
                () = stop.cancelled() => break false,
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => log_end(ended),
                () = &mut asked => asked = pulse.asked(),
                delivery = self.inbox.next(), if has_room && listens => match delivery {
                    Some(delivery) => self.take(&delivery),
                    None => break true,
                },
            }
        };
        drop(self.inbox);
        let ends = async { while self.running.join_next().await.map(log_end).is_some() {} };
        let in_time = tokio::time::timeout(grace, ends).await.is_ok();
        let abandoned = if in_time { 0 } else { self.running.len() };
        self.running.shutdown().await;
        Drained { abandoned, disconnected }
    }

    /// Judges a message at once, so that its place in the queue is free; what it asks for runs beside the loop.
    fn take(&mut self, delivery: &Delivery) {
        let arrived = Instant::now();
        let node = Arc::clone(&self.node.borrow());
        let Some(dispatch) = node.judge(&delivery.payload, SystemTime::now()) else { return };
        let connection = self.connection.clone();
        self.running.spawn(async move {
            if let Some(response) = dispatch.answer(Arc::clone(&node)).await {
                publish(&node, &connection, response).await;
            }
            if let Some(times) = &node.times {
                times.add(arrived.elapsed());
            }
        });
    }
}

/// Requests that run at once. More wait in the subscriptions, whose overflow the connection counts and logs.
const MAX_RUNNING: usize = 128;

/// A connection that takes nothing for this long is as good as lost, and its reply too late.
const PUBLISH_LIMIT: Duration = Duration::from_secs(30);

async fn publish(node: &Node, connection: &Connection, response: Response) {
    node.stats.count(Counter::Replies);
    let sent = connection.publish(&response.subject, Bytes::from(response.payload));
    let why = match tokio::time::timeout(PUBLISH_LIMIT, sent).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_elapsed) => format!("the connection did not take it within {} s", PUBLISH_LIMIT.as_secs()),
    };
    node.stats.count(Counter::Unsent);
    let unsent = node.stats.value(Counter::Unsent);
    // The first one of an outage is worth a line, the rest is in the counter.
    if unsent.is_power_of_two() {
        tracing::error!(subject = %response.subject, unsent, "reply was not sent: {why}");
    } else {
        tracing::debug!(subject = %response.subject, unsent, "reply was not sent: {why}");
    }
}

fn log_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a request ended by a fault of its agent: {error}");
    }
}
