//! Signing requests in the name of others: the AAA service's side of [`crate::Provider::seal_delegated`] (spec 07 §6).

use crate::credentials::{Credentials, CredentialsError, OwnClaims};
use protocol::{Request, SecureRequest, Version};
use std::time::SystemTime;
use tokens::{Purpose, Seed};

/// A token with the permission `authentication_delegator`, and its seed. Receivers take what it signs for the request
/// of whoever the request names, so who holds one decides who may ask for what.
#[derive(Debug)]
pub struct Delegator(Credentials);

/// Why a token and a seed are no delegator, or a request cannot be sealed by one.
#[derive(Debug, thiserror::Error)]
pub enum DelegatorError {
    /// Token and seed do not work together.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Servers sign for nobody else.
    #[error("it is a {0} token: requests are signed for others with a client token")]
    Purpose(Purpose),
    /// Every receiver would refuse its signatures.
    #[error(
        "it is not allowed to sign for others: {caller:?} lacks the permission authentication_delegator; issue one with \
         choria jwt client --auth-delegation"
    )]
    NotADelegator {
        /// The token's caller id.
        caller: String,
    },
    /// The token's time is over or has not begun.
    #[error("it has expired or is not valid yet, and receivers refuse what is signed with it: issue a new one")]
    Time,
    /// The request is of a generation that needs certificates.
    #[error("version {0} requests are signed with certificates, and this service signs version 2 requests only")]
    Version(Version),
}

impl Delegator {
    /// Puts token and seed together. Its times are looked at by [`check_times`](Self::check_times).
    ///
    /// # Errors
    /// Everything but [`DelegatorError::Time`] and [`DelegatorError::Version`].
    pub fn new(token: &str, seed: Seed) -> Result<Self, DelegatorError> {
        let credentials = Credentials::new(token, seed)?;
        match credentials.claims() {
            OwnClaims::Client(claims) if claims.granted().authentication_delegator => Ok(Self(credentials)),
            OwnClaims::Client(claims) => Err(DelegatorError::NotADelegator { caller: claims.caller_id.clone() }),
            OwnClaims::Server(_) => Err(DelegatorError::Purpose(credentials.purpose())),
        }
    }

    /// Whether receivers take its signatures at `now`.
    ///
    /// # Errors
    /// [`DelegatorError::Time`].
    pub fn check_times(&self, now: SystemTime) -> Result<(), DelegatorError> {
        let begins = self.0.standard().not_before;
        let over = self.0.expiry().is_some_and(|end| now >= end);
        if over || begins.is_some_and(|begins| now < begins) { Err(DelegatorError::Time) } else { Ok(()) }
    }

    /// When the token stops to count.
    #[must_use]
    pub fn expiry(&self) -> Option<SystemTime> {
        self.0.expiry()
    }

    /// The secure request around `request` as JSON text, signed with the seed. Its `caller` is the delegator's token, as
    /// the existing service has it; who asked puts the own token there, which the signature does not cover.
    ///
    /// # Errors
    /// [`DelegatorError::Version`].
    pub fn seal(&self, request: &Request) -> Result<Vec<u8>, DelegatorError> {
        if request.version != Version::V2 {
            return Err(DelegatorError::Version(request.version));
        }
        let bytes = request.encode();
        let signature = self.0.sign(&bytes).as_bytes().to_vec();
        let caller = self.0.token().to_owned();
        let signer = Some(caller.clone());
        Ok(SecureRequest { version: Version::V2, request: bytes, signature, caller, signer }.encode())
    }
}
