//! One deliverer at a time.

use super::Spool;
use super::error::SpoolError;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// The right to deliver what is in a spool; given back when dropped or when the process ends, however it ends. Servers
/// of the existing implementation do not ask for it.
#[derive(Debug)]
pub struct Claim {
    _file: Flock<File>,
}

/// Why a spool cannot be claimed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InUse {
    /// Another program delivers it.
    #[error(
        "the spool {} is being delivered by another program{}: give each server a spool of its own \
         (plugin.choria.submission.spool)",
        path.display(), process.map(|id| format!(" (process {id})")).unwrap_or_default()
    )]
    Claimed {
        /// The spool.
        path: PathBuf,
        /// The other program, when it says.
        process: Option<u32>,
    },
    /// The lock cannot be made or opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

const FILE: &str = ".claim";

impl Spool {
    /// Claims the right to deliver; does not wait.
    ///
    /// # Errors
    /// [`InUse::Claimed`] when another program, or another part of this one, has it.
    pub fn claim(&self) -> Result<Claim, InUse> {
        let file = self.root.open_own(FILE)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                let text = format!("{}\n", std::process::id());
                // For people only: the claim holds whether or not it says whose it is.
                file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64)).ok();
                Ok(Claim { _file: file })
            }
            Err((file, Errno::EWOULDBLOCK)) => {
                let mut text = [0; 16];
                let length = file.read_at(&mut text, 0).unwrap_or_default();
                let process = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.trim().parse().ok());
                Err(InUse::Claimed { path: self.path(), process })
            }
            Err((_, errno)) => Err(SpoolError::of(errno, "claiming", &self.root.path().join(FILE)).into()),
        }
    }
}
