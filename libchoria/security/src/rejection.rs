//! Why a request or reply does not count.

use protocol::{Counter, Invalid, Version};
use std::fmt;

/// Why a request or reply is dropped. The other side gets no answer (spec 02 §9, §12).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// The message is of a generation that this provider does not speak.
    #[error(
        "version {0} messages require an x509 based security system; the provider `choria` takes version 2 only (plugin.security.provider)"
    )]
    Version(Version),
    /// Nobody is trusted to issue tokens, so no request can be verified.
    #[error(
        "no issuer is configured, so no request can be verified: set plugin.security.issuer.names or plugin.security.choria.trusted_signers"
    )]
    NoTrust,
    /// The request carries the word that stands for no signature.
    #[error(
        "the request is not signed: it counts only with a signature by the seed of a trusted token (plugin.security.provider = choria on both sides)"
    )]
    Unsigned,
    /// The signature has the wrong size.
    #[error(
        "a signature has 64 bytes, this one has {0}: it must be made with the seed of the token that is sent along"
    )]
    SignatureSize(usize),
    /// A token does not verify.
    #[error("token of the {holder}: {reason}")]
    Token {
        /// Whose token.
        holder: Holder,
        /// The rule it breaks.
        reason: tokens::Invalid,
    },
    /// The caller signed, but may only ask with the signature of a delegate.
    #[error(
        "the token of {caller:?} has the permission signed_fleet_management, so an AAA service must sign its requests"
    )]
    NeedsDelegate {
        /// Caller id of the token.
        caller: String,
    },
    /// The caller may not ask at all.
    #[error(
        "the token of {caller:?} has not the permission fleet_management, which requests need: have one issued with it"
    )]
    NoFleetManagement {
        /// Caller id of the token.
        caller: String,
    },
    /// Whoever signed in place of the caller may not do so.
    #[error(
        "the token of {signer:?} has not the permission authentication_delegator, which signing for others needs: have one issued with it"
    )]
    NotADelegate {
        /// Caller id of the token.
        signer: String,
    },
    /// The signature was not made over these bytes with the key of the token.
    #[error("the signature is not that of the {holder}: it must be made with the seed of the token that is sent along")]
    Signature {
        /// Whose signature it should be.
        holder: Holder,
    },
    /// The request itself is not valid.
    #[error(transparent)]
    Request(Invalid),
    /// A server asks; only clients may.
    #[error("not a client token: the server {identity:?} signed the request, and only clients may ask")]
    NotAClient {
        /// Identity of the token.
        identity: String,
    },
    /// The caller in the request is not the one of the token.
    #[error("the request says that {request:?} asks, its token that {token:?} does")]
    CallerMismatch {
        /// Caller id of the token.
        token: String,
        /// Caller id of the request.
        request: String,
    },
    /// The hash of a reply is not that of its bytes.
    #[error("the hash of the reply is not that of its content")]
    Hash,
    /// A reply is signed by another server than the one it names.
    #[error("the reply says that {reply:?} answers, its token that {token:?} does")]
    SenderMismatch {
        /// Identity of the token.
        token: String,
        /// Sender of the reply.
        reply: String,
    },
    /// A reply has a signature but no token, or a token but no signature.
    #[error("the reply has a signature without a token or a token without a signature")]
    HalfSigned,
    /// The reply itself is not valid.
    #[error(transparent)]
    Reply(Invalid),
}

/// Whose token or signature.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Holder {
    /// Who asks.
    Caller,
    /// Who signed in place of the caller.
    Delegate,
    /// The server that answers.
    Sender,
}

impl Rejection {
    /// A stable word for logs and metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Version(_) => "version",
            Self::NoTrust => "no_trust",
            Self::Unsigned => "unsigned",
            Self::SignatureSize(_) => "signature_size",
            Self::Token { holder: Holder::Caller, .. } => "caller_token",
            Self::Token { holder: Holder::Delegate, .. } => "delegate_token",
            Self::Token { holder: Holder::Sender, .. } => "sender_token",
            Self::NeedsDelegate { .. } => "needs_delegate",
            Self::NoFleetManagement { .. } => "no_fleet_management",
            Self::NotADelegate { .. } => "not_a_delegate",
            Self::Signature { .. } => "signature",
            Self::Request(_) => "request",
            Self::NotAClient { .. } => "not_a_client",
            Self::CallerMismatch { .. } => "caller_mismatch",
            Self::Hash => "hash",
            Self::SenderMismatch { .. } => "sender_mismatch",
            Self::HalfSigned => "half_signed",
            Self::Reply(_) => "reply",
        }
    }

    /// The protocol counters that a receiver adds one to (spec 02 §9): up to the signature a message is invalid, what
    /// is found after it is an error.
    #[must_use]
    pub fn counters(&self) -> &'static [Counter] {
        match self {
            Self::NoTrust
            | Self::Unsigned
            | Self::SignatureSize(_)
            | Self::Token { .. }
            | Self::NeedsDelegate { .. }
            | Self::NoFleetManagement { .. }
            | Self::NotADelegate { .. }
            | Self::Signature { .. }
            | Self::HalfSigned
            | Self::Hash => &[Counter::Invalid],
            Self::Version(_) | Self::NotAClient { .. } | Self::CallerMismatch { .. } | Self::SenderMismatch { .. } => {
                &[Counter::Error]
            }
            Self::Request(invalid) | Self::Reply(invalid) => invalid.counters(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Delegate => "delegate",
            Self::Sender => "answering server",
        })
    }
}
