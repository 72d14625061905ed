//! The PID file, for supervisors that want one; systemd does not.

use anyhow::Context as _;
use std::path::PathBuf;

/// A written PID file, removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes this process's number and a newline to `path`, replacing what stands there.
    pub(crate) fn write(path: PathBuf) -> anyhow::Result<Self> {
        std::fs::write(&path, format!("{}\n", std::process::id()))
            .with_context(|| format!("writing the PID file {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!("could not remove the PID file {}: {error}", self.0.display());
        }
    }
}
