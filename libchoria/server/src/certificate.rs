//! The client certificate, for the status file: only a provider that uses one has it.

use config::{Settings, keys};
use std::path::Path;
use std::time::{Duration, SystemTime};
use x509_parser::pem::Pem;

/// When the configured certificate expires; `None` without one, or when it cannot be read, which the connection
/// reports in its own words.
pub(crate) fn expiry(settings: &Settings) -> Option<SystemTime> {
    let path = match settings.provider() {
        "choria" => settings.get(keys::SECURITY_CHORIA_CERTIFICATE),
        "file" => settings.get(keys::SECURITY_FILE_CERTIFICATE),
        _ => None,
    }?;
    of_file(&path)
}

/// The end of the first certificate of a PEM file.
fn of_file(path: &Path) -> Option<SystemTime> {
    let text = std::fs::read(path).ok()?;
    let pem = Pem::iter_from_buffer(&text).next()?.ok()?;
    let seconds = pem.parse_x509().ok()?.validity().not_after.timestamp();
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_certificate_there_is_no_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cert.pem");
        assert_eq!(of_file(&path), None);
        std::fs::write(&path, "no certificate").expect("written");
        assert_eq!(of_file(&path), None);
        let settings = Settings::builder().set("identity", "n1").build().expect("settings");
        assert_eq!(expiry(&settings), None);
    }
}
