//! Descriptors that the service manager handed to this process (`LISTEN_FDS`, sd_listen_fds(3)), by their names.
//!
//! | socket unit says | the program asks for |
//! |---|---|
//! | `ListenStream=/run/choria/….sock`, `FileDescriptorName=varlink` | [`Sockets::main_unix`] or [`Sockets::unix`] |
//! | `ListenStream=8080`, `FileDescriptorName=https` | [`Sockets::main_tcp`] or [`Sockets::tcp`] |
//!
//! What nobody asks for is named in the log when the program is ready. Every descriptor is closed at `exec`, but for the
//! program's own restart, which hands the listeners on.

use listenfd::ListenFd;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockaddrLike as _, SockaddrStorage, getsockname, getsockopt, sockopt};
use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The descriptors of this process. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Sockets(Arc<Mutex<Given>>);

#[derive(Debug, Default)]
struct Given {
    program: &'static str,
    descriptors: Vec<Descriptor>,
}

#[derive(Debug)]
struct Descriptor {
    name: String,
    /// As the service manager gave it; gone once it was taken for good. What is no socket is `None` from the start.
    original: Option<OwnedFd>,
    asked_for: bool,
}

/// A descriptor is not what its name promises.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It is something else.
    #[error(
        "the descriptor {name:?} given by the service manager is {found}, where {wanted} is needed: see ListenStream= of \
         the socket unit that says FileDescriptorName={name}, and systemctl list-sockets"
    )]
    Kind {
        /// Its name.
        name: String,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The system does not let us use it.
    #[error("the socket {name:?} given by the service manager cannot be used: {source}")]
    Unusable {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Sockets {
    /// What was given to this process; `program` is its name and that of its units. To be called once, at the start:
    /// the environment that says so is cleared, so that no child takes it for its own.
    #[must_use]
    pub fn from_environment(program: &'static str) -> Self {
        let count = announced();
        let names = names(&std::env::var("LISTEN_FDNAMES").unwrap_or_default(), count);
        if count == 0 {
            return Self::of(program, Vec::new());
        }
        // Also those that are no sockets: no child shall have them.
        if let Err(error) = libsystemd::activation::receive_descriptors(false) {
            eprintln!("{program}: descriptors of the service manager cannot be used: {error}");
            return Self::of(program, Vec::new());
        }
        let mut given = ListenFd::from_env();
        let descriptors = names.into_iter().enumerate();
        let descriptors =
            descriptors.map(|(index, name)| Descriptor { name, original: own(&mut given, index), asked_for: false });
        Self::of(program, descriptors.collect())
    }

    fn of(program: &'static str, descriptors: Vec<Descriptor>) -> Self {
        Self(Arc::new(Mutex::new(Given { program, descriptors })))
    }

    /// The listening Unix socket of that name, if one was given.
    ///
    /// # Errors
    /// [`SocketError`]: there is something else of that name.
    pub fn unix(&self, name: &str) -> Result<Option<UnixListener>, SocketError> {
        self.listener(name, false, Kind::Unix).map(|found| found.map(UnixListener::from))
    }

    /// As [`unix`](Self::unix), for the socket that this program is all about: a lone one without a name of its own,
    /// because the unit has no `FileDescriptorName=`, is meant for us as well.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn main_unix(&self, name: &str) -> Result<Option<UnixListener>, SocketError> {
        self.listener(name, true, Kind::Unix).map(|found| found.map(UnixListener::from))
    }

    /// The listening TCP socket of that name, if one was given; it does not block.
    ///
    /// # Errors
    /// [`SocketError`]: there is something else of that name.
    pub fn tcp(&self, name: &str) -> Result<Option<TcpListener>, SocketError> {
        self.listener(name, false, Kind::Tcp).map(|found| found.map(TcpListener::from))
    }

    /// As [`tcp`](Self::tcp), for the socket that this program is all about: a lone one without a name of its own is
    /// meant for us as well.
    ///
    /// # Errors
    /// [`SocketError`].
    pub fn main_tcp(&self, name: &str) -> Result<Option<TcpListener>, SocketError> {
        self.listener(name, true, Kind::Tcp).map(|found| found.map(TcpListener::from))
    }

    /// Whether there is anything of that name that was not taken for good.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.lock().descriptors.iter().any(|one| one.name == name && one.original.is_some())
    }

    /// Every socket of that name, in the order in which they came, for good: they are closed when dropped, and not
    /// handed on. Meant for what is no listener, such as connections that were put into the manager's store.
    #[must_use]
    pub fn take_all(&self, name: &str) -> Vec<OwnedFd> {
        let mut given = self.lock();
        let named = given.descriptors.iter_mut().filter(|one| one.name == name);
        named
            .filter_map(|one| {
                one.asked_for = true;
                one.original.take()
            })
            .collect()
    }

    /// Names of descriptors that nobody asked for, once each; not told again.
    pub(crate) fn left_over(&self) -> BTreeSet<String> {
        let mut given = self.lock();
        let all = given.descriptors.iter_mut();
        all.filter_map(|one| (!std::mem::replace(&mut one.asked_for, true)).then(|| one.name.clone())).collect()
    }

    /// Has `command`, which replaces this process, start with the same listeners.
    pub(crate) fn hand_on(&self, command: &mut Command) -> io::Result<()> {
        let given = self.lock();
        // A number in between that was taken for good may be something else by now.
        let first = given.descriptors.iter().zip(FIRST..).map_while(|(one, number)| {
            one.original.as_ref().filter(|original| original.as_raw_fd() == number).map(|original| (one, original))
        });
        let mut names: Vec<&str> = Vec::new();
        for (one, original) in first {
            fcntl(original, FcntlArg::F_SETFD(FdFlag::empty()))?;
            names.push(&one.name);
        }
        if !names.is_empty() {
            command.env("LISTEN_PID", std::process::id().to_string());
            command.env("LISTEN_FDS", names.len().to_string());
            command.env("LISTEN_FDNAMES", names.join(":"));
        }
        Ok(())
    }

    fn listener(&self, name: &str, main: bool, wanted: Kind) -> Result<Option<OwnedFd>, SocketError> {
        let mut given = self.lock();
        let names: Vec<&str> = given.descriptors.iter().map(|one| one.name.as_str()).collect();
        let Some(position) = position(&names, name, main.then_some(given.program)) else { return Ok(None) };
        let Some(found) = given.descriptors.get_mut(position) else { return Ok(None) };
        found.asked_for = true;
        let kind = found.original.as_ref().map_or(Kind::NoSocket, Kind::of);
        if kind != wanted {
            return Err(SocketError::Kind { name: found.name.clone(), found: kind.to_string(), wanted: wanted.text() });
        }
        let unusable = |source| SocketError::Unusable { name: found.name.clone(), source };
        // The original stays, for a restart of the program.
        let listener = found.original.as_ref().map(OwnedFd::try_clone).transpose().map_err(unusable)?;
        if let (Some(listener), Kind::Tcp) = (&listener, wanted) {
            set_nonblocking(listener).map_err(unusable)?;
        }
        Ok(listener)
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a descriptor is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Unix,
    Tcp,
    Connection,
    Datagram,
    OtherSocket,
    NoSocket,
}

impl Kind {
    fn of(descriptor: &OwnedFd) -> Self {
        let Ok(kind) = getsockopt(descriptor, sockopt::SockType) else { return Self::NoSocket };
        let name = getsockname::<SockaddrStorage>(descriptor.as_raw_fd());
        match (kind, name.ok().and_then(|name| name.family())) {
            (nix::sys::socket::SockType::Datagram, _) => Self::Datagram,
            (nix::sys::socket::SockType::Stream, family) => {
                match (getsockopt(descriptor, sockopt::AcceptConn), family) {
                    (Ok(false), _) => Self::Connection,
                    (_, Some(AddressFamily::Unix)) => Self::Unix,
                    (_, Some(AddressFamily::Inet | AddressFamily::Inet6)) => Self::Tcp,
                    _ => Self::OtherSocket,
                }
            }
            _ => Self::OtherSocket,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Unix => "a listening Unix stream socket",
            Self::Tcp => "a listening TCP socket",
            Self::Connection => "a connection and not a listening socket (does the unit say Accept=yes?)",
            Self::Datagram => "a datagram socket",
            Self::OtherSocket => "a socket of another kind",
            Self::NoSocket => "no socket",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

/// How many descriptors are announced to this process and to no other.
fn announced() -> usize {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return 0;
    }
    number("LISTEN_FDS").and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= MOST).unwrap_or(0)
}

/// One name for each descriptor; those that were given none have none.
fn names(joined: &str, count: usize) -> Vec<String> {
    let given = joined.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    given.take(count).collect()
}

/// Where among `names` the one that is wanted stands: by its name; for the main socket of `program` also the only one
/// without a name of its own, which systemd calls `unknown` or by the name of the socket unit.
fn position(names: &[&str], wanted: &str, program: Option<&str>) -> Option<usize> {
    let named = names.iter().position(|name| *name == wanted);
    let (None, Some(program)) = (named, program) else { return named };
    let nameless = |name: &str| matches!(name, "" | "unknown") || name.strip_suffix(".socket") == Some(program);
    let mut found = names.iter().enumerate().filter(|(_, name)| nameless(name)).map(|(position, _)| position);
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// The descriptor at `index` if it is a socket of a kind that anything here may ask for.
fn own(given: &mut ListenFd, index: usize) -> Option<OwnedFd> {
    let kinds = [
        (libc::AF_UNIX, libc::SOCK_STREAM),
        (libc::AF_INET, libc::SOCK_STREAM),
        (libc::AF_UNIX, libc::SOCK_DGRAM),
        (libc::AF_INET, libc::SOCK_DGRAM),
    ];
    kinds.into_iter().find_map(|(family, kind)| given.take_custom(index, family, kind, "socket").ok().flatten())
}

fn set_nonblocking(socket: impl AsFd) -> io::Result<()> {
    let flags = nix::fcntl::OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
    fcntl(&socket, FcntlArg::F_SETFL(flags | nix::fcntl::OFlag::O_NONBLOCK))?;
    Ok(())
}

/// The number of the first one.
const FIRST: RawFd = 3;

/// More than any unit of ours can be given.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    #[test]
    fn sockets_are_found_by_name_and_a_lone_nameless_one_by_being_alone() {
        let rows = [
            ("varlink", 1, true, Some(0)),
            ("metrics:varlink", 2, true, Some(1)),
            ("varlink:varlink", 2, true, Some(0)),
            ("", 1, true, Some(0)),
            ("unknown", 1, true, Some(0)),
            ("choria-submit.socket", 1, true, Some(0)),
            ("choria-submit.socket", 1, false, None),
            ("", 1, false, None),
            ("choria-submit.socket:connection:connection", 3, true, Some(0)),
            ("", 2, true, None),
            ("unknown:choria-submit.socket", 2, true, None),
            ("choria-submit-metrics.socket", 1, true, None),
            ("metrics", 1, true, None),
            ("metrics:varlink", 1, true, None),
            ("varlink", 0, true, None),
            ("", 0, true, None),
        ];
        for (joined, count, main, expected) in rows {
            let names = names(joined, count);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let got = position(&names, "varlink", main.then_some("choria-submit"));
            assert_eq!(got, expected, "{joined:?} of {count}, main {main}");
        }
    }

    fn sockets(given: Vec<(&str, Option<OwnedFd>)>) -> Sockets {
        let descriptors = given.into_iter();
        let descriptors =
            descriptors.map(|(name, original)| Descriptor { name: name.to_owned(), original, asked_for: false });
        Sockets::of("choria-example", descriptors.collect())
    }

    #[test]
    fn each_kind_is_recognised_and_the_wrong_one_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let unix = UnixListener::bind(folder.path().join("s")).expect("a socket");
        let (connection, _other) = UnixStream::pair().expect("a pair");
        let (datagram, _another) = UnixDatagram::pair().expect("a pair");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let sockets = sockets(vec![
            ("unix", Some(unix.into())),
            ("tcp", Some(tcp.into())),
            ("connection", Some(connection.into())),
            ("datagram", Some(datagram.into())),
            ("pipe", None),
        ]);
        assert!(sockets.unix("unix").expect("a Unix socket").is_some());
        let tcp = sockets.tcp("tcp").expect("a TCP socket").expect("it is there");
        assert_eq!(tcp.accept().map_err(|error| error.kind()).err(), Some(io::ErrorKind::WouldBlock));
        let rows = [
            ("tcp", "is a listening TCP socket, where a listening Unix stream socket is needed"),
            ("connection", "a connection and not a listening socket"),
            ("datagram", "a datagram socket"),
            ("pipe", "no socket"),
        ];
        for (name, expected) in rows {
            let refused = sockets.unix(name).expect_err(name).to_string();
            assert!(refused.contains(expected) && refused.contains("FileDescriptorName="), "{refused}");
        }
        assert!(sockets.tcp("unix").is_err());
        assert!(sockets.unix("missing").expect("nothing is no error").is_none());
    }

    #[test]
    fn what_nobody_asked_for_is_known_and_what_was_taken_is_gone() {
        let (first, mut far) = UnixStream::pair().expect("a pair");
        let (second, _far) = UnixStream::pair().expect("a pair");
        let sockets =
            sockets(vec![("connection", Some(first.into())), ("connection", Some(second.into())), ("x", None)]);
        assert_eq!(sockets.take_all("connection").len(), 2);
        assert_eq!(sockets.take_all("connection").len(), 0);
        assert_eq!(sockets.left_over(), ["x".to_owned()].into());
        assert!(sockets.left_over().is_empty(), "told once");
        // Dropped, so the other side sees the end.
        assert_eq!(std::io::Read::read(&mut far, &mut [0]).expect("the end"), 0);
    }
}
