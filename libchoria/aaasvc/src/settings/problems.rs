//! Everything that keeps the service from starting, listed at once (spec 07 §2).

use super::duration::InvalidDuration;
use security::SetupErrors;
use std::fmt;
use std::path::PathBuf;
use tokens::KeyError;

/// What is wrong with the configuration, at least one thing.
#[derive(Debug)]
pub struct Problems(pub(super) Vec<Problem>);

/// One thing that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("could not read config file {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not JSON, or a value is of the wrong type.
    #[error("could not parse config file {path}: {source}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// It names a credential that cannot be had.
    #[error("{path}:{line}: {error}", path = path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// Why.
        error: config::CredentialError,
    },
    /// The Choria configuration cannot be used.
    #[error("could not parse choria config {path}: {reason}", path = path.display())]
    ChoriaConfig {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A part needs the Choria configuration.
    #[error("choria_config is not set and {0} needs it: name the Choria configuration file there")]
    NoChoriaConfig(&'static str),
    /// Token and seed of the Choria configuration.
    #[error("could not configure choria: {0}")]
    Security(#[from] SetupErrors),
    /// Brokers and certificates of the Choria configuration.
    #[error("could not configure choria: {0}")]
    Network(#[from] network::SettingsError),
    /// A name that nothing here has.
    #[error("unknown {key}: {found}: {key} is one of {known}")]
    Unknown {
        /// The key.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        known: &'static str,
    },
    /// The auditor was taken out of the original long ago.
    #[error("NATS Streaming Server auditor has been removed: use jetstream in auditors")]
    NatsStreaming,
    /// A part is switched on and its section is missing.
    #[error("{part} enabled without a valid configuration: add the section {section}")]
    NoSection {
        /// The part.
        part: &'static str,
        /// The section.
        section: &'static str,
    },
    /// A key of a section is missing.
    #[error("{0} is required")]
    Missing(&'static str),
    /// A token's lifetime.
    #[error("invalid token validity: {section}.validity: {source}")]
    Validity {
        /// The section.
        section: &'static str,
        /// What is wrong.
        source: InvalidDuration,
    },
    /// The longest lifetime of a token.
    #[error(
        "max_validity is required: set basicjwt_signer.max_validity to the longest time a token may still be valid"
    )]
    NoMaxValidity,
    /// The same.
    #[error("invalid max_validity duration: basicjwt_signer.max_validity: {0}")]
    MaxValidity(InvalidDuration),
    /// A key or token file.
    #[error("{key}: {}", chain(.source))]
    Key {
        /// The key that names the file.
        key: &'static str,
        /// What is wrong.
        source: KeyError,
    },
    /// What a file holds is not usable.
    #[error("{key}: {reason}")]
    File {
        /// The key that names the file.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A value outside its range.
    #[error("{key}: {rule}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A port without encryption.
    #[error(
        "port is set, and {0} is not: set tls_certificate and tls_key to PEM files, or start with --disable-tls behind \
         something else that encrypts"
    )]
    NoCertificate(&'static str),
    /// Certificate, key or authorities.
    #[error(transparent)]
    Encryption(#[from] crate::http::EncryptionError),
    /// A signer that nobody restricts.
    #[error(
        "signer is set and authorizer is not: every request would be signed for everybody; set authorizer to actionlist \
         or opa"
    )]
    NoAuthorizer,
    /// Nothing to serve.
    #[error(
        "there is nothing to do: set authenticator or signer, and port for HTTPS or basicjwt_signer.choria_service for RPC"
    )]
    Nothing,
}

impl Problems {
    /// All of them, in the order of the file's keys.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the AAA service cannot start:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// An error with the ones that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
