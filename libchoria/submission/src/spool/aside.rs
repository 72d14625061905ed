//! What is no message, and what was left behind: never followed, never waited for, never in the way of others.

use super::Spool;
use super::error::SpoolError;
use super::folder::Folder;
use super::name::{EntryName, number};
use crate::words::Priority;
use nix::errno::Errno;
use nix::sys::stat::SFlag;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// The directory in the root for what could not be read.
pub(super) const CORRUPT: &str = "corrupt";
/// How names of our temporary files begin.
pub(super) const TEMPORARY: &str = ".new-";
/// Files kept in [`CORRUPT`]; beyond, the oldest are removed.
pub(super) const KEPT: usize = 100;
/// Seconds after which a temporary file in the root is nobody's any more: it exists for as long as writing one batch
/// takes.
const LEFT_BEHIND: i64 = 3600;

/// What became of something that is no message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It is in [`CORRUPT`].
    Moved,
    /// It was gone already.
    Gone,
    /// It stays where it is and is passed over.
    Stays,
}

impl Spool {
    /// Moves a file of a queue to `corrupt`, which keeps the newest hundred. The reason is logged.
    ///
    /// # Errors
    /// What the system refuses; the file stays in the queue then.
    pub fn set_aside(&self, entry: &super::Entry, why: &str) -> Result<(), SpoolError> {
        self.forget(entry.queue, &entry.name);
        self.move_aside(entry.queue, &entry.name, Some(entry.size), why).map(|_| ())
    }

    /// How many files this process moved to `corrupt`.
    #[must_use]
    pub fn set_aside_count(&self) -> u64 {
        self.set_aside.load(Ordering::Relaxed)
    }

    pub(super) fn move_aside(
        &self,
        priority: Priority,
        name: &EntryName,
        size: Option<u64>,
        why: &str,
    ) -> Result<Fate, SpoolError> {
        let queue = self.queue(priority);
        // Directories may hold anything and could not be removed again in time.
        let is_directory = queue.status(name.as_bytes()).is_ok_and(|status| status.kind == SFlag::S_IFDIR);
        if is_directory {
            return Ok(Fate::Stays);
        }
        match queue.rename(name.as_bytes(), &self.corrupt, name.as_bytes()) {
            Ok(()) => {}
            Err(Errno::ENOENT) => return Ok(Fate::Gone),
            Err(errno) => return Err(SpoolError::of(errno, "moving aside a file of", queue.path())),
        }
        self.set_aside.fetch_add(1, Ordering::Relaxed);
        let (queue, path) = (queue.path().display(), self.corrupt.path().display());
        tracing::warn!(event = "message_set_aside", file = %name, %queue, moved_to = %path, reason = why, "a file of the spool is no message that can be delivered");
        self.release(&[(priority, size.unwrap_or_default())]);
        trim(&self.corrupt)?;
        Ok(Fate::Moved)
    }

    /// Removes temporary files of writers that died, ours and those of the existing implementation.
    pub(super) fn remove_leftovers(&self) -> Result<(), SpoolError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        self.root.for_each(|name, _| {
            let theirs = !name.is_empty() && name.iter().all(u8::is_ascii_digit);
            if !theirs && !name.starts_with(TEMPORARY.as_bytes()) {
                return;
            }
            let Ok(status) = self.root.status(name) else { return };
            let old = now.saturating_sub(status.changed.0) > LEFT_BEHIND;
            if old && status.kind == SFlag::S_IFREG {
                // One that cannot be removed harms nobody; the next start tries again.
                self.root.remove(name).ok();
            }
        })
    }
}

/// Keeps the newest hundred files of a directory. Files without a number in their name are the oldest.
fn trim(folder: &Folder) -> Result<(), SpoolError> {
    let mut newest: BTreeSet<(u64, Box<[u8]>)> = BTreeSet::new();
    let mut old = Vec::new();
    folder.for_each(|name, _| {
        if name == b"." || name == b".." {
            return;
        }
        newest.insert((number(name).unwrap_or_default(), name.into()));
        if newest.len() > KEPT {
            // A bounded number at a time: the next one that is moved continues.
            if let Some((_, name)) = newest.pop_first().filter(|_| old.len() < 10 * KEPT) {
                old.push(name);
            }
        }
    })?;
    for name in old {
        match folder.remove(&name) {
            // A directory that somebody put there is left alone.
            Ok(()) | Err(Errno::ENOENT | Errno::EISDIR) => {}
            Err(errno) => return Err(SpoolError::of(errno, "removing an old file of", folder.path())),
        }
    }
    Ok(())
}
