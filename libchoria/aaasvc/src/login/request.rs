//! A login as it is asked for, and the rules that need no knowledge of anybody (spec 07 §4.1, §4.2: 1 to 7).

use crate::json::Fields;
use std::fmt;
use std::time::{Duration, SystemTime};
use tokens::{PublicKey, Signature};
use zeroize::Zeroizing;

/// The body of `POST /choria/v1/login`.
pub(crate) struct LoginRequest {
    pub(crate) username: String,
    /// Wiped when dropped.
    pub(crate) password: Zeroizing<String>,
    /// The key for the token, hexadecimal.
    pub(crate) public_key: String,
    /// By that key, over `timestamp:username:password`, hexadecimal.
    pub(crate) signature: String,
    /// Decimal unix seconds.
    pub(crate) timestamp: String,
}

/// What a login proved: the holder of this key asked now.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) key: PublicKey,
    pub(crate) signature: Signature,
    pub(crate) made: SystemTime,
}

/// A login that proves nothing; in the order of the rules.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("it has no public key")]
    NoKey,
    #[error("its timestamp is no number")]
    Timestamp,
    #[error("it is from {0} s in the future: a clock is wrong here or there")]
    Future(u64),
    #[error("it is {0} s old and may be 60: a clock is wrong here or there, or somebody repeats it")]
    Old(u64),
    #[error("its public key is none: {0}")]
    Key(tokens::InvalidKey),
    #[error("its signature is none")]
    SignatureForm,
    #[error("its signature is not by its public key, or over other words")]
    Signature,
}

impl LoginRequest {
    /// Reads a JSON object by the rules of the original: names in any case, `null` is nothing, what is unknown is
    /// ignored.
    ///
    /// # Errors
    /// What the parser says, without what it found.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let names = ["username", "password", "public_key", "signature", "timestamp"];
        let [username, password, public_key, signature, timestamp] = Fields::read(body, names)?;
        Ok(Self { username, password: Zeroizing::new(password), public_key, signature, timestamp })
    }

    /// Whether the holder of the key asks, and asks now.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn check(&self, now: SystemTime) -> Result<Proven, Unproven> {
        if self.public_key.is_empty() {
            return Err(Unproven::NoKey);
        }
        let seconds: i64 = self.timestamp.parse().map_err(|_| Unproven::Timestamp)?;
        // Before 1970 is as old as 1970 is.
        let made = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        let made = made.ok_or(Unproven::Future(u64::MAX))?;
        match now.duration_since(made) {
            Ok(age) if age > WINDOW => return Err(Unproven::Old(age.as_secs())),
            Ok(_) => {}
            Err(ahead) => return Err(Unproven::Future(ahead.duration().as_secs())),
        }
        let key: PublicKey = self.public_key.parse().map_err(Unproven::Key)?;
        let signature = Signature::from_hex(&self.signature).map_err(|_| Unproven::SignatureForm)?;
        let length = self.timestamp.len() + self.username.len() + self.password.len() + 2;
        let mut signed = Zeroizing::new(String::with_capacity(length));
        for part in [&self.timestamp, ":", &self.username, ":", &self.password] {
            signed.push_str(part);
        }
        if key.verify(signed.as_bytes(), &signature) {
            Ok(Proven { key, signature, made })
        } else {
            Err(Unproven::Signature)
        }
    }
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest").field("username", &self.username).finish_non_exhaustive()
    }
}

/// How old a login may be.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
