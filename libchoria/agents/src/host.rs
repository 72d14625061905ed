//! The only loop: takes what arrives, lets each request run as a task of its own, publishes the replies.

use crate::node::Node;
use crate::pipeline::Response;
use crate::stats::Counter;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use network::{Connection, Delivery, SubscribeError, Subscription};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The agents of one server at work.
#[derive(Debug)]
pub struct Host {
    node: Arc<Node>,
    connection: Connection,
    inbox: SelectAll<Subscription>,
    running: JoinSet<()>,
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
        node: Arc<Node>,
        connection: Connection,
        services_only: bool,
    ) -> Result<Self, SubscribeError> {
        let identity = node.identity();
        let direct = (!services_only).then_some(&identity);
        let mut inbox = SelectAll::new();
        for listening in node.roster.listen(node.collectives(), direct) {
            inbox.push(connection.subscribe(&listening.subject, listening.queue.as_deref()).await?);
        }
        Ok(Self { node, connection, inbox, running: JoinSet::new() })
    }

    /// Serves until `stop` is cancelled or the connection is closed. Then takes nothing more, and gives running
    /// requests at most `grace` to end.
    pub async fn run(mut self, stop: CancellationToken, grace: Duration) -> Drained {
        // A host of services may have none; an empty inbox must not be taken for the end of the connection.
        let listens = !self.inbox.is_empty();
        let disconnected = loop {
            let has_room = self.running.len() < MAX_RUNNING;
            tokio::select! {
                biased;
                () = stop.cancelled() => break false,
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => log_end(ended),
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
        let Some(dispatch) = self.node.judge(&delivery.payload, SystemTime::now()) else { return };
        let (node, connection) = (Arc::clone(&self.node), self.connection.clone());
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

async fn publish(node: &Node, connection: &Connection, response: Response) {
    node.stats.count(Counter::Replies);
    if let Err(error) = connection.publish(&response.subject, Bytes::from(response.payload)).await {
        tracing::error!(subject = %response.subject, "reply was not sent: {error}");
    }
}

fn log_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!("a request ended by a fault of its agent: {error}");
    }
}
