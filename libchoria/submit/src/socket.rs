//! The socket: systemd's, or bound here.

use listenfd::ListenFd;
use local::varlink::{BindError, Listener};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::io;
use std::path::Path;

/// The socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// What systemd gave is no such socket.
    #[error(
        "the socket given by the service manager is no listening Unix stream socket: {0}; see choria-submit.socket"
    )]
    Given(io::Error),
    /// It cannot be bound.
    #[error("plugin.choria.submission.socket: {0}")]
    Bind(#[from] BindError),
}

/// systemd's socket, if there is one.
///
/// # Errors
/// [`SocketError::Given`].
pub(crate) fn given() -> Result<Option<Listener>, SocketError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut sockets = ListenFd::from_env();
    let Some(position) = position(&names, sockets.len()) else { return Ok(None) };
    let Some(socket) = sockets.take_unix_listener(position).map_err(SocketError::Given)? else { return Ok(None) };
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|errno| SocketError::Given(errno.into()))?;
    Ok(Some(Listener::given(socket)))
}

/// A socket at `path` that every user can connect to: the rules decide later who may submit what.
///
/// # Errors
/// [`SocketError::Bind`].
pub(crate) fn bind(path: &Path) -> Result<Listener, SocketError> {
    Ok(Listener::bind(path, 0o666)?)
}

/// Where in `names`, joined by `:`, ours stands.
fn position(names: &str, count: usize) -> Option<usize> {
    let named = names.split(':').take(count).position(|name| name == NAME);
    let lone = || (count == 1 && matches!(names, "" | "unknown" | "choria-submit.socket")).then_some(0);
    named.or_else(lone)
}

/// `FileDescriptorName=` of the socket unit.
const NAME: &str = "varlink";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_by_its_name() {
        let rows = [
            ("varlink", 1, Some(0)),
            ("stats:varlink", 2, Some(1)),
            ("", 1, Some(0)),
            ("unknown", 1, Some(0)),
            ("choria-submit.socket", 1, Some(0)),
            ("stats", 1, None),
            ("varlink", 0, None),
            ("a:b", 2, None),
        ];
        for (names, count, wanted) in rows {
            assert_eq!(position(names, count), wanted, "{names:?} of {count}");
        }
    }
}
