//! The audit log of the provisioner (`audit_log`): one JSON line about each node that was worked on.
//!
//! The file is opened for every line, so that it may be moved away or cut at any time.

use names::Identity;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where audit lines go.
#[derive(Debug)]
pub(crate) struct Audit {
    file: PathBuf,
    /// Who provisions.
    provisioner: Identity,
    failures: AtomicU64,
}

/// One line, keys in this order.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    node: &'a Identity,
    outcome: &'a str,
    reason: &'a str,
    seconds: f64,
    waited_seconds: f64,
    provisioner: &'a Identity,
}

/// What is told about a node.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) node: &'a Identity,
    /// `provisioned`, `upgraded`, `stopped`, `deferred`, `failed`, `paused`, `discarded`.
    pub(crate) outcome: &'a str,
    /// Why; empty for success.
    pub(crate) reason: &'a str,
    /// How long it took.
    pub(crate) took: Duration,
    /// How long the node waited before that.
    pub(crate) waited: Duration,
}

impl Audit {
    pub(crate) fn new(file: PathBuf, provisioner: Identity) -> Self {
        Self { file, provisioner, failures: AtomicU64::new(0) }
    }

    /// Appends a line. That it cannot be written is logged, the first times and then ever fewer; the work goes on.
    pub(crate) fn write(&self, entry: &Entry<'_>, now: SystemTime) {
        if let Err(error) = self.append(entry, now) {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
            if failures.is_power_of_two() {
                let file = self.file.display();
                tracing::error!(%file, failures, "an audit line was not written: {error}; see audit_log");
            }
        }
    }

    fn append(&self, entry: &Entry<'_>, now: SystemTime) -> io::Result<()> {
        let line = Line {
            time: OffsetDateTime::from(now).format(&Rfc3339).unwrap_or_default(),
            node: entry.node,
            outcome: entry.outcome,
            reason: entry.reason,
            seconds: entry.took.as_secs_f64(),
            waited_seconds: entry.waited.as_secs_f64(),
            provisioner: &self.provisioner,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.file)?;
        // In one write, so that lines do not mix.
        file.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_gets_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        let audit = Audit::new(path.clone(), "p1".parse().expect("an identity"));
        let node = "n1".parse().expect("an identity");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_251_907);
        let entry = |outcome, reason| Entry {
            node: &node,
            outcome,
            reason,
            took: Duration::from_millis(1500),
            waited: Duration::from_millis(250),
        };
        audit.write(&entry("provisioned", ""), now);
        audit.write(&entry("failed", "it said \"no\"\n"), now);
        let expected = concat!(
            r#"{"time":"2026-11-21T09:05:07Z","node":"n1","outcome":"provisioned","reason":"","seconds":1.5,"waited_seconds":0.25,"provisioner":"p1"}"#,
            "\n",
            r#"{"time":"2026-11-21T09:05:07Z","node":"n1","outcome":"failed","reason":"it said \"no\"\n","seconds":1.5,"waited_seconds":0.25,"provisioner":"p1"}"#,
            "\n",
        );
        assert_eq!(std::fs::read_to_string(&path).expect("the log"), expected);
        Audit::new("/nonexistent/audit".into(), node.clone()).write(&entry("failed", ""), now);
    }
}
