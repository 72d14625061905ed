//! What TLS the front speaks: the certificate it presents, and whose certificates it verifies.

use super::FrontSettings;
use crate::certificates::Certificate;
use crate::settings::Settings;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// The front's side of TLS, which may be renewed while it is in use.
pub(crate) struct Encryption {
    certificate: Certificate,
    authorities: Option<PathBuf>,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<ServerConfig>>,
}

/// Certificate, key or authorities cannot be used. The text names the file and the setting.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// A file cannot be read as PEM.
    #[error("{path} of {setting} cannot be used: {problem}", path = path.display())]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key do not belong together, or nothing is left of the choice of suites and curves.
    #[error(
        "the listener's certificate {certificate} and key {key} cannot be used: {problem}; check \
         plugin.security.choria.certificate and key, plugin.security.cipher_suites and ecc_curves",
        certificate = certificate.display(), key = key.display()
    )]
    Certificate {
        /// Certificate file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
        /// What the library says.
        problem: String,
    },
}

impl Encryption {
    /// Reads the files.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub(super) fn new(
        settings: &Settings,
        wanted: &FrontSettings,
        certificate: &Certificate,
    ) -> Result<Self, EncryptionError> {
        let provider = Arc::new(network::cryptography(&settings.cipher_suites, &settings.curves));
        let authorities = wanted.authorities.clone();
        let config = server_config(&provider, certificate, authorities.as_deref())?;
        Ok(Self { certificate: certificate.clone(), authorities, provider, current: RwLock::new(Arc::new(config)) })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// [`EncryptionError`]; what was read before stays in use.
    pub(super) fn renew(&self) -> Result<(), EncryptionError> {
        let config = server_config(&self.provider, &self.certificate, self.authorities.as_deref())?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(())
    }

    /// For one handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    certificate: &Certificate,
    authorities: Option<&Path>,
) -> Result<ServerConfig, EncryptionError> {
    let unusable = |problem: String| EncryptionError::Certificate {
        certificate: certificate.certificate.clone(),
        key: certificate.key.clone(),
        problem,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| unusable(error.to_string()))?;
    let builder = match authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots(file)?, Arc::clone(provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates("plugin.security.choria.certificate", &certificate.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&certificate.key).map_err(|error| EncryptionError::File {
        setting: "plugin.security.choria.key",
        path: certificate.key.clone(),
        problem: error.to_string(),
    })?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(error.to_string()))?;
    // Sessions may be resumed, which saves a signature, only where TLS says nothing about who somebody is: a resumed
    // session would carry a certificate that is not verified again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if authorities.is_none() {
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| unusable(error.to_string()))?;
        config.send_tls13_tickets = 1;
    }
    Ok(config)
}

fn roots(file: &Path) -> Result<Arc<RootCertStore>, EncryptionError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(AUTHORITIES, file)? {
        roots.add(certificate).map_err(|error| EncryptionError::File {
            setting: AUTHORITIES,
            path: file.to_owned(),
            problem: format!("it holds a certificate that is no authority: {error}"),
        })?;
    }
    Ok(Arc::new(roots))
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, EncryptionError> {
    let failed = |problem: String| EncryptionError::File { setting, path: file.to_owned(), problem };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("it holds no certificate in PEM form".to_owned())) } else { Ok(found) }
}

const AUTHORITIES: &str = "plugin.security.choria.ca";
