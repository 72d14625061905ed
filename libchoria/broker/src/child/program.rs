//! Finding nats-server and judging its version.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

/// A nats-server that is new enough.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    /// The program file.
    pub path: PathBuf,
    /// What it says its version is.
    pub version: Version,
}

/// A version of nats-server: major, minor and patch number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version(pub u32, pub u32, pub u32);

/// Why there is no nats-server to run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is none.
    #[error(
        "nats-server was not found in PATH, /usr/sbin or /usr/bin: install version 2.10 or newer (the package \
         nats-server \
         of your distribution, or https://github.com/nats-io/nats-server/releases), or name the program in CHORIA_NATS_SERVER"
    )]
    Missing,
    /// The one found, or the one that was named, does not run.
    #[error(
        "{path} cannot be run as nats-server: {problem}; check the program that CHORIA_NATS_SERVER or PATH leads to",
        path = path.display()
    )]
    Unusable {
        /// The program file.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// It is too old.
    #[error(
        "{path} is nats-server {found}, and this broker needs 2.10 or newer: install a newer one (the package \
         nats-server of \
         your distribution, or https://github.com/nats-io/nats-server/releases), or name it in CHORIA_NATS_SERVER",
        path = path.display()
    )]
    TooOld {
        /// The program file.
        path: PathBuf,
        /// Its version.
        found: Version,
    },
}

impl Program {
    /// Finds nats-server and asks it for its version. `named` is the value of `CHORIA_NATS_SERVER`, which wins;
    /// `search_path` that of `PATH`.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub async fn find(named: Option<&OsStr>, search_path: Option<&OsStr>) -> Result<Self, ProgramError> {
        match named.filter(|name| !name.is_empty()) {
            Some(name) => Self::at(Path::new(name)).await,
            None => Self::at(&search(search_path).ok_or(ProgramError::Missing)?).await,
        }
    }

    /// Asks the nats-server at `path` for its version.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub(crate) async fn at(path: &Path) -> Result<Self, ProgramError> {
        let path = path.to_owned();
        let version = match ask_version(&path).await {
            Ok(version) => version,
            Err(problem) => return Err(ProgramError::Unusable { path, problem }),
        };
        if version < OLDEST {
            return Err(ProgramError::TooOld { path, found: version });
        }
        Ok(Self { path, version })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The version in `nats-server: v2.10.27`; what follows the third number, such as `-dev`, does not count.
fn parse_version(text: &str) -> Option<Version> {
    let number = |text: &str| -> Option<u32> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..digits].parse().ok()
    };
    let (_, version) = text.lines().next()?.split_once("nats-server: v")?;
    let mut parts = version.trim().splitn(3, '.');
    Some(Version(number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?))
}

fn search(search_path: Option<&OsStr>) -> Option<PathBuf> {
    let listed = search_path.map(std::env::split_paths).into_iter().flatten();
    let always = ["/usr/sbin", "/usr/bin"].into_iter().map(PathBuf::from);
    listed.chain(always).map(|directory| directory.join("nats-server")).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

async fn ask_version(path: &Path) -> Result<Version, String> {
    let mut command = tokio::process::Command::new(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let answer = tokio::time::timeout(VERSION_PATIENCE, command.output()).await;
    let Output { stdout, .. } = answer
        .map_err(|_| format!("it did not tell its version within {} seconds", VERSION_PATIENCE.as_secs()))?
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&stdout);
    let shown: String = text.chars().take(80).collect();
    parse_version(&text).ok_or_else(|| format!("asked for its version it said {:?}", shown.trim()))
}

/// The oldest version whose auth callout this broker was proved with (spec 10 §1).
const OLDEST: Version = Version(2, 10, 0);

/// Printing a version takes milliseconds; this is for a machine under heavy load.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_versions_are_written() {
        let rows = [
            ("nats-server: v2.10.27\n", Some(Version(2, 10, 27))),
            ("nats-server: v2.15.0-dev", Some(Version(2, 15, 0))),
            ("nats-server: v2.9.25", Some(Version(2, 9, 25))),
            ("nats-server: v10.0.1", Some(Version(10, 0, 1))),
            ("nats-server: 2.10", None),
            ("hello", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_version(text), expected, "{text:?}");
        }
        assert!(Version(2, 9, 25) < OLDEST && Version(2, 10, 0) >= OLDEST && Version(10, 0, 0) > OLDEST);
    }
}
