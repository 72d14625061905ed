//! A directory that was opened once and is used by its descriptor: nobody can put another in its place meanwhile.

use super::error::SpoolError;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, fchown, fsync, syncfs, unlinkat};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A directory of the spool.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    /// For messages only.
    path: PathBuf,
}

/// What a name in a directory stands for, asked without following it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Status {
    pub(super) kind: SFlag,
    pub(super) links: u64,
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) changed: (i64, i64),
}

/// A file that is larger than this is no message, whatever the settings say.
pub(super) const LARGEST_FILE: u64 = 16 << 20;

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
const PRIVATE: Mode = Mode::S_IRWXU;
const OTHERS_WRITE: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);

impl Folder {
    /// Opens the root of the spool, and makes it (0700) when it does not exist. A symbolic link on the way is followed,
    /// as the one who configured it wants; what it leads to is judged.
    ///
    /// The rule: it belongs to root or to the user who runs the program (root may use anybody's), and neither group nor
    /// others may write it, unless it is sticky, so that they cannot move what is in it.
    pub(super) fn root(path: &Path) -> Result<Self, SpoolError> {
        let open = || nix::fcntl::open(path, DIRECTORY, Mode::empty());
        let fd = match open() {
            Err(Errno::ENOENT) => {
                use std::os::unix::fs::DirBuilderExt;
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
                made.map_err(|error| SpoolError::of_io(&error, "making the spool", path))?;
                if let Some(parent) = path.parent().and_then(|parent| File::open(parent).ok()) {
                    parent.sync_all().map_err(|error| SpoolError::of_io(&error, "keeping the spool", path))?;
                }
                open()
            }
            opened => opened,
        };
        let fd = fd.map_err(|errno| SpoolError::of(errno, "opening the spool", path))?;
        let folder = Self { fd, path: path.to_owned() };
        let status = folder.own_status()?;
        let mode = Mode::from_bits_truncate(status.st_mode);
        let unsafe_because = |why: String| SpoolError::Unsafe { path: path.to_owned(), why };
        let me = Uid::effective().as_raw();
        if me != 0 && status.st_uid != 0 && status.st_uid != me {
            return Err(unsafe_because(format!(
                "belongs to user {}: submit through the socket or as its owner",
                status.st_uid
            )));
        }
        if mode.intersects(OTHERS_WRITE) && !mode.contains(Mode::S_ISVTX) {
            let bits = status.st_mode & 0o7777;
            return Err(unsafe_because(format!("may be written by group or others (mode {bits:o}): set mode 0700")));
        }
        Ok(folder)
    }

    /// Opens a directory in this one, and makes it (0700) when it does not exist. Symbolic links are not followed.
    ///
    /// The rule: it belongs to root, to the owner of this directory or to the user who runs the program, and nobody else
    /// may write it.
    pub(super) fn child(&self, name: &str) -> Result<Self, SpoolError> {
        let path = self.path.join(name);
        let fault = |errno| SpoolError::of(errno, "opening a directory of the spool", &path);
        let open = || openat(&self.fd, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty());
        let owner = self.own_status()?.st_uid;
        let fd = match open() {
            Err(Errno::ENOENT) => {
                match mkdirat(&self.fd, name, PRIVATE) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(SpoolError::of(errno, "making a directory of the spool", &path)),
                }
                let fd = open().map_err(fault)?;
                give_to(&fd, owner).map_err(fault)?;
                self.sync()?;
                fd
            }
            Err(Errno::ENOTDIR | Errno::ELOOP) => {
                let why = "is no directory: remove what is there".to_owned();
                return Err(SpoolError::Unsafe { path, why });
            }
            opened => opened.map_err(fault)?,
        };
        let folder = Self { fd, path };
        let status = folder.own_status()?;
        let unsafe_because = |why: String| SpoolError::Unsafe { path: folder.path.clone(), why };
        if ![0, owner, Uid::effective().as_raw()].contains(&status.st_uid) {
            return Err(unsafe_because(format!(
                "belongs to user {}, not to the owner of the spool: change its owner",
                status.st_uid
            )));
        }
        if Mode::from_bits_truncate(status.st_mode).intersects(OTHERS_WRITE) {
            let bits = status.st_mode & 0o7777;
            return Err(unsafe_because(format!("may be written by group or others (mode {bits:o}): set mode 0700")));
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Who owns the directory.
    pub(super) fn owner(&self) -> Result<u32, SpoolError> {
        Ok(self.own_status()?.st_uid)
    }

    /// When something was last added, removed or renamed, as far as the file system's clock tells.
    pub(super) fn changed(&self) -> Result<(i64, i64), SpoolError> {
        let status = self.own_status()?;
        Ok((status.st_mtime, status.st_mtime_nsec))
    }

    /// Makes a file of mode 0600 that must not exist yet, for `owner`.
    pub(super) fn create(&self, name: &[u8], owner: u32) -> Result<File, Errno> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        if let Err(errno) = give_to(&fd, owner) {
            // What cannot be given away must not be left lying around either.
            self.remove(name).ok();
            return Err(errno);
        }
        Ok(File::from(fd))
    }

    /// Opens a file of our own for reading and writing, and makes it (0600) when it does not exist.
    pub(super) fn open_own(&self, name: &str) -> Result<File, SpoolError> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let path = self.path.join(name);
        let fault = |errno| SpoolError::of(errno, "opening", &path);
        let fd = openat(&self.fd, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(fault)?;
        let status = fstat(&fd).map_err(fault)?;
        if kind(&status) != SFlag::S_IFREG {
            return Err(SpoolError::Unsafe { path, why: "is no file: remove it".to_owned() });
        }
        let owner = self.owner()?;
        if status.st_uid != owner {
            give_to(&fd, owner).map_err(fault)?;
        }
        Ok(File::from(fd))
    }

    /// Opens a file for reading without following links and without waiting for anybody.
    pub(super) fn open(&self, name: &[u8]) -> Result<File, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        openat(&self.fd, name, flags, Mode::empty()).map(File::from)
    }

    /// What the name stands for; links are not followed.
    pub(super) fn status(&self, name: &[u8]) -> Result<Status, Errno> {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|status| Status::of(&status))
    }

    /// Gives a file another name in another directory, replacing what has that name.
    pub(super) fn rename(&self, from: &[u8], folder: &Self, to: &[u8]) -> Result<(), Errno> {
        renameat(&self.fd, from, &folder.fd, to)
    }

    /// Removes what is no directory.
    pub(super) fn remove(&self, name: &[u8]) -> Result<(), Errno> {
        unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)
    }

    /// Waits until what was renamed and removed here is on the disk.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        fsync(&self.fd).map_err(|errno| SpoolError::of(errno, "keeping what changed in", &self.path))
    }

    /// Waits until everything that was written to the file system, by anybody, is on the disk.
    pub(super) fn sync_file_system(&self) -> Result<(), Errno> {
        syncfs(&self.fd)
    }

    /// Calls `each` for every name, in no order.
    pub(super) fn for_each(&self, mut each: impl FnMut(&[u8], Option<Type>)) -> Result<(), SpoolError> {
        let fault = |errno| SpoolError::of(errno, "listing", &self.path);
        let mut dir = Dir::openat(&self.fd, ".", DIRECTORY, Mode::empty()).map_err(fault)?;
        for entry in dir.iter() {
            let entry = entry.map_err(fault)?;
            each(entry.file_name().to_bytes(), entry.file_type());
        }
        Ok(())
    }

    fn own_status(&self) -> Result<FileStat, SpoolError> {
        fstat(&self.fd).map_err(|errno| SpoolError::of(errno, "looking at", &self.path))
    }
}

impl Status {
    pub(super) fn of(status: &FileStat) -> Self {
        Self {
            kind: kind(status),
            links: status.st_nlink,
            size: u64::try_from(status.st_size).unwrap_or_default(),
            changed: (status.st_mtime, status.st_mtime_nsec),
        }
    }

    /// The bytes it is counted with: none for what is no file, and no more than are ever read of one, so that a file
    /// with a hole in it does not fill the spool.
    pub(super) fn weight(&self) -> u64 {
        if self.kind == SFlag::S_IFREG { self.size.min(LARGEST_FILE) } else { 0 }
    }

    /// What keeps this from being a message: anything but a file that has this one name.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self.kind {
            SFlag::S_IFREG if self.links == 1 => None,
            SFlag::S_IFREG => Some("a file that has another name elsewhere (a hard link)"),
            SFlag::S_IFLNK => Some("a symbolic link"),
            SFlag::S_IFDIR => Some("a directory"),
            SFlag::S_IFIFO => Some("a FIFO"),
            SFlag::S_IFSOCK => Some("a socket"),
            _ => Some("a device"),
        }
    }
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits())
}

/// Lets root leave in somebody's spool what that user can read.
fn give_to(fd: &OwnedFd, owner: u32) -> Result<(), Errno> {
    if Uid::effective().is_root() && owner != 0 { fchown(fd, Some(Uid::from_raw(owner)), None) } else { Ok(()) }
}
