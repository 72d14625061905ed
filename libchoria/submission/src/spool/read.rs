//! Reading the queues in order, with bounded memory.

use super::Spool;
use super::aside::Fate;
use super::error::SpoolError;
use super::folder::{Folder, LARGEST_FILE, Status};
use super::ledger::HELPFUL;
use super::name::{EntryName, is_message, number};
use crate::message::{InvalidMessage, Message};
use crate::words::Priority;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::collections::{BTreeSet, BinaryHeap};
use std::io::Read;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Names remembered of one queue between listings, so that a queue of a million files is not listed for every few.
const REMEMBERED: usize = 32_768;
/// Most messages in a window.
const WINDOW_MESSAGES: usize = 1024;
/// Most bytes of files in a window, unless its first message alone has more.
const WINDOW_BYTES: u64 = 8 << 20;
/// A file that cannot be read is left alone for this long after it was changed: the existing implementation writes its
/// files anew in place.
const SETTLED: Duration = Duration::from_secs(2);

/// A message in the spool.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The queue it stands in, which decides its order; a foreign file's own `priority` may say something else.
    pub queue: Priority,
    /// Its file.
    pub name: EntryName,
    /// The message.
    pub message: Message,
    /// Bytes of its file.
    pub(crate) size: u64,
}

/// The beginning of a queue, or the next part of it.
#[derive(Debug, Default)]
pub struct Window {
    /// Messages in the order of delivery: at most 1024 and, with more than one, at most 8 MiB of files.
    pub entries: Vec<Entry>,
    /// Whether more messages follow.
    pub more: bool,
    /// Files that are being written, or were stored by others while the queue was listed: look again soon.
    pub unsettled: usize,
    /// Files that were moved to `corrupt`.
    pub set_aside: usize,
    /// Names that are passed over: directories, and what cannot be read or moved.
    pub passed_over: usize,
}

/// What is remembered of a queue between listings.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// After which name was listed.
    after: Option<EntryName>,
    /// The first names of the queue behind it.
    names: BTreeSet<EntryName>,
    /// Whether the queue had more.
    more: bool,
    unsettled: usize,
}

impl Spool {
    /// The first messages of a queue.
    ///
    /// # Errors
    /// When the queue cannot be listed. A single file that cannot be read is counted in the window instead.
    pub fn entries(&self, priority: Priority) -> Result<Window, SpoolError> {
        self.entries_after(priority, None)
    }

    /// The messages of a queue that follow a name, so that those already known are not read again. A message that the
    /// existing implementation stores with a name from earlier is found when asked without a name.
    ///
    /// # Errors
    /// As for [`Spool::entries`].
    pub fn entries_after(&self, priority: Priority, after: Option<&EntryName>) -> Result<Window, SpoolError> {
        let mut cursor = self.cursor(priority);
        let follows = |name: &&EntryName| after.is_none_or(|after| *name > after);
        // Of a long queue the beginning is remembered: what was stored meanwhile comes after it.
        let known = cursor.names.iter().filter(follows).take(WINDOW_MESSAGES).count();
        // What was listed behind some name is not the beginning.
        let from_here = cursor.after.as_ref() <= after;
        if !from_here || !cursor.more || known < WINDOW_MESSAGES {
            *cursor = self.list(priority, after)?;
        }
        let mut window = Window { unsettled: cursor.unsettled, more: cursor.more, ..Window::default() };
        let mut bytes = 0;
        let mut gone = Vec::new();
        for name in cursor.names.iter().filter(follows) {
            if window.entries.len() == WINDOW_MESSAGES || bytes >= WINDOW_BYTES {
                window.more = true;
                break;
            }
            match self.read(priority, name) {
                Found::Message(entry) => {
                    if !window.entries.is_empty() && bytes + entry.size > WINDOW_BYTES {
                        window.more = true;
                        break;
                    }
                    bytes += entry.size;
                    window.entries.push(*entry);
                    continue;
                }
                Found::Gone => {}
                Found::Unsettled => window.unsettled += 1,
                Found::Unreadable => window.passed_over += 1,
                Found::Unfit(size, why) => match self.move_aside(priority, name, size, &why) {
                    Ok(Fate::Moved) => window.set_aside += 1,
                    Ok(Fate::Gone) => {}
                    Ok(Fate::Stays) => window.passed_over += 1,
                    Err(error) => {
                        tracing::debug!(%error, file = %name, "a file that is no message stays in its queue");
                        window.passed_over += 1;
                    }
                },
            }
            gone.push(name.clone());
        }
        gone.iter().for_each(|name| _ = cursor.names.remove(name));
        Ok(window)
    }

    /// Writes a message whose number of tries changed in its place, whole or not at all. It need not survive a power
    /// cut: the message does, with one or the other number.
    ///
    /// # Errors
    /// What the system refuses; the old file is still there then.
    pub fn rewrite(&self, entry: &Entry) -> Result<(), SpoolError> {
        match self.queue(entry.queue).status(entry.name.as_bytes()) {
            // Somebody removed it, which means that it shall not be delivered.
            Err(Errno::ENOENT) => Ok(()),
            _ => self.replace(entry, &entry.message.to_json()),
        }
    }

    /// Removes a message. One that is gone already is no error.
    ///
    /// A power cut can bring it back until [`Spool::sync`] was called or the system wrote it down by itself.
    ///
    /// # Errors
    /// What the system refuses; the message would be delivered again then.
    pub fn remove(&self, entry: &Entry) -> Result<(), SpoolError> {
        self.remove_many(std::slice::from_ref(entry)).pop().unwrap_or(Ok(()))
    }

    /// Removes many messages; the answers are in their order.
    pub fn remove_many(&self, entries: &[Entry]) -> Vec<Result<(), SpoolError>> {
        let mut removed = Vec::new();
        let mut remove = |entry: &Entry| {
            self.forget(entry.queue, &entry.name);
            let queue = self.queue(entry.queue);
            match queue.remove(entry.name.as_bytes()) {
                Ok(()) => removed.push((entry.queue, entry.size)),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(SpoolError::of(errno, "removing a delivered message from", queue.path())),
            }
            Ok(())
        };
        let answers = entries.iter().map(&mut remove).collect();
        self.release(&removed);
        answers
    }

    /// Waits until what was removed from a queue is so on the disk.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn sync(&self, priority: Priority) -> Result<(), SpoolError> {
        self.queue(priority).sync()
    }

    /// Forgets a name that is no longer in its queue.
    pub(super) fn forget(&self, priority: Priority, name: &EntryName) {
        self.cursor(priority).names.remove(name);
    }

    fn cursor(&self, priority: Priority) -> MutexGuard<'_, Cursor> {
        // A cursor is a memory of what was listed; a broken one is listed anew.
        self.cursors[priority.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the first names of a queue after `after`.
    ///
    /// Nobody who takes the lock stores meanwhile: otherwise of two messages stored one after the other the listing could
    /// hold the second alone. The existing implementation takes no lock; names it gave after the listing began are left
    /// out when the directory changed meanwhile.
    fn list(&self, priority: Priority, after: Option<&EntryName>) -> Result<Cursor, SpoolError> {
        let lock = self.lock(HELPFUL);
        if let Err(error) = &lock {
            tracing::debug!(%error, "a queue is listed without the lock of the spool");
        }
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let queue = self.queue(priority);
        let before = queue.changed()?;
        let (mut names, more) = first(queue, after)?;
        let mut unsettled = 0;
        if lock.is_err() || queue.changed()? != before {
            let old = |name: &EntryName| number(name.as_bytes()).is_none_or(|number| u128::from(number) < began);
            let all = names.len();
            names.retain(old);
            unsettled = all - names.len();
        }
        Ok(Cursor { after: after.cloned(), names, more, unsettled })
    }

    fn read(&self, priority: Priority, name: &EntryName) -> Found {
        let queue = self.queue(priority);
        let found = match read_file(queue, name) {
            Ok(found) => found,
            Err(Errno::ENOENT) => return Found::Gone,
            // A name that became a link meanwhile is looked at again next time.
            Err(_) => return Found::Unreadable,
        };
        let (size, bytes, changed) = match found {
            Content::Unfit(why) => return Found::Unfit(None, why.to_owned()),
            Content::Large(size) => return Found::Unfit(Some(LARGEST_FILE), format!("a file of {size} bytes")),
            Content::Bytes { bytes, changed } => (bytes.len() as u64, bytes, changed),
        };
        match Message::parse(&bytes) {
            Ok(message) => {
                let entry = Entry { queue: priority, name: name.clone(), message, size };
                Found::Message(Box::new(entry))
            }
            Err(InvalidMessage::Json(_)) if is_fresh(changed) => Found::Unsettled,
            Err(why) => Found::Unfit(Some(size), why.to_string()),
        }
    }
}

/// What a name of a queue turned out to be.
enum Found {
    Message(Box<Entry>),
    Gone,
    Unsettled,
    Unreadable,
    /// Something else, with the bytes it is counted with.
    Unfit(Option<u64>, String),
}

enum Content {
    Bytes { bytes: Vec<u8>, changed: (i64, i64) },
    Large(u64),
    Unfit(&'static str),
}

/// Reads a file that is looked at before it is opened, as opening some things has effects, and again afterwards.
fn read_file(queue: &Folder, name: &EntryName) -> Result<Content, Errno> {
    let status = queue.status(name.as_bytes())?;
    if let Some(why) = status.fault() {
        return Ok(Content::Unfit(why));
    }
    let file = queue.open(name.as_bytes())?;
    let status = Status::of(&fstat(&file)?);
    if let Some(why) = status.fault() {
        return Ok(Content::Unfit(why));
    }
    if status.size > LARGEST_FILE {
        return Ok(Content::Large(status.size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(status.size).unwrap_or_default());
    let read = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    let size = bytes.len() as u64;
    if size > LARGEST_FILE { Ok(Content::Large(size)) } else { Ok(Content::Bytes { bytes, changed: status.changed }) }
}

/// Whether something was changed at this time can still be changing. A time far from now says that a clock was set.
fn is_fresh((seconds, nanoseconds): (i64, i64)) -> bool {
    let since =
        Duration::new(u64::try_from(seconds).unwrap_or_default(), u32::try_from(nanoseconds).unwrap_or_default());
    let changed = SystemTime::UNIX_EPOCH + since;
    let age = SystemTime::now().duration_since(changed).unwrap_or_else(|ahead| ahead.duration());
    age < SETTLED
}

/// The first names of a queue after `after`, and whether there are more. However long the queue, only so many names
/// are kept.
fn first(queue: &Folder, after: Option<&EntryName>) -> Result<(BTreeSet<EntryName>, bool), SpoolError> {
    let mut names: BinaryHeap<EntryName> = BinaryHeap::new();
    let mut more = false;
    queue.for_each(|name, _| {
        if !is_message(name) || after.is_some_and(|after| name <= after.as_bytes()) {
            return;
        }
        if names.len() < REMEMBERED {
            names.extend(EntryName::of(name));
            return;
        }
        more = true;
        if names.peek().is_some_and(|last| name < last.as_bytes()) {
            names.pop();
            names.extend(EntryName::of(name));
        }
    })?;
    Ok((names.into_iter().collect(), more))
}
