//! The RPC audit log: one JSON line for each request that is about to be carried out (spec 03b §10), and, which is our
//! own, one for each that was denied. The line of a denial has no key `action`: what reads the lines of the original takes
//! none for a call that was carried out. It holds nothing a stranger could fill a disk with.
//!
//! The file is opened for every line, so that it may be moved away or cut at any time. A line that cannot be written is
//! counted and logged; the request is served all the same, as in the original.

use crate::authorize::{Authorized, Denied};
use crate::policy::shown;
use config::{Settings, keys};
use nix::unistd::{Gid, Group, fchown, geteuid};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::macros::format_description;

/// Where audit lines go.
#[derive(Debug)]
pub struct Audit {
    file: PathBuf,
    mode: u32,
    group: Option<String>,
    log_denied: bool,
    failures: AtomicU64,
}

/// Why there is no audit although `rpcaudit` asks for one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuditError {
    /// No file is named.
    #[error("rpcaudit is on but nothing is audited: set plugin.rpcaudit.logfile to the file for audit lines")]
    NoFile,
    /// The mode is none.
    #[error("plugin.rpcaudit.logfile.mode: {0:?} is not a file mode in octal, for example 0600; nothing is audited")]
    Mode(String),
}

/// A line, keys in this order.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    request_id: &'a str,
    request_time: u64,
    caller: &'a str,
    sender: &'a str,
    agent: &'a str,
    action: &'a str,
    data: &'a Value,
}

/// The line of a denial, keys in this order.
#[derive(Serialize)]
struct DeniedLine<'a> {
    timestamp: String,
    request_id: &'a str,
    request_time: u64,
    caller: &'a str,
    sender: &'a str,
    agent: &'a str,
    denied_action: String,
    reason: &'a str,
}

impl Audit {
    /// What `rpcaudit` and `plugin.rpcaudit.*` say; `None` when there is to be no audit.
    ///
    /// # Errors
    /// [`AuditError`]: the server runs without an audit then, as the original does.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, AuditError> {
        if !settings.get(keys::RPCAUDIT) {
            return Ok(None);
        }
        let file = settings.get(keys::RPCAUDIT_LOGFILE).ok_or(AuditError::NoFile)?;
        let text = settings.get(keys::RPCAUDIT_LOGFILE_MODE).unwrap_or("0600");
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let mode = u32::from_str_radix(digits, 8).map_err(|_| AuditError::Mode(text.to_owned()))?;
        let group = settings.get(keys::RPCAUDIT_LOGFILE_GROUP).filter(|group| !group.is_empty()).map(str::to_owned);
        let log_denied = settings.get(keys::RPCAUDIT_LOG_DENIED);
        Ok(Some(Self { file, mode, group, log_denied, failures: AtomicU64::new(0) }))
    }

    /// The file that lines are appended to.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Writes the line of `call` to `agent`; `false`: it could not be written, which is logged, the first failures and
    /// then ever fewer.
    pub(crate) fn write(&self, agent: &str, call: &Authorized, now: SystemTime) -> bool {
        self.put(&line(agent, call, now), call.admitted().request().id.as_str(), "the request is served without it")
    }

    /// The same for a call that is not carried out, unless the audit holds none of those.
    pub(crate) fn write_denied(&self, denied: &Denied, now: SystemTime) -> bool {
        !self.log_denied
            || self.put(
                &denied_line(denied, now),
                denied.call().admitted.request().id.as_str(),
                "the call is denied all the same",
            )
    }

    fn put(&self, line: &[u8], request: &str, consequence: &str) -> bool {
        let Err(error) = self.append(line) else { return true };
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_power_of_two() {
            tracing::error!(
                file = %self.file.display(), failures, %request,
                "an audit line was not written, {consequence}: {error}; see plugin.rpcaudit.logfile"
            );
        }
        false
    }

    /// Appends in one write, so that lines of several writers do not mix.
    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).mode(self.mode).open(&self.file)?;
        if let Some(name) = &self.group {
            fchown(&file, Some(geteuid()), Some(group_id(name)?))?;
        }
        file.write_all(line)
    }
}

fn line(agent: &str, call: &Authorized, now: SystemTime) -> Vec<u8> {
    let request = call.admitted().request();
    let line = Line {
        timestamp: timestamp(now),
        request_id: request.id.as_str(),
        request_time: request.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        caller: request.caller.as_str(),
        sender: request.sender.as_str(),
        agent,
        action: call.action(),
        data: &without_secrets(agent, &call.body().data),
    };
    written(&line)
}

/// The inputs as they may be written down: the secrets of provisioning are not, wherever the line ends up.
fn without_secrets<'a>(agent: &str, data: &'a Value) -> Cow<'a, Value> {
    let Value::Object(inputs) = data else { return Cow::Borrowed(data) };
    let is_secret = |name: &str| ["token", "key", "config"].iter().any(|secret| name.eq_ignore_ascii_case(secret));
    if agent != "choria_provision" || !inputs.keys().any(|name| is_secret(name)) {
        return Cow::Borrowed(data);
    }
    let hidden =
        |(name, value): (&String, &Value)| (name.clone(), if is_secret(name) { "*****".into() } else { value.clone() });
    Cow::Owned(Value::Object(inputs.iter().map(hidden).collect()))
}

fn denied_line(denied: &Denied, now: SystemTime) -> Vec<u8> {
    let request = denied.call().admitted.request();
    written(&DeniedLine {
        timestamp: timestamp(now),
        request_id: request.id.as_str(),
        request_time: request.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        caller: request.caller.as_str(),
        sender: request.sender.as_str(),
        agent: denied.agent().as_str(),
        denied_action: shown(&denied.call().body.action),
        reason: denied.reason(),
    })
}

fn written(line: &impl Serialize) -> Vec<u8> {
    // Texts, numbers and JSON values always have a JSON form.
    let mut text = escape(&serde_json::to_string(line).unwrap_or_default()).into_bytes();
    text.push(b'\n');
    text
}

/// Writes what stands in texts only as the original does, so that both write the same line and none can carry markup or
/// a line break of another alphabet into a viewer.
fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// As the original writes it: microseconds, UTC, an offset without a colon.
fn timestamp(now: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+0000");
    OffsetDateTime::from(now).format(format).unwrap_or_default()
}

fn group_id(name: &str) -> io::Result<Gid> {
    match Group::from_name(name)? {
        Some(group) => Ok(group.gid),
        None => Err(io::Error::other(format!("there is no group {name:?}; see plugin.rpcaudit.logfile.group"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_the_original_does() {
        let rows = [
            (1_714_558_830, 123_456_789, "2024-05-01T10:20:30.123456+0000"),
            (1_714_558_830, 0, "2024-05-01T10:20:30.000000+0000"),
        ];
        for (seconds, nanoseconds, text) in rows {
            assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)), text);
        }
    }

    #[test]
    fn the_secrets_of_provisioning_are_not_written_down() {
        let data = serde_json::json!({"Token": "s3cret", "key": "PEM", "config": "{}", "splay": 1});
        let hidden = serde_json::json!({"Token": "*****", "key": "*****", "config": "*****", "splay": 1});
        assert_eq!(*without_secrets("choria_provision", &data), hidden);
        assert_eq!(*without_secrets("rpcutil", &data), data);
    }

    #[test]
    fn what_the_original_escapes_is_escaped() {
        assert_eq!(escape("{\"a<b>&\u{2028}ä\":1}"), r#"{"a\u003cb\u003e\u0026\u2028ä":1}"#);
    }

    /// Case, settings, mode of the file.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Result<Option<u32>, AuditError>);

    #[test]
    fn what_the_settings_say() {
        let file = ("plugin.rpcaudit.logfile", "/var/log/audit.log");
        let on = ("rpcaudit", "1");
        let rows: &[Row<'_>] = &[
            ("off", &[file], Ok(None)),
            ("no file", &[on], Err(AuditError::NoFile)),
            ("usual mode", &[on, file], Ok(Some(0o600))),
            ("own mode", &[on, file, ("plugin.rpcaudit.logfile.mode", "0640")], Ok(Some(0o640))),
        ];
        for (name, values, expected) in rows {
            let builder = Settings::builder().set("identity", "n1");
            let builder = values.iter().fold(builder, |builder, (key, value)| builder.set(key, value));
            let audit = Audit::from_settings(&builder.build().expect("settings"));
            assert_eq!(audit.map(|audit| audit.map(|audit| audit.mode)), *expected, "{name}");
        }
    }
}
