//! What travels over NATS: the secure part as bytes, and the headers that routing needs.

use crate::read;
use crate::secure::same_generation;
use crate::{Invalid, Layer, SecureReply, SecureRequest, Version, v1, v2};
use names::Identity;

/// The outermost layer of a message (spec 02 §2, §3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transport {
    /// The generation of this and all inner layers.
    pub version: Version,
    /// The exact bytes of the secure request or secure reply.
    pub data: Vec<u8>,
    /// Where it comes from and where replies go.
    pub headers: Headers,
}

/// The headers of a [`Transport`]. They are not signed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Headers {
    /// Subject for the replies; requests only.
    pub reply_to: Option<String>,
    /// Identity of the sender, as configured there.
    pub sender: Option<Identity>,
    /// The hops so far, each `[server it came from, who passed it on, server it went to]`.
    pub trace: Vec<[String; 3]>,
    /// Present while the message crosses a federation.
    pub federation: Option<Federation>,
}

/// What a federation broker needs to pass a message on (spec 02 §8).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Federation {
    /// Id of the request.
    pub request: Option<String>,
    /// The reply subject on the side of the client, kept by the broker.
    pub reply_to: Option<String>,
    /// Subjects to publish to on the side of the fleet.
    pub targets: Vec<String>,
}

impl Transport {
    /// The JSON text of the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self.version, &self.data, &self.headers)
    }

    /// Reads a transport message of either generation. Missing or `null` headers are read as empty ones.
    ///
    /// # Errors
    /// What is larger than [`crate::MAX_SIZE`], not JSON, has values of the wrong type or base64 that does not decode.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        match read::version(Layer::Transport, bytes)? {
            Version::V1 => v1::read_transport(bytes),
            Version::V2 => v2::read_transport(bytes),
        }
    }

    /// Reads the secure request inside.
    ///
    /// # Errors
    /// As [`SecureRequest::parse`], and a secure request of the other generation.
    pub fn secure_request(&self) -> Result<SecureRequest, Invalid> {
        let request = SecureRequest::parse(&self.data)?;
        same_generation(Layer::SecureRequest, self.version, request.version)?;
        Ok(request)
    }

    /// Reads the secure reply inside.
    ///
    /// # Errors
    /// As [`SecureReply::parse`], and a secure reply of the other generation.
    pub fn secure_reply(&self) -> Result<SecureReply, Invalid> {
        let reply = SecureReply::parse(&self.data)?;
        same_generation(Layer::SecureReply, self.version, reply.version)?;
        Ok(reply)
    }
}

impl Headers {
    /// Adds a hop: `via` got the message from the server `from` and gave it to the server `to`.
    pub fn add_hop(&mut self, from: &str, via: &str, to: &str) {
        self.trace.push([from, via, to].map(str::to_owned));
    }

    /// The headers of the reply of `sender` to a message with these headers (spec 02 §8): federation and hops are
    /// carried back if the message is federated, else neither is.
    #[must_use]
    pub fn for_reply(&self, sender: Identity) -> Self {
        let trace = if self.federation.is_some() { self.trace.clone() } else { Vec::new() };
        Self { reply_to: None, sender: Some(sender), trace, federation: self.federation.clone() }
    }
}

/// The JSON text of a transport message around `data`, the JSON text of a secure request or reply of `version`.
#[must_use]
pub fn encode(version: Version, data: &[u8], headers: &Headers) -> Vec<u8> {
    match version {
        Version::V1 => v1::write_transport(data, headers),
        Version::V2 => v2::write_transport(data, headers),
    }
}
