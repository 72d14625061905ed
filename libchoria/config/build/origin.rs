//! From which commit and when: what a build says of itself, the same for every build of the same source.

use std::path::Path;
use std::process::Command;

/// Both `unknown` where nobody says.
pub(crate) struct Origin {
    pub(crate) commit: String,
    pub(crate) date: String,
}

/// The commit: `CHORIA_BUILD_SHA`, else the file that `git archive` fills in for source packages, else what git says of
/// the folder `root`. The date: `SOURCE_DATE_EPOCH`, never the clock.
///
/// Programs of the development profile say neither git's answer nor the date: every commit, and every change between a
/// package's build and a developer's, would build this crate and thereby everything anew.
pub(crate) fn find(root: &Path) -> Origin {
    println!("cargo::rerun-if-env-changed=CHORIA_BUILD_SHA");
    let archived = root.join(COMMIT);
    println!("cargo::rerun-if-changed={}", archived.display());
    let said = std::env::var("CHORIA_BUILD_SHA").ok();
    let filled_in = || std::fs::read_to_string(&archived).ok();
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = said
        .filter(|text| is_commit(text))
        .or_else(|| filled_in().map(|text| text.trim().to_owned()).filter(|text| is_commit(text)))
        .or_else(|| is_release.then(|| of_git(root)).flatten())
        .unwrap_or_else(unknown);
    let date = if is_release { date() } else { unknown() };
    Origin { commit, date }
}

/// What git says of `root`, if that is the top of a work tree: a source package inside another repository is not its.
fn of_git(root: &Path) -> Option<String> {
    if !root.join(".git").exists() {
        return None;
    }
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = ask(&["rev-parse", "--path-format=absolute", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    ask(&["rev-parse", "HEAD"]).filter(|text| is_commit(text))
}

/// `SOURCE_DATE_EPOCH` as a time of day in UTC.
fn date() -> String {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let seconds = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    seconds.map_or_else(unknown, utc)
}

/// Seconds since 1970 as `2026-11-22 00:31:07 +0000`.
pub(crate) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let (mut year, mut day) = (1970_u64, days);
    loop {
        let length = if leap(year) { 366 } else { 365 };
        if day < length {
            break;
        }
        day -= length;
        year += 1;
    }
    let mut month = 1;
    for length in [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} +0000", day + 1)
}

fn leap(year: u64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// Holds the commit in archives made by git.
const COMMIT: &str = "daemons/commit";
