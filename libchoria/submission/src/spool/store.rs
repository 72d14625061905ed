//! Storing: written aside, on the disk, renamed, and the renaming on the disk too, before anybody is told.

use super::Spool;
use super::aside::TEMPORARY;
use super::error::SpoolError;
use super::ledger::{HELPFUL, NEEDED};
use super::name::EntryName;
use super::pace::Way;
use super::read::Entry;
use crate::message::Message;
use crate::words::Priority;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime};

/// A message that is in the spool for good: it survives a power cut from here on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its queue.
    pub priority: Priority,
    /// Its file in the queue's directory.
    pub name: EntryName,
}

/// A message on its way: written aside, not yet in its queue. No descriptor is kept: a batch may have more files than a
/// process may open.
struct Pending {
    temporary: Vec<u8>,
    priority: Priority,
    size: u64,
}

/// Answers in the order of the messages.
type Answers<T> = Vec<Result<T, SpoolError>>;

impl Spool {
    /// Stores one message.
    ///
    /// # Errors
    /// Why it was not stored; nothing of it is left then.
    pub fn store(&self, message: &Message) -> Result<Stored, SpoolError> {
        let stored = self.store_many(std::slice::from_ref(message)).pop();
        stored.unwrap_or_else(|| Err(SpoolError::of(nix::errno::Errno::EIO, "storing in", self.root.path())))
    }

    /// Stores many messages, with as little waiting for the disk as it takes for all of them together. The answers are in
    /// the order of the messages; those that are stored stand in their queue in that order. One that is refused does not
    /// keep the others out.
    pub fn store_many(&self, messages: &[Message]) -> Vec<Result<Stored, SpoolError>> {
        let written = self.write_all(messages);
        let mut named = self.name_all(written);
        for priority in Priority::ALL {
            let of = |stored: &Result<Stored, SpoolError>| stored.as_ref().is_ok_and(|s| s.priority == priority);
            if !named.iter().any(of) {
                continue;
            }
            if let Err(error) = self.queue(priority).sync() {
                for stored in named.iter_mut().filter(|stored| of(stored)) {
                    self.take_back(stored);
                    *stored = Err(error.clone());
                }
            }
        }
        named
    }

    /// Takes room for every message, writes it aside and waits until it is on the disk.
    fn write_all(&self, messages: &[Message]) -> Answers<Pending> {
        let room = self.reserve_all(messages);
        let files = room.iter().filter(|room| room.is_ok()).count();
        let way = self.pace.way(files);
        let mut lost = Vec::new();
        let mut waited = std::time::Duration::ZERO;
        let write = |file: Result<(Priority, Vec<u8>), SpoolError>| {
            let (priority, bytes) = file?;
            let written = self.write(priority, &bytes).and_then(|(pending, file)| match way {
                Way::Each => {
                    let began = Instant::now();
                    let kept = self.keep(&pending, &file).map(|()| pending);
                    waited += began.elapsed();
                    kept
                }
                Way::All => Ok(pending),
            });
            written.inspect_err(|_| lost.push((priority, bytes.len() as u64)))
        };
        let mut written: Answers<Pending> = room.into_iter().map(write).collect();
        if way == Way::All {
            let began = Instant::now();
            if self.root.sync_file_system().is_err() {
                // Some file of the file system could not be written; which ones of ours, each is asked.
                written = written.into_iter().map(|pending| self.keep_again(pending?, &mut lost)).collect();
            }
            waited = began.elapsed();
        }
        if files > 0 {
            self.pace.took(way, files, waited);
        }
        self.release(&lost);
        written
    }

    /// Renders every message and takes room for it.
    fn reserve_all(&self, messages: &[Message]) -> Answers<(Priority, Vec<u8>)> {
        let files: Vec<_> = messages.iter().map(|message| (message.priority, self.render(message))).collect();
        let mut ledger = self.lock(NEEDED);
        let mut room = |(priority, file): (Priority, Result<Vec<u8>, SpoolError>)| {
            let file = file?;
            let ledger = ledger.as_mut().map_err(|error| error.clone())?;
            ledger.reserve(priority, file.len() as u64, &self.limits)?;
            Ok((priority, file))
        };
        files.into_iter().map(&mut room).collect()
    }

    fn render(&self, message: &Message) -> Result<Vec<u8>, SpoolError> {
        let (size, most) = (message.payload.len() as u64, self.limits.max_message_size);
        if size > most { Err(SpoolError::TooLarge { size, most }) } else { Ok(message.to_json()) }
    }

    /// Writes one file aside.
    fn write(&self, priority: Priority, bytes: &[u8]) -> Result<(Pending, File), SpoolError> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = format!("{TEMPORARY}{}-{number}", self.instance).into_bytes();
        let made = self.root.create(&temporary, self.owner);
        let mut file = made.map_err(|errno| SpoolError::of(errno, "making a file in", self.root.path()))?;
        if let Err(error) = file.write_all(bytes) {
            self.root.remove(&temporary).ok();
            return Err(SpoolError::of_io(&error, "writing a message to", self.root.path()));
        }
        Ok((Pending { temporary, priority, size: bytes.len() as u64 }, file))
    }

    /// Waits until the file is on the disk.
    fn keep(&self, pending: &Pending, file: &File) -> Result<(), SpoolError> {
        file.sync_all().map_err(|error| {
            self.root.remove(&pending.temporary).ok();
            SpoolError::of_io(&error, "keeping a message in", self.root.path())
        })
    }

    fn keep_again(&self, pending: Pending, lost: &mut Vec<(Priority, u64)>) -> Result<Pending, SpoolError> {
        let opened = self.root.open(&pending.temporary);
        let opened = opened.map_err(|errno| SpoolError::of(errno, "keeping a message in", self.root.path()));
        match opened.and_then(|file| self.keep(&pending, &file)) {
            Ok(()) => Ok(pending),
            Err(error) => {
                lost.push((pending.priority, pending.size));
                Err(error)
            }
        }
    }

    /// Gives the messages their names, in order, while nobody else does.
    fn name_all(&self, written: Answers<Pending>) -> Answers<Stored> {
        let mut ledger = self.lock(NEEDED);
        let mut name = |pending: Result<Pending, SpoolError>| {
            let Pending { temporary, priority, size } = pending?;
            let mut named = || {
                let ledger = ledger.as_mut().map_err(|error| error.clone())?;
                let (name, number) = EntryName::new(ledger.newest(priority)?, SystemTime::now());
                let queue = self.queue(priority);
                let renamed = self.root.rename(&temporary, queue, name.as_bytes());
                renamed.map_err(|errno| SpoolError::of(errno, "putting a message into", queue.path()))?;
                ledger.named(priority, number);
                Ok(Stored { priority, name })
            };
            let stored = named();
            if stored.is_err() {
                self.root.remove(&temporary).ok();
                if let Ok(ledger) = &mut ledger {
                    ledger.release(priority, size);
                }
            }
            stored
        };
        written.into_iter().map(&mut name).collect()
    }

    /// Removes a message whose name may not survive a power cut, so that what is reported as failed does not arrive.
    fn take_back(&self, stored: &Result<Stored, SpoolError>) {
        let Ok(Stored { priority, name }) = stored else { return };
        let size = self.queue(*priority).status(name.as_bytes()).map(|status| status.size);
        if self.queue(*priority).remove(name.as_bytes()).is_ok() {
            self.release(&[(*priority, size.unwrap_or_default())]);
        }
    }

    /// Gives back room in the numbers. They are counted anew in time if that is not possible now.
    pub(super) fn release(&self, files: &[(Priority, u64)]) {
        if files.is_empty() {
            return;
        }
        match self.lock(HELPFUL) {
            Ok(mut ledger) => files.iter().for_each(|(priority, size)| ledger.release(*priority, *size)),
            Err(error) => tracing::debug!(%error, "the numbers of the spool are not kept"),
        }
    }

    /// Puts a changed message in the place of the old one, whole.
    pub(super) fn replace(&self, entry: &Entry, bytes: &[u8]) -> Result<(), SpoolError> {
        let (pending, file) = self.write(entry.queue, bytes)?;
        self.keep(&pending, &file)?;
        let queue = self.queue(entry.queue);
        let renamed = self.root.rename(&pending.temporary, queue, entry.name.as_bytes());
        renamed.map_err(|errno| {
            self.root.remove(&pending.temporary).ok();
            SpoolError::of(errno, "putting a message into", queue.path())
        })
    }
}
