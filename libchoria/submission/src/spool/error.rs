//! Why the spool did not do what it was asked.

use crate::words::Priority;
use nix::errno::Errno;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the spool did not take, give or remove a message. Nothing of a message that was refused stays behind.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// As many messages of this priority wait as the configuration allows.
    #[error(
        "spool is full: {found} messages of priority {priority} wait and plugin.choria.submission.max_spool_size is \
         {most}; submit again when they were delivered"
    )]
    TooManyMessages {
        /// The queue.
        priority: Priority,
        /// Messages in it.
        found: u64,
        /// The setting.
        most: u64,
    },
    /// With this message the spool would hold more bytes than the configuration allows.
    #[error(
        "spool is full: the message has {size} bytes as a file, {found} bytes wait and \
         plugin.choria.submission.max_spool_bytes is {most}; submit again when they were delivered"
    )]
    TooManyBytes {
        /// Bytes of the message's file.
        size: u64,
        /// Bytes of all messages that wait.
        found: u64,
        /// The setting.
        most: u64,
    },
    /// The payload is larger than the configuration allows.
    #[error("the payload has {size} bytes and plugin.choria.submission.max_message_size allows {most}")]
    TooLarge {
        /// Bytes of the payload.
        size: u64,
        /// The setting.
        most: u64,
    },
    /// The file system has no room, or the user's quota is used up.
    #[error("the file system of the spool {} is full: {source}; make room", path.display())]
    NoSpace {
        /// The spool.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The file system cannot be written to.
    #[error("the spool {} cannot be written to: {source}; mount its file system for writing", path.display())]
    ReadOnly {
        /// The spool.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// This user may not write the spool.
    #[error("this user may not use the spool {} directly: {source}; submit through the socket or as its owner", path.display())]
    Denied {
        /// The spool or a part of it.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Others could change what is in the spool.
    #[error("the spool is not used because {} {why}", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it and how it should be.
        why: String,
    },
    /// Another program holds the lock of the spool for longer than ten seconds.
    #[error("the spool {} is locked by another program for too long; look for one that is stopped", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// Anything else that the system refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl SpoolError {
    /// Whether a limit of the configuration is reached, so that trying later can succeed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::TooManyMessages { .. } | Self::TooManyBytes { .. } | Self::NoSpace { .. })
    }

    /// The error behind what the system said.
    pub(super) fn of(errno: Errno, doing: &'static str, path: &Path) -> Self {
        let (path, source) = (path.to_owned(), Arc::new(io::Error::from(errno)));
        match errno {
            Errno::ENOSPC | Errno::EDQUOT => Self::NoSpace { path, source },
            Errno::EROFS => Self::ReadOnly { path, source },
            Errno::EACCES | Errno::EPERM => Self::Denied { path, source },
            _ => Self::Io { doing, path, source },
        }
    }

    /// The same for the standard library's errors.
    pub(super) fn of_io(error: &io::Error, doing: &'static str, path: &Path) -> Self {
        Self::of(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw), doing, path)
    }
}
