//! One HTTP/1.1 request with limits, for the services that people log in to and that sign their requests (spec 07 §3).
//!
//! Small on purpose: no proxy, no redirect, no cookie, no connection kept. What a server sends is read up to a limit and
//! never beyond; everything from resolving the name to the last byte shares one time limit.

use crate::failure::Failure;
use crate::tls::Tls;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Uri;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

/// Where a request goes: `http://HOST[:PORT]/PATH` or the same with `https`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    encrypted: bool,
    host: String,
    port: u16,
    path_and_query: String,
}

/// What a request may cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// For all of it.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub body: usize,
}

/// What is asked, with JSON or a form as its body.
#[derive(Clone)]
pub struct Request {
    /// GET without a body, else POST.
    pub body: Option<Body>,
    /// The value of an `Authorization` header, a secret.
    pub authorization: Option<String>,
}

/// Bytes and what they are.
#[derive(Clone)]
pub struct Body {
    /// `application/json` or another media type.
    pub content_type: &'static str,
    /// The bytes.
    pub bytes: Bytes,
}

/// What came back, whatever its status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// 100 to 999.
    pub status: u16,
    /// The body, complete.
    pub body: Bytes,
}

/// Not a URL that can be asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is not a URL that can be asked: {rule}")]
pub struct InvalidUrl {
    text: String,
    rule: &'static str,
}

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HttpError {
    /// No connection; nothing was sent.
    #[error("cannot connect to {url}: {reason}")]
    Unreachable {
        /// Where to.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The limit passed. The request may have been acted upon.
    #[error("{url} gave no complete answer within {seconds:.1} s", seconds = limit.as_secs_f64())]
    TimedOut {
        /// Who was asked.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The answer is longer than the limit.
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLarge {
        /// Who was asked.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// What came back is no HTTP, or stopped half-way. The request may have been acted upon.
    #[error("{url} gave no complete HTTP answer: {reason}")]
    Broken {
        /// Who was asked.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// The value of a header cannot be sent.
    #[error("the Authorization header for {url} cannot be sent: it holds control characters")]
    Header {
        /// Who would be asked.
        url: String,
    },
}

impl Url {
    /// Whether the request is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The host as written, without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `HOST:PORT`, the port left out when it is the usual one.
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.encrypted { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let shown = text.find('@').map_or(text, |at| text.get(at..).unwrap_or_default());
        let invalid = |rule| InvalidUrl { text: shown.to_owned(), rule };
        let uri: Uri = text.parse().map_err(|_| invalid("https://HOST[:PORT]/PATH is needed"))?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid("it must start with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| invalid("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("user and password do not belong into it"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        let usual = if encrypted { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            None | Some("") => usual,
            Some(_) => authority.port_u16().filter(|port| *port != 0).ok_or_else(|| invalid("its port is none"))?,
        };
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { encrypted, host: host.to_owned(), port, path_and_query })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path_and_query)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Passwords and tokens travel in bodies.
        write!(f, "Body({}, {} bytes)", self.content_type, self.bytes.len())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("body", &self.body).finish_non_exhaustive()
    }
}

impl HttpError {
    /// Whether nothing reached the other side, so that asking elsewhere repeats nothing.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Header { .. })
    }
}

/// Sends `body` by POST and waits for the answer; `tls` decides whom to trust where the URL is https.
///
/// # Errors
/// [`HttpError`]; an answer of any status is none.
pub async fn post(
    url: &Url,
    content_type: &'static str,
    body: impl Into<Bytes>,
    tls: &Tls,
    limits: Limits,
) -> Result<Answer, HttpError> {
    let body = Some(Body { content_type, bytes: body.into() });
    send(url, Request { body, authorization: None }, tls, limits).await
}

/// Sends `request` and waits for the answer; as [`post`].
///
/// # Errors
/// As [`post`].
pub async fn send(url: &Url, request: Request, tls: &Tls, limits: Limits) -> Result<Answer, HttpError> {
    let prepared = prepare(url, request)?;
    let exchange = async {
        let stream = connect(url).await?;
        if !url.encrypted {
            return exchange(url, stream, prepared, limits.body).await;
        }
        let name = ServerName::try_from(url.host.clone());
        let name = name.map_err(|_| unreachable_because(url, "its host is no name a certificate can have"))?;
        let connector = TlsConnector::from(std::sync::Arc::clone(tls.config()));
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|error| unreachable_because(url, &reason(&error)))?;
        exchange(url, stream, prepared, limits.body).await
    };
    match tokio::time::timeout(limits.time, exchange).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(HttpError::TimedOut { url: url.to_string(), limit: limits.time }),
    }
}

fn prepare(url: &Url, request: Request) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let unusable = |_| HttpError::Header { url: url.to_string() };
    let (method, body) = match request.body {
        None => (hyper::Method::GET, None),
        Some(body) => (hyper::Method::POST, Some(body)),
    };
    let content_type = body.as_ref().map(|body| HeaderValue::from_static(body.content_type));
    let mut prepared = hyper::Request::new(Full::new(body.map(|body| body.bytes).unwrap_or_default()));
    *prepared.method_mut() = method;
    // Parsed before, as a part of the whole URL.
    *prepared.uri_mut() = url.path_and_query.parse().unwrap_or_default();
    let headers = prepared.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    headers.insert(HOST, HeaderValue::from_str(&url.authority()).map_err(unusable)?);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("choria/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(secret) = request.authorization {
        let mut value = HeaderValue::from_str(&secret).map_err(unusable)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(prepared)
}

async fn connect(url: &Url) -> Result<TcpStream, HttpError> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await;
    stream.map_err(|error| unreachable_because(url, &reason(&error)))
}

async fn exchange(
    url: &Url,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: hyper::Request<Full<Bytes>>,
    most: usize,
) -> Result<Answer, HttpError> {
    let broken = |error: hyper::Error| HttpError::Broken { url: url.to_string(), reason: error.to_string() };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // Ends with this function, whichever way that goes.
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if collected.len() + data.len() > most {
            return Err(HttpError::TooLarge { url: url.to_string(), limit: most });
        }
        collected.extend_from_slice(&data);
    }
    Ok(Answer { status, body: collected.freeze() })
}

/// As [`Failure`] tells of brokers, in words about services.
fn reason(error: &std::io::Error) -> String {
    match Failure::of_io(error) {
        Failure::Refused => "connection refused: nothing listens on that address and port".to_owned(),
        Failure::TimedOut => "the host is down, or a firewall drops the packets".to_owned(),
        Failure::PlainText => "it answered in plain text during the TLS handshake; is https right?".to_owned(),
        Failure::Closed => "the connection was closed during the handshake".to_owned(),
        Failure::Tls(text) => format!("TLS failed: {}", text.replace("the broker", "the service")),
        other => other.to_string(),
    }
}

fn unreachable_because(url: &Url, reason: &str) -> HttpError {
    HttpError::Unreachable { url: url.to_string(), reason: reason.to_owned() }
}

/// Bytes of an answer's status line and headers.
const LONGEST_HEAD: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_or_refused_in_words() {
        let rows = [
            // text, as shown again or the rule
            ("https://caaa.choria.local:8443/choria/v1/login", Ok("https://caaa.choria.local:8443/choria/v1/login")),
            ("http://localhost", Ok("http://localhost/")),
            ("https://[::1]:443/x?y=z", Ok("https://[::1]/x?y=z")),
            ("caaa:8443/choria/v1/login", Err("https://")),
            ("ftp://caaa/choria/v1/login", Err("must start with https:// or http://")),
            ("https://", Err("https://HOST")),
            ("https://:8443/x", Err("no host")),
            ("https://user:secret@caaa/x", Err("user and password")),
            ("https://caaa:99999/x", Err("port")),
            ("https://caaa:0/x", Err("port")),
            ("/choria/v1/login", Err("must start")),
            ("", Err("is needed")),
        ];
        for (text, expected) in rows {
            match (text.parse::<Url>(), expected) {
                (Ok(url), Ok(shown)) => assert_eq!(url.to_string(), shown, "{text}"),
                (Err(error), Err(rule)) => {
                    let said = error.to_string();
                    assert!(said.contains(rule), "{text}: {said}");
                    assert!(!said.contains("secret"), "{text}: {said}");
                }
                (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn bodies_and_authorizations_are_not_shown() {
        let body = Body { content_type: "application/json", bytes: Bytes::from_static(b"{\"password\":\"hunter2\"}") };
        assert!(!format!("{body:?}").contains("hunter2"));
    }
}
