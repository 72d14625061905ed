//! The socket that is listened on: bound here, or given by the service manager.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A listening Unix socket. One that was bound here is removed with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    /// Only of a socket bound here.
    place: Option<Place>,
}

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens there.
    #[error("{path}: another program listens on this socket; stop it first (systemctl stop its .socket unit, too)")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is in the way.
    #[error("{path}: is there and is no socket; move it away, or set another path")]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{path}: {doing}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Where a socket is bound: locked against a second program of ours, removed at the end.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Which file it is, so that no other one is removed.
    inode: (u64, u64),
    _lock: Flock<File>,
}

impl Listener {
    /// A socket that the service manager gave, whose file is its business.
    #[must_use]
    pub fn given(socket: UnixListener) -> Self {
        Self { socket, place: None }
    }

    /// Listens on `path`, which gets the permissions `mode`; its folder is made with 0755 if it is missing. The socket
    /// of a program that ended without removing it is replaced, in one step, so that at no time there is none.
    ///
    /// # Errors
    /// [`BindError`], [`BindError::InUse`] when somebody listens there.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let failed = |path: &Path, doing| {
            let path = path.to_owned();
            move |source| BindError::Io { path, doing, source }
        };
        if let Some(folder) = path.parent() {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o755).create(folder).map_err(failed(folder, "cannot make the folder"))?;
        }
        let lock = lock(path)?;
        check_unused(path)?;
        let temporary = beside(path, ".new");
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&temporary, "cannot remove what is left of an earlier start")(error));
            }
            _ => {}
        }
        let socket = UnixListener::bind(&temporary).map_err(failed(&temporary, "cannot bind the socket"))?;
        std::fs::set_permissions(&temporary, Permissions::from_mode(mode))
            .map_err(failed(&temporary, "cannot set its permissions"))?;
        let about = std::fs::symlink_metadata(&temporary).map_err(failed(&temporary, "cannot look at it"))?;
        std::fs::rename(&temporary, path).map_err(failed(path, "cannot put the socket there"))?;
        let place = Place { path: path.to_owned(), inode: (about.dev(), about.ino()), _lock: lock };
        Ok(Self { socket, place: Some(place) })
    }
}

impl Listener {
    pub(super) fn into_parts(self) -> (UnixListener, Option<Place>) {
        (self.socket, self.place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.inode);
        if ours {
            // One that stays behind is replaced at the next start.
            let _stale = std::fs::remove_file(&self.path);
        }
    }
}

/// Held for as long as the socket is: of two programs that start at once, one gets the place.
fn lock(path: &Path) -> Result<Flock<File>, BindError> {
    let file = beside(path, ".lock");
    let failed = |doing| {
        let path = file.clone();
        move |source| BindError::Io { path, doing, source }
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
    let opened = options.open(&file).map_err(failed("cannot open the lock of the socket"))?;
    Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => BindError::InUse { path: path.to_owned() },
        error => failed("cannot lock it")(error.into()),
    })
}

/// Nothing is there, or a socket that nobody listens on.
fn check_unused(path: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BindError::Io { path: path.to_owned(), doing: "cannot look at it", source }),
        Ok(about) if !about.file_type().is_socket() => return Err(BindError::NotASocket { path: path.to_owned() }),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(BindError::InUse { path: path.to_owned() }),
        Err(source) => Err(BindError::Io { path: path.to_owned(), doing: "cannot tell whether it is in use", source }),
    }
}

/// The file of this name with `suffix` added.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run/test.sock");
        let first = Listener::bind(&path, 0o666).expect("a new folder and socket");
        let mode = std::fs::metadata(&path).expect("the socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        let second = Listener::bind(&path, 0o666);
        assert!(matches!(second, Err(BindError::InUse { .. })), "{second:?}");
        drop(first);
        assert!(!path.exists(), "it is removed with its listener");

        drop(UnixListener::bind(&path).expect("a socket whose program ended"));
        let third = Listener::bind(&path, 0o600).expect("it is replaced");
        drop(third);

        let _foreign = UnixListener::bind(&path).expect("a socket of another program");
        let refused = Listener::bind(&path, 0o666);
        assert!(matches!(refused, Err(BindError::InUse { .. })), "{refused:?}");
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "precious").expect("a file");
        let refused = Listener::bind(&path, 0o666);
        assert!(matches!(refused, Err(BindError::NotASocket { .. })), "{refused:?}");
        assert_eq!(std::fs::read(&path).expect("the file"), b"precious");

        let socket = folder.path().join("test.sock");
        let listener = Listener::bind(&socket, 0o666).expect("a socket");
        std::fs::remove_file(&socket).expect("removed by somebody");
        std::fs::write(&socket, "another").expect("and replaced");
        drop(listener);
        assert!(socket.exists(), "what somebody else put there stays");
    }
}
