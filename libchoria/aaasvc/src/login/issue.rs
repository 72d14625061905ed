//! The token of somebody who logged in (spec 07 §4.4). Key and chain issuer come from the configuration alone and are read
//! at each login, so replacing the files needs no restart.

use super::Refusal;
use crate::settings::{Issuing, Policy, User};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;
use tokens::{ClientClaims, ClientPermissions, IssueError, KeyError, PublicKey, SigningKey, read_client, read_token};

/// Who a token is for and what it allows.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    pub(super) caller: String,
    pub(super) issuer: &'static str,
    pub(super) organization: String,
    pub(super) acls: Vec<String>,
    pub(super) policy: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) permissions: Option<ClientPermissions>,
}

/// Why no token could be made, though the password is right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueFailure {
    #[error("the policy in {path} of opa_policy_file cannot be read: {reason}", path = path.display())]
    Policy { path: PathBuf, reason: String },
    #[error("the claims cannot be made: {0}")]
    Claims(IssueError),
    #[error("signing_key: {}", crate::settings::chain(.0))]
    Key(KeyError),
    #[error("signing_token: {}", crate::settings::chain(.0))]
    ChainFile(KeyError),
    #[error("signing_token is no client token: {0}")]
    ChainToken(tokens::Invalid),
    #[error("signing_token is not the token of a chain issuer: issue it with choria jwt client --issuer")]
    NoChain,
    #[error("signing_token has expired, or never expires: issue a new one")]
    ChainTime,
    #[error("signing_token needs the ed25519 seed it was issued for in signing_key, and that is an RSA key")]
    ChainKey,
    #[error("the token cannot be signed: {0}")]
    Sign(IssueError),
}

impl IssueFailure {
    /// What the person is told.
    pub(super) fn text(&self) -> &'static str {
        match self {
            Self::Policy { .. } | Self::Claims(_) => "Login failed",
            _ => "Could not sign JWT token",
        }
    }
}

impl Person {
    /// A user of the list, with the policy as it is now.
    ///
    /// # Errors
    /// The policy cannot be read.
    pub(super) fn of_user(user: &User) -> Result<Self, Refusal> {
        let policy = match &user.policy {
            Policy::None => None,
            Policy::Text(text) => Some(text.clone()),
            Policy::File(path) => Some(read_policy(path).map_err(Refusal::Issue)?),
        };
        Ok(Self {
            caller: format!("up={}", user.name),
            issuer: "Choria Userlist Authenticator",
            organization: user.organization.clone(),
            acls: user.acls.clone(),
            policy: policy.filter(|text| !text.is_empty()),
            properties: user.properties.clone(),
            permissions: user.permissions,
        })
    }
}

/// The signed token of `person`, for the holder of `key`.
///
/// # Errors
/// [`IssueFailure`].
pub(super) fn token(
    person: &Person,
    key: &PublicKey,
    issuing: &Issuing,
    now: SystemTime,
) -> Result<String, IssueFailure> {
    let random = &mut rand::rngs::OsRng;
    let mut claims = ClientClaims::new(&person.caller, issuing.validity, now, random).map_err(IssueFailure::Claims)?;
    if !person.organization.is_empty() {
        claims.organization_unit.clone_from(&person.organization);
    }
    claims.allowed_agents.clone_from(&person.acls);
    claims.opa_policy.clone_from(&person.policy);
    claims.user_properties.clone_from(&person.properties);
    claims.permissions = person.permissions;
    claims.standard.public_key = Some(key.to_string());
    person.issuer.clone_into(&mut claims.standard.issuer);
    let signer = issuer(issuing, now)?;
    if let (Some(chain), SigningKey::Ed25519(seed)) = (&signer.chain, &signer.key) {
        claims.standard.add_chain_issuer(chain, seed).map_err(IssueFailure::Sign)?;
    }
    claims.sign(&signer.key).map_err(IssueFailure::Sign)
}

/// Whether tokens could be made now.
///
/// # Errors
/// What keeps them from being made.
pub(crate) fn check(issuing: &Issuing) -> Result<(), IssueFailure> {
    let person = Person { caller: "up=check".to_owned(), ..Person::default() };
    token(&person, &tokens::Seed::generate().public(), issuing, SystemTime::now()).map(drop)
}

/// Who signs.
struct Issuer {
    key: SigningKey,
    chain: Option<ClientClaims>,
}

fn issuer(issuing: &Issuing, now: SystemTime) -> Result<Issuer, IssueFailure> {
    let key = SigningKey::read(&issuing.key).map_err(IssueFailure::Key)?;
    let Some(path) = &issuing.chain else { return Ok(Issuer { key, chain: None }) };
    let token = read_token(path).map_err(IssueFailure::ChainFile)?;
    let chain = read_client(&token).map_err(IssueFailure::ChainToken)?;
    if chain.standard.trust_chain_signature.is_none() {
        return Err(IssueFailure::NoChain);
    }
    if chain.standard.is_expired(now) {
        return Err(IssueFailure::ChainTime);
    }
    match &key {
        SigningKey::Ed25519(_) => Ok(Issuer { key, chain: Some(chain) }),
        SigningKey::Rsa(_) => Err(IssueFailure::ChainKey),
    }
}

fn read_policy(path: &PathBuf) -> Result<String, IssueFailure> {
    let failed = |reason: String| IssueFailure::Policy { path: path.clone(), reason };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > LARGEST_POLICY {
        return Err(failed(format!("{size} bytes do not fit into a token; a policy has at most {LARGEST_POLICY}")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

/// Brokers take no more than a megabyte in one message, and the token is in each.
const LARGEST_POLICY: u64 = 128 * 1024;
