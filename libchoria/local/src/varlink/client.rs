//! A blocking client: no runtime, no threads, one buffer.

use super::frame::{Frames, framed};
use super::message::{CallOut, ErrorReply, parse_reply};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A connection to a Varlink service.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    frames: Frames,
    limit: Duration,
    /// Replies that are still to come.
    outstanding: usize,
    /// Set once it cannot be known any more which reply comes next.
    broken: bool,
}

/// Nobody is reached at a socket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket, or nobody listens on it.
    #[error("{path}: no service listens there: {source}")]
    Absent {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses.
    #[error("{path}: cannot connect: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A call that brought no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service answers by an error.
    #[error("{0}")]
    Error(ErrorReply),
    /// What the service says is not understood.
    #[error("the service's reply is not understood: {0}")]
    Protocol(String),
    /// The connection failed. Whether the call was carried out is not known if it had been sent.
    #[error("the connection to the service failed: {0}")]
    Io(io::Error),
}

impl Client {
    /// Connects to the socket at `path`. Every step, this one and each wait for a reply, may take `limit` at most.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(path: &Path, limit: Duration) -> Result<Self, ConnectError> {
        let failed = |error: nix::errno::Errno| {
            let (path, source) = (path.to_owned(), io::Error::from(error));
            match source.kind() {
                io::ErrorKind::WouldBlock => {
                    let full = "its queue of connections stayed full: the service is too busy, or hangs";
                    ConnectError::Io { path, source: io::Error::new(io::ErrorKind::TimedOut, full) }
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConnectError::Absent { path, source },
                _ => ConnectError::Io { path, source },
            }
        };
        let address = UnixAddr::new(path).map_err(failed)?;
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
        // The only way to bound a connect: it blocks while the service's queue of connections is full.
        setsockopt(&socket, sockopt::SendTimeout, &time_value(limit)).map_err(failed)?;
        loop {
            match connect(socket.as_raw_fd(), &address) {
                Ok(()) => break,
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let stream = UnixStream::from(socket);
        Ok(Self { stream, frames: Frames::new(REPLY_LIMIT), limit, outstanding: 0, broken: false })
    }

    /// Calls `method`, a whole name, and waits for its reply.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call<P: Serialize, R: DeserializeOwned>(&mut self, method: &str, parameters: &P) -> Result<R, CallError> {
        self.send(method, parameters)?;
        self.receive()
    }

    /// Sends a call. Replies come in the order of the calls; no more than [`MOST_AHEAD`] should be waited for.
    ///
    /// # Errors
    /// [`CallError::Io`]; [`CallError::Error`] when the service refused the whole connection.
    pub fn send<P: Serialize>(&mut self, method: &str, parameters: &P) -> Result<(), CallError> {
        let text = serde_json::to_vec(&CallOut { method, parameters });
        let message = framed(text.map_err(|error| CallError::Protocol(error.to_string()))?);
        self.check_usable()?;
        let deadline = Instant::now() + self.limit;
        match self.write(&message, deadline) {
            Ok(()) => {
                self.outstanding += 1;
                Ok(())
            }
            Err(error) => {
                self.broken = true;
                Err(self.last_word().map_or(CallError::Io(error), CallError::Error))
            }
        }
    }

    /// The reply to the oldest call that has none yet.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn receive<R: DeserializeOwned>(&mut self) -> Result<R, CallError> {
        self.check_usable()?;
        if self.outstanding == 0 {
            return Err(CallError::Protocol("no call was made that has no reply yet".to_owned()));
        }
        let deadline = Instant::now() + self.limit;
        let message = self.read(deadline).inspect_err(|_| self.broken = true)?;
        self.outstanding -= 1;
        let reply = parse_reply(&message).inspect_err(|_| self.broken = true);
        reply.map_err(|error| CallError::Protocol(error.to_string()))?.map_err(CallError::Error)
    }

    /// Calls without a reply yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    fn check_usable(&self) -> Result<(), CallError> {
        let unusable = || io::Error::new(io::ErrorKind::NotConnected, "it failed before; connect again");
        if self.broken { Err(CallError::Io(unusable())) } else { Ok(()) }
    }

    fn write(&mut self, mut rest: &[u8], deadline: Instant) -> io::Result<()> {
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(until(deadline)?))?;
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(timed_out()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> Result<Vec<u8>, CallError> {
        let mut piece = [0; 8 * 1024];
        loop {
            match self.frames.next_message() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(error) => return Err(CallError::Protocol(error.to_string())),
            }
            self.stream.set_read_timeout(Some(until(deadline).map_err(CallError::Io)?)).map_err(CallError::Io)?;
            match self.stream.read(&mut piece) {
                Ok(0) => {
                    let closed = "the service closed it before the reply";
                    return Err(CallError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, closed)));
                }
                Ok(count) => self.frames.push(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(CallError::Io(timed_out())),
                Err(error) => return Err(CallError::Io(error)),
            }
        }
    }

    /// The error that the service said before it closed the connection, if that is why nothing can be written.
    fn last_word(&mut self) -> Option<ErrorReply> {
        let deadline = Instant::now() + self.limit.min(LAST_WORD);
        // Replies to earlier calls stand before it.
        for _ in 0..=self.outstanding {
            let message = self.read(deadline).ok()?;
            if let Ok(Err(error)) = parse_reply::<serde::de::IgnoredAny>(&message) {
                return Some(error);
            }
        }
        None
    }
}

/// Calls that may be sent before the first reply is waited for: replies are small, so neither side blocks the other.
pub const MOST_AHEAD: usize = 64;

/// The longest reply that is taken, in bytes.
const REPLY_LIMIT: usize = 16 * 1024 * 1024;

/// What is said on a closed connection is there already.
const LAST_WORD: Duration = Duration::from_millis(200);

/// The time that is left; never zero, which would mean for ever.
fn until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out()) } else { Ok(left.max(Duration::from_micros(1))) }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

/// At least a microsecond: zero would mean for ever.
fn time_value(limit: Duration) -> TimeVal {
    let seconds = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX / 2);
    TimeVal::new(seconds, i64::from(limit.subsec_micros()).max(i64::from(seconds == 0)))
}
