//! The spool as it is now: opened when it is first needed, and anew after its directory was replaced.

use local::submission::SubmitError;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use submission::{Limits, Message, Spool, SpoolError, Summary};

/// A place for a spool. A service that starts before its disk is there, or outlives it, serves again once it is back.
#[derive(Debug)]
pub(crate) struct Shelf {
    path: PathBuf,
    limits: Limits,
    open: Mutex<Option<Open>>,
}

#[derive(Clone, Debug)]
struct Open {
    spool: Arc<Spool>,
    /// Device and number of the directory.
    directory: (u64, u64),
}

impl Shelf {
    pub(crate) fn new(path: PathBuf, limits: Limits) -> Self {
        Self { path, limits, open: Mutex::new(None) }
    }

    /// Whether this is still the shelf for these settings.
    pub(crate) fn is_for(&self, settings: &submission::Settings) -> bool {
        self.path == settings.spool && self.limits == settings.limits
    }

    /// The spool; waits for the disk.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn spool(&self) -> Result<Arc<Spool>, SpoolError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.directory();
        if let Some(open) = open.as_ref().filter(|open| Some(open.directory) == now) {
            return Ok(Arc::clone(&open.spool));
        }
        // What is written into a directory that was moved away or mounted over is never delivered.
        *open = None;
        if let Some(parent) = self.path.parent() {
            // The spool's own directory is made by the spool, for its owner alone; a failure is reported there.
            let _reported = std::fs::create_dir_all(parent);
        }
        let spool = Arc::new(Spool::open(&self.path, self.limits)?);
        if let Some(directory) = self.directory() {
            *open = Some(Open { spool: Arc::clone(&spool), directory });
        }
        Ok(spool)
    }

    /// Stores in one round; the answers are in the order of the messages. Waits for the disk.
    pub(crate) fn store(&self, messages: &[Message]) -> Vec<Result<(), SubmitError>> {
        match self.spool() {
            Ok(spool) => spool.store_many(messages).into_iter().map(|stored| Ok(stored.map(drop)?)).collect(),
            Err(error) => vec![Err(SubmitError::from(error)); messages.len()],
        }
    }

    /// What waits; lists all of it.
    ///
    /// # Errors
    /// The spool cannot be opened or listed.
    pub(crate) fn summary(&self) -> Result<Summary, SubmitError> {
        Ok(self.spool()?.summary()?)
    }

    fn directory(&self) -> Option<(u64, u64)> {
        std::fs::metadata(&self.path).ok().map(|about| (about.dev(), about.ino()))
    }
}
