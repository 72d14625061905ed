//! Three judges of a broker's certificate: one accepts all, one knows its roots, one refuses TLS.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Accepts any certificate; the handshake's own signature is still checked, so the key behind it is the broker's.
#[derive(Debug)]
pub(crate) struct Unverified(WebPkiSupportedAlgorithms);

/// Accepts what a configured root signed, or a certificate that is itself, byte for byte, a configured root: sites run
/// brokers on self-signed certificates marked as CA, which path building alone refuses.
#[derive(Debug)]
pub(crate) struct TrustingRoots {
    algorithms: WebPkiSupportedAlgorithms,
    roots: Vec<CertificateDer<'static>>,
    store: RootCertStore,
    common_names: bool,
}

/// Refuses TLS, for connections that were told to do without.
#[derive(Debug)]
pub(crate) struct Refusing(WebPkiSupportedAlgorithms);

impl Unverified {
    pub(crate) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl Refusing {
    pub(crate) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl TrustingRoots {
    /// Trusts `roots`; the error is a sentence about the certificate that cannot be one.
    pub(crate) fn new(
        provider: &CryptoProvider,
        roots: Vec<CertificateDer<'static>>,
        common_names: bool,
    ) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for (position, root) in roots.iter().enumerate() {
            let number = position + 1;
            store.add(root.clone()).map_err(|error| format!("certificate {number} of the file is no CA: {error}"))?;
        }
        Ok(Self { algorithms: provider.signature_verification_algorithms, roots, store, common_names })
    }

    /// Signed by a root and within its dates, or a root itself and within its dates.
    fn check_origin(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.roots.iter().any(|root| root == certificate) {
            return check_dates(certificate, now);
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.store, intermediates, now, self.algorithms.all)
    }

    /// The subject alternative names cover `name`, or, where allowed and there are none, the common name equals it.
    fn check_name(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
        let judged = verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
        if judged.is_err() && self.common_names && common_name_is(certificate, &name.to_str())? {
            return Ok(());
        }
        judged
    }
}

impl ServerCertVerifier for TrustingRoots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check_origin(end_entity, intermediates, now)?;
        self.check_name(end_entity, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl ServerCertVerifier for Refusing {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(Error::General(TLS_IS_DISABLED.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General(TLS_IS_DISABLED.to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General(TLS_IS_DISABLED.to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

const TLS_IS_DISABLED: &str =
    "the broker demands TLS but TLS is disabled here; remove --disable-tls or INSECURE_DISABLE_TLS";

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let (_rest, parsed) = X509Certificate::from_der(certificate).map_err(|_malformed| CertificateError::BadEncoding)?;
    Ok(parsed)
}

fn check_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = parse(certificate)?;
    let validity = parsed.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        Err(CertificateError::NotValidYet.into())
    } else if now > validity.not_after.timestamp() {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

/// Whether the certificate has no subject alternative name and its common name is `name`, ignoring case.
fn common_name_is(certificate: &CertificateDer<'_>, name: &str) -> Result<bool, Error> {
    let parsed = parse(certificate)?;
    let alternatives = parsed.subject_alternative_name().map_err(|_malformed| CertificateError::BadEncoding)?;
    if alternatives.is_some() {
        return Ok(false);
    }
    let mut names = parsed.subject().iter_common_name().filter_map(|common| common.as_str().ok());
    Ok(names.any(|common| common.eq_ignore_ascii_case(name)))
}
