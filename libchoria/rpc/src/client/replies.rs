//! A request under way: sends its batches, gathers the answers.

use super::answer::{InvalidReply, NodeReply};
use super::patience::Patience;
use super::{Call, Client, RequestError};
use crate::StatusCode;
use crate::progress::{Progress, Standing};
use crate::stats::Stats;
use bytes::Bytes;
use names::{Collective, RequestId};
use network::{Delivery, PublishError, State, Subscription};
use security::Verification;
use std::future::pending;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{sleep_until, timeout};

/// Something that happened to a request.
#[derive(Debug)]
pub enum Event {
    /// The first answer of a node that was asked.
    Reply(NodeReply),
    /// An answer of a node that was not asked, or one more of a node that was.
    Unexpected(NodeReply),
    /// A message that is no valid reply; counted as failed.
    Invalid(InvalidReply),
    /// Everyone has answered, or the time is over. The last event.
    Done(Stats),
}

/// The events of a request. The request makes progress while [`Replies::next`] is waited for; dropping this ends it.
#[derive(Debug)]
pub struct Replies {
    client: Client,
    call: Call,
    collective: Collective,
    id: RequestId,
    reply_to: String,
    subscription: Subscription,
    progress: Progress,
    /// The subjects of each batch.
    batches: Vec<Vec<String>>,
    /// How many batches have begun.
    number: usize,
    phase: Phase,
    started: (Instant, SystemTime),
    ended: Option<Instant>,
    publish_time: Duration,
    signed: usize,
    lost_before: u64,
}

/// What is done now.
#[derive(Debug)]
enum Phase {
    /// The next batch begins at this instant.
    Pause { until: Instant },
    /// These messages are still to be sent, the next one last.
    Publish { since: Instant, messages: Vec<(String, Bytes)> },
    /// Answers of the batch are waited for.
    Wait(Patience),
    /// There is nothing more to do.
    Done,
}

/// What ends one wait.
enum Woken {
    Arrived(Option<Delivery>),
    Sent(Result<(), PublishError>),
    Time,
}

impl Replies {
    pub(super) fn new(
        client: Client,
        call: Call,
        collective: Collective,
        id: RequestId,
        reply_to: String,
        subscription: Subscription,
    ) -> Self {
        let now = Instant::now();
        Self {
            progress: call.progress(),
            batches: call.batches(&collective),
            number: 0,
            phase: Phase::Pause { until: now },
            started: (now, SystemTime::now()),
            ended: None,
            publish_time: Duration::ZERO,
            signed: 0,
            lost_before: client.0.connection.status().dropped_messages,
            client,
            call,
            collective,
            id,
            reply_to,
            subscription,
        }
    }

    /// The next event; `None` after [`Event::Done`] or an error. Dropping the future loses nothing: asking again goes on
    /// where it was.
    pub async fn next(&mut self) -> Option<Result<Event, RequestError>> {
        loop {
            if matches!(self.phase, Phase::Done) {
                return None;
            }
            match self.step().await {
                Ok(None) => {}
                Ok(Some(event)) => return Some(Ok(event)),
                Err(error) => {
                    self.finish();
                    return Some(Err(error));
                }
            }
        }
    }

    /// The id of the request.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The outcome so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = self.progress.counts();
        Stats {
            request: self.id.clone(),
            agent: self.call.agent.clone(),
            action: self.call.action.clone(),
            discovered: self.progress.discovered(),
            responses: counts.responses,
            ok: counts.ok,
            failed: counts.failed,
            silent: self.progress.silent(),
            unexpected: self.progress.unexpected(),
            signed: self.signed,
            lost: self.client.0.connection.status().dropped_messages.saturating_sub(self.lost_before),
            started: self.started.1,
            request_time: self.ended.unwrap_or_else(Instant::now).duration_since(self.started.0),
            publish_time: self.publish_time,
            discovery_time: self.call.discovery_time,
        }
    }

    /// Does the next thing; an event when there is one to tell.
    async fn step(&mut self) -> Result<Option<Event>, RequestError> {
        match self.wait().await {
            Woken::Arrived(Some(delivery)) => Ok(Some(self.receive(&delivery.payload))),
            Woken::Arrived(None) => Err(PublishError::Closed.into()),
            Woken::Sent(Ok(())) => {
                self.after_publish();
                Ok(None)
            }
            Woken::Sent(Err(PublishError::Disconnected { waiting })) => self.reconnected(waiting).await.map(|()| None),
            Woken::Sent(Err(error)) => Err(error.into()),
            Woken::Time => match self.phase {
                Phase::Pause { .. } => self.begin_batch().await.map(|()| None),
                _ => Ok(self.end_batch()),
            },
        }
    }

    /// Waits for a message, for the end of a publish or for the time of the phase. What is done comes first, so that
    /// a stream of answers cannot hold up what is still to be sent; cancelling this changes nothing.
    async fn wait(&mut self) -> Woken {
        let (until, message) = match &self.phase {
            Phase::Pause { until } => (Some(*until), None),
            Phase::Publish { messages, .. } => (None, messages.last()),
            Phase::Wait(_) if self.progress.is_batch_done() => return Woken::Time,
            Phase::Wait(patience) => (Some(patience.end()), None),
            Phase::Done => return Woken::Time,
        };
        let connection = &self.client.0.connection;
        let publish = async {
            match message {
                Some((subject, payload)) => connection.publish(subject, payload.clone()).await,
                None => pending().await,
            }
        };
        let time = async {
            match until {
                Some(until) => sleep_until(until.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            sent = publish => Woken::Sent(sent),
            arrived = self.subscription.recv() => Woken::Arrived(arrived),
            () = time => Woken::Time,
        }
    }

    /// Signs the next batch and makes it the one that is waited for.
    async fn begin_batch(&mut self) -> Result<(), RequestError> {
        let since = Instant::now();
        let subjects = self.batches.get(self.number).cloned().unwrap_or_default();
        let made = self.client.messages(&self.call, &self.collective, &self.id, &self.reply_to, subjects);
        let mut messages = made.await?;
        messages.reverse();
        self.progress.begin_batch(&self.call.expected(self.number));
        self.number += 1;
        self.phase = Phase::Publish { since, messages };
        Ok(())
    }

    /// A message was sent; after the last one of a batch its time begins.
    fn after_publish(&mut self) {
        let Phase::Publish { since, messages } = &mut self.phase else { return };
        messages.pop();
        if messages.is_empty() {
            self.publish_time += since.elapsed();
            let limit = self.call.timeout + self.client.discovery_timeout();
            self.phase = Phase::Wait(Patience::new(Instant::now(), limit, QUIET));
        }
    }

    /// Everyone of the batch has answered, or its time is over.
    fn end_batch(&mut self) -> Option<Event> {
        if self.number < self.batches.len() {
            self.phase = Phase::Pause { until: Instant::now() + self.call.pause() };
            return None;
        }
        self.finish();
        Some(Event::Done(self.stats()))
    }

    /// Waits for the connection to return, so that the message which found it lost is sent after all.
    async fn reconnected(&self, waiting: usize) -> Result<(), RequestError> {
        let mut changes = self.client.0.connection.changes();
        let returned = changes.wait_for(|state| *state == State::Connected);
        match timeout(RECONNECT_LIMIT, returned).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(PublishError::Disconnected { waiting }.into()),
        }
    }

    fn receive(&mut self, payload: &[u8]) -> Event {
        if let Phase::Wait(patience) = &mut self.phase {
            patience.hear(Instant::now());
        }
        match NodeReply::read(&self.client.0.provider, &self.id, payload, SystemTime::now()) {
            Ok(reply) => match self.progress.accept(reply.sender(), reply.body.status) {
                Standing::Unexpected => Event::Unexpected(reply),
                Standing::Expected => {
                    self.signed += usize::from(reply.verification == Verification::Signature);
                    Event::Reply(reply)
                }
            },
            Err(invalid) => {
                match &invalid {
                    // The node did answer, if only nonsense: it is not waited for.
                    InvalidReply::Body { sender, .. } => drop(self.progress.accept(sender, StatusCode::UnknownError)),
                    _ => self.progress.refuse(),
                }
                Event::Invalid(invalid)
            }
        }
    }

    fn finish(&mut self) {
        self.ended.get_or_insert_with(Instant::now);
        self.phase = Phase::Done;
    }
}

/// After the time of a request, waiting goes on while no gap between answers is longer than this.
const QUIET: Duration = Duration::from_secs(1);

/// How long a lost connection may take to return while a request is being sent.
const RECONNECT_LIMIT: Duration = Duration::from_secs(30);
