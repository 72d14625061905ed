//! The loop that accepts connections, and one connection from its first byte to its last.

use super::encryption::Encryption;
use super::gate::Gate;
use super::greeting::Greeting;
use super::peers::{Peer, Peers};
use super::pump::Pump;
use crate::metrics::Metrics;
use crate::settings::Settings;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

/// Accepts and serves until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    backend: watch::Receiver<Option<SocketAddr>>,
    line: Arc<Line>,
    each: Arc<Each>,
    most_connections: usize,
}

/// What every connection needs.
#[derive(Debug)]
struct Each {
    encryption: Arc<Encryption>,
    peers: Arc<Peers>,
    metrics: Arc<Metrics>,
    handshake_patience: Duration,
    /// Connections to nats-server so far.
    count: AtomicUsize,
}

/// The gate, and a bell for when a place is free.
#[derive(Debug)]
struct Line {
    gate: Mutex<Gate<Arrival>>,
    freed: Notify,
}

/// An accepted connection to which nothing was said yet.
#[derive(Debug)]
struct Arrival {
    stream: TcpStream,
    address: SocketAddr,
}

/// A place at the gate; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Place {
    line: Option<Arc<Line>>,
    own_time: Option<Duration>,
}

impl Server {
    /// A server of the nats-server at the address in `backend`.
    pub(super) fn new(
        settings: &Settings,
        backend: watch::Receiver<Option<SocketAddr>>,
        encryption: Arc<Encryption>,
        peers: Arc<Peers>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let gate = Mutex::new(Gate::new(processors, Instant::now()));
        let handshake_patience = settings.tls_timeout;
        let most_connections = settings.max_connections as usize;
        let each = Each { encryption, peers, metrics, handshake_patience, count: AtomicUsize::new(0) };
        Self { backend, line: Arc::new(Line { gate, freed: Notify::new() }), each: Arc::new(each), most_connections }
    }

    /// Accepts for ever; dropping the future closes every connection.
    pub(super) async fn run(mut self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let waited_for = self.line.gate().is_waited_for();
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.arrive(stream, address, connections.len()),
                    Err(error) => self.each.pause_after(&error).await,
                },
                () = self.line.freed.notified() => {}
                Some(_) = connections.join_next() => {}
                Ok(()) = self.backend.changed() => {}
                () = tokio::time::sleep(LOOK_AFTER), if waited_for => {}
            }
            self.admit(&mut connections);
        }
    }

    fn arrive(&self, stream: TcpStream, address: SocketAddr, connected: usize) {
        if connected >= self.most_connections {
            self.each.metrics.front_turned_away(1);
            return;
        }
        let now = Instant::now();
        let suspect = self.each.peers.is_suspect(address.ip(), now);
        self.line.gate().arrive(Arrival { stream, address }, suspect, now);
    }

    /// Begins to serve as many as there are places for.
    fn admit(&self, connections: &mut JoinSet<()>) {
        let backend = *self.backend.borrow();
        let mut gate = self.line.gate();
        let now = Instant::now();
        match backend {
            None => gate.expire(now),
            Some(backend) => {
                while let Some(arrival) = gate.next(now) {
                    let place = Place { line: Some(Arc::clone(&self.line)), own_time: None };
                    connections.spawn(connection(Arc::clone(&self.each), arrival, backend, place));
                }
            }
        }
        let turned_away = gate.take_turned_away();
        drop(gate);
        self.each.metrics.front_turned_away(turned_away);
    }
}

impl Line {
    fn gate(&self) -> MutexGuard<'_, Gate<Arrival>> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Notes the longest time this host took for its own part.
    pub(super) fn own_time(&mut self, time: Duration) {
        self.own_time = self.own_time.max(Some(time));
    }

    /// A place at no gate, for tests.
    #[cfg(test)]
    pub(super) fn of_nobody() -> Self {
        Self { line: None, own_time: None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.gate().leave(self.own_time, Instant::now());
            line.freed.notify_one();
        }
    }
}

/// One connection. It ends with either side; nothing of it is left then.
async fn connection(each: Arc<Each>, arrival: Arrival, backend: SocketAddr, place: Place) {
    // On the heap, so that the memory of the handshake is not kept for the life of the connection.
    match Box::pin(each.begin(arrival, backend, place)).await {
        Ok((pump, _noted)) => {
            each.metrics.front_accepted();
            drop(each);
            pump.run().await;
        }
        Err(BeginError { address, problem }) => {
            each.metrics.front_failed();
            tracing::debug!(%address, "connection from {address} is closed: {problem}");
        }
    }
}

/// Why a connection was closed before it was encrypted.
struct BeginError {
    address: SocketAddr,
    problem: String,
}

type Begun = (Pump<TlsStream<TcpStream>, TcpStream>, super::peers::Noted);

impl Each {
    /// Greets and encrypts.
    async fn begin(&self, arrival: Arrival, backend: SocketAddr, mut place: Place) -> Result<Begun, BeginError> {
        let Arrival { mut stream, address } = arrival;
        let failed = |problem: String| BeginError { address, problem };
        // A dual-stack socket names members of the old family by mapped addresses.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if has_left(&stream) {
            return Err(failed("it was closed while it waited".to_owned()));
        }
        let began = Instant::now();
        let greeted = tokio::time::timeout(BACKEND_PATIENCE, self.greeting_of(backend)).await;
        let (upstream, greeting, rest) = match greeted {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(error)) => return Err(failed(format!("nats-server cannot be reached: {error}"))),
            Err(_) => return Err(failed("nats-server does not say a word".to_owned())),
        };
        place.own_time(began.elapsed());

        let (server, number) = (greeting.server.clone(), greeting.connection);
        let acceptor = self.encryption.acceptor();
        let encrypt = async {
            stream.set_nodelay(true)?;
            stream.write_all(&greeting.line_for(address.ip())).await?;
            acceptor.accept(stream).await
        };
        let stream = match tokio::time::timeout(self.handshake_patience, encrypt).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed("plugin.choria.network.tls_timeout passed during the handshake".to_owned())),
        };
        let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = presented.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let noted = self.peers.note(&server, number, Peer { address, certificates });
        Ok((Pump::new(stream, upstream, rest, place), noted))
    }

    /// Connects to nats-server and reads its first line; the third value is what followed it.
    async fn greeting_of(&self, backend: SocketAddr) -> io::Result<(TcpStream, Greeting, Vec<u8>)> {
        let socket = TcpSocket::new_v4()?;
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        if count >= PORTS_OF_ONE_ADDRESS {
            // The ports of one pair of addresses may run out; this network has sixteen million addresses.
            let last = u8::try_from(count / PORTS_OF_ONE_ADDRESS % 100).unwrap_or_default();
            socket.bind(SocketAddr::new(Ipv4Addr::new(127, 0, 0, last.max(1)).into(), 0))?;
        }
        let mut stream = socket.connect(backend).await?;
        stream.set_nodelay(true)?;
        let mut line = Vec::with_capacity(1024);
        loop {
            if stream.read_buf(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                let rest = line.split_off(end + 1);
                let greeting = Greeting::parse(line.trim_ascii_end());
                return Ok((stream, greeting.map_err(io::Error::other)?, rest));
            }
            if line.len() >= LONGEST_GREETING {
                return Err(io::Error::other("its first line does not end"));
            }
        }
    }

    /// Running out of files does not pass in a moment; anything else concerns one connection only.
    async fn pause_after(&self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
            return;
        }
        self.metrics.front_failed();
        tracing::warn!(
            "no connection can be accepted: {error}; with too many open files, raise LimitNOFILE= of the service"
        );
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Whether a member that must not speak yet has closed its side. Who speaks too early fails in the handshake.
fn has_left(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let peek = std::pin::pin!(stream.peek(&mut byte));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    matches!(peek.poll(&mut context), std::task::Poll::Ready(Ok(0) | Err(_)))
}

/// nats-server greets at once, unless this host has far more to do than it can.
const BACKEND_PATIENCE: Duration = Duration::from_secs(2);

/// A greeting has about 600 bytes; a cluster adds the addresses of its members.
const LONGEST_GREETING: usize = 64 * 1024;

/// Well below the number of ports that the system gives out for one pair of addresses.
const PORTS_OF_ONE_ADDRESS: usize = 20_000;

/// How often those who wait are looked after when nothing else happens.
const LOOK_AFTER: Duration = Duration::from_millis(50);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
