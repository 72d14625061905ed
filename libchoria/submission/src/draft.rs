//! From what a caller claims to a message: the sender is what the kernel says, the rest obeys the rules (spec 04 §5.2).

use crate::message::{InvalidMessage, LONGEST_TTL, Message};
use crate::timestamp::Timestamp;
use crate::words::{MessageId, Priority};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// What a caller may claim about a message. It has neither id nor time: those are given when it is accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What follows `<collective>.submission.in.`; no wildcards, at most 255 bytes.
    pub subject: String,
    /// At least one byte.
    pub payload: Vec<u8>,
    /// Whether it is delivered until JetStream acknowledges it, in order.
    pub reliable: bool,
    /// Which of the five queues.
    pub priority: Priority,
    /// How long it may wait to be delivered: one second to 31 days.
    pub ttl: Duration,
    /// How often delivery of a reliable message is tried, at least once.
    pub max_tries: u32,
    /// A sender other than the caller; root and the owner of the spool may set it.
    pub sender: Option<String>,
    /// Whether the server signs the payload when it delivers.
    pub sign: bool,
    /// Sent as they are; names do not start with `choria` or `nats`.
    pub headers: BTreeMap<String, String>,
}

/// Who hands a message in, as the kernel says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sender {
    uid: u32,
    trusted: bool,
}

/// Why a draft is not accepted. The sentences are for the one who handed it in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The draft breaks a rule of messages.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// Times to live are counted in whole seconds.
    #[error("a ttl is at least one second")]
    ShortTtl,
    /// Only root and the owner of the spool speak for others.
    #[error(
        "user {uid} may not set the sender {sender:?}: only root and the owner of the spool may; leave the sender out"
    )]
    Sender {
        /// The caller.
        uid: u32,
        /// What was claimed, cut to 64 characters.
        sender: String,
    },
    /// The configuration does not let this user submit to this subject.
    #[error("{user} may not submit to {subject:?}: plugin.choria.submission.allow does not say so")]
    NotAllowed {
        /// The user's name or `user <uid>`.
        user: String,
        /// The subject, cut to 64 characters.
        subject: String,
    },
    /// The payload is larger than the configuration allows.
    #[error("the payload has {size} bytes and plugin.choria.submission.max_message_size allows {most}")]
    TooLarge {
        /// Bytes of the payload.
        size: u64,
        /// Bytes allowed.
        most: u64,
    },
}

/// Makes a message of a draft. Whether the caller may submit to the subject is asked before, see
/// [`crate::Settings::accept`], which asks all questions.
///
/// # Errors
/// The first rule that is broken.
pub fn accept(
    draft: Draft,
    sender: Sender,
    identity: &str,
    id: MessageId,
    now: SystemTime,
) -> Result<Message, Refusal> {
    let sender = sender.name(draft.sender)?;
    if draft.ttl > LONGEST_TTL {
        return Err(InvalidMessage::LongTtl.into());
    }
    if !draft.ttl.is_zero() && draft.ttl < Duration::from_secs(1) {
        return Err(Refusal::ShortTtl);
    }
    let message = Message {
        id,
        subject: draft.subject,
        payload: draft.payload,
        reliable: draft.reliable,
        priority: draft.priority,
        created: Timestamp::from(now),
        ttl: draft.ttl.as_secs_f64(),
        max_tries: u64::from(draft.max_tries),
        tries: 0,
        next_try: Timestamp::ZERO,
        sender,
        identity: identity.to_owned(),
        sign: draft.sign,
        headers: if draft.headers.is_empty() { None } else { Some(draft.headers) },
    };
    message.check()?;
    Ok(message)
}

impl Draft {
    /// A draft with the defaults of `choria tool submit`: best effort, priority 4, 24 hours, 100 tries, not signed.
    #[must_use]
    pub fn new(subject: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            subject: subject.into(),
            payload: payload.into(),
            reliable: false,
            priority: Priority::default(),
            ttl: Duration::from_secs(86_400),
            max_tries: 100,
            sender: None,
            sign: false,
            headers: BTreeMap::new(),
        }
    }
}

impl Sender {
    /// The user with this number. Root is trusted, nobody else.
    #[must_use]
    pub fn user(uid: u32) -> Self {
        Self { uid, trusted: uid == 0 }
    }

    /// The owner of the spool, who may name another sender, as that user can write the files anyway.
    #[must_use]
    pub fn owner(uid: u32) -> Self {
        Self { uid, trusted: true }
    }

    /// The sender to record: `user <uid>` unless a trusted caller names another.
    fn name(self, claimed: Option<String>) -> Result<String, Refusal> {
        let own = format!("user {}", self.uid);
        match claimed {
            None => Ok(own),
            Some(claimed) if self.trusted || claimed == own => Ok(claimed),
            Some(claimed) => Err(Refusal::Sender { uid: self.uid, sender: claimed.chars().take(64).collect() }),
        }
    }
}

#[cfg(test)]
mod tests;
