//! Who a connection says it is (spec 01 §6). Credentials in files are read anew at every attempt, so that a renewed
//! token is used without a restart.

use async_nats::Auth;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{Purpose, Seed};

/// How a connection proves itself. Never prints a secret.
#[derive(Clone)]
pub enum Login {
    /// A Choria token and the seed it belongs to, both files.
    Token {
        /// The token.
        token_file: PathBuf,
        /// The seed that signs the broker's nonce. `None`: the token is sent without a signature, as provisioning does.
        seed_file: Option<PathBuf>,
    },
    /// A Choria token and its seed, both in memory: for instances that are not on disk.
    TokenText {
        /// The token; whitespace around it is not sent.
        token: Arc<str>,
        /// The seed that signs the broker's nonce.
        seed: Arc<Seed>,
    },
    /// A provisioning token in memory, sent without a signature.
    Provisioning {
        /// The token; whitespace around it is not sent.
        token: Arc<str>,
    },
    /// An NKey seed (`SU…`), for the broker's own users.
    NKey(Arc<nkeys::KeyPair>),
    /// A NATS credentials file: a user JWT and its seed (`plugin.nats.credentials`).
    Credentials(PathBuf),
    /// Nothing; a client certificate may still identify the connection.
    Anonymous,
}

/// A user name and password, sent in addition to a [`Login`]. Never printed.
#[derive(Clone)]
pub struct UserPassword {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Why nothing can be sent to the broker. Each names the file and the next step; none holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A token or seed file cannot be read or does not hold what it should.
    #[error("{what}: {source}; {advice}", source = chain(source))]
    File {
        /// Which credential.
        what: &'static str,
        /// File and reason.
        source: tokens::KeyError,
        /// What to do.
        advice: &'static str,
    },
    /// The token is no Choria token.
    #[error("could not parse JWT: {from}: {reason}")]
    Malformed {
        /// File, or `the token`.
        from: String,
        /// Why.
        reason: String,
    },
    /// The token's time is over.
    #[error("the token in {from} expired {ago} ago; renew it (choria login, or provision the node again)", ago = rough(*.ago))]
    Expired {
        /// File, or `memory`.
        from: String,
        /// How long ago.
        ago: Duration,
    },
    /// A NATS credentials file cannot be used.
    #[error("cannot use NATS credentials {path}: {reason}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// An NKey seed cannot sign.
    #[error("the nkey seed cannot sign: {0}")]
    NKey(String),
}

impl Login {
    /// A login by NKey seed text.
    ///
    /// # Errors
    /// [`LoginError::NKey`] when `seed` is no NKey seed.
    pub fn nkey(seed: &str) -> Result<Self, LoginError> {
        let pair = nkeys::KeyPair::from_seed(seed.trim()).map_err(|error| LoginError::NKey(error.to_string()))?;
        Ok(Self::NKey(Arc::new(pair)))
    }

    /// Whether there is anything to log in with at `now`: the token can be read and its time is not over.
    ///
    /// # Errors
    /// [`LoginError`], as an attempt would end.
    pub(crate) fn check(&self, now: SystemTime) -> Result<(), LoginError> {
        match self {
            Self::Token { token_file, .. } => {
                check_expiry(&read_token(token_file)?, || token_file.display().to_string(), now)
            }
            Self::TokenText { token, .. } => check_expiry(token.trim(), || "memory".to_owned(), now),
            Self::Provisioning { .. } | Self::NKey(_) | Self::Credentials(_) | Self::Anonymous => Ok(()),
        }
    }

    /// What to send to a broker that sent `nonce`, at the time `now`.
    ///
    /// # Errors
    /// [`LoginError`]: the attempt cannot be made; a later one may succeed once the named file is repaired.
    pub(crate) fn answer(&self, nonce: &[u8], now: SystemTime) -> Result<Auth, LoginError> {
        let mut auth = Auth::new();
        match self {
            Self::Token { token_file, seed_file } => {
                let token = read_token(token_file)?;
                check_expiry(&token, || token_file.display().to_string(), now)?;
                if let Some(seed_file) = seed_file {
                    let seed = Seed::read(seed_file).map_err(|source| LoginError::File {
                        what: "could not read the seed that signs in to the broker",
                        source,
                        advice: "a seed file holds exactly 64 hexadecimal digits",
                    })?;
                    auth.signature = Some(seed.sign(nonce).as_bytes().to_vec());
                }
                auth.token = Some(token);
            }
            Self::TokenText { token, seed } => {
                check_expiry(token.trim(), || "memory".to_owned(), now)?;
                auth.signature = Some(seed.sign(nonce).as_bytes().to_vec());
                auth.token = Some(token.trim().to_owned());
            }
            Self::Provisioning { token } => auth.token = Some(token.trim().to_owned()),
            Self::NKey(pair) => {
                auth.signature = Some(pair.sign(nonce).map_err(|error| LoginError::NKey(error.to_string()))?);
                auth.nkey = Some(pair.public_key());
            }
            Self::Credentials(path) => {
                let (jwt, pair) = read_credentials(path)?;
                auth.signature = Some(pair.sign(nonce).map_err(|error| LoginError::NKey(error.to_string()))?);
                auth.jwt = Some(jwt);
            }
            Self::Anonymous => {}
        }
        Ok(auth)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { token_file, seed_file } => {
                f.debug_struct("Token").field("token_file", token_file).field("seed_file", seed_file).finish()
            }
            Self::TokenText { .. } => f.write_str("TokenText"),
            Self::Provisioning { .. } => f.write_str("Provisioning"),
            Self::NKey(pair) => f.debug_tuple("NKey").field(&pair.public_key()).finish(),
            Self::Credentials(path) => f.debug_tuple("Credentials").field(path).finish(),
            Self::Anonymous => f.write_str("Anonymous"),
        }
    }
}

impl fmt::Debug for UserPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserPassword").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The clocks of a broker and its clients may differ by this much.
const CLOCK_LEEWAY: Duration = Duration::from_secs(5);

fn read_token(path: &Path) -> Result<String, LoginError> {
    tokens::read_token(path).map_err(|source| LoginError::File {
        what: "could not parse JWT",
        source,
        advice: "run choria login, or provision the node",
    })
}

fn expiry_of(token: &str) -> Result<Option<SystemTime>, tokens::Invalid> {
    Ok(match tokens::purpose_of(token)? {
        Purpose::Client => tokens::read_client(token)?.standard.effective_expiry(),
        Purpose::Server => tokens::read_server(token)?.standard.effective_expiry(),
        Purpose::Provisioning | Purpose::Unknown => None,
    })
}

fn malformed(from: &str, error: &tokens::Invalid) -> LoginError {
    LoginError::Malformed { from: from.to_owned(), reason: error.to_string() }
}

fn check_expiry(token: &str, from: impl Fn() -> String, now: SystemTime) -> Result<(), LoginError> {
    let expiry = expiry_of(token).map_err(|error| malformed(&from(), &error))?;
    match expiry.and_then(|end| now.duration_since(end + CLOCK_LEEWAY).ok()) {
        Some(late) => Err(LoginError::Expired { from: from(), ago: late + CLOCK_LEEWAY }),
        None => Ok(()),
    }
}

/// The JWT and key pair of a file with the two armoured blocks that `nsc` writes.
fn read_credentials(path: &Path) -> Result<(String, nkeys::KeyPair), LoginError> {
    let failed = |reason: String| LoginError::Credentials { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let block = |kind: &str| {
        let mut lines =
            text.lines().skip_while(|line| !(line.starts_with("---") && line.contains(&format!("BEGIN {kind}"))));
        lines.nth(1).map(|line| line.trim().to_owned()).ok_or_else(|| failed(format!("it has no block {kind:?}")))
    };
    let jwt = block("NATS USER JWT")?;
    let pair = nkeys::KeyPair::from_seed(&block("USER NKEY SEED")?).map_err(|error| failed(error.to_string()))?;
    Ok((jwt, pair))
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// A duration for people: its largest unit only.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "minutes"),
        7_200..172_800 => (seconds / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}
