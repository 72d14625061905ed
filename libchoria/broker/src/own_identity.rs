//! A certificate of this process for its own connections, where a listener demands one of everybody. Its authority is
//! made for one run, trusted by this broker's nats-server alone, and its key is forgotten at once.

use network::{Tls, TlsError, TlsFiles, Trust};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::path::Path;

/// What this process presents, and what makes nats-server accept it.
#[derive(Debug)]
pub(crate) struct OwnIdentity {
    /// PEM of the authority.
    pub(crate) authority: String,
    /// For connections to the own nats-server.
    pub(crate) tls: Tls,
}

/// It could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The cryptography library refused.
    #[error("a certificate for the broker's own connections cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// The files could not be written.
    #[error("a certificate for the broker's own connections cannot be kept in the runtime directory: {0}")]
    Write(#[from] tokens::KeyError),
    /// The files cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl OwnIdentity {
    /// Makes one; its key is a file in `directory`, which is private.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub(crate) fn make(directory: &Path) -> Result<Self, IdentityError> {
        let signer = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.distinguished_name.push(DnType::CommonName, "choria-broker own connections");
        let authority = parameters.self_signed(&signer)?;

        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "choria-broker");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = parameters.signed_by(&key, &authority, &signer)?;

        let (certificate_file, key_file) = (directory.join("own.pem"), directory.join("own.key"));
        tokens::write_private(&certificate_file, certificate.pem().as_bytes())?;
        tokens::write_private(&key_file, key.serialize_pem().as_bytes())?;
        let identity = Some((certificate_file, key_file));
        // The other end is our own child on this machine; its certificate carries names, not loopback addresses.
        let tls = Tls::new(&TlsFiles { identity, trust: Trust::Anyone, ..TlsFiles::default() })?;
        Ok(Self { authority: authority.pem(), tls })
    }
}
