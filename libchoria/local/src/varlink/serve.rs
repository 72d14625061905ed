//! The accept loop, and the conversation on each connection.

use super::admission::{Admission, Admitted, Bounds, Large, SMALL};
use super::frame::{Frames, framed};
use super::listener::Listener;
use super::message::Failure;
use super::service::{Answer, Peer, Service, Turn, answer};
use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use nix::sys::socket::{MsgFlags, recv};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// A service on a socket.
#[derive(Debug)]
pub struct Server<S> {
    listener: Listener,
    service: Arc<S>,
    bounds: Bounds,
    counts: Arc<Counts>,
    resumed: Vec<OwnedFd>,
}

/// Why a server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// Nobody was connected for [`Bounds::idle_exit`].
    Idle,
}

/// What happened on the socket since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that were served.
    pub connections: AtomicU64,
    /// Connections over a bound, told `Busy`.
    pub busy: AtomicU64,
    /// Connections closed over a message that is too long.
    pub too_large: AtomicU64,
    /// Connections closed over a message that is no call.
    pub malformed: AtomicU64,
    /// Connections closed because nothing came, or too slowly.
    pub timed_out: AtomicU64,
}

impl<S: Service> Server<S> {
    /// `service` on `listener`.
    #[must_use]
    pub fn new(listener: Listener, service: Arc<S>, bounds: Bounds) -> Self {
        Self { listener, service, bounds, counts: Arc::default(), resumed: Vec::new() }
    }

    /// Goes on with `connections` that [`run_and_keep`](Self::run_and_keep) of an earlier process left open. They count
    /// as any other, before those that come new; the kernel still says who opened them.
    #[must_use]
    pub fn resume(mut self, connections: Vec<OwnedFd>) -> Self {
        self.resumed = connections;
        self
    }

    /// What will be counted.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Serves until `stop` or until it is idle for long enough. Then no connection is accepted any more, calls that
    /// came get their reply, for at most `grace`. An error at one connection never ends it.
    ///
    /// # Errors
    /// The socket cannot be waited on at all.
    pub async fn run(self, stop: CancellationToken, grace: Duration) -> io::Result<Ended> {
        self.serve(Stop { token: stop, keep: false }, grace).await.map(|(ended, _closed)| ended)
    }

    /// As [`run`](Self::run), but connections stay open at the end, and are given to whoever can have another process
    /// [`resume`](Self::resume) them. Each call that was read is answered; a call that was read in part is read to its
    /// end and no further, for which its sender has [`REST`], and then answered. What was not read stays in the socket.
    ///
    /// # Errors
    /// As of `run`.
    pub async fn run_and_keep(self, stop: CancellationToken, grace: Duration) -> io::Result<(Ended, Vec<OwnedFd>)> {
        self.serve(Stop { token: stop, keep: true }, grace).await
    }

    async fn serve(self, stop: Stop, grace: Duration) -> io::Result<(Ended, Vec<OwnedFd>)> {
        let Self { listener, service, bounds, counts, resumed } = self;
        // `_place` is held to the end, then the socket's file is removed.
        let (socket, _place) = listener.into_parts();
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(socket)?;
        let door = Door { admission: Admission::new(&bounds), service, bounds: Arc::new(bounds), counts };
        // At an idle end there is none left to be told to stop.
        let mut tasks = JoinSet::new();
        for stream in resumed.into_iter().filter_map(resumed_stream) {
            if let Some(conversation) = door.begin(stream) {
                tasks.spawn(conversation.run(stop.clone()));
            }
        }
        let mut quiet_since = Instant::now();
        let ended = loop {
            let idle = async {
                match door.bounds.idle_exit {
                    Some(limit) => sleep_until(quiet_since + limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.token.cancelled() => break Ended::Stopped,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        if let Some(conversation) = door.begin(stream) {
                            tasks.spawn(conversation.run(stop.clone()));
                        }
                        quiet_since = Instant::now();
                    }
                    Err(error) => {
                        // No file descriptors are left, or no memory: those at work give some back.
                        tracing::warn!(event = "accept_failed", "a connection could not be accepted: {error}");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    // None is open: it would have been kept because of `stop`, which is looked at first.
                    let _closed = open(ended);
                    quiet_since = Instant::now();
                }
                () = idle, if tasks.is_empty() => break Ended::Idle,
            }
        };
        drop(listener);
        Ok((ended, finish(tasks, grace).await))
    }
}

/// The end of a server: whether connections stay open at it.
#[derive(Clone, Debug)]
struct Stop {
    token: CancellationToken,
    keep: bool,
}

/// Waits until calls that came are answered; connections that are open then.
async fn finish(mut tasks: JoinSet<Option<UnixStream>>, grace: Duration) -> Vec<OwnedFd> {
    let mut kept = Vec::new();
    let rest = async {
        while let Some(ended) = tasks.join_next().await {
            kept.extend(open(ended));
        }
    };
    if timeout(grace, rest).await.is_err() {
        tracing::warn!(
            event = "unfinished",
            "{} connections were closed in the middle of a call, which took longer than {} s",
            tasks.len(),
            grace.as_secs_f64()
        );
    }
    kept
}

/// What is left of a conversation, for another process.
fn open(ended: Result<Option<UnixStream>, tokio::task::JoinError>) -> Option<OwnedFd> {
    let stream = ended.unwrap_or_else(|fault| {
        tracing::error!(event = "connection_failed", "a connection ended by a fault of this program: {fault}");
        None
    })?;
    stream.into_std().ok().map(OwnedFd::from)
}

/// A connection of an earlier process.
fn resumed_stream(descriptor: OwnedFd) -> Option<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(descriptor);
    // Only of a Unix socket has the kernel's word of who is at its other end a meaning.
    let checked = stream.peer_addr().and_then(|_| stream.set_nonblocking(true));
    let stream = checked.and_then(|()| UnixStream::from_std(stream));
    stream.inspect_err(|error| tracing::warn!(event = "resume_failed", "a kept connection is of no use: {error}")).ok()
}

/// How long to wait when nothing can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the rest of a half-read call is waited for at the end.
pub const REST: Duration = Duration::from_secs(3);

/// What new connections need.
struct Door<S> {
    admission: Arc<Admission>,
    service: Arc<S>,
    bounds: Arc<Bounds>,
    counts: Arc<Counts>,
}

impl<S: Service> Door<S> {
    /// A new connection, unless it is over a bound: then it is told so, as far as that is possible at once.
    fn begin(&self, stream: UnixStream) -> Option<Conversation<S>> {
        let Self { admission, service, bounds, counts } = self;
        let credentials = match stream.peer_cred() {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::warn!(event = "unknown_peer", "the kernel does not say who connects, closed: {error}");
                return None;
            }
        };
        let peer = Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() };
        match admission.admit(peer.uid) {
            Ok(admitted) => {
                counts.connections.fetch_add(1, Ordering::Relaxed);
                Some(Conversation {
                    stream,
                    peer,
                    admitted: Arc::new(admitted),
                    service: Arc::clone(service),
                    bounds: Arc::clone(bounds),
                    counts: Arc::clone(counts),
                })
            }
            Err(reason) => {
                // The first of many is worth a line; all of them are counted.
                if counts.busy.fetch_add(1, Ordering::Relaxed) % LOG_EVERY == 0 {
                    tracing::warn!(event = "busy", uid = peer.uid, "a connection is refused: {reason}");
                }
                let reply = framed(Failure::because("Busy", reason).to_json(service.interface().name));
                // A new socket has room for it; a caller who is gone needs no answer.
                let _unheard = stream.try_write(&reply);
                None
            }
        }
    }
}

/// Of refused connections, every so many one is logged.
const LOG_EVERY: u64 = 1000;

/// One connection.
struct Conversation<S> {
    stream: UnixStream,
    peer: Peer,
    admitted: Arc<Admitted>,
    service: Arc<S>,
    bounds: Arc<Bounds>,
    counts: Arc<Counts>,
}

/// A call at work.
type AtWork = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What a conversation is waiting for, and has.
struct State {
    frames: Frames,
    /// Follows the last call that was begun.
    last: Option<tokio::sync::oneshot::Receiver<()>>,
    /// Calls at work, in their order.
    ahead: FuturesOrdered<AtWork>,
    /// The right to hold the large message that is being read.
    large: Option<Large>,
    /// Waits for that right.
    turn: Option<Pin<Box<dyn Future<Output = Option<Large>> + Send>>>,
    /// When the message that is being read began, or the last one ended.
    since: Instant,
    /// The server ends: no more is read than the rest of a call whose connection is kept.
    stopping: bool,
    /// The caller sends no more; it ends once what was read is answered.
    ended: bool,
    /// It ends once `ahead` is answered, whatever was read.
    closing: bool,
    /// Told at the end.
    last_word: Option<Failure>,
}

impl<S: Service> Conversation<S> {
    /// To the end of the connection, or of the server: then the stream is given back if it is of more use.
    async fn run(mut self, stop: Stop) -> Option<UnixStream> {
        let mut state = State {
            frames: Frames::new(self.bounds.message),
            last: None,
            ahead: FuturesOrdered::new(),
            large: None,
            turn: None,
            since: Instant::now(),
            stopping: false,
            ended: false,
            closing: false,
            last_word: None,
        };
        loop {
            self.take_messages(&mut state);
            let half = state.frames.pending() > 0;
            let finishing = state.stopping && stop.keep && half;
            let open = !state.closing && !state.ended && (!state.stopping || finishing);
            if !open && state.ahead.is_empty() {
                break;
            }
            let room = open && state.ahead.len() < self.bounds.ahead;
            let waits = room && state.turn.is_some();
            let reads = room && !waits;
            let limit = if half { self.bounds.transfer } else { self.bounds.idle };
            let limit = if finishing { limit.min(REST) } else { limit };
            let timed = reads && (half || state.ahead.is_empty());
            let deadline = state.since + limit;
            let stopping = state.stopping;
            let State { ahead, turn, .. } = &mut state;
            tokio::select! {
                biased;
                () = stop.token.cancelled(), if !stopping => {
                    state.stopping = true;
                    if half {
                        state.since = Instant::now();
                    }
                }
                Some(first) = ahead.next(), if !ahead.is_empty() => {
                    if !self.reply(first, &mut state).await {
                        return None;
                    }
                }
                got = async { match turn { Some(turn) => turn.await, None => None } }, if waits => {
                    state.turn = None;
                    state.large = got;
                    state.since = Instant::now();
                }
                ready = self.stream.readable(), if reads => {
                    let was_empty = !half;
                    let got = ready.and_then(|()| match finishing {
                        true => read_rest(&self.stream, &mut state.frames),
                        false => read(&self.stream, &mut state.frames),
                    });
                    match got {
                        Ok(Read::Some) if was_empty => state.since = Instant::now(),
                        Ok(Read::Some | Read::NotYet) => {}
                        Ok(Read::End) | Err(_) => state.ended = true,
                    }
                }
                () = sleep_until(deadline), if timed => {
                    self.counts.timed_out.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(event = "timed_out", uid = self.peer.uid, half, "closed after {} s", limit.as_secs_f64());
                    state.closing = true;
                }
            }
        }
        if let Some(failure) = state.last_word {
            let reply = framed(failure.to_json(self.service.interface().name));
            // Whoever does not read it is closed all the same.
            let _unheard = timeout(self.bounds.transfer, self.stream.write_all(&reply)).await;
        }
        (stop.keep && state.stopping && !state.ended && !state.closing).then_some(self.stream)
    }

    /// Begins the calls that were read, as many as may be at work.
    fn take_messages(&self, state: &mut State) {
        while !state.closing && state.ahead.len() < self.bounds.ahead {
            match state.frames.next_message() {
                Ok(Some(message)) => {
                    let large = if message.len() > SMALL { state.large.take() } else { None };
                    let turn = Turn::behind(&mut state.last);
                    state.ahead.push_back(self.begin(message, turn, large));
                    state.since = Instant::now();
                }
                Ok(None) if state.frames.pending() > SMALL => {
                    if state.large.is_none() && state.turn.is_none() {
                        let admitted = Arc::clone(&self.admitted);
                        state.turn = Some(Box::pin(async move { admitted.large().await }));
                    }
                    return;
                }
                Ok(None) => {
                    state.large = None;
                    return;
                }
                Err(error) => {
                    self.counts.too_large.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(event = "too_large", uid = self.peer.uid, "closed: {error}");
                    let parameters = serde_json::json!({ "reason": error.to_string(), "limit": error.limit });
                    state.last_word = Some(Failure::Own("TooLarge", parameters));
                    state.closing = true;
                }
            }
        }
    }

    fn begin(&self, message: Vec<u8>, turn: Turn, large: Option<Large>) -> AtWork {
        let (service, peer) = (Arc::clone(&self.service), self.peer);
        Box::pin(async move {
            let answer = answer(service.as_ref(), peer, turn, &message).await;
            drop(large);
            answer
        })
    }

    /// Sends `first` and what else is ready; whether the connection is still of use.
    async fn reply(&mut self, first: Answer, state: &mut State) -> bool {
        let mut bytes = Vec::new();
        let mut next = Some(first);
        while let Some(answer) = next.take() {
            match answer {
                Answer::Reply(reply) => bytes.extend(framed(reply)),
                Answer::Nothing => {}
                Answer::Malformed(why) => {
                    self.counts.malformed.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(event = "malformed", uid = self.peer.uid, "closed: a message is no call: {why}");
                    state.closing = true;
                    state.ahead.clear();
                    break;
                }
            }
            if bytes.len() < SMALL {
                next = state.ahead.next().now_or_never().flatten();
            }
        }
        state.since = if state.frames.pending() == 0 { Instant::now() } else { state.since };
        match timeout(self.bounds.transfer, self.stream.write_all(&bytes)).await {
            Ok(Ok(())) => true,
            Ok(Err(_gone)) => false,
            Err(_) => {
                self.counts.timed_out.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(event = "timed_out", uid = self.peer.uid, "closed: it does not take its replies");
                false
            }
        }
    }
}

enum Read {
    Some,
    NotYet,
    End,
}

/// What is there to be read, at most a piece of it. The piece is no part of a waiting connection's memory.
fn read(stream: &UnixStream, frames: &mut Frames) -> io::Result<Read> {
    let mut piece = [0; PIECE];
    match stream.try_read(&mut piece) {
        Ok(0) => Ok(Read::End),
        Ok(count) => {
            frames.push(&piece[..count]);
            Ok(Read::Some)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::NotYet),
        Err(error) => Err(error),
    }
}

/// As [`read`], but nothing beyond the end of the message that was begun: it is for another process.
fn read_rest(stream: &UnixStream, frames: &mut Frames) -> io::Result<Read> {
    let mut piece = [0; PIECE];
    let look = || Ok(recv(stream.as_raw_fd(), &mut piece, MsgFlags::MSG_PEEK)?);
    let seen = match stream.try_io(Interest::READABLE, look) {
        Ok(0) => return Ok(Read::End),
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::NotYet),
        Err(error) => return Err(error),
    };
    let wanted = piece[..seen].iter().position(|byte| *byte == 0).map_or(seen, |end| end + 1);
    // What was seen is there.
    let count = stream.try_read(&mut piece[..wanted])?;
    frames.push(&piece[..count]);
    Ok(Read::Some)
}

/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;
