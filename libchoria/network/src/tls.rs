//! How connections are encrypted and whom they trust (spec 02 §13, spec 10 §14).
//!
//! A [`Tls`] is made once and shared by every connection of a process: certificates are read here and nowhere later.

use crate::verifier::{Refusing, TrustingRoots, Unverified};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The TLS side of a connection. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    required: bool,
}

/// Whose certificate a broker may present.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Trust {
    /// Any: the connection is encrypted but the broker is not identified. What the `choria` provider without a CA,
    /// anonymous TLS and provisioning do; tokens are signed, so a false broker learns a nonce signature, not a key.
    #[default]
    Anyone,
    /// One that a certificate of this PEM file signed, or one that is itself in the file.
    Authorities {
        /// PEM file of one or more certificates.
        file: PathBuf,
        /// Accept a matching common name where a certificate has no subject alternative name
        /// (`plugin.security.support_legacy_certificates`).
        common_names: bool,
    },
}

/// Everything that decides a [`Tls`].
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Whom to trust.
    pub trust: Trust,
    /// Certificate chain and private key to present, both PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Names of allowed TLS 1.2 suites as in `plugin.security.cipher_suites`; empty means all that are secure. Names
    /// that are not known are passed over, and when none is known all are allowed. TLS 1.3 has no choice.
    pub cipher_suites: Vec<String>,
    /// Names of allowed curves as in `plugin.security.ecc_curves`; empty or unknown as for `cipher_suites`.
    pub curves: Vec<String>,
}

/// TLS could not be set up: names the file and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file could not be read or parsed.
    #[error("cannot read {what} from {path}: {reason}", path = path.display())]
    File {
        /// `CA certificates`, `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file holds no certificate.
    #[error("{path} holds no certificate: a file of PEM blocks is needed", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not work together.
    #[error("certificate {certificate} and key {key} cannot be used: {reason}", certificate = certificate.display(), key = key.display())]
    Identity {
        /// Certificate file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
        /// Why.
        reason: String,
    },
    /// The cryptography library refused the choice of suites and curves.
    #[error("no TLS version is left after plugin.security.cipher_suites and plugin.security.ecc_curves: {0}")]
    Parameters(String),
}

impl Tls {
    /// TLS as `files` say; nothing is read again later.
    ///
    /// # Errors
    /// [`TlsError`] names the file that cannot be used.
    pub fn new(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(cryptography(&files.cipher_suites, &files.curves));
        let verifier: Arc<dyn ServerCertVerifier> = match &files.trust {
            Trust::Anyone => Arc::new(Unverified::new(&provider)),
            Trust::Authorities { file, common_names } => {
                let roots = certificates("CA certificates", file)?;
                let trusting = TrustingRoots::new(&provider, roots, *common_names);
                Arc::new(trusting.map_err(|reason| TlsError::File {
                    what: "CA certificates",
                    path: file.clone(),
                    reason,
                })?)
            }
        };
        Ok(Self { config: Arc::new(client_config(&provider, verifier, files.identity.as_ref())?), required: true })
    }

    /// TLS that accepts any broker certificate and presents none.
    ///
    /// # Errors
    /// [`TlsError::Parameters`], which the built-in choice of suites never causes.
    pub fn unverified() -> Result<Self, TlsError> {
        Self::new(&TlsFiles::default())
    }

    /// No TLS (`--disable-tls`, loopback listeners). A broker that demands TLS all the same is refused with a sentence
    /// that says so.
    ///
    /// # Errors
    /// As [`unverified`](Self::unverified).
    pub fn disabled() -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Refusing::new(&provider));
        Ok(Self { config: Arc::new(client_config(&provider, verifier, None)?), required: false })
    }

    /// Whether connections are encrypted even when the broker does not ask for it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// The shared rustls configuration, for other protocols to the same broker.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("required", &self.required).finish_non_exhaustive()
    }
}

/// TLS 1.2 is the least that is spoken.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// One broker's session tickets are enough to make a return cheap; thousands of connections share them.
const REMEMBERED_SESSIONS: usize = 64;

fn client_config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| TlsError::Parameters(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates("certificate", certificate)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
                what: "private key",
                path: key.clone(),
                reason: error.to_string(),
            })?;
            builder.with_client_auth_cert(chain, private).map_err(|error| TlsError::Identity {
                certificate: certificate.clone(),
                key: key.clone(),
                reason: error.to_string(),
            })?
        }
    };
    config.resumption = rustls::client::Resumption::in_memory_sessions(REMEMBERED_SESSIONS);
    Ok(config)
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error: rustls::pki_types::pem::Error| TlsError::File {
        what,
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() { Err(TlsError::Empty { path: path.to_owned() }) } else { Ok(found) }
}

/// What TLS may use: the suites and curves that are named, as in [`TlsFiles`]; a list in which nothing is known keeps
/// everything.
#[must_use]
pub fn cryptography(cipher_suites: &[String], curves: &[String]) -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    let modern = |suite: &SupportedCipherSuite| matches!(suite, SupportedCipherSuite::Tls13(_));
    let named =
        |suite: &SupportedCipherSuite| cipher_suites.iter().any(|name| format!("{:?}", suite.suite()) == name.trim());
    if provider.cipher_suites.iter().any(named) {
        provider.cipher_suites.retain(|suite| modern(suite) || named(suite));
    }
    let curve = |group: &&'static dyn rustls::crypto::SupportedKxGroup| {
        let name = match group.name() {
            rustls::NamedGroup::X25519 => "X25519",
            rustls::NamedGroup::secp256r1 => "CurveP256",
            rustls::NamedGroup::secp384r1 => "CurveP384",
            rustls::NamedGroup::secp521r1 => "CurveP521",
            _ => return false,
        };
        curves.iter().any(|wanted| wanted.trim() == name)
    };
    if provider.kx_groups.iter().any(curve) {
        provider.kx_groups.retain(curve);
    }
    provider
}
