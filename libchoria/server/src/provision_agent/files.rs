//! Replacing several files at once: all of them or none, whatever fails and whenever the machine stops (spec 06 §3.4).
//!
//! Everything new is written beside its target first, so a full disk is met while nothing has changed. Then a journal that
//! names all changes is put in place: from there on they count, and the next start completes what a crash left undone. If
//! a change itself fails, the journal is turned round and everything goes back to what it was.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// One file that is to be different.
pub(super) struct Change {
    /// The file, absolute.
    pub(super) target: PathBuf,
    pub(super) content: Content,
}

/// What becomes of a file.
pub(super) enum Content {
    /// It holds this, with this mode.
    Write { bytes: Zeroizing<Vec<u8>>, mode: u32 },
    /// It is gone.
    Remove,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("nothing was changed: {path}: {source}", path = .path.display())]
pub(super) struct NotCommitted {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

/// What is done to files, so that tests can let any of it fail.
pub(super) trait Disk {
    /// A new file with its content on the disk.
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Puts the names in a directory on the disk.
    fn sync(&self, directory: &Path) -> io::Result<()>;
}

/// The file system.
pub(super) struct SystemDisk;

/// Makes all `changes`, those of one call together. `directory` is that of the configuration file.
///
/// # Errors
/// [`NotCommitted`]; everything is then as before. Only a disk that fails again while that is undone leaves it to
/// [`recover`], which makes all changes or none.
pub(super) fn commit(disk: &dyn Disk, directory: &Path, changes: &[Change]) -> Result<(), NotCommitted> {
    let mut made = Vec::new();
    let journal = match stage(disk, directory, changes, &mut made) {
        Ok(journal) => journal,
        Err(error) => {
            unstage(disk, directory, changes, &made);
            return Err(error);
        }
    };
    match journal.apply(disk) {
        Ok(()) => {
            journal.finish(disk, &directory.join(JOURNAL));
            Ok(())
        }
        Err(error) => {
            let undo = directory.join(UNDO);
            // Without this the next start goes on forward, where all changes are whole as well.
            if disk.rename(&directory.join(JOURNAL), &undo).is_ok() && journal.revert(disk).is_ok() {
                journal.finish(disk, &undo);
                made.iter().rev().for_each(|made| drop(disk.remove_directory(made)));
            }
            Err(error)
        }
    }
}

/// Completes what an earlier process was doing in `directory` when it ended, and removes what it left there. Gives
/// whether there was anything.
///
/// # Errors
/// [`NotCommitted`] with the file that stands in the way.
pub(super) fn recover(disk: &dyn Disk, directory: &Path) -> Result<bool, NotCommitted> {
    let mut found = false;
    for (name, forward) in [(UNDO, false), (JOURNAL, true)] {
        let path = directory.join(name);
        let failed = |source| NotCommitted { path: path.clone(), source };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        let journal: Journal = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
        if forward { journal.apply(disk) } else { journal.revert(disk) }?;
        journal.finish(disk, &path);
        found = true;
    }
    sweep(disk, directory);
    Ok(found)
}

/// All changes of one commit, as they are written down.
#[derive(Deserialize, Serialize)]
struct Journal(Vec<Entry>);

#[derive(Deserialize, Serialize)]
struct Entry {
    target: PathBuf,
    /// Whether a new content is staged; else the file goes.
    write: bool,
    /// Whether there was a file, which is kept beside it until all is done.
    existed: bool,
}

impl Journal {
    /// Makes the changes, or those that are still to make.
    fn apply(&self, disk: &dyn Disk) -> Result<(), NotCommitted> {
        for entry in &self.0 {
            let done = match entry.write {
                true => disk.rename(&entry.staged(), &entry.target),
                false => disk.remove(&entry.target),
            };
            missing_is_done(done).map_err(|source| NotCommitted { path: entry.target.clone(), source })?;
        }
        self.sync(disk)
    }

    /// Goes back, or the rest of the way back.
    fn revert(&self, disk: &dyn Disk) -> Result<(), NotCommitted> {
        for entry in self.0.iter().rev() {
            let done = match entry.existed {
                true => disk.rename(&entry.kept(), &entry.target),
                false => disk.remove(&entry.target),
            };
            missing_is_done(done).map_err(|source| NotCommitted { path: entry.target.clone(), source })?;
        }
        self.sync(disk)
    }

    /// Forgets the journal at `path`, then removes what is not needed without it. Nothing depends on this succeeding:
    /// the next start does it again.
    fn finish(&self, disk: &dyn Disk, path: &Path) {
        let forgotten =
            missing_is_done(disk.remove(path)).and_then(|()| path.parent().map_or(Ok(()), |at| disk.sync(at)));
        if let Err(error) = forgotten {
            tracing::warn!(file = %path.display(), "could not be removed, the next start tries again: {error}");
            return;
        }
        for entry in &self.0 {
            drop((disk.remove(&entry.staged()), disk.remove(&entry.kept())));
        }
    }

    fn sync(&self, disk: &dyn Disk) -> Result<(), NotCommitted> {
        let parents: BTreeSet<&Path> = self.0.iter().filter_map(|entry| entry.target.parent()).collect();
        parents
            .into_iter()
            .try_for_each(|parent| disk.sync(parent).map_err(|source| NotCommitted { path: parent.to_owned(), source }))
    }
}

impl Entry {
    fn of(change: &Change) -> Self {
        let existed = fs::symlink_metadata(&change.target).is_ok();
        Self { target: change.target.clone(), write: matches!(change.content, Content::Write { .. }), existed }
    }

    fn staged(&self) -> PathBuf {
        beside(&self.target, STAGED)
    }

    fn kept(&self) -> PathBuf {
        beside(&self.target, KEPT)
    }
}

impl Disk for SystemDisk {
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        // What the process's mask took away is given back, and nothing more than `mode`.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

/// Writes everything beside its target, keeps what is there, and puts the journal in place: the moment from which the
/// changes count. `made` are the directories that had to be made.
fn stage(
    disk: &dyn Disk,
    directory: &Path,
    changes: &[Change],
    made: &mut Vec<PathBuf>,
) -> Result<Journal, NotCommitted> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| NotCommitted { path, source }
    };
    for change in changes {
        make_parents(disk, &change.target, made)?;
    }
    let journal = Journal(changes.iter().map(Entry::of).collect());
    for (change, entry) in changes.iter().zip(&journal.0) {
        for leftover in [entry.staged(), entry.kept()] {
            missing_is_done(disk.remove(&leftover)).map_err(at(&leftover))?;
        }
        if let Content::Write { bytes, mode } = &change.content {
            disk.create(&entry.staged(), bytes, *mode).map_err(at(&change.target))?;
        }
        if entry.existed {
            disk.link(&entry.target, &entry.kept()).map_err(at(&change.target))?;
        }
    }
    journal.sync(disk)?;
    let (path, text) = (directory.join(JOURNAL), serde_json::to_vec(&journal));
    let text = text.map_err(|error| NotCommitted { path: path.clone(), source: error.into() })?;
    let new = beside(&path, STAGED);
    missing_is_done(disk.remove(&new)).map_err(at(&new))?;
    disk.create(&new, &text, 0o600).map_err(at(&path))?;
    disk.rename(&new, &path).map_err(at(&path))?;
    disk.sync(directory).map_err(at(directory))?;
    Ok(journal)
}

/// Removes what [`stage`] made. If the machine stops here there is no journal, so the next start only sweeps.
fn unstage(disk: &dyn Disk, directory: &Path, changes: &[Change], made: &[PathBuf]) {
    let journal = directory.join(JOURNAL);
    // The journal first: without it nothing counts. It may be there when only its directory could not be written down.
    let forgotten = missing_is_done(disk.remove(&journal));
    drop(disk.remove(&beside(&journal, STAGED)));
    if forgotten.is_err() {
        return;
    }
    for change in changes {
        drop((disk.remove(&beside(&change.target, STAGED)), disk.remove(&beside(&change.target, KEPT))));
    }
    made.iter().rev().for_each(|made| drop(disk.remove_directory(made)));
}

fn make_parents(disk: &dyn Disk, target: &Path, made: &mut Vec<PathBuf>) -> Result<(), NotCommitted> {
    let missing: Vec<&Path> = target.ancestors().skip(1).take_while(|path| !path.is_dir()).collect();
    for path in missing.into_iter().rev() {
        disk.make_directory(path).map_err(|source| NotCommitted { path: path.to_owned(), source })?;
        made.push(path.to_owned());
    }
    Ok(())
}

/// Removes the secrets and copies that a process left which ended before its changes counted or after they were made.
fn sweep(disk: &dyn Disk, directory: &Path) {
    for folder in
        [directory.to_owned(), directory.join("ssl"), directory.join("policies"), directory.join("policies/rego")]
    {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            let text = name.to_string_lossy();
            if text.starts_with('.') && (text.ends_with(STAGED) || text.ends_with(KEPT)) {
                if let Err(error) = disk.remove(&folder.join(&name)) {
                    tracing::warn!(file = %folder.join(&name).display(), "left behind and could not be removed: {error}");
                }
            }
        }
    }
}

/// `.<name><suffix>` beside `target`.
fn beside(target: &Path, suffix: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}{suffix}"))
}

fn missing_is_done(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

const JOURNAL: &str = ".choria-provisioning.json";
const UNDO: &str = ".choria-provisioning-undo.json";
const STAGED: &str = ".choria-new";
const KEPT: &str = ".choria-old";

#[cfg(test)]
mod tests;
