//! One message that arrived for a request: verified and read, or the reason why it does not count.

use crate::{InvalidBody, ReplyBody};
use names::{Identity, RequestId};
use protocol::{Invalid, Reply, Transport};
use security::{Provider, Rejection, Verification};
use std::time::SystemTime;

/// The answer of one node.
#[derive(Clone, Debug)]
pub struct NodeReply {
    /// What the agent says.
    pub body: ReplyBody,
    /// The message it came in: sender, time, and the payload that `body` was read from.
    pub reply: Reply,
    /// What shows that it comes from its sender: the signature when issuers are configured and the node signs, else only
    /// a hash, which shows that it is undamaged.
    pub verification: Verification,
}

/// A message that arrived for a request and is no valid reply to it.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReply {
    /// Its outer layers cannot be read.
    #[error("a reply cannot be read: {0}")]
    Unreadable(#[from] Invalid),
    /// Its hash or signature is wrong.
    #[error("a reply is refused: {0}")]
    Rejected(#[from] Rejection),
    /// It answers something else.
    #[error("a reply of {sender} answers the request {found}, not this one")]
    OtherRequest {
        /// Who it says it is from.
        sender: Identity,
        /// The request it answers.
        found: RequestId,
    },
    /// Its payload is no RPC reply.
    #[error("the reply of {sender} is no RPC reply: {source}")]
    Body {
        /// Who it is from.
        sender: Identity,
        /// What is wrong.
        source: InvalidBody,
    },
}

impl NodeReply {
    /// Who answers.
    #[must_use]
    pub fn sender(&self) -> &Identity {
        &self.reply.sender
    }

    /// When the answer was made, by the node's clock.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.reply.time
    }

    /// Reads a message that arrived for the request `id`.
    pub(super) fn read(
        provider: &Provider,
        id: &RequestId,
        payload: &[u8],
        now: SystemTime,
    ) -> Result<Self, InvalidReply> {
        let secure = Transport::parse(payload)?.secure_reply()?;
        let verified = provider.verify_reply(&secure, now)?;
        let verification = verified.verification();
        let reply = verified.into_inner();
        if reply.request != *id {
            return Err(InvalidReply::OtherRequest { sender: reply.sender, found: reply.request });
        }
        match ReplyBody::parse(&reply.payload) {
            Ok(body) => Ok(Self { body, reply, verification }),
            Err(source) => Err(InvalidReply::Body { sender: reply.sender, source }),
        }
    }
}
