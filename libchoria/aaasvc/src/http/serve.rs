//! Connections: accepted, encrypted, bounded in number and in time.

use super::api::Api;
use super::encryption::Encryption;
use crate::beat::Beat;
use crate::metrics::Metrics;
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A listener with what answers on it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    pub(crate) api: Arc<Api>,
    /// `None`: plain HTTP.
    pub(crate) encryption: Option<Arc<Encryption>>,
    pub(crate) most_connections: usize,
    pub(crate) metrics: Arc<Metrics>,
    /// Ends when nobody was connected for so long; `None`: never.
    pub(crate) idle_exit: Option<Duration>,
}

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("port {port} of {address} cannot be listened on: {source}; see port and listen_address, and ss -ltnp")]
    Open { address: String, port: u16, source: io::Error },
}

/// A listener on `port` of `address`; a machine without IPv6 has the other half of `::`.
///
/// # Errors
/// [`ListenError::Open`].
pub(crate) async fn open(address: &str, port: u16) -> Result<TcpListener, ListenError> {
    let failed = |source| ListenError::Open { address: address.to_owned(), port, source };
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let candidates = match bare.parse::<IpAddr>() {
        Ok(every @ IpAddr::V6(v6)) if v6.is_unspecified() => {
            vec![SocketAddr::new(every, port), SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)]
        }
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => lookup_host((bare, port)).await.map_err(failed)?.take(1).collect(),
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in candidates {
        match bind(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(failed(error)),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Server {
    /// Serves until `stop`; requests that were read by then get their answer within `grace`.
    ///
    /// `most_connections` are served at once and more wait in the system's queue. A connection has ten seconds for TLS,
    /// ten for the head of each request and as many until the next one begins, and lives for five minutes; then it ends
    /// with the answer to the request at hand, which clients are told.
    ///
    /// `true`: it ended because nobody was connected for [`idle_exit`](Self::idle_exit). Whoever connects after that
    /// waits in the service manager's socket.
    pub(crate) async fn run(self, stop: CancellationToken, grace: Duration, beat: Arc<Beat>) -> bool {
        let mut connections = JoinSet::new();
        let (mut quiet_since, mut idle) = (Instant::now(), self.idle_exit);
        let ended_idle = loop {
            let has_nobody = connections.is_empty();
            let idle_end = async {
                match idle {
                    Some(limit) => sleep_until(quiet_since + limit).await,
                    None => std::future::pending().await,
                }
            };
            self.metrics.set_connections(connections.len());
            let has_room = connections.len() < self.most_connections;
            tokio::select! {
                // Who is waiting already is served before an idle end.
                biased;
                () = stop.cancelled() => break false,
                () = beat.asked() => beat.answer(),
                Some(_ended) = connections.join_next(), if !connections.is_empty() => quiet_since = Instant::now(),
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((stream, peer)) => {
                        let connection = Connection {
                            api: Arc::clone(&self.api),
                            encryption: self.encryption.clone(),
                            metrics: Arc::clone(&self.metrics),
                            address: peer.ip().to_canonical(),
                            stop: stop.child_token(),
                        };
                        connections.spawn(connection.serve(stream));
                        // What was served is remembered for a while, so that nobody can repeat it.
                        idle = self.idle_exit.map(|limit| limit.max(REMEMBERED));
                    }
                    Err(error) => {
                        tracing::warn!("a connection could not be accepted: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = idle_end, if has_nobody => break true,
            }
        };
        drop(self.listener);
        let ends = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, ends).await.is_err() {
            tracing::warn!(connections = connections.len(), "stopping without waiting longer for requests over HTTP");
        }
        ended_idle
    }
}

/// One connection.
struct Connection {
    api: Arc<Api>,
    encryption: Option<Arc<Encryption>>,
    metrics: Arc<Metrics>,
    address: IpAddr,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // Answers are small and waited for; without this they may wait for an acknowledgement.
        let _slower = stream.set_nodelay(true);
        let Some(encryption) = &self.encryption else { return self.serve_on(stream).await };
        let handshake = encryption.acceptor().accept(stream);
        tokio::select! {
            () = self.stop.cancelled() => {}
            done = tokio::time::timeout(HANDSHAKE_LIMIT, handshake) => match done {
                Ok(Ok(stream)) => self.serve_on(stream).await,
                Ok(Err(error)) => self.failed(&format!("TLS failed: {error}")),
                Err(_elapsed) => self.failed("TLS took too long"),
            },
        }
    }

    async fn serve_on(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (api, address) = (Arc::clone(&self.api), self.address);
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let api = Arc::clone(&api);
            async move { Ok::<Response<Full<Bytes>>, Infallible>(api.respond(request, address).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .max_headers(MOST_HEADERS)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(LONGEST_LIFE) => None,
        };
        let ended = match ended {
            Some(ended) => Ok(ended),
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(LAST_ANSWER_LIMIT, connection).await
            }
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(_elapsed) => self.failed("the last answer was not taken in time"),
        }
    }

    fn failed(&self, why: &str) {
        self.metrics.connection_refused();
        tracing::debug!(address = %self.address, "a connection over HTTP ended: {why}");
    }
}

/// An idle end comes no earlier after the last connection: a login counts for a minute before and after its time, and
/// that it was answered is known to this process alone.
const REMEMBERED: Duration = Duration::from_secs(125);

/// Connections that the kernel completes before they are accepted.
const BACKLOG: u32 = 1024;

/// Accepting fails for want of file descriptors, which others may give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// For TLS.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// For the head of a request, and between two requests.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// A connection ends after this, so that one whose peer takes no answer does not stay for ever.
const LONGEST_LIFE: Duration = Duration::from_secs(300);

/// For the request at hand when a connection ends: longer than a login waits for a processor.
const LAST_ANSWER_LIMIT: Duration = Duration::from_secs(20);

const MOST_HEADERS: usize = 64;

/// Bytes of request line and headers; no request needs more than a few hundred.
const LARGEST_HEAD: usize = 16 * 1024;
