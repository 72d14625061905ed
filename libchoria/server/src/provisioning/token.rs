//! The provisioning token of a node: where it is and what it must say (spec 06 §1).

use network::{InvalidAddress, Search, ServerAddress, parse_addresses};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use subtle::ConstantTimeEq;
use tokens::{Invalid, KeyError, ProvisioningClaims, read_provisioning, read_token};

/// Where the token is looked for when none is beside the configuration file.
pub const SYSTEM_TOKEN: &str = config::build::PROVISIONING_TOKEN_FILE;

/// A `provisioning.jwt` that can be used. Nobody has verified it: that is the business of broker and provisioner, to the
/// node it is a configuration file.
#[derive(Clone)]
pub struct ProvisioningToken {
    path: PathBuf,
    claims: ProvisioningClaims,
    addresses: Vec<ServerAddress>,
}

/// Why a `provisioning.jwt` cannot be used; names the file and the claim, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum InvalidToken {
    /// It cannot be read.
    #[error("the provisioning token: {}", chain(.0))]
    File(KeyError),
    /// It is no provisioning token.
    #[error("the provisioning token {path} cannot be used: {reason}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: Invalid,
    },
    /// The agent `choria_provision` would obey everybody.
    #[error("the provisioning token {} has no auth token: claim cht is empty; make it with --token", .0.display())]
    NoSecret(PathBuf),
    /// It does not say where to connect.
    #[error("the provisioning token {} has no srv domain or urls: claims chsrv and chu are empty; make it with --srv or --urls", .0.display())]
    NoTarget(PathBuf),
    /// It says twice where to connect.
    #[error("the provisioning token {} has both srv domain and URLs supplied: make it with one of claims chsrv and chu", .0.display())]
    TwoTargets(PathBuf),
    /// A broker address is none.
    #[error("the provisioning token {path} names a broker in claim chu that cannot be used: {reason}", path = .path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// What is wrong with the address.
        reason: InvalidAddress,
    },
    /// The domain of SRV records is none.
    #[error("the provisioning token {path} has a claim chsrv that is no domain: {domain:?}", path = .path.display())]
    Domain {
        /// The file.
        path: PathBuf,
        /// The claim, cut to 128 characters.
        domain: String,
    },
}

impl ProvisioningToken {
    /// The token for the configuration file `config`: `provisioning.jwt` beside it, else [`SYSTEM_TOKEN`]; `None` when
    /// neither file exists.
    ///
    /// # Errors
    /// [`InvalidToken`]. A file beside the configuration that cannot be used is not passed over for the other.
    pub fn find(config: &Path) -> Result<Option<Self>, InvalidToken> {
        for path in [config.with_file_name("provisioning.jwt"), PathBuf::from(SYSTEM_TOKEN)] {
            match Self::read(&path) {
                Err(InvalidToken::File(KeyError::Read { source, .. })) if source.kind() == io::ErrorKind::NotFound => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }

    /// Reads the token in `path`.
    ///
    /// # Errors
    /// [`InvalidToken`].
    pub fn read(path: &Path) -> Result<Self, InvalidToken> {
        Self::parse(path, &read_token(path).map_err(InvalidToken::File)?)
    }

    /// Judges `text`, the content of `path`.
    ///
    /// # Errors
    /// Every [`InvalidToken`] but [`InvalidToken::File`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, InvalidToken> {
        let file = || path.to_owned();
        let claims =
            read_provisioning(text.trim()).map_err(|reason| InvalidToken::Malformed { path: file(), reason })?;
        if claims.token.is_empty() {
            return Err(InvalidToken::NoSecret(file()));
        }
        match (claims.urls.trim().is_empty(), claims.srv_domain.is_empty()) {
            (true, true) => return Err(InvalidToken::NoTarget(file())),
            (false, false) => return Err(InvalidToken::TwoTargets(file())),
            (true, false) if !is_domain(&claims.srv_domain) => {
                let domain = claims.srv_domain.chars().take(128).collect();
                return Err(InvalidToken::Domain { path: file(), domain });
            }
            _ => {}
        }
        let urls: Vec<&str> = claims.url_list().collect();
        let addresses = parse_addresses(&urls).map_err(|reason| InvalidToken::Address { path: file(), reason })?;
        Ok(Self { path: file(), claims, addresses })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &ProvisioningClaims {
        &self.claims
    }

    /// How to find the brokers it names.
    #[must_use]
    pub fn search(&self) -> Search {
        let domain = Some(&self.claims.srv_domain).filter(|domain| !domain.is_empty()).cloned();
        Search::provisioning(self.addresses.clone(), domain)
    }

    /// Whether `offered` is the token's secret, in the same time for every text of one length.
    #[must_use]
    pub fn is_secret(&self, offered: &str) -> bool {
        self.claims.token.as_bytes().ct_eq(offered.as_bytes()).into()
    }

    /// Whether brokers and provisioners refuse the token at `now`. Tokens without an expiry do not expire.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.claims.standard.effective_expiry().is_some_and(|expiry| now > expiry)
    }
}

/// Leaves out the secrets.
impl fmt::Debug for ProvisioningToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningToken")
            .field("path", &self.path)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::OsRng;
    use std::time::Duration;
    use tokens::{Seed, SigningKey};

    /// A signed token; nobody here looks at the signature.
    fn claims(change: impl FnOnce(&mut ProvisioningClaims)) -> String {
        let now = SystemTime::now();
        let mut claims = ProvisioningClaims::new("s3cret", Duration::from_secs(600), now, &mut OsRng).expect("claims");
        claims.urls = "broker.example.net:4222".to_owned();
        change(&mut claims);
        claims.sign(&SigningKey::Ed25519(Seed::generate())).expect("signed")
    }

    #[test]
    fn refuses_by_claim() {
        let path = Path::new("/etc/choria/provisioning.jwt");
        type Row = (&'static str, fn(&mut ProvisioningClaims), Result<(), &'static str>);
        let rows: [Row; 8] = [
            ("urls", |_| {}, Ok(())),
            (
                "srv",
                |claims| {
                    claims.urls.clear();
                    claims.srv_domain = "example.net".to_owned();
                },
                Ok(()),
            ),
            ("no secret", |claims| claims.token.clear(), Err("claim cht is empty")),
            ("no target", |claims| claims.urls = " ".to_owned(), Err("claims chsrv and chu are empty")),
            ("two targets", |claims| claims.srv_domain = "example.net".to_owned(), Err("one of claims chsrv and chu")),
            ("no port", |claims| claims.urls = "a:1,broker".to_owned(), Err("claim chu that cannot be used")),
            (
                "no domain",
                |claims| {
                    claims.urls.clear();
                    claims.srv_domain = "example net".to_owned();
                },
                Err("claim chsrv that is no domain"),
            ),
            ("other kind", |claims| claims.standard.purpose = tokens::Purpose::Server, Ok(())),
        ];
        for (name, change, wanted) in rows {
            let got = ProvisioningToken::parse(path, &claims(change)).map(drop).map_err(|error| error.to_string());
            match wanted {
                // The subject alone makes a provisioning token, as in old ones.
                Ok(()) => assert_eq!(got, Ok(()), "{name}"),
                Err(words) => {
                    let error = got.expect_err(name);
                    assert!(error.contains(words) && error.contains("/etc/choria/provisioning.jwt"), "{name}: {error}");
                    assert!(!error.contains("s3cret"), "{name}: {error}");
                }
            }
        }
    }

    #[test]
    fn recorded_tokens_are_read() {
        let rows = [
            ("provisioning-full.jwt", true),
            ("provisioning-plain.jwt", true),
            ("provisioning-two-urls.jwt", true),
            ("provisioning-legacy-sub.jwt", true),
            ("rsa-provisioning.jwt", true),
            ("server-all.jwt", false),
            ("bad-garbage.jwt", false),
        ];
        for (file, usable) in rows {
            let path = vectors::root().join("tokens").join(file);
            let got = ProvisioningToken::read(&path);
            assert_eq!(got.is_ok(), usable, "{file}: {got:?}");
        }
    }

    #[test]
    fn beside_the_configuration_comes_first_and_a_bad_one_is_not_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("server.conf");
        let beside = folder.path().join("provisioning.jwt");
        std::fs::write(&beside, claims(|_| {})).expect("written");
        let found = ProvisioningToken::find(&config).expect("usable").expect("found");
        assert_eq!(found.path(), beside);
        assert!(found.is_secret("s3cret") && !found.is_secret("s3cre") && !found.is_secret(""));
        assert!(!format!("{found:?}").contains("s3cret"));
        std::fs::write(&beside, "garbage").expect("written");
        assert!(ProvisioningToken::find(&config).is_err());
    }
}
