//! How a verdict is told: as the existing tool does, to a monitoring system, or to a program.

use super::check::{Finding, Level};
use super::file::StatusFile;
use serde_json::json;
use std::io::{self, Write};
use std::time::SystemTime;

/// What there is to tell about one file.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The file.
    pub(super) file: String,
    /// Everything that is wrong.
    pub(super) findings: Vec<Finding>,
    /// What the file says, when it could be read.
    pub(super) status: Option<StatusFile>,
}

impl Verdict {
    /// Of a file that cannot be read.
    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        let text = format!("{file} could not be read: {error}");
        Self { file: file.to_owned(), findings: vec![Finding { level: Level::Unknown, text }], status: None }
    }

    /// The worst of all findings.
    pub(super) fn level(&self) -> Level {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }

    /// `FILE OK`, or the file and the first thing that is wrong.
    pub(super) fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let text = self.findings.first().map_or("OK", |finding| finding.text.as_str());
        writeln!(out, "{} {text}", self.file)
    }

    /// `CRITICAL: WHAT, WHAT|name=value;; …`, the worst first.
    pub(super) fn nagios(&self, out: &mut impl Write, now: SystemTime) -> io::Result<()> {
        let mut sorted: Vec<&Finding> = self.findings.iter().collect();
        sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        let mut text = sorted.iter().map(|finding| finding.text.as_str()).collect::<Vec<_>>().join(", ");
        if text.is_empty() {
            text.clone_from(&self.file);
        }
        // A bar would begin the performance data.
        let text = text.replace('|', "/");
        write!(out, "{}: {text}", self.level().word())?;
        if let Some(status) = &self.status {
            let data = measures(status, now).map(|(name, value)| format!("{name}={value};;"));
            write!(out, "|{}", data.join(" "))?;
        }
        writeln!(out)
    }

    /// One object with the word, what is wrong, and the file's own data.
    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        let problems = self.findings.iter().map(|finding| json!({"level": finding.level.word(), "text": finding.text}));
        let status = self.status.as_ref().map(|status| {
            json!({
                "identity": status.identity,
                "uptime": status.uptime,
                "connected_server": status.connected_server,
                "last_message": status.last_message,
                "provisioning_mode": status.provisioning_mode,
                "stats": status.stats,
                "certificate_expires": unix_seconds(status.certificate_expires),
                "token_expires": unix_seconds(status.token_expires),
            })
        });
        let document = json!({
            "file": self.file,
            "status": self.level().word(),
            "problems": problems.collect::<Vec<_>>(),
            "server": status,
        });
        serde_json::to_writer_pretty(&mut *out, &document)?;
        writeln!(out)
    }
}

/// The performance data of the existing server's own check.
fn measures(status: &StatusFile, now: SystemTime) -> [(&'static str, i64); 11] {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let left = |expires: Option<SystemTime>| match expires.map(|expires| expires.duration_since(now)) {
        None => i64::MAX,
        Some(Ok(left)) => number(left.as_secs()),
        Some(Err(past)) => -number(past.duration().as_secs()),
    };
    let stats = &status.stats;
    [
        ("uptime", number(status.uptime)),
        ("filtered_msgs", number(stats.filtered)),
        ("invalid_msgs", number(stats.invalid)),
        ("passed_msgs", number(stats.passed)),
        ("replies_msgs", number(stats.replies)),
        ("total_msgs", number(stats.total)),
        ("ttlexpired_msgs", number(stats.ttlexpired)),
        ("last_msg", number(status.last_message)),
        ("cert_expire_seconds", left(status.certificate_expires)),
        ("token_expire_seconds", left(status.token_expires)),
        ("events", number(stats.events)),
    ]
}

fn unix_seconds(time: Option<SystemTime>) -> Option<u64> {
    time?.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn verdict(findings: &[(Level, &str)]) -> Verdict {
        let text = vectors::Folder::open("cli").text("status-file.json");
        let findings = findings.iter().map(|(level, text)| Finding { level: *level, text: (*text).to_owned() });
        Verdict {
            file: "/var/log/choria-status.json".to_owned(),
            findings: findings.collect(),
            status: Some(serde_json::from_str(&text).expect("a status file")),
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn text_is_what_was_recorded_or_the_first_finding() {
        let recorded = vectors::Folder::open("cli").text("server-status-and-buildinfo.txt");
        let expected = recorded.lines().nth(1).expect("a line");
        assert_eq!(written(|out| verdict(&[]).text(out)), format!("{expected}\n"));
        let ill = verdict(&[(Level::Critical, "older than 30m0s"), (Level::Critical, "in provisioning mode")]);
        assert_eq!(written(|out| ill.text(out)), "/var/log/choria-status.json older than 30m0s\n");
    }

    #[test]
    fn monitoring_systems_hear_the_worst_first() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_826_786_961 - 100);
        let data = "|uptime=1440;; filtered_msgs=6;; invalid_msgs=0;; passed_msgs=56;; replies_msgs=56;; total_msgs=62;; \
                    ttlexpired_msgs=0;; last_msg=1795253866;; cert_expire_seconds=9223372036854775807;; \
                    token_expire_seconds=100;; events=2;;\n";
        type Row = (&'static [(Level, &'static str)], &'static str, u8);
        let rows: [Row; 4] = [
            (&[], "OK: /var/log/choria-status.json", 0),
            (&[(Level::Warning, "token expires soon")], "WARNING: token expires soon", 1),
            (&[(Level::Warning, "token"), (Level::Critical, "a|b")], "CRITICAL: a/b, token", 2),
            (&[(Level::Critical, "a"), (Level::Critical, "b")], "CRITICAL: a, b", 2),
        ];
        for (findings, expected, code) in rows {
            let verdict = verdict(findings);
            assert_eq!(written(|out| verdict.nagios(out, now)), format!("{expected}{data}"));
            assert_eq!(verdict.level().nagios_code(), code, "{expected}");
        }
        let unreadable = Verdict::unreadable("/x", &io::Error::other("gone"));
        assert_eq!(written(|out| unreadable.nagios(out, now)), "UNKNOWN: /x could not be read: gone\n");
        assert_eq!(unreadable.level().nagios_code(), 3);
    }

    #[test]
    fn programs_get_everything() {
        let text = written(|out| verdict(&[(Level::Critical, "older than 30m0s")]).json(out));
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(document["status"], "CRITICAL");
        assert_eq!(document["problems"], json!([{"level": "CRITICAL", "text": "older than 30m0s"}]));
        assert_eq!(document["server"]["stats"]["passed"], 56);
        assert_eq!(document["server"]["certificate_expires"], serde_json::Value::Null);
        assert_eq!(document["server"]["token_expires"], 1_826_786_961);
    }
}
