//! Files that are read again when they changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What changes when a file is replaced or rewritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The present stamp; `None` when there is no such file or it may not be looked at.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|data| Self::of_metadata(&data))
    }

    /// The same of a link itself, where it leads nowhere.
    pub(crate) fn of_file_or_link(path: &Path) -> Option<Self> {
        Self::of(path).or_else(|| std::fs::symlink_metadata(path).ok().map(|data| Self::of_metadata(&data)))
    }

    /// The stamp in `data`.
    #[must_use]
    pub fn of_metadata(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }

    /// Whether both are of one file, changed or not.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
