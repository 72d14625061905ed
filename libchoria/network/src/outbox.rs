//! Messages that a JetStream stream is to store: sent in bursts, each answered by an acknowledgement of its own (spec 04 §5.3).
//!
//! What a burst promises: its messages are handed to one connection as one piece. The broker gets them in their order,
//! and when the connection is lost meanwhile it has got none of them, or the first ones, or all; never later ones
//! without earlier ones. On a runtime with several threads the connection's own task could take up one part of a burst
//! before, and another after the loss; there a burst is a single message.

use crate::connection::{Connection, State, SubscribeError, is_subject};
use async_nats::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, timeout, timeout_at};

/// A message with headers, ready to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    size: usize,
}

/// Sends messages over one connection and takes in what the stream says about each. One user at a time.
pub struct Outbox {
    connection: Connection,
    inbox: String,
    answers: async_nats::Subscriber,
    /// Number of the next message; the last word of the subject that its acknowledgement comes to.
    next: u64,
    single: bool,
}

/// The stream has the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The stream; empty when the acknowledgement names none.
    pub stream: String,
    /// The message's number in the stream.
    pub sequence: u64,
    /// The stream had the message already, by its `Nats-Msg-Id`.
    pub duplicate: bool,
}

/// It is not known that the stream has the message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotStored {
    /// It was not sent: an earlier one was not, or the connection had no room for it. Not a failure of this message.
    #[error("it was not sent yet")]
    NotSent,
    /// The connection was or is lost, so nothing is known.
    #[error("the connection to the broker was lost")]
    Disconnected,
    /// The broker does not let this login publish there.
    #[error("the broker refuses: {0}")]
    Denied(String),
    /// No stream listens on the subject.
    #[error("no stream takes messages for {0}")]
    NoStream(String),
    /// The stream said no.
    #[error("the stream refuses: {description} (code {code})")]
    Refused {
        /// JetStream's own error code.
        code: u64,
        /// What it says.
        description: String,
    },
    /// No acknowledgement in time.
    #[error("no acknowledgement within {:.1} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The answer is no acknowledgement.
    #[error("the answer is no acknowledgement of a stream")]
    Malformed,
    /// The broker would close the connection over it.
    #[error("the message has {size} bytes with its headers and the broker accepts at most {limit} (max_payload)")]
    TooLarge {
        /// Bytes of headers and payload.
        size: usize,
        /// Bytes the broker accepts.
        limit: usize,
    },
}

/// A message that cannot be sent anywhere.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsendable {
    /// Not a subject.
    #[error("{0:?} cannot be published to: a subject has no spaces, control characters, wildcards or empty parts")]
    Subject(String),
    /// Not a header.
    #[error("the header {0:?} cannot be sent: names are visible ASCII without a colon, values have no line breaks")]
    Header(String),
}

impl Outgoing {
    /// A message for `subject`. Headers keep the case of their names; a later one of the same name replaces an earlier.
    ///
    /// # Errors
    /// [`Unsendable`].
    pub fn new<'a>(
        subject: String,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        payload: Bytes,
    ) -> Result<Self, Unsendable> {
        if !is_subject(&subject, false) {
            return Err(Unsendable::Subject(subject));
        }
        let mut map = HeaderMap::new();
        let mut size = FRAME + payload.len();
        for (name, value) in headers {
            let unsendable = || Unsendable::Header(name.to_owned());
            let (key, text) = (HeaderName::from_str(name), HeaderValue::from_str(value));
            let (Ok(key), Ok(text)) = (key, text) else { return Err(unsendable()) };
            map.insert(key, text);
            size += name.len() + value.len() + FIELD;
        }
        Ok(Self { subject, headers: map, payload, size })
    }

    /// Where it goes.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Bytes that it takes of [`PIECE`](Outbox::PIECE).
    #[must_use]
    pub fn room(&self) -> usize {
        self.size + self.subject.len() + COMMAND
    }

    /// Bytes of headers and payload, as the broker's limit counts them.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Outbox {
    /// Bytes of one burst, if it is more than one message; see [`Outgoing::room`]. The client library puts 64 KiB into its
    /// buffer in one go, of which other messages of the connection may need some.
    pub const PIECE: usize = 48 * 1024;

    /// An outbox of `connection`, with a subscription of its own for acknowledgements below the connection's inbox prefix.
    ///
    /// # Errors
    /// [`SubscribeError::Closed`].
    pub async fn open(connection: &Connection) -> Result<Self, SubscribeError> {
        let inbox = connection.new_inbox();
        let answers = connection.client().subscribe(format!("{inbox}.*")).await;
        let answers = answers.map_err(|_closed| SubscribeError::Closed)?;
        let single = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        Ok(Self { connection: connection.clone(), inbox, answers, next: 0, single })
    }

    /// Most messages of one burst.
    #[must_use]
    pub fn longest_burst(&self) -> usize {
        if self.single { LONGEST_BURST } else { 1 }
    }

    /// Sends `burst`, in its order, and waits at most `limit` for what the stream says about each. Messages that are more
    /// than [`longest_burst`](Self::longest_burst), or than one piece holds, are [`NotStored::NotSent`].
    pub async fn store(&mut self, mut burst: Vec<Outgoing>, limit: Duration) -> Vec<Result<Stored, NotStored>> {
        let first = self.next;
        let deadline = Instant::now() + limit;
        let mut answers: Vec<Option<Result<Stored, NotStored>>> = vec![None; burst.len()];
        let mut state = self.connection.changes();
        let mut denials = self.connection.denials();
        denials.mark_unchanged();
        let sent = self.send(&mut burst, true, deadline, &mut answers).await;
        let mut open = answers[..sent].iter().filter(|answer| answer.is_none()).count();
        while open > 0 {
            tokio::select! {
                answer = self.answers.next() => {
                    let Some(answer) = answer else { break };
                    let number = answer.subject.rsplit('.').next().and_then(|word| word.parse::<u64>().ok());
                    // Answers to earlier bursts that were given up are of no interest any more.
                    let Some(index) = number.and_then(|number| number.checked_sub(first)) else { continue };
                    let Some(slot) = answers.get_mut(index as usize) else { continue };
                    if slot.is_none() {
                        *slot = Some(judge(&answer, burst[index as usize].subject()));
                        open -= 1;
                    }
                }
                _lost = state.wait_for(|state| *state != State::Connected) => {
                    fill(&mut answers[..sent], &NotStored::Disconnected);
                    break;
                }
                Ok(()) = denials.changed() => {
                    let text = denials.borrow_and_update().clone().unwrap_or_default();
                    if is_about(&text, &burst) {
                        fill(&mut answers[..sent], &NotStored::Denied(text));
                        break;
                    }
                }
                () = tokio::time::sleep_until(deadline) => {
                    fill(&mut answers[..sent], &NotStored::TimedOut(limit));
                    break;
                }
            }
        }
        // Left open: the connection was closed, or the message was not sent.
        answers
            .into_iter()
            .enumerate()
            .map(|(index, answer)| match answer {
                Some(answer) => answer,
                None if index < sent => Err(NotStored::Disconnected),
                None => Err(NotStored::NotSent),
            })
            .collect()
    }

    /// Sends `messages` to whoever listens and waits at most `limit` until the broker has taken them. The answer says for
    /// each whether it was sent; one that was not is [`NotStored::NotSent`], [`NotStored::Disconnected`],
    /// [`NotStored::TooLarge`] or [`NotStored::Denied`].
    pub async fn publish(&mut self, mut messages: Vec<Outgoing>, limit: Duration) -> Vec<Result<(), NotStored>> {
        let deadline = Instant::now() + limit;
        let mut refused = vec![None; messages.len()];
        let mut denials = self.connection.denials();
        denials.mark_unchanged();
        let sent = self.send(&mut messages, false, deadline, &mut refused).await;
        let passed = self.passed(deadline).await;
        let denial = denials.has_changed().unwrap_or(false).then(|| denials.borrow_and_update().clone()).flatten();
        let denial = denial.filter(|text| is_about(text, &messages));
        let outcome = |(index, refused): (usize, Option<Result<Stored, NotStored>>)| match (refused, &denial) {
            (Some(Err(refused)), _) => Err(refused),
            (_, Some(text)) => Err(NotStored::Denied(text.clone())),
            (_, None) if index >= sent && !passed => Err(NotStored::Disconnected),
            (_, None) if index >= sent => Err(NotStored::NotSent),
            // Sent once; whether the broker got it before the connection was lost is not known, and it is not sent again.
            (_, None) => Ok(()),
        };
        refused.into_iter().enumerate().map(outcome).collect()
    }

    /// Hands over as many messages as fit into one piece, and says how many. Those that the broker would not take are
    /// answered and count as handed over.
    async fn send(
        &mut self,
        burst: &mut [Outgoing],
        acknowledged: bool,
        deadline: Instant,
        answers: &mut [Option<Result<Stored, NotStored>>],
    ) -> usize {
        let connection = self.connection.clone();
        // With nothing of earlier bursts in the connection's buffer, a burst fits into it as a whole; others wait.
        let turn = timeout_at(deadline, connection.burst()).await;
        let flushed = timeout_at(deadline, connection.flush()).await;
        if turn.is_err() || !matches!(flushed, Ok(Ok(()))) || !self.is_connected() {
            fill(&mut answers[..], &NotStored::Disconnected);
            return 0;
        }
        let limit = match self.connection.max_payload() {
            0 => usize::MAX,
            limit => limit,
        };
        let (first, mut bytes, mut sent) = (self.next, 0, 0);
        let count = burst.len() as u64;
        for (message, answer) in burst.iter_mut().zip(answers.iter_mut()).take(self.longest_burst()) {
            if message.size > limit {
                *answer = Some(Err(NotStored::TooLarge { size: message.size, limit }));
                sent += 1;
                continue;
            }
            bytes += message.room();
            let fits = sent == 0 || bytes <= Self::PIECE;
            // From the second on without a pause: between two polls of this task the connection's task takes nothing.
            if !fits || !self.hand_over(message, acknowledged, first + sent as u64, sent == 0, deadline).await {
                break;
            }
            sent += 1;
        }
        self.next = first + count;
        sent
    }

    /// Puts one message into the connection's queue; `false`: there was no room at once, or, for the first, in time.
    async fn hand_over(
        &self,
        message: &mut Outgoing,
        reply: bool,
        number: u64,
        may_wait: bool,
        deadline: Instant,
    ) -> bool {
        let headers = std::mem::take(&mut message.headers);
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        let reply = reply.then(|| format!("{}.{number}", self.inbox));
        let client = self.connection.client();
        let handed = async {
            match reply {
                Some(reply) => client.publish_with_reply_and_headers(subject, reply, headers, payload).await,
                None => client.publish_with_headers(subject, headers, payload).await,
            }
        };
        if may_wait {
            return matches!(timeout(deadline.duration_since(Instant::now()), handed).await, Ok(Ok(())));
        }
        tokio::task::unconstrained(handed).now_or_never().is_some_and(|handed| handed.is_ok())
    }

    /// Whether everything sent so far has reached the broker: a message to oneself comes back behind it.
    async fn passed(&mut self, deadline: Instant) -> bool {
        let number = self.next;
        self.next += 1;
        let own = format!("{}.{number}", self.inbox);
        if self.connection.client().publish(own.clone(), Bytes::new()).await.is_err() {
            return false;
        }
        let mut state = self.connection.changes();
        let back = async {
            while let Some(answer) = self.answers.next().await {
                if answer.subject.as_str() == own {
                    return true;
                }
            }
            false
        };
        tokio::select! {
            back = back => back,
            _lost = state.wait_for(|state| *state != State::Connected) => false,
            () = tokio::time::sleep_until(deadline) => false,
        }
    }

    fn is_connected(&self) -> bool {
        *self.connection.changes().borrow() == State::Connected
            && self.connection.client().connection_state() == async_nats::connection::State::Connected
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("inbox", &self.inbox).field("next", &self.next).finish_non_exhaustive()
    }
}

impl NotStored {
    /// Whether the stream or the broker looked at the message and did not take it, or did not answer.
    #[must_use]
    pub fn is_a_failed_try(&self) -> bool {
        !matches!(self, Self::NotSent | Self::Disconnected | Self::Denied(_))
    }
}

/// What an answer says (spec 04 §5.3): a JSON object without `error` is an acknowledgement.
fn judge(answer: &async_nats::Message, subject: &str) -> Result<Stored, NotStored> {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(NotStored::NoStream(subject.to_owned()));
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.payload).map_err(|_text| NotStored::Malformed)?;
    if !json.is_object() {
        return Err(NotStored::Malformed);
    }
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    match json.get("error") {
        None | Some(serde_json::Value::Null) => Ok(Stored {
            stream: text(&json["stream"]),
            sequence: number(&json["seq"]),
            duplicate: json["duplicate"].as_bool().unwrap_or_default(),
        }),
        Some(error) => {
            Err(NotStored::Refused { code: number(&error["err_code"]), description: text(&error["description"]) })
        }
    }
}

/// Gives every message without an answer this one.
fn fill(answers: &mut [Option<Result<Stored, NotStored>>], with: &NotStored) {
    answers.iter_mut().filter(|answer| answer.is_none()).for_each(|answer| *answer = Some(Err(with.clone())));
}

/// Whether the broker's refusal `text` is about publishing one of `messages`.
fn is_about(text: &str, messages: &[Outgoing]) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("publish to") && messages.iter().any(|message| text.contains(&message.subject.to_ascii_lowercase()))
}

/// Messages of one burst; half of what waits in a connection's queue.
const LONGEST_BURST: usize = 128;
/// What the protocol's command line takes around subject and sizes, and the reply subject, generously.
const COMMAND: usize = 160;
/// First and last line of the headers.
const FRAME: usize = 12;
/// Colon, space and line break of a header.
const FIELD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_wire() {
        let message = Outgoing::new("a.b".to_owned(), [("Nats-Msg-Id", "1"), ("X", "yz")], Bytes::from_static(b"0123"));
        let wire = "NATS/1.0\r\nNats-Msg-Id: 1\r\nX: yz\r\n\r\n0123";
        assert_eq!(message.expect("sendable").size(), wire.len());
    }

    #[test]
    fn what_would_break_the_protocol_is_not_sendable() {
        let rows = [
            ("a b", "X", "1", "subject"),
            ("a.*", "X", "1", "subject"),
            ("a..b", "X", "1", "subject"),
            ("a", "X:Y", "1", "header"),
            ("a", "X", "1\r\nPUB b 0", "header"),
            ("a", "X Y", "1", "header"),
        ];
        for (subject, name, value, what) in rows {
            let error = Outgoing::new(subject.to_owned(), [(name, value)], Bytes::new()).expect_err(subject);
            assert_eq!(matches!(error, Unsendable::Subject(_)), what == "subject", "{subject} {name} {value}");
        }
    }
}
