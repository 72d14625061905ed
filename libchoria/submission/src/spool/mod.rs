//! The spool: the directory in which messages wait until they are delivered, one file each (spec 04 §5.1).
//!
//! | module | holds |
//! |---|---|
//! | `store` | putting messages there so that they survive a power cut |
//! | `read` | listing them in order, reading, rewriting and removing them |
//! | `aside` | what is no message: moved out of the way and counted |
//! | `ledger` | the lock, and how much waits |
//! | `claim` | that one program alone delivers |
//! | `folder` | directories that are used by descriptor |
//! | `name` | names of files |
//! | `pace` | which way of waiting for the disk is the cheaper |
//!
//! Layout: `P0` to `P4` hold messages, `corrupt` what could not be read; in the root lie `.lock`, `.claim` and, for the
//! moment of writing, files named `.new-…`. The existing implementation may use the same directory at the same time: it
//! looks at `P0` to `P4` only, and its own temporary files in the root have names of digits.

mod aside;
mod claim;
mod error;
mod folder;
mod ledger;
mod name;
mod pace;
mod read;
mod store;
mod summary;

pub use claim::{Claim, InUse};
pub use error::SpoolError;
pub use name::EntryName;
pub use read::{Entry, Window};
pub use store::Stored;
pub use summary::{QueueSummary, Summary};

use crate::words::Priority;
use folder::Folder;
use ledger::Ledger;
use pace::Pace;
use read::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How much the spool takes. What would be too much is refused when it is handed in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// `plugin.choria.submission.max_spool_size`: a message is refused when its priority already holds more messages
    /// than this, so that one more fits, as on the existing system.
    pub max_messages: u64,
    /// `plugin.choria.submission.max_spool_bytes`: bytes of all messages' files together.
    pub max_bytes: u64,
    /// `plugin.choria.submission.max_message_size`: bytes of one payload.
    pub max_message_size: u64,
}

/// An open spool. All calls wait for the disk: not for a thread that must not block.
///
/// Any number of threads and processes may store, list and remove at the same time; who delivers takes a [`Claim`].
#[derive(Debug)]
pub struct Spool {
    root: Folder,
    queues: [Folder; 5],
    corrupt: Folder,
    limits: Limits,
    owner: u32,
    boot: String,
    cursors: [Mutex<Cursor>; 5],
    set_aside: AtomicU64,
    /// Begins the names of temporary files, so that no other program has the same.
    instance: String,
    temporary: AtomicU64,
    pace: Pace,
}

impl Spool {
    /// Opens the spool and makes what is missing of it, directories of mode 0700. Removes temporary files that were left
    /// behind.
    ///
    /// A spool that others than its owner can change is not used: see [`SpoolError::Unsafe`].
    ///
    /// # Errors
    /// What the system refuses, or what is wrong with the directories.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, SpoolError> {
        let root = Folder::root(path)?;
        let [a, b, c, d, e] = Priority::ALL.map(|priority| root.child(priority.directory()));
        let queues = [a?, b?, c?, d?, e?];
        let corrupt = root.child(aside::CORRUPT)?;
        let owner = root.owner()?;
        let spool = Self {
            root,
            queues,
            corrupt,
            limits,
            owner,
            boot: ledger::boot(),
            cursors: Default::default(),
            set_aside: AtomicU64::new(0),
            instance: uuid::Uuid::new_v4().simple().to_string(),
            temporary: AtomicU64::new(0),
            pace: Pace::of_system(),
        };
        spool.remove_leftovers()?;
        Ok(spool)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.path().to_owned()
    }

    /// The number of the user it belongs to, who may submit anything.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// How much it takes.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn queue(&self, priority: Priority) -> &Folder {
        &self.queues[priority.index()]
    }

    fn lock(&self, patience: Duration) -> Result<Ledger<'_>, SpoolError> {
        Ledger::lock(&self.root, &self.queues, &self.boot, patience)
    }
}

impl Default for Limits {
    /// The defaults of the settings: 500 messages of each priority, 64 MiB in all, 1 MiB each.
    fn default() -> Self {
        Self { max_messages: 500, max_bytes: 64 << 20, max_message_size: 1 << 20 }
    }
}
