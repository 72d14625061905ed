//! Signers that let an AAA service sign requests (spec 02 §13, 07 §8): over RPC and over HTTP.
//!
//! Both send the request with the user's token and the user's own signature, take what comes back only if it is the request
//! that was asked about, and ask a second time when the service was away: signing the same request twice harms nobody, and a
//! restart of the service must not lose requests.

mod http;
mod service;

pub use http::{HttpSigner, HttpSignerError};
pub use service::ServiceSigner;

use protocol::Request;
use security::{Provider, SignError};

/// What a service needs to sign a request.
struct Question {
    /// The request as it is to be signed.
    bytes: Vec<u8>,
    token: String,
    /// Of the bytes, with the user's seed, hexadecimal.
    signature: String,
}

/// Why a service did not sign. The texts are those that users of the existing system know.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The service that is asked over RPC said no.
    #[error("signing failed: {0}")]
    Failed(String),
    /// The service that is asked over HTTP said no.
    #[error("error from remote signer: {0}")]
    Refused(String),
    /// The service could not be asked, or nobody answered.
    #[error("signing failed: {0}; is the AAA service running (plugin.choria.security.request_signer.*)?")]
    Unavailable(String),
    /// Another status than 200.
    #[error("could not perform remote signing request: {url} answered with status {status}")]
    Status {
        /// The address asked.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer is not one of a signer.
    #[error("signing failed: the answer of {url} is none of an AAA service: {reason}")]
    Answer {
        /// The address asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Question {
    fn of(request: &Request, provider: &Provider) -> Result<Self, SignError> {
        request.check().map_err(SignError::Invalid)?;
        let (bytes, token) = (request.encode(), provider.token().ok_or(SignError::NoCredentials)?.to_owned());
        let signature = provider.sign(&bytes).ok_or(SignError::NoCredentials)?.to_hex();
        Ok(Self { bytes, token, signature })
    }
}

impl From<SignerError> for SignError {
    fn from(error: SignerError) -> Self {
        Self::Remote(Box::new(error))
    }
}
