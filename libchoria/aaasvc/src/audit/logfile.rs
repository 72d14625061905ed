//! The audit file: one JSON object a line, keys sorted (spec 07 §10.1). The request is written as it is; the original
//! takes percent signs in it for formats.

use super::Record;
use crate::settings::Problem;
use agents::Stamp;
use serde::Serialize;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The file, or standard output.
#[derive(Debug)]
pub(super) struct LogFile {
    path: Option<PathBuf>,
    open: Mutex<Option<File>>,
}

/// A line, keys sorted.
#[derive(Serialize)]
struct Line<'a> {
    action: &'a str,
    auditor: &'a str,
    caller: &'a str,
    level: &'a str,
    msg: &'a str,
    site: &'a str,
    time: &'a str,
}

impl LogFile {
    /// Opens the file, or makes it with mode 0600.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Problem> {
        let file = Self { path: path.map(Path::to_owned), open: Mutex::new(None) };
        match path.map(open) {
            Some(Err(error)) => {
                let reason = format!("{}: {error}", file);
                Err(Problem::File { key: "logfile_auditor.logfile", reason })
            }
            Some(Ok(opened)) => {
                *file.lock() = Some(opened);
                Ok(file)
            }
            None => Ok(file),
        }
    }

    /// Appends a line in one write, so that lines of several writers do not mix.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&self, record: &Record<'_>, site: &str) -> io::Result<()> {
        let line = line(record, site);
        let Some(path) = &self.path else { return io::stdout().lock().write_all(&line) };
        let mut opened = self.lock();
        if opened.as_ref().is_none_or(|file| !is_still(file, path)) {
            *opened = Some(open(path)?);
        }
        let written = opened.as_mut().map_or(Ok(()), |file| file.write_all(&line));
        if written.is_err() {
            // What failed once may work with a new file, for example on another disk.
            *opened = None;
        }
        written
    }

    /// Opens the file anew at the next record.
    pub(super) fn reopen(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for LogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str("standard output"),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Whether `path` still leads to `file`: a rotated file was moved away. One that was cut is still the same.
fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(data), Some(now)) = (file.metadata(), Stamp::of(path)) else { return false };
    Stamp::of_metadata(&data).is_same_file(&now)
}

fn line(record: &Record<'_>, site: &str) -> Vec<u8> {
    let line = Line {
        action: record.action.as_str(),
        auditor: "logfile",
        caller: record.caller,
        level: "info",
        msg: &String::from_utf8_lossy(record.request),
        site,
        time: &timestamp(record.time),
    };
    // Texts always have a JSON form.
    let mut text = serde_json::to_vec(&line).unwrap_or_default();
    text.push(b'\n');
    text
}

/// RFC 3339 in whole seconds. UTC: the zone of a service is nobody's, and its offset cannot be found safely once there
/// are threads.
fn timestamp(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time).replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Action;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    fn record<'a>(request: &'a str) -> Record<'a> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_252_601_999);
        Record { action: Action::Allow, caller: "up=choria", request: request.as_bytes(), time }
    }

    #[test]
    fn lines_are_those_that_were_recorded() {
        let recorded = std::fs::read_to_string(vectors::root().join("aaa/audit.jsonl")).expect("recorded lines");
        for line in recorded.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let text = |key: &str| value[key].as_str().expect("text").to_owned();
            let time = OffsetDateTime::parse(&text("time"), &Rfc3339).expect("a time");
            let action = if text("action") == "allow" { Action::Allow } else { Action::Deny };
            let (caller, request) = (text("caller"), text("msg"));
            let record = Record { action, caller: &caller, request: request.as_bytes(), time: time.into() };
            assert_eq!(String::from_utf8(super::line(&record, &text("site"))).expect("text"), format!("{line}\n"));
        }
    }

    #[test]
    fn requests_are_written_as_they_are_and_rotation_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let file = LogFile::open(Some(&path)).expect("a file");
        let lines = |path: &Path| std::fs::read_to_string(path).expect("read").lines().count();
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        file.write(&record("100%s of %d \"quoted\"\n"), "here").expect("written");
        let text = std::fs::read_to_string(&path).expect("read");
        assert!(text.contains(r#""msg":"100%s of %d \"quoted\"\n""#), "{text}");
        assert!(text.contains(r#""time":"2026-11-21T09:16:41Z""#), "{text}");

        let moved = folder.path().join("audit.log.1");
        std::fs::rename(&path, &moved).expect("renamed");
        file.write(&record("{}"), "here").expect("written");
        assert_eq!((lines(&moved), lines(&path)), (1, 1), "a moved file is written on");
        std::fs::write(&path, "").expect("cut");
        file.write(&record("{}"), "here").expect("written");
        assert_eq!(lines(&path), 1, "a cut file");
        std::fs::remove_file(&path).expect("removed");
        file.reopen();
        file.write(&record("{}"), "here").expect("written");
        assert_eq!(lines(&path), 1, "a removed file");
    }

    #[test]
    fn a_file_that_cannot_be_had_is_a_problem() {
        let problem = LogFile::open(Some(Path::new("/nonexistent/audit.log"))).expect_err("no folder").to_string();
        assert!(problem.starts_with("logfile_auditor.logfile: /nonexistent/audit.log: "), "{problem}");
    }
}
