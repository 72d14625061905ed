//! A certificate for the listener where none is configured: self-signed, so it encrypts and proves nothing. Members of
//! the fleet without a configured CA do not ask for more (spec 01 §6).

use rcgen::{CertificateParams, KeyPair};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;

/// A certificate and its key, both PEM files.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The names cannot stand in a certificate.
    #[error("a certificate for {names} cannot be made: {source}; set plugin.security.choria.certificate and key")]
    Generate {
        /// The names.
        names: String,
        /// Why.
        source: rcgen::Error,
    },
    /// The files could not be written.
    #[error("the generated certificate cannot be kept: {0}; set plugin.security.choria.certificate and key")]
    Write(#[from] tokens::KeyError),
}

/// The certificate kept in `directory`, if it still serves for `names` at `now`; otherwise a new one, kept there.
///
/// # Errors
/// [`CertificateError`].
pub(crate) fn find_or_generate(
    directory: &Path,
    names: &[String],
    now: SystemTime,
) -> Result<Certificate, CertificateError> {
    let found = Certificate { certificate: directory.join(CERTIFICATE), key: directory.join(KEY) };
    if found.key.is_file() && serves(&found.certificate, names, now.into()) {
        return Ok(found);
    }
    let generate = |source| CertificateError::Generate { names: names.join(", "), source };
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(generate)?;
    let mut parameters = CertificateParams::new(names.to_vec()).map_err(generate)?;
    let now = OffsetDateTime::from(now);
    parameters.not_before = now - CLOCK_DIFFERENCE;
    parameters.not_after = now + LIFETIME;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, names.first().map_or("broker", String::as_str));
    let certificate = parameters.self_signed(&key).map_err(generate)?;
    tokens::write_private(&found.key, key.serialize_pem().as_bytes())?;
    tokens::write_private(&found.certificate, certificate.pem().as_bytes())?;
    tracing::warn!(
        certificate = %found.certificate.display(),
        "no certificate is configured, so a self-signed one was generated: connections are encrypted, but clients \
         cannot verify this broker; set plugin.security.choria.certificate and key to change that"
    );
    Ok(found)
}

/// When the first certificate of a PEM file ends; `None` when there is none that can be read.
pub(crate) fn expiry(file: &Path) -> Option<SystemTime> {
    let text = std::fs::read(file).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text).ok()?;
    let seconds = pem.parse_x509().ok()?.validity().not_after.timestamp();
    Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Whether the certificate in `file` carries all `names` and does not end soon.
fn serves(file: &Path, names: &[String], now: OffsetDateTime) -> bool {
    let Ok(text) = std::fs::read(file) else { return false };
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(&text) else { return false };
    let Ok(certificate) = pem.parse_x509() else { return false };
    let Ok(Some(carried)) = certificate.subject_alternative_name() else { return false };
    let carries = |name: &String| carried.value.general_names.iter().any(|general| is_name(general, name));
    certificate.validity().not_after.to_datetime() > now + RENEW_BEFORE && names.iter().all(carries)
}

fn is_name(general: &GeneralName<'_>, name: &str) -> bool {
    match general {
        GeneralName::DNSName(text) => *text == name,
        GeneralName::IPAddress(bytes) => match name.parse() {
            Ok(IpAddr::V4(address)) => *bytes == address.octets(),
            Ok(IpAddr::V6(address)) => *bytes == address.octets(),
            Err(_) => false,
        },
        _ => false,
    }
}

const CERTIFICATE: &str = "listener.pem";

const KEY: &str = "listener.key";

/// Nobody verifies it, so its end would only surprise.
const LIFETIME: Duration = Duration::days(3650);

/// A broker may run this long between starts.
const RENEW_BEFORE: Duration = Duration::days(365);

/// Clocks of clients that are behind.
const CLOCK_DIFFERENCE: Duration = Duration::days(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn is_kept_until_it_no_longer_serves() {
        let directory = tempfile::tempdir().unwrap();
        let start = SystemTime::now();
        let year = std::time::Duration::from_secs(365 * 86_400);
        let first = names(&["b1.example.net", "localhost", "127.0.0.1"]);
        let read = || std::fs::read(directory.path().join(CERTIFICATE)).unwrap();

        let made = find_or_generate(directory.path(), &first, start).unwrap();
        assert_eq!(std::fs::metadata(&made.key).unwrap().permissions().mode() & 0o777, 0o600);
        let original = read();
        for (what, names, now, kept) in [
            ("the same", first.clone(), start, true),
            ("fewer names", names(&["localhost"]), start, true),
            ("years later", first, start + year * 5, true),
            ("another name", names(&["b2.example.net"]), start, false),
        ] {
            find_or_generate(directory.path(), &names, now).unwrap();
            assert_eq!(read() == original, kept, "{what}");
        }
        let second = read();
        find_or_generate(directory.path(), &names(&["b2.example.net"]), start + year * 10).unwrap();
        assert!(read() != second, "shortly before its end");
    }
}
