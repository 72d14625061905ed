//! The secure layers: a request or reply as exact bytes, with what proves where it comes from.
//!
//! Signatures and hashes cover the embedded bytes, so nothing here ever writes them anew. Who may sign what is the
//! business of the security provider.

use crate::read;
use crate::{Invalid, Layer, Reply, Request, Version, v1, v2};
use sha2::{Digest, Sha256};

/// The signature of requests to the agent `aaa_signer` and of processes in insecure mode (spec 02 §2, §3).
pub const INSECURE: &[u8] = b"insecure";

/// A request with its signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecureRequest {
    /// The generation of this layer and of the request inside.
    pub version: Version,
    /// The exact bytes of the request, which the signature covers.
    pub request: Vec<u8>,
    /// Ed25519 (64 bytes) in version 2, RSA PKCS#1 v1.5 with SHA-256 in version 1, or [`INSECURE`].
    pub signature: Vec<u8>,
    /// Version 2: the caller's JWT, perhaps with white space around. Version 1: PEM certificates, the signer's first.
    pub caller: String,
    /// The JWT of the delegate that signed in place of the caller; version 2 only.
    pub signer: Option<String>,
}

impl SecureRequest {
    /// The JSON text of this layer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.version {
            Version::V1 => v1::write_secure_request(self),
            Version::V2 => v2::write_secure_request(self),
        }
    }

    /// Reads a secure request of either generation.
    ///
    /// # Errors
    /// What the schema of its generation refuses (spec 02 §4), and base64 that does not decode.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        match read::version(Layer::SecureRequest, bytes)? {
            Version::V1 => v1::read_secure_request(bytes),
            Version::V2 => v2::read_secure_request(bytes),
        }
    }

    /// Reads the request inside. Nothing is verified by this.
    ///
    /// # Errors
    /// As [`Request::parse`], and a request of the other generation.
    pub fn unverified_request(&self) -> Result<Request, Invalid> {
        let request = Request::parse(&self.request)?;
        same_generation(Layer::Request, self.version, request.version)?;
        Ok(request)
    }
}

/// A reply with its hash and, in version 2, usually a signature.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecureReply {
    /// The generation of this layer and of the reply inside.
    pub version: Version,
    /// The exact bytes of the reply, which hash and signature cover.
    pub reply: Vec<u8>,
    /// What the sender says is the SHA-256 of `reply`.
    pub hash: Vec<u8>,
    /// Ed25519 signature of the server, 64 bytes; version 2 only.
    pub signature: Option<Vec<u8>>,
    /// The JWT of the server that signed, perhaps with white space around; version 2 only.
    pub sender: Option<String>,
}

impl SecureReply {
    /// An unsigned secure reply around `reply`, the exact bytes of a reply of `version`.
    #[must_use]
    pub fn unsigned(version: Version, reply: Vec<u8>) -> Self {
        let hash = Sha256::digest(&reply).to_vec();
        Self { version, reply, hash, signature: None, sender: None }
    }

    /// The JSON text of this layer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.version {
            Version::V1 => v1::write_secure_reply(self),
            Version::V2 => v2::write_secure_reply(self),
        }
    }

    /// Reads a secure reply of either generation.
    ///
    /// # Errors
    /// What is not JSON, has values of the wrong type or base64 that does not decode.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        match read::version(Layer::SecureReply, bytes)? {
            Version::V1 => v1::read_secure_reply(bytes),
            Version::V2 => v2::read_secure_reply(bytes),
        }
    }

    /// Whether the hash is that of the reply's bytes. Anyone can make a matching hash: it shows damage, not origin.
    #[must_use]
    pub fn hash_matches(&self) -> bool {
        *Sha256::digest(&self.reply) == *self.hash
    }

    /// Reads the reply inside. Nothing is verified by this.
    ///
    /// # Errors
    /// As [`Reply::parse`], and a reply of the other generation.
    pub fn unverified_reply(&self) -> Result<Reply, Invalid> {
        let reply = Reply::parse(&self.reply)?;
        same_generation(Layer::Reply, self.version, reply.version)?;
        Ok(reply)
    }
}

/// All layers of one message must be of the same generation (spec 02 §1).
pub(crate) fn same_generation(layer: Layer, outer: Version, inner: Version) -> Result<(), Invalid> {
    if outer == inner { Ok(()) } else { Err(Invalid::MixedVersions { layer, outer, inner }) }
}
