//! Whether the server's own token and seed could let it into the fleet (spec 06 §2.1, the credential test).

use names::Identity;
use std::path::Path;
use std::time::SystemTime;
use tokens::{KeyError, Seed, read_server, read_token};

/// Why token and seed would not let a server in. The broker may still refuse what passes: nobody's signature is checked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CredentialFault {
    /// A file is missing, not named or cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The token is no server token.
    #[error("the token in {file} cannot be used: {reason}")]
    Token {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// They do not belong together.
    #[error("the token in {token} is for another key than the seed in {seed}")]
    OtherSeed {
        /// Token file.
        token: String,
        /// Seed file.
        seed: String,
    },
    /// The token's time, or that of who issued it, is over; or it has none, which brokers refuse.
    #[error("the token in {file} has expired")]
    Expired {
        /// The file.
        file: String,
    },
}

impl CredentialFault {
    /// Whether a renewed token file cures it without a restart.
    #[must_use]
    pub fn is_expiry(&self) -> bool {
        matches!(self, Self::Expired { .. })
    }
}

/// Reads both files and judges them; gives the identity in the token.
///
/// # Errors
/// [`CredentialFault`].
pub(crate) fn test(token: Option<&Path>, seed: Option<&Path>, now: SystemTime) -> Result<Identity, CredentialFault> {
    let (Some(token), Some(seed)) = (token, seed) else {
        return Err(CredentialFault::Unreadable("no token file or no seed file is configured".to_owned()));
    };
    let unreadable = |error: &KeyError| {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        CredentialFault::Unreadable(format!("{error}{cause}"))
    };
    let key = Seed::read(seed).map_err(|error| unreadable(&error))?;
    let text = read_token(token).map_err(|error| unreadable(&error))?;
    judge(&text, token, &key, seed, now)
}

/// Judges the text of a token and a seed; the paths are for words only.
///
/// # Errors
/// Every [`CredentialFault`] but [`CredentialFault::Unreadable`].
pub(crate) fn judge(
    text: &str,
    token: &Path,
    key: &Seed,
    seed: &Path,
    now: SystemTime,
) -> Result<Identity, CredentialFault> {
    let file = || token.display().to_string();
    let refused = |reason: String| CredentialFault::Token { file: file(), reason };
    let claims = read_server(text).map_err(|error| refused(error.to_string()))?;
    let holder = claims.standard.holder_key().map_err(|error| refused(error.to_string()))?;
    if holder != key.public() {
        return Err(CredentialFault::OtherSeed { token: file(), seed: seed.display().to_string() });
    }
    if claims.standard.is_expired(now) {
        return Err(CredentialFault::Expired { file: file() });
    }
    claims.identity.parse().map_err(|error: names::InvalidName| refused(error.to_string()))
}
