//! Why a token is refused.

use crate::chain::ChainFault;
use crate::claims::Purpose;
use crate::key::InvalidKey;

/// Why a token is refused. No variant holds text of the token's segments or signatures.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// The text is not three base64 segments that hold a JSON header and the claims of the kind asked for.
    #[error("the token is malformed: {0}; check that the file holds one whole token and nothing else")]
    Malformed(&'static str),
    /// A claim has the wrong JSON type.
    #[error("the token is malformed: its claims are not those of a Choria token ({0}); issue it again")]
    Claims(String),
    /// The header names no algorithm, or none that may sign Choria tokens.
    #[error("tokens are signed with EdDSA, RS256, RS384 or RS512, this one says {0:?}; issue it again with such a key")]
    Algorithm(String),
    /// The key is of the other kind than the token's algorithm.
    #[error("the token needs an {needed} key to be verified and the configured key is of another kind")]
    KeyKind {
        /// `RSA` or `ed25519`.
        needed: &'static str,
    },
    /// The signature was not made by the expected key.
    #[error("the token was changed or not signed by the expected issuer: compare the issuer's public key")]
    Signature,
    /// The token, or the chain issuer that signed it, has expired.
    #[error("the token has expired: issue or obtain a new one")]
    Expired,
    /// The token starts to be valid later.
    #[error("the token is not valid yet: compare the clocks of this machine and of the issuer")]
    NotYetValid,
    /// The token is of another kind.
    #[error("not a {expected} token: it is a {found} token")]
    Purpose {
        /// The kind asked for.
        expected: Purpose,
        /// The kind it is.
        found: Purpose,
    },
    /// The token's organization (`ou`) has no configured issuer.
    #[error("no issuer is configured for the organization {0:?} of the token")]
    UnknownIssuer(String),
    /// Nothing is configured that a token could be verified with.
    #[error("no issuer and no signer is configured, so no token can be verified")]
    NoTrust,
    /// The chain of trust to the organization issuer is broken.
    #[error("the token's chain of trust is not valid: {0}")]
    Chain(#[from] ChainFault),
    /// The token names no public key of its holder.
    #[error("the token has no public_key: issue it again with the public key of its holder")]
    NoPublicKey,
    /// The token's public key is not a key.
    #[error("the token's public_key cannot be used: {0}")]
    PublicKey(InvalidKey),
}

/// What a caller can do about a refused token; also a stable name for counting.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Category {
    /// No parser accepts it.
    Malformed,
    /// It cannot be verified with what is configured: algorithm, kind of key or unknown organization.
    Unverifiable,
    /// The signature is wrong.
    Signature,
    /// It was valid once.
    Expired,
    /// It will be valid later.
    NotYetValid,
    /// It is a token of another kind.
    Purpose,
    /// Its chain of trust is broken.
    Chain,
    /// It does not name a usable public key of its holder.
    Holder,
}

impl Invalid {
    /// The kind of refusal.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Malformed(_) | Self::Claims(_) => Category::Malformed,
            Self::Algorithm(_) | Self::KeyKind { .. } | Self::UnknownIssuer(_) | Self::NoTrust => {
                Category::Unverifiable
            }
            Self::Signature => Category::Signature,
            Self::Expired => Category::Expired,
            Self::NotYetValid => Category::NotYetValid,
            Self::Purpose { .. } => Category::Purpose,
            Self::Chain(_) => Category::Chain,
            Self::NoPublicKey | Self::PublicKey(_) => Category::Holder,
        }
    }
}

impl Category {
    /// The name in logs and metrics: lower case, words joined by `_`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unverifiable => "unverifiable",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Purpose => "purpose",
            Self::Chain => "chain",
            Self::Holder => "holder",
        }
    }
}
