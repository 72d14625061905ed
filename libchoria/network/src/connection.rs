//! An open connection: publish, subscribe, watch, close.

use crate::counters::Count;
use crate::failure::Failure;
use crate::shared::{RECONNECT_BUFFER, Shared};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A connection to the broker that returns by itself when it is lost. Cheap to clone; all clones are one connection.
#[derive(Clone, Debug)]
pub struct Connection {
    client: async_nats::Client,
    shared: Arc<Shared>,
    /// Longest that one attempt to return may take.
    attempt_limit: Duration,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The first connection is being made.
    Connecting,
    /// Messages flow.
    Connected,
    /// The connection is lost and tries to return.
    Reconnecting,
    /// Closed by this side; it does not return.
    Closed,
}

/// A message as it arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// The subject it was published to.
    pub subject: String,
    /// Where the publisher wants answers, if anywhere.
    pub reply: Option<String>,
    /// The message's bytes.
    pub payload: Bytes,
}

/// Messages of one subject, as a stream; dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription(async_nats::Subscriber);

/// Counters and state of a connection at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Connected, or not.
    pub state: State,
    /// URL of the connected server, without user information.
    pub server: Option<String>,
    /// Why the last failed attempt failed, since the process started.
    pub last_failure: Option<Failure>,
    /// While reconnecting: how long the current attempt has been going on; see [`Connection::hangs`].
    pub attempt_age: Option<Duration>,
    /// How often the connection was lost and came back.
    pub reconnects: u64,
    /// Messages received.
    pub in_messages: u64,
    /// Bytes received, protocol lines included.
    pub in_bytes: u64,
    /// Messages published.
    pub out_messages: u64,
    /// Bytes published.
    pub out_bytes: u64,
    /// Messages dropped because a subscription was full.
    pub dropped_messages: u64,
    /// Errors reported by the broker, and failed attempts to return.
    pub errors: u64,
}

/// A message was not handed to the broker.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// The broker would close the connection over it.
    #[error("the message has {size} bytes and the broker accepts at most {limit} (max_payload)")]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// Bytes the broker accepts.
        limit: usize,
    },
    /// The subject cannot be published to.
    #[error("{0:?} cannot be published to: a subject has no spaces, control characters, wildcards or empty parts")]
    BadSubject(String),
    /// The connection is lost and what may wait for its return is used up.
    #[error("the connection to the broker is lost and {waiting} bytes already wait for its return; try again later")]
    Disconnected {
        /// Bytes that wait.
        waiting: usize,
    },
    /// The connection is closed.
    #[error("the connection to the broker is closed")]
    Closed,
}

/// A subscription was not made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SubscribeError {
    /// The subject or queue group is not one.
    #[error("{0:?} cannot be subscribed to: a subject has no spaces, control characters or empty parts")]
    BadSubject(String),
    /// The connection is closed.
    #[error("the connection to the broker is closed")]
    Closed,
}

/// A request brought no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestError {
    /// It was not sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Nobody listens on the subject.
    #[error("nobody answers on {0}")]
    NoResponders(String),
    /// No answer in time.
    #[error("no answer on {subject} within {seconds:.1} s", seconds = limit.as_secs_f64())]
    TimedOut {
        /// Where the request went.
        subject: String,
        /// The limit that passed.
        limit: Duration,
    },
}

impl Connection {
    pub(crate) fn new(client: async_nats::Client, shared: Arc<Shared>, attempt_limit: Duration) -> Self {
        Self { client, shared, attempt_limit }
    }

    /// Hands `payload` to the connection; it is sent by the connection's own task. While the connection is lost, 10 KiB may
    /// wait, then this fails; while the broker reads slowly, this waits.
    ///
    /// # Errors
    /// [`PublishError`]; nothing was sent then.
    pub async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), PublishError> {
        self.check_publish(subject, &payload)?;
        self.client.publish(subject.to_owned(), payload).await.map_err(|_closed| PublishError::Closed)
    }

    /// [`publish`](Self::publish) with a subject for answers.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_with_reply(&self, subject: &str, reply: &str, payload: Bytes) -> Result<(), PublishError> {
        if !is_subject(reply, false) {
            return Err(PublishError::BadSubject(reply.to_owned()));
        }
        self.check_publish(subject, &payload)?;
        let sent = self.client.publish_with_reply(subject.to_owned(), reply.to_owned(), payload).await;
        sent.map_err(|_closed| PublishError::Closed)
    }

    /// Publishes and waits for one answer, at most `limit`.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, subject: &str, payload: Bytes, limit: Duration) -> Result<Delivery, RequestError> {
        self.check_publish(subject, &payload)?;
        let request = async_nats::Request::new().payload(payload).timeout(Some(limit));
        match self.client.send_request(subject.to_owned(), request).await {
            Ok(message) => Ok(message.into()),
            Err(error) => Err(match error.kind() {
                async_nats::RequestErrorKind::NoResponders => RequestError::NoResponders(subject.to_owned()),
                async_nats::RequestErrorKind::TimedOut => RequestError::TimedOut { subject: subject.to_owned(), limit },
                _ => PublishError::Closed.into(),
            }),
        }
    }

    /// Subscribes to `subject`, as a member of queue group `queue` if one is given. Subscriptions survive a lost connection.
    /// The broker's refusal, if any, arrives later and is logged.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub async fn subscribe(&self, subject: &str, queue: Option<&str>) -> Result<Subscription, SubscribeError> {
        if let Some(bad) = [Some(subject), queue].into_iter().flatten().find(|text| !is_subject(text, true)) {
            return Err(SubscribeError::BadSubject(bad.to_owned()));
        }
        let made = match queue {
            Some(queue) => self.client.queue_subscribe(subject.to_owned(), queue.to_owned()).await,
            None => self.client.subscribe(subject.to_owned()).await,
        };
        made.map(Subscription).map_err(|_closed| SubscribeError::Closed)
    }

    /// Waits until everything published so far is handed to the operating system. Waits for ever while the
    /// connection is lost: give it a limit.
    ///
    /// # Errors
    /// [`PublishError::Closed`].
    pub async fn flush(&self) -> Result<(), PublishError> {
        self.client.flush().await.map_err(|_closed| PublishError::Closed)
    }

    /// Sends what is published, ends all subscriptions, hands over what has arrived, closes. `false`: `grace` was not
    /// enough, or the connection was lost at the time, and messages may be missing; it is closed all the same.
    pub async fn close(&self, grace: Duration) -> bool {
        let mut state = self.shared.state.subscribe();
        let connected = *state.borrow() == State::Connected;
        let drained = async {
            let sent = self.client.flush().await.is_ok() && self.client.drain().await.is_ok();
            sent && state.wait_for(|state| *state == State::Closed).await.is_ok()
        };
        let whole = connected && timeout(grace, drained).await.unwrap_or(false);
        self.shared.state.send_replace(State::Closed);
        whole
    }

    /// Completes when an attempt to return hangs: the broker took the connection and then fell silent, which the client
    /// library waits out for ever. Tells how long the attempt went on. What to do then is to
    /// [`abandon`](Self::abandon) this connection and make another. Costs nothing while connected.
    pub async fn hangs(&self) -> Duration {
        let mut state = self.shared.state.subscribe();
        loop {
            // The sender lives as long as the connection.
            drop(state.wait_for(|state| *state == State::Reconnecting).await);
            let Some(age) = self.shared.attempt_age() else { continue };
            if age >= self.attempt_limit {
                return age;
            }
            tokio::select! {
                () = sleep(self.attempt_limit - age) => {}
                returned = state.wait_for(|state| *state != State::Reconnecting) => drop(returned),
            }
        }
    }

    /// Closes this end of a connection whose attempt to return hangs. The attempt itself cannot be ended: it keeps its
    /// memory until the broker or the system ends it, and changes nothing any more.
    pub fn abandon(&self) {
        self.shared.counters.add(Count::Hung);
        self.shared.state.send_replace(State::Closed);
    }

    /// A new subject for answers, below this connection's inbox prefix.
    #[must_use]
    pub fn new_inbox(&self) -> String {
        self.client.new_inbox()
    }

    /// Largest payload the connected broker accepts, in bytes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.client.server_info().max_payload
    }

    /// URL of the connected server without user information; `None` while there is none.
    #[must_use]
    pub fn connected_server(&self) -> Option<String> {
        if *self.shared.state.borrow() != State::Connected {
            return None;
        }
        Some(match self.shared.current_server() {
            Some(server) => server.to_string(),
            None => {
                let info = self.client.server_info();
                format!("nats://{}:{}", info.host, info.port)
            }
        })
    }

    /// Name of the connected server as it calls itself, empty when it has none.
    #[must_use]
    pub fn server_name(&self) -> String {
        self.client.server_info().server_name
    }

    /// State and counters now.
    #[must_use]
    pub fn status(&self) -> Status {
        let counters = self.client.statistics();
        // Copied at once: a guard held while the others below look at the state again would wait for a change of state that
        // waits for this guard, for ever.
        let state = *self.shared.state.borrow();
        Status {
            state,
            server: self.connected_server(),
            last_failure: self.shared.last_failure(),
            attempt_age: self.shared.attempt_age(),
            reconnects: self.shared.reconnects(),
            in_messages: counters.in_messages.load(Ordering::Relaxed),
            in_bytes: counters.in_bytes.load(Ordering::Relaxed),
            out_messages: counters.out_messages.load(Ordering::Relaxed),
            out_bytes: counters.out_bytes.load(Ordering::Relaxed),
            dropped_messages: self.shared.slow_consumers.load(Ordering::Relaxed),
            errors: self.shared.errors.load(Ordering::Relaxed),
        }
    }

    /// The state as it changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// What the broker last said that this login may not do, as `Permissions Violation for Subscription to "x"`; such
    /// refusals arrive some time after the subscription or message they are about.
    #[must_use]
    pub fn denials(&self) -> watch::Receiver<Option<String>> {
        self.shared.denied.subscribe()
    }

    /// The client library's own handle, for JetStream. Messages sent through it pass none of the checks here.
    #[must_use]
    pub fn client(&self) -> &async_nats::Client {
        &self.client
    }

    /// For handing over a burst: until the guard is dropped no other burst is.
    pub(crate) async fn burst(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.burst.lock().await
    }

    /// Refuses what would break the protocol, the broker's limit, or the bound on what waits.
    fn check_publish(&self, subject: &str, payload: &Bytes) -> Result<(), PublishError> {
        if !is_subject(subject, false) {
            return Err(PublishError::BadSubject(subject.to_owned()));
        }
        let state = *self.shared.state.borrow();
        match state {
            State::Closed => return Err(PublishError::Closed),
            State::Connected => {
                let limit = self.max_payload();
                if limit > 0 && payload.len() > limit {
                    return Err(PublishError::TooLarge { size: payload.len(), limit });
                }
            }
            State::Connecting | State::Reconnecting => {
                let waiting = self.shared.waiting_bytes.fetch_add(payload.len(), Ordering::Relaxed);
                if waiting + payload.len() > RECONNECT_BUFFER {
                    self.shared.waiting_bytes.fetch_sub(payload.len(), Ordering::Relaxed);
                    return Err(PublishError::Disconnected { waiting });
                }
            }
        }
        Ok(())
    }
}

impl Subscription {
    /// The next message; `None` once the subscription or the connection is closed.
    pub async fn recv(&mut self) -> Option<Delivery> {
        self.next().await
    }

    /// Ends the subscription at the broker; messages that arrived before can still be received.
    ///
    /// # Errors
    /// [`SubscribeError::Closed`].
    pub async fn unsubscribe(&mut self) -> Result<(), SubscribeError> {
        self.0.unsubscribe().await.map_err(|_closed| SubscribeError::Closed)
    }
}

impl Stream for Subscription {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.0.poll_next_unpin(context).map(|message| message.map(Delivery::from))
    }
}

impl From<async_nats::Message> for Delivery {
    fn from(message: async_nats::Message) -> Self {
        Self {
            subject: message.subject.into_string(),
            reply: message.reply.map(async_nats::Subject::into_string),
            payload: message.payload,
        }
    }
}

/// Whether `text` may stand as a subject in a protocol line; what a peer sends as its reply subject comes through here.
pub(crate) fn is_subject(text: &str, wildcards: bool) -> bool {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && (wildcards || !matches!(c, '*' | '>'));
    text.chars().all(allowed) && text.split('.').all(|part| !part.is_empty())
}
