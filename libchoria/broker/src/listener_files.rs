//! The files that nats-server takes its listeners' certificates from: copies in the private directory. A replacement
//! is copied only after it was found good, so a bad one changes nothing, not even when nats-server is started again.

use crate::certificates::Certificate;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use time::OffsetDateTime;

/// The copies, and what they are copies of.
#[derive(Clone, Debug)]
pub(crate) struct ListenerFiles {
    source: Certificate,
    /// Certificates that sign those of clients, where a listener demands them.
    authority: Option<PathBuf>,
    /// Of this process itself, added to `authority`: PEM.
    own_authority: Option<String>,
    directory: PathBuf,
}

/// A certificate, its key and the certificates of clients that nats-server shall use, at their places.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// For listeners that demand certificates of clients.
    pub(crate) authority: Option<PathBuf>,
    /// When the certificate ends, in seconds since 1970.
    pub(crate) expires: i64,
}

/// Why a certificate is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// A file cannot be read.
    #[error("{what} {file} cannot be read: {source}", file = file.display())]
    Read {
        /// Which of the three.
        what: &'static str,
        /// Where it is.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no certificate.
    #[error("{file} holds no certificate: a file of PEM blocks is needed, the broker's own first", file = file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// Its time is over.
    #[error("the certificate in {file} ended on {end}", file = file.display())]
    Expired {
        /// The file.
        file: PathBuf,
        /// Day and time.
        end: String,
    },
    /// Its time has not come.
    #[error("the certificate in {file} is not valid before {start}: is the clock right?", file = file.display())]
    NotYet {
        /// The file.
        file: PathBuf,
        /// Day and time.
        start: String,
    },
    /// The copy cannot be made.
    #[error("the certificate cannot be copied into the runtime directory: {0}")]
    Copy(#[from] tokens::KeyError),
    /// nats-server's own check.
    #[error("nats-server refuses it: {0}")]
    Refused(String),
    /// The copies could not take their place.
    #[error("the copied certificate cannot be put in place: {0}")]
    Place(#[from] std::io::Error),
}

/// Which copies: those in use, or those that are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Candidate,
    InUse,
}

impl ListenerFiles {
    pub(crate) fn new(
        source: Certificate,
        authority: Option<PathBuf>,
        own_authority: Option<String>,
        directory: &Path,
    ) -> Self {
        Self { source, authority, own_authority, directory: directory.to_owned() }
    }

    /// Copies the files as they are now beside those in use.
    ///
    /// # Errors
    /// [`Unusable`] when a file is missing or is no certificate. Whether certificate and key belong together is for
    /// nats-server's own check.
    pub(crate) fn copy(&self) -> Result<Placed, Unusable> {
        let read = |what, file: &Path| {
            std::fs::read(file).map_err(|source| Unusable::Read { what, file: file.to_owned(), source })
        };
        let certificate = read("plugin.security.choria.certificate", &self.source.certificate)?;
        let key = read("plugin.security.choria.key", &self.source.key)?;
        let (_, end) = self.validity(&certificate)?;
        let placed = Placed { expires: end.unix_timestamp(), ..self.places(Stage::Candidate) };
        tokens::write_private(&placed.certificate, &certificate)?;
        tokens::write_private(&placed.key, &key)?;
        if let (Some(copy), Some(authority)) = (&placed.authority, &self.authority) {
            let mut text = read("plugin.security.choria.ca", authority)?;
            text.push(b'\n');
            text.extend_from_slice(self.own_authority.as_deref().unwrap_or_default().as_bytes());
            tokens::write_private(copy, &text)?;
        }
        Ok(placed)
    }

    /// Whether the copied certificate is valid at `now`.
    ///
    /// # Errors
    /// [`Unusable::Expired`] and [`Unusable::NotYet`].
    pub(crate) fn check_dates(&self, now: SystemTime) -> Result<(), Unusable> {
        let file = self.source.certificate.clone();
        let copy = self.places(Stage::Candidate).certificate;
        let text = std::fs::read(&copy)?;
        let (start, end) = self.validity(&text)?;
        let now = OffsetDateTime::from(now);
        if now > end {
            return Err(Unusable::Expired { file, end: shown(end) });
        }
        if now < start {
            return Err(Unusable::NotYet { file, start: shown(start) });
        }
        Ok(())
    }

    /// Puts the copies that were looked at into use.
    ///
    /// # Errors
    /// [`Unusable::Place`].
    pub(crate) fn adopt(&self, candidate: &Placed) -> Result<Placed, Unusable> {
        let placed = Placed { expires: candidate.expires, ..self.places(Stage::InUse) };
        std::fs::rename(&candidate.key, &placed.key)?;
        std::fs::rename(&candidate.certificate, &placed.certificate)?;
        if let Some((from, to)) = candidate.authority.as_ref().zip(placed.authority.as_ref()) {
            std::fs::rename(from, to)?;
        }
        Ok(placed)
    }

    /// The copies in use, if there are any from an earlier run.
    pub(crate) fn in_use(&self) -> Option<Placed> {
        let placed = self.places(Stage::InUse);
        let text = std::fs::read(&placed.certificate).ok()?;
        let (_, end) = self.validity(&text).ok()?;
        placed.key.is_file().then(|| Placed { expires: end.unix_timestamp(), ..placed })
    }

    /// Where the copies are.
    pub(crate) fn places(&self, stage: Stage) -> Placed {
        let prefix = match stage {
            Stage::Candidate => "candidate-",
            Stage::InUse => "",
        };
        let at = |name: &str| self.directory.join(format!("{prefix}{name}"));
        Placed {
            certificate: at("certificate.pem"),
            key: at("key.pem"),
            authority: self.authority.as_ref().map(|_| at("client-ca.pem")),
            expires: 0,
        }
    }

    fn validity(&self, pem: &[u8]) -> Result<(OffsetDateTime, OffsetDateTime), Unusable> {
        let nothing = || Unusable::NoCertificate { file: self.source.certificate.clone() };
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| nothing())?;
        let certificate = pem.parse_x509().map_err(|_| nothing())?;
        let validity = certificate.validity();
        Ok((validity.not_before.to_datetime(), validity.not_after.to_datetime()))
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.certificate.display())
    }
}

/// To the minute, in universal time.
fn shown(time: OffsetDateTime) -> String {
    let (date, hour, minute) = (time.date(), time.hour(), time.minute());
    format!("{date} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn certificate(days: [i64; 2]) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["b1".to_owned()]).unwrap();
        let now = OffsetDateTime::from(SystemTime::now());
        parameters.not_before = now + time::Duration::days(days[0]);
        parameters.not_after = now + time::Duration::days(days[1]);
        (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn dates_are_judged_and_the_files_in_use_stay() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let source = Certificate { certificate: at("site.pem"), key: at("site.key") };
        let files = ListenerFiles::new(source, None, None, directory.path());
        let replace = |days| {
            let (certificate, key) = certificate(days);
            std::fs::write(at("site.pem"), certificate).unwrap();
            std::fs::write(at("site.key"), key).unwrap();
        };
        let missing = files.copy().expect_err("there is no file").to_string();
        assert!(missing.starts_with("plugin.security.choria.certificate"), "{missing}");

        replace([-1, 30]);
        let now = SystemTime::now();
        let candidate = files.copy().unwrap();
        files.check_dates(now).unwrap();
        let used = files.adopt(&candidate).unwrap();
        assert!(used.expires > 0 && !candidate.key.exists());
        let first = std::fs::read(&used.certificate).unwrap();

        let rows: [(&str, [i64; 2], &str); 2] =
            [("old", [-30, -1], "ended on"), ("early", [1, 30], "not valid before")];
        for (name, days, expected) in rows {
            replace(days);
            files.copy().unwrap();
            let error = files.check_dates(now).expect_err(name).to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
        std::fs::write(at("site.pem"), "no certificate").unwrap();
        assert!(matches!(files.copy(), Err(Unusable::NoCertificate { .. })));
        assert_eq!(std::fs::read(files.in_use().unwrap().certificate).unwrap(), first);
        files.check_dates(now + Duration::from_secs(60)).expect_err("the last copy is the early one");
    }
}
