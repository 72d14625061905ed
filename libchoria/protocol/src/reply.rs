//! Replies: what one node answers.

use crate::read;
use crate::{Invalid, Layer, Version, v1, v2};
use names::{AgentName, Identity, RequestId};
use std::time::SystemTime;

/// A reply, equal for both generations (spec 02 §2, §3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The generation of the request it answers.
    pub version: Version,
    /// The id of the request it answers.
    pub request: RequestId,
    /// The node that answers, as configured there.
    pub sender: Identity,
    /// The agent that answers.
    pub agent: AgentName,
    /// When it was made; whole seconds in version 1, nanoseconds in version 2.
    pub time: SystemTime,
    /// What the agent says; UTF-8 in version 1.
    pub payload: Vec<u8>,
}

impl Reply {
    /// The JSON text of the reply, in the generation of `version`. Invalid UTF-8 of a version 1 payload is replaced.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.version {
            Version::V1 => v1::write_reply(self),
            Version::V2 => v2::write_reply(self),
        }
    }

    /// Reads a reply of either generation.
    ///
    /// # Errors
    /// What is not JSON, has values of the wrong type or names that are not valid. Replies have no schema
    /// (spec 02 §4).
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        match read::version(Layer::Reply, bytes)? {
            Version::V1 => v1::read_reply(bytes),
            Version::V2 => v2::read_reply(bytes),
        }
    }
}
