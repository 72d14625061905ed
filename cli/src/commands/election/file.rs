//! `choria election file`: a file that is there, and fresh, while this machine leads.

use super::Surroundings;
use crate::session::block_on;
use anyhow::Context;
use network::election::Standing;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(clap::Args, Debug)]
pub(super) struct File {
    /// The file to keep
    file: PathBuf,
    /// The election [default: the name of the file]
    name: Option<String>,
    /// Only tell whether the file is there and at most a minute old, by the exit code
    #[arg(long)]
    pub(super) check: bool,
}

impl File {
    /// 0 when this machine leads as far as the file says, else 1.
    pub(super) fn check_now(&self) -> ExitCode {
        if is_fresh(&self.file, SystemTime::now()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<ExitCode> {
        let base = || self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = self.name.clone().or_else(base).context("the election has no name: give one behind the file")?;
        block_on(async {
            let election = surroundings.candidate(&name).await?;
            let (standing, counts) = (election.standing(), election.counts());
            let mut campaigns = counts.campaigns();
            let stop = CancellationToken::new();
            let _stopped_at_the_end = stop.clone().drop_guard();
            let running = tokio::spawn(election.run(stop.clone()));
            let kept = Kept(&self.file);
            let mut terminate = signal(SignalKind::terminate()).context("signals cannot be taken")?;
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => break,
                    _ = terminate.recv() => break,
                    changed = campaigns.changed() => {
                        changed.context("the election ended by itself")?;
                        if *standing.borrow() == Standing::Leader {
                            kept.write(counts.as_leader(), OffsetDateTime::now_utc())?;
                        } else {
                            kept.remove();
                        }
                    }
                }
            }
            // Nobody may find the file when another leads already.
            kept.remove();
            stop.cancel();
            running.await.context("the election failed")?;
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// Removes the file at the end, however that comes.
struct Kept<'a>(&'a Path);

impl Kept<'_> {
    /// Writes the file anew, readable by all, never a part of it.
    fn write(&self, count: u64, now: OffsetDateTime) -> anyhow::Result<()> {
        let written = || -> std::io::Result<()> {
            let folder = self.0.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
            let mut file = tempfile::Builder::new().prefix(".choria-").tempfile_in(folder)?;
            let text = serde_json::json!({"count": count, "timestamp": now.format(&Rfc3339).unwrap_or_default()});
            file.write_all(text.to_string().as_bytes())?;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
            file.persist(self.0)?;
            Ok(())
        };
        written().with_context(|| format!("{} cannot be written", self.0.display()))
    }

    fn remove(&self) {
        match std::fs::remove_file(self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("{} cannot be removed: {error}", self.0.display());
            }
            _ => {}
        }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

fn is_fresh(file: &Path, now: SystemTime) -> bool {
    let written = file.metadata().and_then(|found| found.modified());
    written.is_ok_and(|written| now.duration_since(written).unwrap_or_default() <= FRESH)
}

const FRESH: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_who_leads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("leader");
        assert!(!is_fresh(&path, SystemTime::now()), "there is none");
        let kept = Kept(&path);
        kept.write(3, OffsetDateTime::UNIX_EPOCH).expect("it is written");
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!(text, "{\"count\":3,\"timestamp\":\"1970-01-01T00:00:00Z\"}");
        assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o644);
        let now = path.metadata().and_then(|found| found.modified()).expect("a time");
        assert!(is_fresh(&path, now + FRESH));
        assert!(!is_fresh(&path, now + FRESH + Duration::from_secs(1)));
        drop(kept);
        assert!(!path.exists(), "it is removed at the end");
    }
}
