//! Whether the disk of the streams has room. nats-server gives its streams up when it has none, and does not take them
//! up again before it is started anew.

use nix::sys::statvfs::statvfs;
use std::path::Path;

/// The state of a disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Room {
    /// Bytes that this process may still write.
    pub(crate) free: u64,
    /// Size of the file system in bytes.
    pub(crate) size: u64,
}

impl Room {
    /// The file system of `directory`; `None` when it cannot be asked.
    pub(crate) fn of(directory: &Path) -> Option<Self> {
        let found = statvfs(directory).ok()?;
        let block = found.fragment_size();
        Some(Self { free: block * found.blocks_available(), size: block * found.blocks() })
    }

    /// Whether it is worth starting the streams again: a tenth of the disk is free, or as much as they need for a
    /// while. Less would be full again at once, and each start disconnects everybody.
    pub(crate) fn is_enough(self) -> bool {
        self.free >= ENOUGH.min(self.size / 10)
    }
}

/// Streams that were starved of space write a few blocks of 8 MiB each before anything is old enough to be removed.
const ENOUGH: u64 = 128 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_not_enough() {
        let mib = 1024 * 1024;
        let rows = [
            ("small and full", 0, 16 * mib, false),
            ("small, a little", mib, 16 * mib, false),
            ("small, a tenth", 2 * mib, 16 * mib, true),
            ("large, a little", 100 * mib, 1_000_000 * mib, false),
            ("large, enough", 128 * mib, 1_000_000 * mib, true),
        ];
        for (name, free, size, enough) in rows {
            assert_eq!(Room { free, size }.is_enough(), enough, "{name}");
        }
        assert!(Room::of(Path::new("/")).is_some_and(|room| room.size > 0));
        assert_eq!(Room::of(Path::new("/does/not/exist")), None);
    }
}
