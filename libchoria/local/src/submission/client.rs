//! A blocking client of `choria-submit`.

use super::parameters::{Submission, Submitted};
use super::status::Status;
use crate::varlink::{CallError, ConnectError, MOST_AHEAD};
use serde_json::json;
use std::io;
use std::path::Path;
use std::time::Duration;
use submission::{Draft, MessageId, Refusal, SpoolError};

/// A connection to `choria-submit`.
#[derive(Debug)]
pub struct Client(crate::varlink::Client);

/// Why a message was not taken. Each text is a whole sentence for the one who submits.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Nothing takes messages: no service listens, and this user may not write the spool.
    #[error("{0}")]
    NoSocket(String),
    /// This user may not submit this.
    #[error("{0}")]
    Refused(String),
    /// The message breaks a rule for messages.
    #[error("{0}")]
    Invalid(String),
    /// The message is larger than is allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The spool holds as much as it may; later it may not.
    #[error("{0}")]
    SpoolFull(String),
    /// The disk is full, cannot be written, or the spool is not safe.
    #[error("{0}")]
    SpoolFailed(String),
    /// The service has too much to do; try again.
    #[error("{0}")]
    Busy(String),
    /// The connection failed. Whether the message was taken is not known unless the text says so.
    #[error("{0}")]
    Io(String),
}

impl Client {
    /// Connects to the socket at `path`; each wait takes a minute at most.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(path: &Path) -> Result<Self, ConnectError> {
        Self::connect_within(path, LIMIT)
    }

    /// Connects to the socket at `path`; each wait takes `limit` at most.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect_within(path: &Path, limit: Duration) -> Result<Self, ConnectError> {
        crate::varlink::Client::connect(path, limit).map(Self)
    }

    /// Hands in one message. It is on the disk when this returns its id.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn submit(&mut self, draft: &Draft) -> Result<MessageId, SubmitError> {
        self.submit_raw(draft).map_err(SubmitError::from)
    }

    /// Hands in many messages: they are sent before the first answer is waited for, and kept by few rounds of waiting for
    /// the disk. The answers are in the order of the drafts; one that is refused keeps no other out.
    pub fn submit_many(&mut self, drafts: &[Draft]) -> Vec<Result<MessageId, SubmitError>> {
        let mut answers = Vec::with_capacity(drafts.len());
        let mut unsent = None;
        for draft in drafts {
            if self.0.outstanding() >= MOST_AHEAD {
                answers.push(self.receive());
            }
            if let Err(error) = self.0.send(SUBMIT, &Submission::of(draft)) {
                unsent = Some(SubmitError::from(error));
                break;
            }
        }
        while self.0.outstanding() > 0 && answers.len() < drafts.len() {
            let answer = self.receive();
            let lost = matches!(answer, Err(SubmitError::Io(_)));
            answers.push(answer);
            if lost {
                break;
            }
        }
        let rest = unsent.unwrap_or_else(|| SubmitError::Io("the connection was lost before the answer".to_owned()));
        answers.resize(drafts.len(), Err(rest));
        answers
    }

    /// What waits and what was handed in.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub fn status(&mut self) -> Result<Status, SubmitError> {
        self.0.call("io.choria.Submission.Status", &json!({})).map_err(SubmitError::from)
    }

    pub(super) fn submit_raw(&mut self, draft: &Draft) -> Result<MessageId, CallError> {
        self.0.call(SUBMIT, &Submission::of(draft)).map(|Submitted { id }| id)
    }

    fn receive(&mut self) -> Result<MessageId, SubmitError> {
        self.0.receive().map(|Submitted { id }| id).map_err(SubmitError::from)
    }
}

const SUBMIT: &str = "io.choria.Submission.Submit";

/// Longer than the service lets anybody wait.
const LIMIT: Duration = Duration::from_secs(60);

/// Whether the service cannot have taken a message that stood alone on the connection: it was closed with bytes of it
/// unread, and the last byte of a message is the one that makes it a message.
pub(super) fn surely_not_taken(error: &CallError) -> bool {
    let CallError::Io(error) = error else { return false };
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl From<CallError> for SubmitError {
    fn from(error: CallError) -> Self {
        let CallError::Error(reply) = error else { return Self::Io(error.to_string()) };
        let reason = reply.reason();
        match reply.name.rsplit('.').next().unwrap_or_default() {
            "Refused" | "PermissionDenied" => Self::Refused(reason),
            "Invalid" => Self::Invalid(reason),
            "InvalidParameter" => Self::Invalid(format!("the service does not understand the message: {reason}")),
            "SpoolFull" => Self::SpoolFull(reason),
            "SpoolFailed" => Self::SpoolFailed(reason),
            "TooLarge" => Self::TooLarge(reason),
            "Busy" => Self::Busy(reason),
            _ => Self::Io(format!("the service answers with {reply}")),
        }
    }
}

impl From<Refusal> for SubmitError {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::NotAllowed { .. } | Refusal::Sender { .. } => Self::Refused(text),
            Refusal::TooLarge { .. } => Self::TooLarge(text),
            Refusal::Invalid(_) | Refusal::ShortTtl => Self::Invalid(text),
        }
    }
}

impl From<SpoolError> for SubmitError {
    fn from(error: SpoolError) -> Self {
        let text = error.to_string();
        match error {
            SpoolError::TooManyMessages { .. } | SpoolError::TooManyBytes { .. } => Self::SpoolFull(text),
            SpoolError::TooLarge { .. } => Self::TooLarge(text),
            _ => Self::SpoolFailed(text),
        }
    }
}

impl SubmitError {
    /// The name of the interface's error for this, without the interface; `None` for what only a client meets.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Refused(_) => "Refused",
            Self::Invalid(_) => "Invalid",
            Self::TooLarge(_) => "TooLarge",
            Self::SpoolFull(_) => "SpoolFull",
            Self::SpoolFailed(_) => "SpoolFailed",
            Self::Busy(_) => "Busy",
            Self::NoSocket(_) | Self::Io(_) => return None,
        })
    }
}
