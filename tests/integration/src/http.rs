//! One HTTP request, as plain as can be, for the statistics endpoints.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What follows them.
    pub body: String,
}

/// Sends `request` as it is to `port` of 127.0.0.1 and reads to the end of the connection; `None` when there was none,
/// or no answer.
#[must_use]
pub fn exchange(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(40))).ok()?;
    // A server that refuses early may close while this is still being sent.
    let _refused_early = stream.write_all(request);
    let mut text = Vec::new();
    // The same again: what arrived before counts.
    let _reset = stream.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

/// GET of `path`.
///
/// # Panics
/// Without an answer.
#[must_use]
pub fn get(port: u16, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    exchange(port, request.as_bytes()).unwrap_or_else(|| panic!("no answer to GET {path} on port {port}"))
}
