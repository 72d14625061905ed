//! Making tokens: new claims with the defaults of spec 01 §3, and signing them.

use crate::claims::{ClientClaims, ProvisioningClaims, Purpose, ServerClaims, StandardClaims};
use crate::key::PublicKey;
use crate::key_file::SigningKey;
use crate::ksuid::Ksuid;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::{CryptoRng, RngCore};
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The `ou` of tokens for which none is given.
pub const DEFAULT_ORGANIZATION: &str = "choria";

/// How long client and provisioning tokens live for which nothing else is said.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(3600);

/// Why a token cannot be issued.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IssueError {
    /// A claim that the kind of token needs is empty.
    #[error("a {kind} token needs {claim}")]
    Missing {
        /// The kind of token.
        kind: Purpose,
        /// What is missing, in words.
        claim: &'static str,
    },
    /// The token that shall take part in a chain of trust lacks a claim.
    #[error("a token in a chain of trust needs the claim {0}")]
    ChainWithout(&'static str),
    /// The token of the chain issuer lacks a claim.
    #[error("the issuer's token has no claim {0}, so it is not the token of a chain issuer")]
    Issuer(&'static str),
    /// The seed does not belong to the chain issuer's token.
    #[error("the seed is not that of the chain issuer: its public key is not the public_key in the issuer's token")]
    OtherSeed,
    /// The expiry lies beyond what the clock can hold.
    #[error("the validity is too long")]
    Validity,
    /// The claims cannot be written, or the RSA key does not sign.
    #[error("the token cannot be signed: {0}")]
    Signing(String),
}

impl ClientClaims {
    /// Claims of a new client token without permissions, for the organization `choria`. All else is set through the
    /// fields; `public_key` should be, or the broker refuses the token.
    ///
    /// # Errors
    /// [`IssueError::Missing`] without a caller id, [`IssueError::Validity`].
    pub fn new(
        caller_id: &str,
        validity: Duration,
        now: SystemTime,
        random: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, IssueError> {
        require(Purpose::Client, "a caller id", !caller_id.is_empty())?;
        Ok(Self {
            caller_id: caller_id.to_owned(),
            organization_unit: DEFAULT_ORGANIZATION.to_owned(),
            standard: StandardClaims::new(Purpose::Client, validity, now, random)?,
            ..Self::default()
        })
    }

    /// Signs the token.
    ///
    /// # Errors
    /// [`IssueError::Signing`].
    pub fn sign(&self, key: &SigningKey) -> Result<String, IssueError> {
        sign(self, key)
    }
}

impl ServerClaims {
    /// Claims of a new server token without permissions, for the organization `choria`. All else is set through the
    /// fields.
    ///
    /// # Errors
    /// [`IssueError::Missing`] without an identity or a collective, [`IssueError::Validity`].
    pub fn new(
        identity: &str,
        collectives: Vec<String>,
        public_key: PublicKey,
        validity: Duration,
        now: SystemTime,
        random: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, IssueError> {
        require(Purpose::Server, "an identity", !identity.is_empty())?;
        require(Purpose::Server, "at least one collective", !collectives.is_empty())?;
        require(Purpose::Server, "a validity of more than zero", !validity.is_zero())?;
        let mut standard = StandardClaims::new(Purpose::Server, validity, now, random)?;
        standard.public_key = Some(public_key.to_string());
        Ok(Self {
            identity: identity.to_owned(),
            collectives,
            organization_unit: DEFAULT_ORGANIZATION.to_owned(),
            standard,
            ..Self::default()
        })
    }

    /// Signs the token.
    ///
    /// # Errors
    /// [`IssueError::Signing`].
    pub fn sign(&self, key: &SigningKey) -> Result<String, IssueError> {
        sign(self, key)
    }
}

impl ProvisioningClaims {
    /// Claims of a new provisioning token for the organization `choria`. All else is set through the fields, among
    /// which signing requires broker URLs or an SRV domain.
    ///
    /// # Errors
    /// [`IssueError::Validity`].
    pub fn new(
        token: &str,
        validity: Duration,
        now: SystemTime,
        random: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, IssueError> {
        let mut standard = StandardClaims::new(Purpose::Provisioning, validity, now, random)?;
        Purpose::Provisioning.claim().clone_into(&mut standard.subject);
        Ok(Self {
            token: token.to_owned(),
            organization_unit: DEFAULT_ORGANIZATION.to_owned(),
            standard,
            ..Self::default()
        })
    }

    /// Signs the token.
    ///
    /// # Errors
    /// [`IssueError::Missing`] without broker URLs and SRV domain, [`IssueError::Signing`].
    pub fn sign(&self, key: &SigningKey) -> Result<String, IssueError> {
        let reachable = !self.urls.is_empty() || !self.srv_domain.is_empty();
        require(Purpose::Provisioning, "broker URLs or an SRV domain", reachable)?;
        sign(self, key)
    }
}

impl StandardClaims {
    /// Claims for a token made at `now`, valid from then on for `validity`, with a new id. A `validity` of zero is
    /// [`DEFAULT_VALIDITY`].
    ///
    /// # Errors
    /// [`IssueError::Validity`].
    fn new(
        purpose: Purpose,
        validity: Duration,
        now: SystemTime,
        random: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, IssueError> {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let created = UNIX_EPOCH + Duration::from_secs(since.as_secs());
        let validity = if validity.is_zero() { DEFAULT_VALIDITY } else { validity };
        Ok(Self {
            purpose,
            issuer: DEFAULT_ISSUER.to_owned(),
            expires: Some(created.checked_add(validity).ok_or(IssueError::Validity)?),
            not_before: Some(created),
            issued_at: Some(created),
            id: Ksuid::new(created, random).to_string(),
            ..Self::default()
        })
    }
}

fn require(kind: Purpose, claim: &'static str, present: bool) -> Result<(), IssueError> {
    if present { Ok(()) } else { Err(IssueError::Missing { kind, claim }) }
}

/// Encodes and signs any claims.
fn sign(claims: &impl Serialize, key: &SigningKey) -> Result<String, IssueError> {
    let algorithm = match key {
        SigningKey::Ed25519(_) => "EdDSA",
        SigningKey::Rsa(_) => "RS256",
    };
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    // Claims are texts, flags, times and JSON values: all have a JSON form.
    let payload = serde_json::to_vec(claims).map_err(|error| IssueError::Signing(error.to_string()))?;
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = match key {
        SigningKey::Ed25519(seed) => seed.sign(signed.as_bytes()).to_base64(),
        SigningKey::Rsa(key) => jsonwebtoken::crypto::sign(signed.as_bytes(), &key.0, jsonwebtoken::Algorithm::RS256)
            .map_err(|error| IssueError::Signing(error.to_string()))?,
    };
    Ok(format!("{signed}.{signature}"))
}

/// `iss` of tokens for which nothing else is said, the same for every implementation.
const DEFAULT_ISSUER: &str = "Choria Tokens Package";
