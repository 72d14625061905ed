//! Whether messages that are handed in on this machine find their way: socket, spool, limits, what waits, permission.

use super::credentials::Claims;
use super::report::{Report, roughly};
use crate::commands::tool::submission::age;
use crate::output::number::{bytes, grouped};
use config::Settings;
use local::submission::{Client, Status};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The name of this check.
pub(super) const CHECK: &str = "submission";

/// Examines submission on a server's machine. `claims` are those of its token.
pub(super) fn examine(report: &mut Report, settings: &Settings, claims: Option<&Claims>, now: SystemTime) {
    let settings = match ::submission::Settings::from_settings(settings) {
        Ok(Some(settings)) => settings,
        Ok(None) => return report.skip(CHECK, "no plugin.choria.submission.spool is set"),
        Err(error) => return report.fail(CHECK, error.to_string(), "correct the setting"),
    };
    permission(report, claims);
    let usable = spool(report, &settings.spool);
    match Client::connect_within(&settings.socket, LIMIT).map(|mut client| client.status()) {
        Ok(Ok(status)) => contents(report, &status, now),
        Ok(Err(error)) => {
            let text = format!("{} does not answer: {error}", settings.socket.display());
            report.warn(CHECK, text, "journalctl -u choria-submit tells why");
        }
        Err(error) => {
            let fix = "systemctl enable --now choria-submit.socket";
            report.warn(CHECK, format!("only the owner of the spool can submit: {error}"), fix);
            if usable {
                if let Ok(status) = local::submission::status(&settings) {
                    contents(report, &status, now);
                }
            }
        }
    }
}

/// Whether the broker takes what the server publishes.
fn permission(report: &mut Report, claims: Option<&Claims>) {
    if let Some(Claims::Server(claims)) = claims {
        if !claims.granted().submission {
            let fix = "have the token issued with the permission: choria jwt server --submission, or permissions.submission in \
                       the provisioner's helper";
            report.fail(CHECK, "the token does not allow submission: the broker refuses every submitted message", fix);
        }
    }
}

/// Whether the spool is there and nobody else's. Nothing is made or changed.
fn spool(report: &mut Report, path: &Path) -> bool {
    let shown = path.display();
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let fix = "start the server or choria-submit, which make it; their user must be able to write the directory above";
            report.warn(CHECK, format!("the spool {shown} does not exist"), fix);
            return false;
        }
        Err(error) => {
            report.warn(CHECK, format!("the spool {shown} cannot be looked at: {error}"), "run this as root");
            return false;
        }
    };
    if !found.is_dir() {
        let fix = "remove it, or correct plugin.choria.submission.spool";
        report.fail(CHECK, format!("the spool {shown} is no directory"), fix);
        return false;
    }
    if found.mode() & OTHERS_WRITE != 0 {
        let fix = format!("chmod 0700 {shown}");
        report.fail(CHECK, format!("others than its owner can write the spool {shown}, so it is not used"), fix);
        return false;
    }
    let own = found.uid() == nix::unistd::geteuid().as_raw();
    if own && nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_err() {
        report.fail(CHECK, format!("the spool {shown} cannot be written"), "have its file system mounted for writing");
        return false;
    }
    own
}

/// What waits, how long, and how much room there is.
fn contents(report: &mut Report, status: &Status, now: SystemTime) {
    let mut well = true;
    let mut warn = |text: String, fix: &str| {
        report.warn(CHECK, text, fix);
        well = false;
    };
    let limits = &status.limits;
    for waiting in &status.priorities {
        let oldest = age(waiting, now).unwrap_or_default();
        if oldest > LONG {
            let text = format!(
                "{} messages of priority {} wait, the oldest for {}",
                grouped(waiting.messages),
                waiting.priority,
                roughly(oldest)
            );
            warn(
                text,
                "see that the server runs and is connected, and that a stream takes their subject: choria tool submission",
            );
        }
        if waiting.messages > limits.messages {
            let text =
                format!("the spool is full for priority {}: {} messages", waiting.priority, grouped(waiting.messages));
            warn(text, "have them delivered, or raise plugin.choria.submission.max_spool_size");
        }
    }
    if status.bytes / 10 * 10 >= limits.spool_bytes / 10 * 9 && limits.spool_bytes > 0 {
        let text = format!("the spool holds {} of {}", bytes(status.bytes), bytes(limits.spool_bytes));
        warn(text, "have messages delivered, or raise plugin.choria.submission.max_spool_bytes");
    }
    if status.corrupt > 0 {
        let text = format!("{} files in the spool were no messages", grouped(status.corrupt));
        warn(text, "look at them in the folder corrupt of the spool, then remove them");
    }
    if well && !report.mentions(CHECK) {
        report.ok(CHECK, format!("{} messages wait in {}", grouped(status.messages), status.spool));
    }
}

/// The service answers at once.
const LIMIT: Duration = Duration::from_secs(3);

/// Messages that wait longer are hardly on their way.
const LONG: Duration = Duration::from_secs(3600);

/// Permission for group and others to write.
const OTHERS_WRITE: u32 = 0o022;

#[cfg(test)]
mod tests {
    use super::*;
    use ::submission::Timestamp;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    /// Places in a status and what stands there.
    type Changes<'a> = &'a [(&'a str, serde_json::Value)];

    fn told(changes: Changes<'_>) -> Status {
        let queue = |priority: u8| json!({ "priority": priority, "messages": 0, "bytes": 0, "oldest": null });
        let mut status = json!({
            "identity": "n1", "spool": "/spool", "messages": 0, "bytes": 0, "priorities": [queue(0), queue(1)], "corrupt": 0,
            "limits": { "messages": 500, "spool_bytes": 1000, "payload_bytes": 1000, "ttl": 1.0 },
            "counters": { "accepted": 0, "accepted_bytes": 0, "commits": 0, "refused": {} },
        });
        for (pointer, value) in changes {
            *status.pointer_mut(pointer).expect(pointer) = value.clone();
        }
        serde_json::from_value(status).expect("a status")
    }

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        let patient = super::super::report::Patient { role: "server", config: String::new() };
        report.write_json(&mut out, &patient).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_waits_is_judged() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().expect("a time");
        let rows: [(&str, Changes, &str); 6] = [
            ("empty", &[], "0 messages wait in /spool"),
            ("young", &[("/priorities/1/oldest", json!("2026-11-21T11:30:00Z"))], "0 messages wait in /spool"),
            (
                "old",
                &[("/priorities/1/oldest", json!("2026-11-21T10:00:00Z")), ("/priorities/1/messages", json!(7))],
                "7 messages of priority 1 wait, the oldest for",
            ),
            ("full", &[("/priorities/0/messages", json!(501))], "full for priority 0"),
            ("nearly full", &[("/bytes", json!(950))], "holds 950 B of 1000 B"),
            ("corrupt", &[("/corrupt", json!(2))], "2 files in the spool were no messages"),
        ];
        for (name, changes, expected) in rows {
            let mut report = Report::default();
            contents(&mut report, &told(changes), now.into());
            let text = text(&report);
            assert!(text.contains(expected), "{name}: no {expected:?} in {text}");
        }
    }

    #[test]
    fn a_spool_must_be_there_and_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("spool");
        let mut seen = Vec::new();
        let mut look = |expected: bool| {
            let mut report = Report::default();
            assert_eq!(spool(&mut report, &path), expected);
            seen.push(text(&report));
        };
        look(false);
        std::fs::create_dir(&path).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("changed");
        look(false);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("changed");
        look(true);
        let count = std::fs::read_dir(&path).expect("listed").count();
        assert_eq!(count, 0, "nothing is made");
        for (text, expected) in seen.iter().zip(["does not exist", "chmod 0700", ""]) {
            assert!(text.contains(expected), "no {expected:?} in {text}");
        }
    }
}
