//! The provisioning token of a node: where it is and what it must say, and what a build says without one (spec 06 §1).

use config::{Environment, build, find_credential};
use network::{InvalidAddress, Search, ServerAddress, parse_addresses};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use subtle::ConstantTimeEq;
use tokens::{Invalid, KeyError, ProvisioningClaims, read_provisioning, read_token};

/// Where the token is looked for when none is beside the configuration file.
pub const SYSTEM_TOKEN: &str = build::PROVISIONING_TOKEN_FILE;

/// The credential of a unit that is the token of its server.
const CREDENTIAL: &str = "choria.provisioning.jwt";

/// A `provisioning.jwt` that can be used, or what the build specification says in its place. Nobody has verified it: that
/// is the business of broker and provisioner, to the node it is a configuration file.
#[derive(Clone)]
pub struct ProvisioningToken {
    path: Option<PathBuf>,
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
    /// The token for the configuration file `config`: `provisioning.jwt` beside it, else the service manager's credential
    /// `choria.provisioning.jwt`, else [`SYSTEM_TOKEN`], else what is compiled in; `None` when none of the files exists and
    /// nothing is.
    ///
    /// # Errors
    /// [`InvalidToken`]. A file that cannot be used is not passed over for what comes after it.
    pub fn find(config: &Path, environment: &dyn Environment) -> Result<Option<Self>, InvalidToken> {
        let beside = Some(config.with_file_name("provisioning.jwt"));
        let places = [beside, find_credential(CREDENTIAL, environment), Some(PathBuf::from(SYSTEM_TOKEN))];
        for path in places.into_iter().flatten() {
            match Self::read(&path) {
                Err(InvalidToken::File(KeyError::Read { source, .. })) if source.kind() == io::ErrorKind::NotFound => {}
                found => return found.map(Some),
            }
        }
        Self::compiled_in(&build::PROVISIONING)
    }

    /// What `built` says, if it says where to connect.
    ///
    /// # Errors
    /// [`InvalidToken`], if the build specification was less strict than this.
    pub fn compiled_in(built: &build::Provisioning) -> Result<Option<Self>, InvalidToken> {
        if built.brokers.is_empty() && built.srv_domain.is_empty() {
            return Ok(None);
        }
        Self::judge(None, compiled_claims(built)).map(Some)
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
        let claims = read_provisioning(text.trim())
            .map_err(|reason| InvalidToken::Malformed { path: path.to_owned(), reason })?;
        Self::judge(Some(path), completed(claims, &build::PROVISIONING))
    }

    fn judge(path: Option<&Path>, claims: ProvisioningClaims) -> Result<Self, InvalidToken> {
        let file = || path.unwrap_or(Path::new(COMPILED_IN)).to_owned();
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
        Ok(Self { path: path.map(Path::to_owned), claims, addresses })
    }

    /// The file; `None` when it is compiled in.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Where it comes from, in words: the file, or the build.
    #[must_use]
    pub fn origin(&self) -> std::path::Display<'_> {
        self.path().unwrap_or(Path::new(COMPILED_IN)).display()
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

/// What a server goes by that has the claims `token`, or no token at all: a token's optional claims that are empty are
/// those of the build, and so is everything without one (spec 06 §1.3). Not judged.
#[must_use]
pub fn in_force(token: Option<ProvisioningClaims>) -> ProvisioningClaims {
    let built = &build::PROVISIONING;
    token.map_or_else(|| compiled_claims(built), |claims| completed(claims, built))
}

/// What a build says, as the claims of a token that never expires.
fn compiled_claims(built: &build::Provisioning) -> ProvisioningClaims {
    let claims = ProvisioningClaims {
        token: built.token.to_owned(),
        secure: built.tls,
        urls: built.brokers.to_owned(),
        srv_domain: built.srv_domain.to_owned(),
        provision_by_default: built.default,
        protocol_v2: built.protocol_v2,
        allow_update: built.allow_update,
        ..ProvisioningClaims::default()
    };
    completed(claims, built)
}

/// A token's claims over those of the build; the claims that a token always has replace the build's as they are.
fn completed(claims: ProvisioningClaims, built: &build::Provisioning) -> ProvisioningClaims {
    let or = |claim: String, built: &str| if claim.is_empty() { built.to_owned() } else { claim };
    ProvisioningClaims {
        facts: or(claims.facts, built.facts),
        registration_data: or(claims.registration_data, built.registration_data),
        username: or(claims.username, built.username),
        password: or(claims.password, built.password),
        ..claims
    }
}

/// Stands for the file where there is none.
const COMPILED_IN: &str = "compiled into this program";

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

    const BUILT: build::Provisioning = build::Provisioning {
        brokers: "b1.acme.example:4222,b2.acme.example:4222",
        token: "compiled",
        username: "waiting",
        password: "hunter2",
        facts: "/etc/acme/facts.json",
        default: true,
        protocol_v2: true,
        ..build::PROVISIONING
    };

    #[test]
    fn a_build_stands_in_for_a_token() {
        let token = ProvisioningToken::compiled_in(&BUILT).expect("usable").expect("compiled in");
        assert!(token.path().is_none() && token.is_secret("compiled") && !token.is_expired(SystemTime::now()));
        let claims = token.claims();
        assert!(claims.provision_by_default && claims.protocol_v2 && !claims.allow_update);
        assert_eq!((claims.username.as_str(), claims.facts.as_str()), ("waiting", "/etc/acme/facts.json"));
        assert_eq!(token.addresses.len(), 2);
        assert!(!format!("{token:?}").contains("hunter2"));
        let rows = [
            (build::Provisioning { brokers: "", ..BUILT }, None),
            (build::Provisioning { token: "", ..BUILT }, Some("compiled into this program has no auth token")),
            (build::Provisioning { brokers: "b1", ..BUILT }, Some("compiled into this program names a broker")),
        ];
        for (built, words) in rows {
            match (ProvisioningToken::compiled_in(&built), words) {
                (Ok(None), None) => {}
                (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{error}"),
                (got, _) => panic!("{built:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_token_replaces_what_it_always_says_and_completes_the_rest() {
        let token = read_provisioning(&claims(|claims| claims.facts = "/own.json".to_owned())).expect("claims");
        let merged = completed(token, &BUILT);
        assert_eq!((merged.token.as_str(), merged.urls.as_str()), ("s3cret", "broker.example.net:4222"));
        assert!(!merged.provision_by_default && !merged.protocol_v2, "what a token always says is the token's");
        assert_eq!((merged.facts.as_str(), merged.username.as_str()), ("/own.json", "waiting"));
        assert_eq!(merged.password, "hunter2");
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
        let environment = config::FixedEnvironment::default();
        let found = ProvisioningToken::find(&config, &environment).expect("usable").expect("found");
        assert_eq!(found.path(), Some(beside.as_path()));
        assert!(found.is_secret("s3cret") && !found.is_secret("s3cre") && !found.is_secret(""));
        assert!(!format!("{found:?}").contains("s3cret"));
        std::fs::write(&beside, "garbage").expect("written");
        assert!(ProvisioningToken::find(&config, &config::FixedEnvironment::default()).is_err());
    }
}
