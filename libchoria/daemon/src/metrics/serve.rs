//! The HTTP side: one listener, few connections, each short.

use super::Exporter;
use super::about::About;
use super::scrape::{CONTENT_TYPE, Scrape};
use crate::sockets::{SocketError, Sockets};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE as TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The body of an answer.
pub type Body = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// An answer.
pub type Response = hyper::Response<Body>;

/// A bound listener that nobody is served on yet.
#[derive(Debug)]
pub struct Endpoint(TcpListener);

/// The listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "statistics cannot be served on {address} port {port}: {source}; set plugin.choria.stats_address and \
     plugin.choria.stats_port to an address of this machine and a free port, or the port to 0 for none"
)]
pub struct BindError {
    address: String,
    port: u16,
    source: std::io::Error,
}

impl Endpoint {
    /// Listens on `port` of `address`, a name or an IP address.
    ///
    /// # Errors
    /// [`BindError`].
    pub async fn bind(address: &str, port: u16) -> Result<Self, BindError> {
        let host = address.trim_start_matches('[').trim_end_matches(']');
        let bound = TcpListener::bind((host, port)).await;
        bound.map(Self).map_err(|source| BindError { address: address.to_owned(), port, source })
    }

    /// The service manager's socket of the name [`SOCKET`], if there is one. It wins over any address and port in a
    /// configuration.
    ///
    /// # Errors
    /// It is no TCP socket.
    pub fn given(sockets: &Sockets) -> Result<Option<Self>, SocketError> {
        let Some(listener) = sockets.tcp(SOCKET)? else { return Ok(None) };
        let listener = TcpListener::from_std(listener);
        let unusable = |source| SocketError::Unusable { name: SOCKET.to_owned(), source };
        listener.map(|listener| Some(Self(listener))).map_err(unusable)
    }

    /// Serves on a listener that was bound elsewhere.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self(listener)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Serves until `stop`; connections end with it. Costs nothing while nobody asks.
    ///
    /// 64 connections are served at once and more wait in the system's queue; each must send its one request within
    /// 5 s and take the answer within 30 s, or is closed.
    pub async fn serve<E: Exporter>(self, exporter: Arc<E>, about: About, stop: CancellationToken) {
        if let Some(address) = self.address() {
            tracing::info!("statistics are served on http://{address}/choria/prometheus");
        }
        let site = Arc::new(Site { exporter, about });
        let mut connections = JoinSet::new();
        loop {
            let has_room = connections.len() < MOST_CONNECTIONS;
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.0.accept(), if has_room => match accepted {
                    Ok((stream, _peer)) => {
                        connections.spawn(serve_one(stream, Arc::clone(&site)));
                    }
                    Err(error) => {
                        tracing::warn!("a connection for statistics could not be accepted: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

/// An answer of `status` with `text`.
#[must_use]
pub fn answer(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response {
    let body = Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(TYPE, HeaderValue::from_static(content_type));
    response
}

/// What all connections share.
#[derive(Debug)]
struct Site<E> {
    exporter: Arc<E>,
    about: About,
}

async fn serve_one<E: Exporter>(stream: TcpStream, site: Arc<Site<E>>) {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.respond(&request).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_LIMIT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("a connection for statistics ended: {error}"),
        Err(_elapsed) => tracing::debug!("a connection for statistics took too long and is closed"),
    }
}

impl<E: Exporter> Site<E> {
    async fn respond(&self, request: &Request<Incoming>) -> Response {
        let mut response = if matches!(*request.method(), Method::GET | Method::HEAD) {
            self.page(request.uri().path(), request.uri().query()).await
        } else {
            let mut refusal =
                answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are answered here: this is a view\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refusal
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    async fn page(&self, path: &str, query: Option<&str>) -> Response {
        match path {
            "/" => answer(StatusCode::OK, TEXT, self.index()),
            "/choria" | "/choria/" => answer(StatusCode::OK, JSON, self.about.page()),
            "/choria/prometheus" | "/choria/metrics" => answer(StatusCode::OK, CONTENT_TYPE, self.scrape().await),
            METRICS_PAGE if self.exporter.pages().contains(&METRICS_PAGE) => {
                answer(StatusCode::OK, CONTENT_TYPE, self.scrape().await)
            }
            other => match self.exporter.page(other, query).await {
                Some(response) => response,
                None => {
                    answer(StatusCode::NOT_FOUND, TEXT, format!("there is no such page; there are:\n{}", self.index()))
                }
            },
        }
    }

    async fn scrape(&self) -> Vec<u8> {
        let mut scrape = Scrape::default();
        self.about.export(&mut scrape);
        self.exporter.export(&mut scrape).await;
        scrape.encode()
    }

    fn index(&self) -> String {
        let pages = ["/choria/", "/choria/prometheus", "/choria/metrics"].iter().chain(self.exporter.pages());
        pages.map(|page| format!("{page}\n")).collect()
    }
}

/// The usual path of metrics; served by the endpoints of exporters that name it among their
/// [`pages`](Exporter::pages).
pub const METRICS_PAGE: &str = "/metrics";

/// `FileDescriptorName=` of the socket unit for statistics.
pub const SOCKET: &str = "metrics";

const TEXT: &str = "text/plain; charset=utf-8";

const JSON: &str = "application/json";

/// Far more than the Prometheus servers of a site; few enough that a flood of them harms nobody.
const MOST_CONNECTIONS: usize = 64;

/// A scraper sends its request at once.
const HEADER_LIMIT: Duration = Duration::from_secs(5);

/// From accepting to the last byte of the answer; Prometheus itself waits 10 seconds unless told otherwise.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);

/// Browsers send about twenty.
const MOST_HEADERS: usize = 64;

/// Bytes of request line and headers.
const LARGEST_HEAD: usize = 16 * 1024;

/// Accepting fails for want of file descriptors, which others may give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
