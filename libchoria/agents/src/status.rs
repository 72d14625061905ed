//! The status file: what `choria tool status` and the Nagios check read (spec 04 §4.3).

use crate::stats::Counts;
use names::Identity;
use serde::{Serialize, Serializer};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The content of a status file; keys in this order.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The node.
    pub identity: Identity,
    /// Seconds since the start.
    pub uptime: u64,
    /// URL of the broker, empty while disconnected.
    pub connected_server: String,
    /// When the last request was accepted, unix seconds, 0 if never.
    pub last_message: u64,
    /// Whether the node waits to be provisioned.
    pub provisioning_mode: bool,
    /// The counters.
    pub stats: Counts,
    /// When the certificate expires.
    #[serde(serialize_with = "time_or_zero")]
    pub certificate_expires: Option<SystemTime>,
    /// When the token or its issuer expires, whichever is first.
    #[serde(serialize_with = "time_or_zero")]
    pub token_expires: Option<SystemTime>,
}

impl Status {
    /// Replaces the file at `path`, mode 0644, so that a reader sees the old or the new content and nothing between.
    /// Not forced to disk: after a power failure its age is what counts.
    ///
    /// # Errors
    /// What the system says; a file beside it is not left behind.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".status-").tempfile_in(folder)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    }
}

/// RFC 3339 in whole seconds, UTC; the year 1 stands for no time, as in the original.
fn time_or_zero<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = time
        .and_then(|time| OffsetDateTime::from(time).replace_nanosecond(0).ok())
        .and_then(|time| time.format(&Rfc3339).ok());
    serializer.serialize_str(text.as_deref().unwrap_or("0001-01-01T00:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_file_is_the_recorded_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("status.json");
        std::fs::write(&path, "an older and much longer file").expect("written");
        let stats =
            Counts { total: 62, valid: 56, passed: 56, filtered: 6, replies: 56, events: 2, ..Counts::default() };
        let status = Status {
            identity: "s1.choria.local".parse().expect("a name"),
            uptime: 1440,
            connected_server: "nats://broker.choria.local:4222".to_owned(),
            last_message: 1_795_253_866,
            provisioning_mode: false,
            stats,
            certificate_expires: None,
            token_expires: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_826_786_961_500)),
        };
        status.write(&path).expect("written");
        let recorded = vectors::root().join("cli/status-file.json");
        let recorded = std::fs::read_to_string(recorded).expect("the recorded file");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), recorded);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "a temporary file was left behind");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let status = Status {
            identity: "n1".parse().expect("a name"),
            uptime: 0,
            connected_server: String::new(),
            last_message: 0,
            provisioning_mode: false,
            stats: Counts::default(),
            certificate_expires: None,
            token_expires: None,
        };
        assert!(status.write(Path::new("/nonexistent/status.json")).is_err());
        let json = serde_json::to_value(&status).expect("JSON");
        assert_eq!(json["token_expires"], "0001-01-01T00:00:00Z");
    }
}
