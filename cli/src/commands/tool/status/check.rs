//! What can be wrong with a server, judged by its status file. Pure: the time is an argument.

use super::file::StatusFile;
use crate::duration::render_go;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::macros::format_description;

/// What is accepted; a zero duration accepts everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Age of the file.
    pub(super) age: Duration,
    /// Time that the certificate must still be valid.
    pub(super) certificate: Duration,
    /// Time that the token must still be valid.
    pub(super) token: Duration,
    /// Time since the last request.
    pub(super) message: Duration,
    /// Whether the server must be connected.
    pub(super) connected: bool,
    /// What the server must be doing, if anything certain.
    pub(super) mode: Option<Mode>,
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// It waits to be provisioned.
    Provisioning,
    /// It has its configuration.
    Provisioned,
}

/// How bad something is; the order is that of monitoring systems' attention.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Level {
    /// All is well.
    Ok,
    /// It works, but not for long.
    Warning,
    /// Nobody knows.
    Unknown,
    /// It does not work.
    Critical,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) level: Level,
    /// What it is, as the existing tool says it.
    pub(super) text: String,
}

impl Level {
    /// The exit code of a monitoring plugin.
    pub(super) fn nagios_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 1,
            Self::Critical => 2,
            Self::Unknown => 3,
        }
    }

    /// The word of a monitoring plugin.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Everything that is wrong at `now`, in the order of the documentation.
pub(super) fn findings(status: &StatusFile, limits: &Limits, now: SystemTime) -> Vec<Finding> {
    let critical = |text| Finding { level: Level::Critical, text };
    let found = [
        too_old(status, limits.age, now).map(critical),
        expiry("certificate", status.certificate_expires, limits.certificate, now),
        expiry("token", status.token_expires, limits.token, now),
        (limits.connected && status.connected_server.is_empty())
            .then(|| critical("connection check failed: not connected".to_owned())),
        no_messages(status, limits.message, now).map(critical),
        wrong_mode(status, limits.mode).map(critical),
    ];
    found.into_iter().flatten().collect()
}

fn too_old(status: &StatusFile, limit: Duration, now: SystemTime) -> Option<String> {
    // A file from the future is young: clocks are set back at times.
    let age = now.duration_since(status.written?).unwrap_or_default();
    (!limit.is_zero() && age > limit).then(|| format!("older than {}", render_go(limit)))
}

fn expiry(what: &str, expires: Option<SystemTime>, limit: Duration, now: SystemTime) -> Option<Finding> {
    let expires = expires.filter(|_| !limit.is_zero())?;
    let (level, left) = match expires.duration_since(now) {
        Ok(left) if left >= limit => return None,
        Ok(left) => (Level::Warning, render_go(to_seconds(left))),
        Err(past) => (Level::Critical, format!("-{}", render_go(to_seconds(past.duration())))),
    };
    Some(Finding { level, text: format!("{what} expires {} ({left})", shown(expires)) })
}

fn no_messages(status: &StatusFile, limit: Duration, now: SystemTime) -> Option<String> {
    // A server that just started may not have been asked yet.
    let is_new = status.last_message == 0 && Duration::from_secs(status.uptime) < limit;
    let last = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(status.last_message))?;
    let silence = now.duration_since(last).unwrap_or_default();
    let is_late = !limit.is_zero() && !is_new && silence > limit;
    is_late.then(|| format!("no recent messages: last message at {}", shown(last)))
}

fn wrong_mode(status: &StatusFile, wanted: Option<Mode>) -> Option<String> {
    match (wanted?, status.provisioning_mode) {
        (Mode::Provisioning, false) => Some("not in provisioning mode".to_owned()),
        (Mode::Provisioned, true) => Some("in provisioning mode".to_owned()),
        (Mode::Provisioning, true) | (Mode::Provisioned, false) => None,
    }
}

/// `2027-11-21 08:49:21 +0000 UTC`.
fn shown(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] +0000 UTC");
    // Only years beyond 9999 cannot be written.
    OffsetDateTime::from(time).format(format).unwrap_or_default()
}

/// Rounded to the nearest second.
fn to_seconds(time: Duration) -> Duration {
    Duration::from_secs((time + Duration::from_millis(500)).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const USUAL: Limits = Limits {
        age: Duration::from_secs(1800),
        certificate: Duration::from_secs(86_400),
        token: Duration::from_secs(86_400),
        message: HOUR,
        connected: true,
        mode: None,
    };

    /// The recorded file, one minute old.
    fn recorded() -> (StatusFile, SystemTime) {
        let text = vectors::Folder::open("cli").text("status-file.json");
        let mut status: StatusFile = serde_json::from_str(&text).expect("a status file");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(status.last_message + 60);
        status.written = Some(now - Duration::from_secs(60));
        (status, now)
    }

    #[test]
    fn each_check_says_what_is_wrong() {
        type Row = (&'static str, fn(&mut StatusFile, &mut Limits, SystemTime), Option<(Level, &'static str)>);
        let rows: [Row; 18] = [
            ("all is well", |_, _, _| {}, None),
            ("old", |status, _, now| status.written = Some(now - HOUR), Some((Level::Critical, "older than 30m0s"))),
            (
                "old, disabled",
                |status, limits, now| {
                    status.written = Some(now - HOUR);
                    limits.age = Duration::ZERO;
                },
                None,
            ),
            ("from the future", |status, _, now| status.written = Some(now + HOUR), None),
            (
                "a token that expires soon",
                |status, _, now| status.token_expires = Some(now + HOUR),
                Some((Level::Warning, "token expires 2026-11-21 10:38:46 +0000 UTC (1h0m0s)")),
            ),
            (
                "a token that expired",
                |status, _, now| status.token_expires = Some(now - HOUR),
                Some((Level::Critical, "token expires 2026-11-21 08:38:46 +0000 UTC (-1h0m0s)")),
            ),
            (
                "a token, disabled",
                |status, limits, now| {
                    status.token_expires = Some(now - HOUR);
                    limits.token = Duration::ZERO;
                },
                None,
            ),
            (
                "a certificate",
                |status, _, now| status.certificate_expires = Some(now + HOUR),
                Some((Level::Warning, "certificate expires 2026-11-21 10:38:46 +0000 UTC (1h0m0s)")),
            ),
            ("no certificate", |status, _, _| status.certificate_expires = None, None),
            (
                "disconnected",
                |status, _, _| status.connected_server.clear(),
                Some((Level::Critical, "connection check failed: not connected")),
            ),
            ("not yet known", |status, _, _| status.connected_server = "unknown".to_owned(), None),
            (
                "disconnected, disabled",
                |status, limits, _| {
                    status.connected_server.clear();
                    limits.connected = false;
                },
                None,
            ),
            (
                "silence",
                |status, _, _| status.last_message -= 7200,
                Some((Level::Critical, "no recent messages: last message at 2026-11-21 07:37:46 +0000 UTC")),
            ),
            (
                "a young server",
                |status, _, _| {
                    status.last_message = 0;
                    status.uptime = 60;
                },
                None,
            ),
            (
                "an old server that was never asked",
                |status, _, _| {
                    status.last_message = 0;
                    status.uptime = 7200;
                },
                Some((Level::Critical, "no recent messages: last message at 1970-01-01 00:00:00 +0000 UTC")),
            ),
            (
                "silence, disabled",
                |status, limits, _| {
                    status.last_message = 0;
                    limits.message = Duration::ZERO;
                },
                None,
            ),
            (
                "not in provisioning mode",
                |_, limits, _| limits.mode = Some(Mode::Provisioning),
                Some((Level::Critical, "not in provisioning mode")),
            ),
            (
                "in provisioning mode",
                |status, limits, _| {
                    status.provisioning_mode = true;
                    limits.mode = Some(Mode::Provisioned);
                },
                Some((Level::Critical, "in provisioning mode")),
            ),
        ];
        for (name, change, expected) in rows {
            let ((mut status, now), mut limits) = (recorded(), USUAL);
            change(&mut status, &mut limits, now);
            let expected: Vec<Finding> =
                expected.map(|(level, text)| Finding { level, text: text.to_owned() }).into_iter().collect();
            assert_eq!(findings(&status, &limits, now), expected, "{name}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_found_in_order() {
        let (mut status, now) = recorded();
        status.written = Some(now - HOUR);
        status.token_expires = Some(now + HOUR);
        status.connected_server.clear();
        let levels: Vec<Level> = findings(&status, &USUAL, now).iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Critical, Level::Warning, Level::Critical]);
    }
}
