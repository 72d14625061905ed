//! One message of a stream.

use crate::duration::render_broker;
use crate::output::printable;
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

/// A message as nats-server hands it out.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stored {
    /// What it was published under.
    pub(crate) subject: String,
    /// Its number in the stream.
    pub(crate) seq: u64,
    /// The block of its headers in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hdrs: Option<String>,
    /// The body in base64.
    #[serde(default)]
    data: String,
    /// When the stream took it.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) time: OffsetDateTime,
}

impl Stored {
    /// The body.
    ///
    /// # Errors
    /// When the broker's answer is not as it must be.
    pub(crate) fn body(&self) -> anyhow::Result<Vec<u8>> {
        STANDARD.decode(&self.data).context("the broker's answer is not as expected: the body is no base64")
    }

    /// Names and values of the headers, in their order.
    ///
    /// # Errors
    /// When the broker's answer is not as it must be.
    pub(crate) fn headers(&self) -> anyhow::Result<Vec<(String, String)>> {
        let Some(block) = &self.hdrs else { return Ok(Vec::new()) };
        let block = STANDARD.decode(block).context("the broker's answer is not as expected: headers are no base64")?;
        Ok(headers(&String::from_utf8_lossy(&block)))
    }

    /// The message as `stream get` shows it.
    pub(super) fn write_item(&self, out: &mut impl Write, stream: &str, now: OffsetDateTime) -> anyhow::Result<()> {
        let age = render_broker(Duration::try_from(now - self.time).unwrap_or_default());
        let (number, subject) = (self.seq, printable(&self.subject));
        writeln!(out, "Item: {stream}#{number} received {} ({age}) on Subject {subject}\n", exact(self.time))?;
        let headers = self.headers()?;
        if !headers.is_empty() {
            writeln!(out, "Headers:")?;
            write_headers(out, &headers)?;
            writeln!(out)?;
        }
        self.write_body(out)
    }

    /// The message as `stream view` shows it; `received` is the time to show.
    pub(super) fn write_entry(&self, out: &mut impl Write, received: &str) -> anyhow::Result<()> {
        writeln!(out, "[{}] Subject: {} Received: {received}", self.seq, printable(&self.subject))?;
        let headers = self.headers()?;
        if !headers.is_empty() {
            writeln!(out)?;
            write_headers(out, &headers)?;
        }
        writeln!(out)?;
        self.write_body(out)?;
        writeln!(out)?;
        Ok(())
    }

    /// The body alone, and the end of its last line.
    fn write_body(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let body = self.body()?;
        let text = String::from_utf8_lossy(&body);
        if text.is_empty() {
            writeln!(out, "nil body")?;
        } else {
            writeln!(out, "{}", printable(text.strip_suffix('\n').unwrap_or(&text)))?;
        }
        Ok(())
    }
}

fn write_headers(out: &mut impl Write, headers: &[(String, String)]) -> io::Result<()> {
    headers.iter().try_for_each(|(name, value)| writeln!(out, "  {}: {}", printable(name), printable(value)))
}

/// The lines of a block of headers behind its first one, which tells the protocol.
fn headers(block: &str) -> Vec<(String, String)> {
    let lines = block.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// With all digits, in UTC: `2026-11-21 09:18:50.601487258 +0000 UTC`.
fn exact(time: OffsetDateTime) -> String {
    const SECONDS: &[FormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let time = time.to_offset(time::UtcOffset::UTC);
    let whole = time.format(SECONDS).unwrap_or_default();
    match format!("{:09}", time.nanosecond()).trim_end_matches('0') {
        "" => format!("{whole} +0000 UTC"),
        fraction => format!("{whole}.{fraction} +0000 UTC"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    fn stored(headers: Option<&str>, body: &str) -> Stored {
        let message = json!({
            "subject": "choria.submission.in.hello.world", "seq": 1, "data": STANDARD.encode(body),
            "hdrs": headers.map(|headers| STANDARD.encode(headers)), "time": "2026-11-21T09:18:50.601487258Z",
        });
        serde_json::from_value(message).expect("a message")
    }

    fn item(message: &Stored) -> String {
        let mut out = Vec::new();
        let now = datetime!(2026-11-21 09:37:34.7 UTC);
        message.write_item(&mut out, "SUBMIT", now).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn an_item_has_its_head_headers_and_body() {
        let headers = "NATS/1.0\r\nChoria-Created: 1795252658818080577\r\nChoria-Reliable: 1\r\n\r\n";
        let expected = "\
Item: SUBMIT#1 received 2026-11-21 09:18:50.601487258 +0000 UTC (18m44s) on Subject choria.submission.in.hello.world

Headers:
  Choria-Created: 1795252658818080577
  Choria-Reliable: 1

Hello
";
        assert_eq!(item(&stored(Some(headers), "Hello\n")), expected);
        assert!(item(&stored(None, "Hello")).ends_with("hello.world\n\nHello\n"));
        assert!(item(&stored(None, "")).ends_with("nil body\n"));
    }

    #[test]
    fn messages_cannot_steer_the_terminal() {
        let text = item(&stored(Some("NATS/1.0\r\nX: \u{1b}[2J\r\n\r\n"), "\u{1b}]0;x"));
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn whole_seconds_have_no_fraction() {
        assert_eq!(exact(datetime!(2026-11-21 10:00:00 +1)), "2026-11-21 09:00:00 +0000 UTC");
        assert_eq!(exact(datetime!(2026-11-21 10:00:00.5 UTC)), "2026-11-21 10:00:00.5 +0000 UTC");
    }
}
