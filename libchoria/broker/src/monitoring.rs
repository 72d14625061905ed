//! nats-server's own monitoring: asked for figures, and passed on page by page.
//!
//! It has no access control, and versions up to 2.10 show whole tokens of denied clients in it (`/connz?auth=1`, spec 10
//! §11). So nats-server serves it on a loopback port that it chooses, and what others ask for goes through here: known
//! pages with known parameters only, of which `auth` is none.

use daemon::metrics::{Body, Response, answer};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio_util::task::AbortOnDropHandle;

/// The monitoring of the nats-server that runs now.
#[derive(Debug)]
pub(crate) struct Monitoring {
    address: watch::Receiver<Option<SocketAddr>>,
    /// What was asked last, and when.
    last: Mutex<Option<(Instant, Arc<Figures>)>>,
}

/// The figures that become metrics.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) server: Varz,
    pub(crate) leaf_nodes: Vec<Leaf>,
    pub(crate) streams: Jsz,
}

/// Of `/varz`. A figure that a version does not tell is 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Varz {
    pub(crate) connections: u64,
    pub(crate) total_connections: u64,
    pub(crate) routes: u64,
    pub(crate) remotes: u64,
    pub(crate) leafnodes: u64,
    pub(crate) in_msgs: u64,
    pub(crate) out_msgs: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
    pub(crate) slow_consumers: u64,
    pub(crate) subscriptions: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Leafz {
    /// `null` without any.
    leafs: Option<Vec<Leaf>>,
}

/// Of `/leafz`: one connection of a leaf node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Leaf {
    pub(crate) account: String,
    pub(crate) ip: String,
    pub(crate) port: u16,
    pub(crate) rtt: String,
    pub(crate) in_msgs: u64,
    pub(crate) out_msgs: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
    pub(crate) subscriptions: u64,
}

/// Of `/jsz`: zeros without JetStream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Jsz {
    pub(crate) config: JszConfig,
    pub(crate) memory: u64,
    pub(crate) storage: u64,
    pub(crate) streams: u64,
    pub(crate) consumers: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// The limits of JetStream, in bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JszConfig {
    pub(crate) max_memory: i64,
    pub(crate) max_storage: i64,
}

/// nats-server's monitoring did not answer, or not as expected.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("nats-server is not running at this moment")]
    Down,
    #[error("nats-server's monitoring cannot be reached: {0}")]
    Connect(#[from] std::io::Error),
    #[error("nats-server's monitoring gave no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request to nats-server's monitoring cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("nats-server's monitoring did not answer within {} s", LIMIT.as_secs())]
    Late,
    #[error("nats-server's monitoring answered what is not understood: {0}")]
    Content(String),
}

impl Monitoring {
    /// `address` is where the running nats-server serves it, `None` while none runs.
    pub(crate) fn new(address: watch::Receiver<Option<SocketAddr>>) -> Self {
        Self { address, last: Mutex::new(None) }
    }

    /// The figures of this moment, at most [`FRESH`] old: two Prometheus servers cost no more than one. `None` when
    /// nats-server does not tell.
    pub(crate) async fn figures(&self) -> Option<Arc<Figures>> {
        let mut last = self.last.lock().await;
        if let Some((when, figures)) = last.as_ref() {
            if when.elapsed() < FRESH && self.address.borrow().is_some() {
                return Some(Arc::clone(figures));
            }
        }
        *last = None;
        match self.ask().await {
            Ok(figures) => {
                let figures = Arc::new(figures);
                *last = Some((Instant::now(), Arc::clone(&figures)));
                Some(figures)
            }
            Err(error) => {
                tracing::debug!("no figures of nats-server: {error}");
                None
            }
        }
    }

    /// Passes on one of [`PAGES`]; `None` for any other path.
    pub(crate) async fn page(&self, path: &str, query: Option<&str>) -> Option<Response> {
        let known = PAGES.iter().find(|page| **page == path)?;
        let query = permitted(query.unwrap_or_default());
        let target = if query.is_empty() { (*known).to_owned() } else { format!("{known}?{query}") };
        let error = match self.get(&target).await {
            Ok(response) => return Some(response),
            Err(error) => error,
        };
        let status = match error {
            Unanswered::Down => StatusCode::SERVICE_UNAVAILABLE,
            Unanswered::Late => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Some(answer(status, "text/plain; charset=utf-8", format!("{error}\n")))
    }

    async fn ask(&self) -> Result<Figures, Unanswered> {
        let (server, leaf_nodes, streams) = tokio::try_join!(
            self.read::<Varz>("/varz"),
            self.read::<Leafz>("/leafz"),
            self.read::<Jsz>("/jsz?config=true")
        )?;
        Ok(Figures { server, leaf_nodes: leaf_nodes.leafs.unwrap_or_default(), streams })
    }

    async fn read<T: DeserializeOwned>(&self, target: &str) -> Result<T, Unanswered> {
        let whole = async { collect(self.get(target).await?.into_body()).await };
        let text = tokio::time::timeout(LIMIT, whole).await.map_err(|_elapsed| Unanswered::Late)??;
        serde_json::from_slice(&text).map_err(|error| Unanswered::Content(format!("{target}: {error}")))
    }

    /// One request over a connection of its own, which ends with the answer's body.
    async fn get(&self, target: &str) -> Result<Response, Unanswered> {
        let address = (*self.address.borrow()).ok_or(Unanswered::Down)?;
        let asked = tokio::time::timeout(LIMIT, request(address, target)).await;
        let (response, connection) = asked.map_err(|_elapsed| Unanswered::Late)??;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let body = response.into_body().map_frame(move |frame| {
            // The connection's task must live until the last frame, and no longer.
            let _connection = &connection;
            frame
        });
        let mut passed = Response::new(body.map_err(Into::into).boxed());
        *passed.status_mut() = status;
        let content_type = content_type.unwrap_or(HeaderValue::from_static("application/json"));
        passed.headers_mut().insert(CONTENT_TYPE, content_type);
        Ok(passed)
    }
}

/// All of a body, unless it is larger than figures are.
async fn collect(mut body: Body) -> Result<Vec<u8>, Unanswered> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unanswered::Content(error.to_string()))?;
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
        if text.len() > LARGEST_FIGURES {
            return Err(Unanswered::Content(format!("more than {LARGEST_FIGURES} bytes")));
        }
    }
    Ok(text)
}

async fn request(
    address: SocketAddr,
    target: &str,
) -> Result<(hyper::Response<Incoming>, AbortOnDropHandle<()>), Unanswered> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("the connection to nats-server's monitoring ended: {error}");
        }
    }));
    let request = Request::get(target).header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    Ok((sender.send_request(request).await?, connection))
}

/// What of a query is passed on: pairs whose name is one of [`PARAMETERS`], spelled plainly.
fn permitted(query: &str) -> String {
    let known = |pair: &&str| PARAMETERS.contains(&pair.split('=').next().unwrap_or_default());
    let plain = |pair: &&str| !pair.contains(';');
    query.split('&').filter(known).filter(plain).collect::<Vec<_>>().join("&")
}

/// The pages of nats-server that are passed on (spec 01 §13).
pub(crate) const PAGES: &[&str] = &[
    "/varz",
    "/connz",
    "/routez",
    "/gatewayz",
    "/leafz",
    "/subsz",
    "/accountz",
    "/accstatz",
    "/jsz",
    "/healthz",
    "/stacksz",
    "/ipqueuesz",
    "/raftz",
    "/debug/vars",
];

/// Their parameters, but for `auth`, which shows credentials, `user`, which needs it, and `callback`, which lets web
/// pages of others read the answer.
const PARAMETERS: &[&str] = &[
    "acc",
    "acc_name",
    "accounts",
    "accs",
    "account",
    "all",
    "cid",
    "config",
    "consumer",
    "consumers",
    "details",
    "group",
    "gw_name",
    "js-enabled",
    "js-enabled-only",
    "js-server-only",
    "leader-only",
    "limit",
    "offset",
    "queues",
    "raft",
    "sort",
    "state",
    "stream",
    "stream-leader-only",
    "streams",
    "subject",
    "subs",
    "test",
    "unused",
];

/// Figures this old are as good as new.
const FRESH: Duration = Duration::from_secs(5);

/// nats-server is on this machine and answers in milliseconds; a scraper waits ten seconds in all.
const LIMIT: Duration = Duration::from_secs(4);

/// Bytes of one page of figures; a leaf node takes about 300.
const LARGEST_FIGURES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_cannot_be_asked_for() {
        let rows = [
            ("", ""),
            ("auth=1", ""),
            ("auth=1&state=closed", "state=closed"),
            ("state=closed&auth=true&limit=5", "state=closed&limit=5"),
            ("%61uth=1&subs=1", "subs=1"),
            ("AUTH=1", ""),
            ("state=closed;auth=1", ""),
            ("auth", ""),
            ("callback=f&sort=rtt", "sort=rtt"),
            ("user=alice", ""),
            ("&&subs=detail&", "subs=detail"),
        ];
        for (query, passed) in rows {
            assert_eq!(permitted(query), passed, "{query}");
        }
    }

    #[tokio::test]
    async fn without_a_nats_server_there_are_no_figures_and_known_pages_say_why() {
        let (_sender, address) = watch::channel(None);
        let monitoring = Monitoring::new(address);
        assert!(monitoring.figures().await.is_none());
        assert!(monitoring.page("/etc/passwd", None).await.is_none());
        let response = monitoring.page("/varz", None).await.expect("a known page");
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
