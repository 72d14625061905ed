//! Making a provider from the configuration: everything is read and judged, and every mistake is listed at once.

use crate::credentials::{Credentials, CredentialsError};
use crate::provider::{Parts, Trust};
use crate::trust::TrustedTokens;
use config::{Key, PathText, Settings, keys};
use names::{Identity, InvalidName};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokens::{InvalidKey, KeyError, PublicKey, Purpose, Seed, TrustRoots, read_token};

/// Which half of the network a process belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Takes requests: needs a server token and trusted issuers.
    Server,
    /// Makes requests: needs a token of any kind that can connect.
    Client,
}

/// Everything that is wrong with the security setup, at least one thing.
#[derive(Debug)]
pub struct SetupErrors(Vec<SetupError>);

/// One thing that is wrong with the security setup.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Another provider is configured.
    #[error(
        "this build has the security provider `choria` only so far, not {0:?}: set plugin.security.provider = choria"
    )]
    Provider(String),
    /// A key that has no meaning with this provider.
    #[error("{0} can not be set when the choria security provider is used: remove it")]
    Exclusive(&'static str),
    /// A client does not know who its user is.
    #[error("could not determine client identity, ensure USER environment variable is set")]
    NoUser,
    /// The user's name cannot be an identity.
    #[error("USER environment variable: {0}")]
    UserName(InvalidName),
    /// The path of the token is missing.
    #[error("the path to the JWT token is not configured: set plugin.security.choria.token_file")]
    NoTokenFile,
    /// The path of the seed is missing.
    #[error("the path to the ed25519 seed is not configured: set plugin.security.choria.seed_file")]
    NoSeedFile,
    /// Token or seed cannot be read.
    #[error("{key}: {}", chain(.error))]
    File {
        /// The key that names the file.
        key: &'static str,
        /// What is wrong with the file.
        error: KeyError,
    },
    /// Token and seed are no credentials.
    #[error("the token in {} with the seed in {}: {error}", .path.display(), .seed.display())]
    Credentials {
        /// The token file.
        path: PathBuf,
        /// The seed file.
        seed: PathBuf,
        /// What is wrong.
        error: CredentialsError,
    },
    /// A server has another kind of token.
    #[error("the token in {} is a {found} token: a server needs a server token, which provisioning gives it", .path.display())]
    Purpose {
        /// The token file.
        path: PathBuf,
        /// The kind of token it holds.
        found: Purpose,
    },
    /// The token of a client cannot be used any more.
    #[error("the token in {} expired at {when}: {}", .path.display(), remedy.sentence())]
    Expired {
        /// The token file.
        path: PathBuf,
        /// When it expired, RFC 3339.
        when: String,
        /// Where a new one comes from.
        remedy: Remedy,
    },
    /// Nobody has logged in on this machine.
    #[error("there is no {what} in {}: run `choria login`", .path.display())]
    NotLoggedIn {
        /// `token` or `seed`.
        what: &'static str,
        /// The file that is missing.
        path: PathBuf,
    },
    /// The token has no time at which it expires, which brokers refuse.
    #[error("the token in {} never expires, which brokers refuse: obtain one with an expiry", .path.display())]
    NoExpiry {
        /// The token file.
        path: PathBuf,
    },
    /// The token cannot be used yet.
    #[error("the token in {} is valid from {when}: check the clock of this machine", .path.display())]
    NotYetValid {
        /// The token file.
        path: PathBuf,
        /// From when it is valid, RFC 3339.
        when: String,
    },
    /// The token is of another node.
    #[error("identity {identity} does not match caller {token} in JWT token {}: provision this node again, or set identity = {token}", .path.display())]
    OtherIdentity {
        /// The token file.
        path: PathBuf,
        /// Identity of this node.
        identity: Identity,
        /// Identity in the token.
        token: String,
    },
    /// A server trusts nobody.
    #[error(
        "no trusted token signers or issuers configured: set plugin.security.issuer.names and the issuers' keys, or plugin.security.choria.trusted_signers"
    )]
    NoTrust,
    /// Two ways to trust.
    #[error(
        "can only configure one of trusted token signers or issuers: remove plugin.security.choria.trusted_signers or plugin.security.issuer.names"
    )]
    TwoTrusts,
    /// A named issuer has no key.
    #[error(
        "could not find option plugin.security.issuer.{0}.public while adding issuer {0}: set it to that issuer's public key, or take {0} out of plugin.security.issuer.names"
    )]
    NoIssuerKey(String),
    /// A configured public key is none.
    #[error("{key}: {error}")]
    PublicKey {
        /// The key that holds it.
        key: String,
        /// The rule it breaks.
        error: InvalidKey,
    },
}

/// Where a client's token comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Remedy {
    /// From an AAA service: `plugin.login.aaasvc.login.url` is set.
    Login,
    /// From whoever issues tokens.
    Issuer,
}

impl Remedy {
    fn of(settings: &Settings) -> Self {
        if settings.get(keys::LOGIN_AAASVC_LOGIN_URL).is_empty() { Self::Issuer } else { Self::Login }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Login => "run `choria login`",
            Self::Issuer => "obtain a new one",
        }
    }
}

/// How far a token's times and this machine's clock may differ (spec 02 §10).
const LEEWAY: Duration = Duration::from_secs(5);

impl Parts {
    /// Reads token, seed and issuers that `settings` names.
    ///
    /// With the self-check turned off, as [`config::Protection`] may say, a server may trust nobody; with unsigned
    /// messages nothing is needed at all.
    ///
    /// # Errors
    /// Every mistake found.
    pub fn from_settings(settings: &Settings, role: Role, now: SystemTime) -> Result<Self, SetupErrors> {
        check_provider(settings)?;
        let mut errors = exclusive(settings);
        let identity = keep(&mut errors, identity(settings, role));
        let protection = settings.protection();
        let has_files = settings.get(keys::SECURITY_CHORIA_TOKEN_FILE).is_some();
        let credentials =
            if protection.signed_messages || has_files { credentials(settings, role, &mut errors) } else { None };
        if let (Some((path, credentials)), Some(identity)) = (&credentials, &identity) {
            errors.extend(check_credentials(path, credentials, identity, role, now, Remedy::of(settings)));
        }
        let roots = keep(&mut errors, trust_roots(settings)).flatten();
        let trust = match roots {
            _ if !protection.signed_messages => Trust::Insecure,
            Some(roots) => Trust::Tokens(Arc::new(TrustedTokens::new(roots))),
            None => Trust::Nobody,
        };
        let trusts_nobody = matches!(trust, Trust::Nobody) && !names_trust(settings);
        if role == Role::Server && protection.validate_security && trusts_nobody {
            errors.push(SetupError::NoTrust);
        }
        let sign_replies = protection.signed_messages && settings.get(keys::SECURITY_CHORIA_SIGN_REPLIES);
        match identity {
            Some(identity) if errors.is_empty() => {
                let credentials = credentials.map(|(_, credentials)| credentials);
                Ok(Self { identity, credentials, trust, sign_replies })
            }
            _ => Err(SetupErrors(errors)),
        }
    }
}

/// Who `settings` trusts to issue tokens: organization issuers or trusted signers; `None` when neither is configured.
///
/// # Errors
/// Both at once, issuers without a key, and keys that are none.
pub fn trust_roots(settings: &Settings) -> Result<Option<TrustRoots>, SetupErrors> {
    let (names, signers) =
        (settings.get(keys::SECURITY_ISSUER_NAMES), settings.get(keys::SECURITY_CHORIA_TRUSTED_SIGNERS));
    let mut errors = Vec::new();
    if !names.is_empty() && !signers.is_empty() {
        errors.push(SetupError::TwoTrusts);
    }
    let mut issuers = BTreeMap::new();
    for name in names {
        let key = format!("plugin.security.issuer.{name}.public");
        match settings.raw(&key).map(str::trim).filter(|text| !text.is_empty()) {
            None => errors.push(SetupError::NoIssuerKey(name.to_owned())),
            Some(text) => {
                let public = text.parse::<PublicKey>().map_err(|error| SetupError::PublicKey { key, error });
                issuers.extend(keep(&mut errors, public.map_err(Into::into)).map(|public| (name.to_owned(), public)));
            }
        }
    }
    let mut trusted = Vec::new();
    for text in signers {
        let key = keys::SECURITY_CHORIA_TRUSTED_SIGNERS.name().to_owned();
        let public = text.parse::<PublicKey>().map_err(|error| SetupError::PublicKey { key, error });
        trusted.extend(keep(&mut errors, public.map_err(Into::into)).map(Into::into));
    }
    if !errors.is_empty() {
        return Err(SetupErrors(errors));
    }
    Ok(match (names.is_empty(), signers.is_empty()) {
        (true, true) => None,
        (false, _) => Some(TrustRoots::issuers(issuers)),
        (true, false) => Some(TrustRoots::signers(trusted)),
    })
}

impl SetupErrors {
    /// All of them, in the order they were found.
    #[must_use]
    pub fn list(&self) -> &[SetupError] {
        &self.0
    }
}

impl fmt::Display for SetupErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "error" } else { "errors" };
        write!(f, "security setup is not valid, {} {plural} encountered:", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl Error for SetupErrors {}

impl From<SetupError> for SetupErrors {
    fn from(error: SetupError) -> Self {
        Self(vec![error])
    }
}

fn check_provider(settings: &Settings) -> Result<(), SetupErrors> {
    match settings.provider() {
        "choria" => Ok(()),
        other => Err(SetupError::Provider(other.to_owned()).into()),
    }
}

/// The keys that are set but belong to other providers.
fn exclusive(settings: &Settings) -> Vec<SetupError> {
    let rows = [
        (keys::SECURITY_SERVER_TOKEN_FILE.name(), settings.is_set(keys::SECURITY_SERVER_TOKEN_FILE)),
        (keys::SECURITY_SERVER_SEED_FILE.name(), settings.is_set(keys::SECURITY_SERVER_SEED_FILE)),
        (keys::SECURITY_SERVER_ANON_TLS.name(), settings.get(keys::SECURITY_SERVER_ANON_TLS)),
        (keys::SECURITY_CLIENT_ANON_TLS.name(), settings.get(keys::SECURITY_CLIENT_ANON_TLS)),
        (keys::SECURITY_REQUEST_SIGNER_SEED_FILE.name(), settings.is_set(keys::SECURITY_REQUEST_SIGNER_SEED_FILE)),
        (keys::SECURITY_REQUEST_SIGNER_TOKEN_FILE.name(), settings.is_set(keys::SECURITY_REQUEST_SIGNER_TOKEN_FILE)),
    ];
    rows.into_iter().filter(|(_, set)| *set).map(|(key, _)| SetupError::Exclusive(key)).collect()
}

/// A server is who the configuration says, a client is its user.
fn identity(settings: &Settings, role: Role) -> Result<Identity, SetupErrors> {
    match role {
        Role::Server => Ok(settings.identity()),
        Role::Client => {
            let user = settings.user().filter(|user| !user.is_empty()).ok_or(SetupError::NoUser)?;
            Ok(user.parse().map_err(SetupError::UserName)?)
        }
    }
}

/// Token and seed with the path of the token.
fn credentials(settings: &Settings, role: Role, errors: &mut Vec<SetupError>) -> Option<(PathBuf, Credentials)> {
    let token_key = keys::SECURITY_CHORIA_TOKEN_FILE;
    let seed_key = keys::SECURITY_CHORIA_SEED_FILE;
    let token_path = keep(errors, path(settings, token_key, SetupError::NoTokenFile));
    let seed_path = keep(errors, path(settings, seed_key, SetupError::NoSeedFile));
    let logs_in = role == Role::Client && Remedy::of(settings) == Remedy::Login;
    let file = |what: &'static str, key: Key<PathText>| {
        move |error| {
            SetupErrors::from(match error {
                KeyError::Read { path, source } if logs_in && source.kind() == ErrorKind::NotFound => {
                    SetupError::NotLoggedIn { what, path }
                }
                error => SetupError::File { key: key.name(), error },
            })
        }
    };
    let token = token_path.as_deref().and_then(|path| keep(errors, read_token(path).map_err(file("token", token_key))));
    let seed = seed_path.as_deref().and_then(|path| keep(errors, Seed::read(path).map_err(file("seed", seed_key))));
    let (path, seed_path, token, seed) = (token_path?, seed_path?, token?, seed?);
    match Credentials::new(&token, seed) {
        Ok(credentials) => Some((path, credentials)),
        Err(error) => {
            errors.push(SetupError::Credentials { path, seed: seed_path, error });
            None
        }
    }
}

/// What is wrong with a token that is readable and belongs to the seed.
fn check_credentials(
    path: &Path,
    credentials: &Credentials,
    identity: &Identity,
    role: Role,
    now: SystemTime,
    remedy: Remedy,
) -> Vec<SetupError> {
    let path = || path.to_owned();
    let mut errors = Vec::new();
    match (role, credentials.purpose()) {
        (Role::Server, Purpose::Server) if credentials.caller() != identity.as_str() => {
            let token = credentials.caller().to_string();
            errors.push(SetupError::OtherIdentity { path: path(), identity: identity.clone(), token });
        }
        (_, Purpose::Server) | (Role::Client, _) => {}
        (Role::Server, found) => errors.push(SetupError::Purpose { path: path(), found }),
    }
    match credentials.expiry() {
        None => errors.push(SetupError::NoExpiry { path: path() }),
        // A server waits for a new token, which its connection reads before each attempt, and says so.
        Some(expiry) if role == Role::Client && later(now, expiry) => {
            errors.push(SetupError::Expired { path: path(), when: rfc3339(expiry), remedy });
        }
        Some(_) => {}
    }
    if let Some(start) = credentials.standard().not_before.filter(|start| later(*start, now)) {
        errors.push(SetupError::NotYetValid { path: path(), when: rfc3339(start) });
    }
    errors
}

fn path(settings: &Settings, key: Key<PathText>, missing: SetupError) -> Result<PathBuf, SetupErrors> {
    Ok(settings.get(key).ok_or(missing)?)
}

/// Whether anything is configured that says who is trusted, even if it cannot be read.
fn names_trust(settings: &Settings) -> bool {
    let (names, signers) =
        (settings.get(keys::SECURITY_ISSUER_NAMES), settings.get(keys::SECURITY_CHORIA_TRUSTED_SIGNERS));
    !(names.is_empty() && signers.is_empty())
}

/// The value of `result`, or nothing with its errors added to `errors`.
fn keep<T>(errors: &mut Vec<SetupError>, result: Result<T, SetupErrors>) -> Option<T> {
    result.map_err(|found| errors.extend(found.0)).ok()
}

/// An error with the ones that caused it, for a list in which each has one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether `time` is after `other` by more than the clocks may differ.
fn later(time: SystemTime, other: SystemTime) -> bool {
    time.duration_since(other).is_ok_and(|distance| distance > LEEWAY)
}

/// `time` in UTC; times that have no such form are of no use to a reader either.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let date =
        i64::try_from(since.as_secs()).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| "an unknown date".to_owned())
}
