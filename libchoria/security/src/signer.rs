//! Signing requests: with the own seed, or by others behind the same trait.

use crate::credentials::{Credentials, OwnClaims};
use crate::provider::Provider;
use futures_util::future::BoxFuture;
use protocol::{Headers, INSECURE, Invalid, Request, SecureRequest, Version, transport};
use std::future::ready;

/// The agent of AAA services that signs requests; requests to it go unsigned, for they are how one gets a signature.
pub const AAA_SIGNER_AGENT: &str = "aaa_signer";

/// Signs requests.
pub trait Signer: Send + Sync {
    /// Seals `request`, perhaps by asking another process.
    ///
    /// # Errors
    /// See [`SignError`].
    fn seal<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Sealed, SignError>>;
}

/// A signed request, ready to be published any number of times. Only signers make it.
#[derive(Clone, Debug)]
pub struct Sealed {
    version: Version,
    /// The secure request, JSON text.
    bytes: Vec<u8>,
}

/// Why a request could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request breaks a rule for which every receiver would drop it.
    #[error("the request would be dropped by every receiver")]
    Invalid(#[source] Invalid),
    /// The request is of a generation that this provider does not speak.
    #[error(
        "version {0} protocol requires a x509 based security system; the provider `choria` signs version 2 requests"
    )]
    Version(Version),
    /// There is no token or no seed.
    #[error(
        "requests cannot be signed without a token and seed: set plugin.security.choria.token_file and plugin.security.choria.seed_file"
    )]
    NoCredentials,
    /// The request names another caller than the token, which every receiver would refuse.
    #[error("the request is of {request:?}, but the token is of {token:?}")]
    OtherCaller {
        /// Caller id of the request.
        request: String,
        /// Caller id of the token.
        token: String,
    },
    /// The token may only be used with the signature of an AAA service.
    #[error(
        "the token of {caller:?} has the permission signed_fleet_management, so requests must be signed by an AAA service: set plugin.choria.security.request_signer.service or plugin.choria.security.request_signer.url"
    )]
    NeedsDelegate {
        /// Caller id of the token.
        caller: String,
    },
    /// The token does not allow requests at all.
    #[error(
        "the token of {caller:?} has neither of the permissions fleet_management and signed_fleet_management: obtain one that has"
    )]
    NoFleetManagement {
        /// Caller id of the token.
        caller: String,
    },
    /// The remote signer refused or could not be asked.
    #[error("{0}")]
    Remote(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The remote signer answered with something that is no secure request.
    #[error("the remote signer did not answer with a secure request")]
    Answer(#[source] Invalid),
    /// The remote signer did not say who it is.
    #[error("remote signer did not set a signer JWT")]
    NoDelegate,
    /// The remote signer signed another request.
    #[error("the remote signer signed the request {answer}, it was asked for {request}")]
    OtherRequest {
        /// Id of the request it was asked for.
        request: String,
        /// Id of the request it signed.
        answer: String,
    },
    /// The remote signer signed something else in its place.
    #[error("the remote signer changed the {0} of the request it was asked to sign")]
    Altered(&'static str),
}

/// Signs with the seed of this process.
#[derive(Clone, Debug)]
pub struct LocalSigner(Provider);

impl LocalSigner {
    /// A signer that signs for `provider`.
    #[must_use]
    pub fn new(provider: Provider) -> Self {
        Self(provider)
    }

    /// Seals `request` at once.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn seal_now(&self, request: &Request) -> Result<Sealed, SignError> {
        if request.version != Version::V2 {
            return Err(SignError::Version(request.version));
        }
        request.check().map_err(SignError::Invalid)?;
        let credentials = self.0.credentials().ok_or(SignError::NoCredentials)?;
        let bytes = request.encode();
        let signature = if request.agent == *AAA_SIGNER_AGENT {
            INSECURE.to_vec()
        } else {
            check_allowed(credentials, request)?;
            credentials.sign(&bytes).as_bytes().to_vec()
        };
        let caller = credentials.token().to_owned();
        Ok(Sealed::new(&SecureRequest { version: Version::V2, request: bytes, signature, caller, signer: None }))
    }
}

impl Signer for LocalSigner {
    fn seal<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Sealed, SignError>> {
        Box::pin(ready(self.seal_now(request)))
    }
}

impl Sealed {
    /// The message to publish: the sealed request with `headers` around it.
    #[must_use]
    pub fn transport(&self, headers: &Headers) -> Vec<u8> {
        transport::encode(self.version, &self.bytes, headers)
    }

    /// The secure request, JSON text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn new(secure: &SecureRequest) -> Self {
        Self { version: secure.version, bytes: secure.encode() }
    }

    /// The signer does not know the caller's token, so that is put in here; the signature does not cover it.
    pub(crate) fn delegated(provider: &Provider, request: &Request, answer: &[u8]) -> Result<Self, SignError> {
        let mut secure = SecureRequest::parse(answer).map_err(SignError::Answer)?;
        if secure.version != Version::V2 {
            return Err(SignError::Version(secure.version));
        }
        if secure.signer.is_none() {
            return Err(SignError::NoDelegate);
        }
        let signed = secure.unverified_request().map_err(SignError::Answer)?;
        if signed.id != request.id {
            return Err(SignError::OtherRequest { request: request.id.to_string(), answer: signed.id.to_string() });
        }
        check_unaltered(request, &signed)?;
        provider.token().ok_or(SignError::NoCredentials)?.clone_into(&mut secure.caller);
        Ok(Self::new(&secure))
    }
}

/// A signer sets the caller and writes the request anew; everything else must be what was asked for.
fn check_unaltered(request: &Request, signed: &Request) -> Result<(), SignError> {
    // Read back, since a message may lose what a value in memory has.
    let asked = Request::parse(&request.encode()).map_err(SignError::Invalid)?;
    let parts = [
        ("agent", asked.agent == signed.agent),
        ("collective", asked.collective == signed.collective),
        ("sender", asked.sender == signed.sender),
        ("time", asked.time == signed.time && asked.ttl == signed.ttl),
        ("filter", asked.filter == signed.filter),
        ("message", asked.payload == signed.payload),
    ];
    match parts.into_iter().find(|(_, same)| !same) {
        Some((part, _)) => Err(SignError::Altered(part)),
        None => Ok(()),
    }
}

/// Refuses here what every receiver would drop without an answer. Servers may sign: registration data is not verified
/// by who takes it. Provisioners need no permission for the fleet, unprovisioned servers verify nothing.
fn check_allowed(credentials: &Credentials, request: &Request) -> Result<(), SignError> {
    if *credentials.caller() != request.caller {
        let token = credentials.caller().to_string();
        return Err(SignError::OtherCaller { request: request.caller.to_string(), token });
    }
    let OwnClaims::Client(claims) = credentials.claims() else { return Ok(()) };
    let granted = claims.granted();
    let caller = claims.caller_id.clone();
    if granted.server_provisioner {
        return Ok(());
    }
    if granted.signed_fleet_management {
        return Err(SignError::NeedsDelegate { caller });
    }
    if granted.fleet_management { Ok(()) } else { Err(SignError::NoFleetManagement { caller }) }
}
