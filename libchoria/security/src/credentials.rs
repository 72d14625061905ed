//! What a process proves itself with: its token, the seed that belongs to it, and who it therefore is.

use names::{CallerId, InvalidName};
use std::time::SystemTime;
use tokens::{ClientClaims, Invalid, Purpose, Seed, ServerClaims, Signature, StandardClaims};
use tokens::{purpose_of, read_client, read_server};

/// A token with its seed. The token is the process's own, so its claims are read without verification.
#[derive(Debug)]
pub struct Credentials {
    token: String,
    seed: Seed,
    caller: CallerId,
    claims: OwnClaims,
}

/// Why a token and a seed are no credentials.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CredentialsError {
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] Invalid),
    /// The token is neither of a client nor of a server.
    #[error("it is a {0} token: only client and server tokens sign messages")]
    Purpose(Purpose),
    /// The token is for another key.
    #[error(
        "the seed does not belong to it: its public_key is {token} and the seed's is {seed}; use the seed that the token was issued for"
    )]
    OtherSeed {
        /// Public key in the token, hexadecimal.
        token: String,
        /// Public key of the seed, hexadecimal.
        seed: String,
    },
    /// The token names nobody.
    #[error("it names no valid holder: {0}")]
    Name(#[from] InvalidName),
}

#[derive(Debug)]
pub(crate) enum OwnClaims {
    Client(Box<ClientClaims>),
    Server(Box<ServerClaims>),
}

impl Credentials {
    /// Puts token and seed together. White space around the token is dropped; its times are not looked at.
    ///
    /// # Errors
    /// A token that cannot be read or is of another kind, and a seed that it was not issued for.
    pub fn new(token: &str, seed: Seed) -> Result<Self, CredentialsError> {
        let token = token.trim();
        let claims = match purpose_of(token)? {
            Purpose::Client => OwnClaims::Client(Box::new(read_client(token)?)),
            Purpose::Server => OwnClaims::Server(Box::new(read_server(token)?)),
            other => return Err(CredentialsError::Purpose(other)),
        };
        let key = claims.standard().holder_key()?;
        if key != seed.public() {
            return Err(CredentialsError::OtherSeed { token: key.to_string(), seed: seed.public().to_string() });
        }
        let caller = match &claims {
            OwnClaims::Client(claims) => claims.caller_id.parse()?,
            OwnClaims::Server(claims) => claims.identity.parse()?,
        };
        Ok(Self { token: token.to_owned(), seed, caller, claims })
    }

    /// The token, without white space around.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Who the token says its holder is: a client's caller id, a server's identity.
    #[must_use]
    pub fn caller(&self) -> &CallerId {
        &self.caller
    }

    /// Whether the token is a client's or a server's.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        match self.claims {
            OwnClaims::Client(_) => Purpose::Client,
            OwnClaims::Server(_) => Purpose::Server,
        }
    }

    /// The claims that both kinds of token have.
    #[must_use]
    pub fn standard(&self) -> &StandardClaims {
        self.claims.standard()
    }

    /// When the token stops to count.
    #[must_use]
    pub fn expiry(&self) -> Option<SystemTime> {
        self.standard().effective_expiry()
    }

    /// Signs `bytes` with the seed.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        self.seed.sign(bytes)
    }

    pub(crate) fn claims(&self) -> &OwnClaims {
        &self.claims
    }
}

impl OwnClaims {
    fn standard(&self) -> &StandardClaims {
        match self {
            Self::Client(claims) => &claims.standard,
            Self::Server(claims) => &claims.standard,
        }
    }
}
