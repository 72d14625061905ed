//! The lock of the spool, and the numbers written into it: how much waits, and the newest name.
//!
//! With the numbers, storing a message need not list a directory of a million files. They are a help and never trusted
//! for long: they are counted anew after every start of the machine, when they cannot be read, when many messages were
//! stored since the last count, and before a message is refused. The existing implementation neither takes the lock nor
//! keeps the numbers; what it stores is seen at the next count.

use super::Limits;
use super::error::SpoolError;
use super::folder::Folder;
use super::name::{is_message, number};
use crate::words::Priority;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime};

/// The file in the root of the spool.
pub(super) const LOCK: &str = ".lock";
/// How long to wait for others before a message is refused.
pub(super) const NEEDED: Duration = Duration::from_secs(10);
/// How long to wait where the lock helps and is not needed.
pub(super) const HELPFUL: Duration = Duration::from_millis(500);
/// More bytes than the numbers ever have.
const LONGEST: usize = 4096;
/// A count that costs this many times less than the time since is repeated before a message is refused.
const RARELY: u64 = 20;

/// The lock, held. Dropping it writes the numbers down and lets others go on.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    file: Flock<File>,
    folders: &'a [Folder; 5],
    numbers: Numbers,
    changed: bool,
    /// Messages and bytes that room was taken for while holding the lock: no count finds them yet.
    reserved: [(u64, u64); 5],
    /// What was counted while holding the lock: counting again would find the same.
    fresh: [bool; 5],
}

/// What the file says.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Numbers {
    /// The start of the machine that the numbers are of: after another, files may be as they were earlier.
    boot: String,
    queues: [Queue; 5],
}

/// Numbers of one priority.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Queue {
    /// Messages that wait.
    messages: u64,
    /// Bytes of their files.
    bytes: u64,
    /// The number in the newest name.
    newest: u64,
    /// Messages stored since they were counted.
    since: u64,
    /// When they were counted, in milliseconds since 1970; 0 is never.
    counted: u64,
    /// Milliseconds that counting took.
    took: u64,
}

impl<'a> Ledger<'a> {
    /// Waits for the lock, so long at most.
    pub(super) fn lock(
        root: &Folder,
        folders: &'a [Folder; 5],
        boot: &str,
        patience: Duration,
    ) -> Result<Self, SpoolError> {
        let deadline = Instant::now() + patience;
        let mut file = root.open_own(LOCK)?;
        let mut pause = Duration::from_micros(50);
        let file = loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => break locked,
                Err((again, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < deadline => {
                    file = again;
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(5));
                }
                Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => {
                    return Err(SpoolError::Busy { path: root.path().join(LOCK) });
                }
                Err((_, errno)) => return Err(SpoolError::of(errno, "locking", &root.path().join(LOCK))),
            }
        };
        let mut numbers = read(&file).unwrap_or_default();
        if boot.is_empty() || numbers.boot != boot {
            numbers = Numbers { boot: boot.to_owned(), queues: Default::default() };
        }
        Ok(Self { file, folders, numbers, changed: false, reserved: [(0, 0); 5], fresh: [false; 5] })
    }

    /// Takes room for a message of `size` bytes, or says which limit it would break.
    pub(super) fn reserve(&mut self, priority: Priority, size: u64, limits: &Limits) -> Result<(), SpoolError> {
        for priority in Priority::ALL {
            let queue = self.numbers.queues[priority.index()];
            if queue.counted == 0 || queue.since > (queue.messages / 4).max(64) {
                self.count(priority)?;
            }
        }
        if self.numbers.queues[priority.index()].messages > limits.max_messages {
            self.count_if_cheap(priority)?;
        }
        let found = self.numbers.queues[priority.index()].messages;
        if found > limits.max_messages {
            return Err(SpoolError::TooManyMessages { priority, found, most: limits.max_messages });
        }
        if self.bytes().saturating_add(size) > limits.max_bytes {
            Priority::ALL.into_iter().try_for_each(|priority| self.count_if_cheap(priority))?;
        }
        let found = self.bytes();
        if found.saturating_add(size) > limits.max_bytes {
            return Err(SpoolError::TooManyBytes { size, found, most: limits.max_bytes });
        }
        let queue = self.queue(priority);
        queue.messages += 1;
        queue.bytes += size;
        queue.since += 1;
        let reserved = &mut self.reserved[priority.index()];
        *reserved = (reserved.0 + 1, reserved.1 + size);
        Ok(())
    }

    /// Gives back the room of a message that was not stored, or is no longer there.
    pub(super) fn release(&mut self, priority: Priority, size: u64) {
        let queue = self.queue(priority);
        queue.messages = queue.messages.saturating_sub(1);
        queue.bytes = queue.bytes.saturating_sub(size);
    }

    /// The number in the newest name of a priority.
    pub(super) fn newest(&mut self, priority: Priority) -> Result<u64, SpoolError> {
        if self.numbers.queues[priority.index()].counted == 0 {
            self.count(priority)?;
        }
        Ok(self.numbers.queues[priority.index()].newest)
    }

    /// Says that a name with this number was given.
    pub(super) fn named(&mut self, priority: Priority, number: u64) {
        let queue = self.queue(priority);
        queue.newest = queue.newest.max(number);
    }

    fn queue(&mut self, priority: Priority) -> &mut Queue {
        self.changed = true;
        &mut self.numbers.queues[priority.index()]
    }

    fn bytes(&self) -> u64 {
        self.numbers.queues.iter().map(|queue| queue.bytes).sum()
    }

    /// Counts before a message is refused. A full spool of a million files is not listed for every refusal.
    fn count_if_cheap(&mut self, priority: Priority) -> Result<(), SpoolError> {
        let queue = self.numbers.queues[priority.index()];
        let rested = milliseconds().abs_diff(queue.counted) >= queue.took.saturating_mul(RARELY);
        if rested { self.count(priority) } else { Ok(()) }
    }

    /// Counts what is there, once while the lock is held. The newest name given is remembered even when its message is
    /// gone. What others are writing at this moment is not counted: a limit can be exceeded by that much.
    fn count(&mut self, priority: Priority) -> Result<(), SpoolError> {
        if std::mem::replace(&mut self.fresh[priority.index()], true) {
            return Ok(());
        }
        let began = Instant::now();
        let folder = &self.folders[priority.index()];
        let (mut messages, mut bytes, mut newest) = (0, 0, self.numbers.queues[priority.index()].newest);
        folder.for_each(|name, _| {
            if !is_message(name) {
                return;
            }
            if let Ok(status) = folder.status(name) {
                messages += 1;
                bytes += status.weight();
                newest = newest.max(number(name).unwrap_or_default());
            }
        })?;
        let reserved = self.reserved[priority.index()];
        (messages, bytes) = (messages + reserved.0, bytes + reserved.1);
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        *self.queue(priority) = Queue { messages, bytes, newest, since: 0, counted: milliseconds(), took };
        Ok(())
    }
}

impl Drop for Ledger<'_> {
    fn drop(&mut self) {
        if !self.changed {
            return;
        }
        // Numbers that were not written whole are counted anew by the next.
        let text = serde_json::to_vec(&self.numbers).unwrap_or_default();
        let written = self.file.write_all_at(&text, 0).and_then(|()| self.file.set_len(text.len() as u64));
        if let Err(error) = written {
            tracing::debug!(%error, "the numbers of the spool were not written down");
            self.file.set_len(0).ok();
        }
    }
}

fn read(file: &File) -> Option<Numbers> {
    let mut bytes = [0; LONGEST];
    let length = file.read_at(&mut bytes, 0).ok()?;
    serde_json::from_slice(&bytes[..length]).ok()
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default().max(1)
}

/// What tells this start of the machine from others; empty when the system does not say.
pub(super) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
