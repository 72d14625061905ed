//! Storing: written aside, on the disk, renamed, and the renaming on the disk too, before anybody is told.

use super::aside::TEMPORARY;
use super::error::SpoolError;
use super::name::EntryName;
use super::{Spool, read};
use crate::message::Message;
use crate::words::Priority;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// A message that is in the spool for good: it survives a power cut from here on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its queue.
    pub priority: Priority,
    /// Its file in the queue's directory.
    pub name: EntryName,
}

/// A message on its way: written aside, not yet in its queue.
struct Pending {
    temporary: Vec<u8>,
    file: File,
    priority: Priority,
    size: u64,
}

impl Spool {
    /// Stores one message.
    ///
    /// # Errors
    /// Why it was not stored; nothing of it is left then.
    pub fn store(&self, message: &Message) -> Result<Stored, SpoolError> {
        let stored = self.store_many(std::slice::from_ref(message)).pop();
        stored.unwrap_or_else(|| Err(SpoolError::of(nix::errno::Errno::EIO, "storing in", self.root.path())))
    }

    /// Stores many messages with two rounds of waiting for the disk for all of them together. The answers are in the
    /// order of the messages; those that are stored stand in the queue in that order. One that is refused does not keep
    /// the others out.
    pub fn store_many(&self, messages: &[Message]) -> Vec<Result<Stored, SpoolError>> {
        let written = self.write_all(messages);
        let kept: Vec<_> = written.into_iter().map(|pending| pending.and_then(|pending| self.keep(pending))).collect();
        let mut named = self.name_all(kept);
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

    /// Takes room for every message and writes it aside.
    fn write_all(&self, messages: &[Message]) -> Vec<Result<Pending, SpoolError>> {
        let files: Vec<_> = messages.iter().map(|message| (message.priority, self.render(message))).collect();
        let mut ledger = self.lock();
        let room = |(priority, file): (Priority, Result<Vec<u8>, SpoolError>)| {
            let ledger = ledger.as_mut().map_err(|error| error.clone())?;
            let file = file?;
            ledger.reserve(priority, file.len() as u64, &self.limits)?;
            Ok((priority, file))
        };
        let files: Vec<_> = files.into_iter().map(room).collect();
        drop(ledger);
        let mut lost = Vec::new();
        let mut write = |file: Result<(Priority, Vec<u8>), SpoolError>| {
            let (priority, file) = file?;
            self.write(priority, &file).inspect_err(|_| lost.push((priority, file.len() as u64)))
        };
        let written = files.into_iter().map(&mut write).collect();
        self.release(&lost);
        written
    }

    fn render(&self, message: &Message) -> Result<Vec<u8>, SpoolError> {
        let (size, most) = (message.payload.len() as u64, self.limits.max_message_size);
        if size > most { Err(SpoolError::TooLarge { size, most }) } else { Ok(message.to_json()) }
    }

    /// Writes one file aside, and has the system begin to bring it to the disk.
    fn write(&self, priority: Priority, bytes: &[u8]) -> Result<Pending, SpoolError> {
        let (temporary, mut file) = self.create_temporary()?;
        if let Err(error) = file.write_all(bytes) {
            self.root.remove(&temporary).ok();
            return Err(SpoolError::of_io(&error, "writing a message to", self.root.path()));
        }
        Ok(Pending { temporary, file, priority, size: bytes.len() as u64 })
    }

    /// A new file in the root, with a name that no other program gives.
    pub(super) fn create_temporary(&self) -> Result<(Vec<u8>, File), SpoolError> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let unique = uuid::Uuid::new_v4();
        let name = format!("{TEMPORARY}{}-{number}-{}", std::process::id(), unique.simple()).into_bytes();
        let file = self.root.create(&name, self.owner);
        Ok((name, file.map_err(|errno| SpoolError::of(errno, "making a file in", self.root.path()))?))
    }

    /// Waits until the file is on the disk.
    fn keep(&self, pending: Pending) -> Result<Pending, SpoolError> {
        match pending.file.sync_all() {
            Ok(()) => Ok(pending),
            Err(error) => {
                self.root.remove(&pending.temporary).ok();
                self.release(&[(pending.priority, pending.size)]);
                Err(SpoolError::of_io(&error, "keeping a message in", self.root.path()))
            }
        }
    }

    /// Gives the messages their names, in order, while nobody else does.
    fn name_all(&self, kept: Vec<Result<Pending, SpoolError>>) -> Vec<Result<Stored, SpoolError>> {
        let mut ledger = self.lock();
        let mut name = |pending: Result<Pending, SpoolError>| {
            let Pending { temporary, priority, size, .. } = pending?;
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
        kept.into_iter().map(&mut name).collect()
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
        match self.lock() {
            Ok(mut ledger) => files.iter().for_each(|(priority, size)| ledger.release(*priority, *size)),
            Err(error) => tracing::debug!(%error, "the numbers of the spool are not kept"),
        }
    }

    /// Puts a changed message in the place of the old one, whole.
    pub(super) fn replace(&self, entry: &read::Entry, bytes: &[u8]) -> Result<(), SpoolError> {
        let pending = self.write(entry.queue, bytes)?;
        let queue = self.queue(entry.queue);
        let kept =
            pending.file.sync_data().map_err(|error| SpoolError::of_io(&error, "keeping a message in", queue.path()));
        let renamed = kept.and_then(|()| {
            let renamed = self.root.rename(&pending.temporary, queue, entry.name.as_bytes());
            renamed.map_err(|errno| SpoolError::of(errno, "putting a message into", queue.path()))
        });
        if renamed.is_err() {
            self.root.remove(&pending.temporary).ok();
        }
        renamed
    }
}
