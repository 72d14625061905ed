//! HTTPS: TLS 1.2 and newer, client certificates where `tls_ca` is set, and files that may be replaced (spec 07 §3).

use crate::settings::TlsFiles;
use agents::Stamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;

/// The TLS side of the listener.
pub(crate) struct Encryption {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    stamps: [Option<Stamp>; 3],
    looked: Instant,
}

/// Certificate, key or authorities cannot be used. The text names the file and the key of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// A file cannot be read as PEM.
    #[error("{setting}: {path} cannot be used: {problem}", path = path.display())]
    File {
        /// The key that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key do not belong together.
    #[error("tls_certificate {certificate} and tls_key {key} cannot be used: {problem}", certificate = certificate.display(), key = key.display())]
    Pair {
        /// Certificate file.
        certificate: PathBuf,
        /// Key file.
        key: PathBuf,
        /// What the library says.
        problem: String,
    },
}

/// Whether the files can be used.
///
/// # Errors
/// [`EncryptionError`].
pub(crate) fn check(files: &TlsFiles) -> Result<(), EncryptionError> {
    server_config(files).map(drop)
}

impl Encryption {
    /// Reads the files.
    ///
    /// # Errors
    /// [`EncryptionError`].
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, EncryptionError> {
        let stamps = stamps(files);
        let config = Arc::new(server_config(files)?);
        let current = Mutex::new(Current { config, stamps, looked: Instant::now() });
        Ok(Self { files: files.clone(), current })
    }

    /// For one handshake. Looks every few seconds whether the files changed; what cannot be used is logged, and what was
    /// read before stays.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.lock();
        if current.looked.elapsed() >= LOOK_INTERVAL {
            self.look(&mut current);
        }
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    /// Looks now whether the files changed.
    pub(crate) fn renew(&self) {
        self.look(&mut self.lock());
    }

    fn look(&self, current: &mut Current) {
        current.looked = Instant::now();
        let stamps = stamps(&self.files);
        if stamps == current.stamps {
            return;
        }
        current.stamps = stamps;
        match server_config(&self.files) {
            Ok(config) => {
                current.config = Arc::new(config);
                tracing::info!("the certificate for HTTPS was read anew and counts for new connections");
            }
            Err(error) => tracing::error!("the new certificate for HTTPS is not used, the old one is: {error}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("files", &self.files).finish_non_exhaustive()
    }
}

fn stamps(files: &TlsFiles) -> [Option<Stamp>; 3] {
    [Stamp::of(&files.certificate), Stamp::of(&files.key), files.authorities.as_deref().and_then(Stamp::of)]
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, EncryptionError> {
    let unusable = |problem: String| EncryptionError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        problem,
    };
    let provider: Arc<CryptoProvider> = Arc::new(network::cryptography(&[], &[]));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| unusable(error.to_string()))?;
    let builder = match &files.authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let failed = |problem: String| EncryptionError::File { setting: "tls_ca", path: file.clone(), problem };
            let mut roots = RootCertStore::empty();
            for certificate in certificates("tls_ca", file)? {
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| failed(error.to_string()))?)
        }
    };
    let chain = certificates("tls_certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| EncryptionError::File {
        setting: "tls_key",
        path: files.key.clone(),
        problem: error.to_string(),
    })?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would carry a client certificate that is not verified again; without client certificates the
    // ticket keeps nothing here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if files.authorities.is_none() {
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| unusable(error.to_string()))?;
        config.send_tls13_tickets = 1;
    }
    Ok(config)
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, EncryptionError> {
    let failed = |problem: String| EncryptionError::File { setting, path: file.to_owned(), problem };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("it holds no certificate in PEM form".to_owned())) } else { Ok(found) }
}

/// How often the files are looked at, when connections come.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
