//! The two generations of the protocol and the names of their messages (spec 02 §1).

use std::fmt;

/// A generation of the protocol. The security provider of a process decides which one it speaks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// X.509 certificates and RSA signatures.
    V1,
    /// JWTs and ed25519 signatures.
    V2,
}

impl Version {
    /// The value of the label `version` of the protocol counters: `1` or `2`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// The layers of a message, from the outside in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Layer {
    /// What NATS carries: routing headers around a secure part.
    Transport,
    /// A signed request.
    SecureRequest,
    /// A hashed, in version 2 often signed, reply.
    SecureReply,
    /// Who asks which agents for what.
    Request,
    /// What one node answers.
    Reply,
}

impl Layer {
    /// The value of the field `protocol` of this layer in `version`.
    #[must_use]
    pub fn protocol(self, version: Version) -> &'static str {
        match (version, self) {
            (Version::V1, Self::Transport) => "choria:transport:1",
            (Version::V1, Self::SecureRequest) => "choria:secure:request:1",
            (Version::V1, Self::SecureReply) => "choria:secure:reply:1",
            (Version::V1, Self::Request) => "choria:request:1",
            (Version::V1, Self::Reply) => "choria:reply:1",
            (Version::V2, Self::Transport) => "io.choria.protocol.v2.transport",
            (Version::V2, Self::SecureRequest) => "io.choria.protocol.v2.secure_request",
            (Version::V2, Self::SecureReply) => "io.choria.protocol.v2.secure_reply",
            (Version::V2, Self::Request) => "io.choria.protocol.v2.request",
            (Version::V2, Self::Reply) => "io.choria.protocol.v2.reply",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => "transport message",
            Self::SecureRequest => "secure request",
            Self::SecureReply => "secure reply",
            Self::Request => "request",
            Self::Reply => "reply",
        })
    }
}
