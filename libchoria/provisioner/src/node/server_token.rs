//! The token that a node gets with its configuration (spec 06 §8).
//!
//! Who the node is, its key and who issues the token come from the provisioner alone; the helper chooses what the node may
//! do and for how long.

use crate::helper::ServerWishes;
use crate::settings::Signing;
use config::build;
use names::Identity;
use rand::{CryptoRng, RngCore};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{ClientClaims, IssueError, KeyError, PublicKey, ServerClaims, SigningKey, read_client, read_token};

/// Why a server token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A key or token file cannot be used.
    #[error("{}; see jwt_signing_key and jwt_signing_token", chain(.0))]
    File(#[from] KeyError),
    /// The signing token is none.
    #[error("the token in jwt_signing_token cannot be read: {0}")]
    SigningToken(tokens::Invalid),
    /// The signing token does not make its holder an issuer.
    #[error("the token in jwt_signing_token is not one of a chain issuer: {0}; make it with --issuer")]
    NotAnIssuer(tokens::ChainFault),
    /// The signing token is expired.
    #[error("the token in jwt_signing_token is expired, so every token it signs would be: renew it")]
    Expired,
    /// A chain of trust needs an ed25519 key.
    #[error("jwt_signing_key is an RSA key, and with jwt_signing_token it must be the ed25519 seed of that token")]
    RsaChain,
    /// The claims do not make a token.
    #[error("the server token cannot be made: {0}")]
    Issue(#[from] IssueError),
}

/// Who signs, read from the files.
#[derive(Debug)]
pub(crate) struct Signer {
    key: SigningKey,
    /// The token of the chain issuer whose seed `key` is.
    issuer: Option<Box<ClientClaims>>,
    validity: Duration,
}

/// Whose token it is: nothing of this can come from the helper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    /// The node, as it was found.
    pub(crate) identity: &'a Identity,
    /// The key that it proved to hold.
    pub(crate) public_key: PublicKey,
}

impl Signer {
    /// Reads key and token.
    pub(crate) fn read(signing: &Signing) -> Result<Self, TokenError> {
        let key = SigningKey::read(&signing.key)?;
        let issuer = match &signing.token {
            None => None,
            Some(path) => Some(Box::new(read_client(&read_token(path)?).map_err(TokenError::SigningToken)?)),
        };
        Ok(Self { key, issuer, validity: signing.validity })
    }

    /// The token of `holder`.
    pub(crate) fn issue(
        &self,
        holder: Holder<'_>,
        wishes: &ServerWishes,
        configuration: &BTreeMap<String, String>,
        now: SystemTime,
        random: &mut (impl RngCore + CryptoRng),
    ) -> Result<String, TokenError> {
        let Holder { identity, public_key } = holder;
        let collectives = collectives(wishes, configuration);
        let mut claims = ServerClaims::new(identity.as_str(), collectives, public_key, self.validity, now, random)?;
        ISSUER.clone_into(&mut claims.standard.issuer);
        claims.standard.expires = expiry(wishes.expires, claims.standard.expires, now);
        if let Some(organization) = &wishes.organization {
            claims.organization_unit.clone_from(organization);
        }
        claims.permissions = wishes.permissions;
        claims.additional_publish_subjects.clone_from(&wishes.publish_subjects);
        match (&self.key, &self.issuer) {
            (_, None) => {}
            (SigningKey::Rsa(_), Some(_)) => return Err(TokenError::RsaChain),
            (SigningKey::Ed25519(seed), Some(issuer)) => {
                check_issuer(issuer, now)?;
                claims.standard.add_chain_issuer(issuer, seed)?;
            }
        }
        Ok(claims.sign(&self.key)?)
    }
}

/// Tokens that nodes would refuse are not made.
fn check_issuer(issuer: &ClientClaims, now: SystemTime) -> Result<(), TokenError> {
    let standard = &issuer.standard;
    if !standard.is_chain_issuer() {
        let fault = match (&standard.trust_chain_signature, standard.issuer.starts_with("I-")) {
            (None, _) => tokens::ChainFault::NoSignature,
            (Some(_), false) => tokens::ChainFault::NotChained,
            (Some(_), true) => tokens::ChainFault::Appointment,
        };
        return Err(TokenError::NotAnIssuer(fault));
    }
    if standard.is_expired(now) { Err(TokenError::Expired) } else { Ok(()) }
}

/// The helper's, else those of the configuration, else those of the security provider.
fn collectives(wishes: &ServerWishes, configuration: &BTreeMap<String, String>) -> Vec<String> {
    if !wishes.collectives.is_empty() {
        return wishes.collectives.clone();
    }
    let configured = configuration.get("collectives").filter(|list| !list.is_empty());
    let uses_tokens = configuration.get("plugin.security.provider").is_some_and(|provider| provider == "choria");
    match configured {
        Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
        None if uses_tokens && build::COLLECTIVES == "mcollective" => vec!["choria".to_owned()],
        None => build::collectives().map(str::to_owned).collect(),
    }
}

/// What the helper wants, unless that is over within the hour: existing helpers send how long a token shall live, which
/// read as a date lies in 1974.
fn expiry(wanted: Option<u64>, default: Option<SystemTime>, now: SystemTime) -> Option<SystemTime> {
    let wanted = wanted.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    let long_enough = |expiry: &SystemTime| expiry.duration_since(now).is_ok_and(|left| left > SHORTEST);
    wanted.filter(long_enough).or(default)
}

/// An error with its causes.
fn chain(error: &KeyError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

/// `iss` of tokens that are not part of a chain.
const ISSUER: &str = "Choria Provisioner";
/// The helper's expiry counts when more than this is left.
const SHORTEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
