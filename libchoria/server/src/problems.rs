//! Everything that keeps a server from starting, listed at once.

use agents::InvalidAgent;
use names::InvalidName;
use network::SettingsError;
use security::SetupErrors;
use std::fmt;

/// What is wrong with the setup of a server, at least one thing.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong with the setup of a server.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Tokens, seeds and trusted issuers.
    #[error(transparent)]
    Security(#[from] SetupErrors),
    /// Brokers, certificates and logins.
    #[error("network setup is not valid: {0}")]
    Network(#[from] SettingsError),
    /// An agent cannot be hosted.
    #[error(transparent)]
    Agent(#[from] InvalidAgent),
    /// Submitted messages.
    #[error("submission setup is not valid: {0}")]
    Submission(#[from] submission::SettingsError),
    /// A built-in name is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl Problems {
    /// All of them.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    /// Problems that were found; the list is not empty.
    pub(crate) fn new(list: Vec<Problem>) -> Self {
        Self(list)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server cannot start:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
