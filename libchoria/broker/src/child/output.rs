//! What nats-server prints, as log records.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::Level;

/// Forwards lines and remembers the last one that looked like a reason to end.
#[derive(Debug)]
pub(super) struct Forwarder {
    last_words: String,
    authentication_errors: Sampler,
    /// Complaints about single connections: a stranger makes as many as it likes.
    connection_errors: Sampler,
    streams_given_up: watch::Sender<bool>,
}

/// Lets a few events through and counts the rest, so that a flood shows as a number.
#[derive(Debug)]
pub(crate) struct Sampler {
    most: u32,
    window: Duration,
    began: Option<Instant>,
    passed: u32,
    missed: u64,
}

impl Forwarder {
    /// `streams_given_up` is told when nats-server gives up its streams, which it says nowhere else.
    pub(super) fn new(streams_given_up: watch::Sender<bool>) -> Self {
        let authentication_errors = Sampler::new(5, Duration::from_secs(10));
        let connection_errors = Sampler::new(20, Duration::from_secs(10));
        Self { last_words: String::new(), authentication_errors, connection_errors, streams_given_up }
    }

    /// Forwards every line until the output closes. Lines are cut at a length that no honest one reaches.
    pub(super) fn forward(&mut self, output: impl Read) {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => self.line(&String::from_utf8_lossy(&line), Instant::now()),
                Err(error) => {
                    tracing::warn!("the output of nats-server can no longer be read: {error}");
                    return;
                }
            }
        }
    }

    /// The last line that looked like a reason to end, without its level.
    pub(super) fn last_words(&self) -> String {
        self.last_words.clone()
    }

    fn line(&mut self, line: &str, now: Instant) {
        let (level, text) = parse(line.trim_end());
        if text.is_empty() || is_decoration(text) {
            return;
        }
        // Some versions print the beginning of a line that holds a token (spec 10 §9).
        let text = daemon::redact_tokens(text);
        if level == Level::ERROR && gives_up_streams(&text) {
            self.streams_given_up.send_replace(true);
        }
        if level == Level::ERROR {
            self.last_words = text.clone().into_owned();
        }
        let sampled = if is_authentication_error(&text) {
            Some((&mut self.authentication_errors, "authentication errors"))
        } else if is_connection_error(level, &text) {
            Some((&mut self.connection_errors, "errors of single connections"))
        } else {
            None
        };
        let Some((sampler, what)) = sampled else { return emit(level, &text) };
        let Some(missed) = sampler.admit(now) else { return };
        emit(level, &text);
        if missed > 0 {
            tracing::warn!(missed, "{missed} more {what} of nats-server were not logged");
        }
    }
}

impl Sampler {
    /// Lets `most` events through in each `window`.
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        Self { most, window, began: None, passed: 0, missed: 0 }
    }

    /// `Some` when the event at `now` is let through, with the number of events held back since the last window;
    /// `None` when it is held back.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| now.duration_since(began) >= self.window) {
            self.began = Some(now);
            self.passed = 0;
        }
        if self.passed >= self.most {
            self.missed += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.missed))
    }
}

/// Level and text of `[PID] [LVL] text`. A line without a level is what nats-server prints before it can log, which is
/// always the reason it does not start.
fn parse(line: &str) -> (Level, &str) {
    for (mark, level) in LEVELS {
        if let Some((before, text)) = line.split_once(mark) {
            if before.starts_with('[') && before.ends_with(' ') {
                return (level, text.trim());
            }
        }
    }
    (Level::ERROR, line.trim())
}

/// The banner of JetStream, a warning about the loopback listener that this broker itself asked for, and what members
/// of a cluster say about each other's callouts, which have an account per member on purpose (spec 10 §6).
fn is_decoration(text: &str) -> bool {
    let drawn = |c: char| "_/\\|()<>- .'".contains(c);
    text.chars().all(drawn)
        || text.starts_with("Websocket not configured with TLS")
        || text.contains("Unknown account \"AUTH_")
}

/// "JetStream out of File resources, will be DISABLED" in a cluster; alone, a stream that met a full disk says so and
/// stores nothing more, not even when there is room again.
fn gives_up_streams(text: &str) -> bool {
    text.starts_with("JetStream") && (text.ends_with("will be DISABLED") || text.contains("no space left on device"))
}

/// The lines that one refused connection causes; this process logs the same refusal with its reason.
fn is_authentication_error(text: &str) -> bool {
    text.contains("authentication error") || text.contains("Auth callout") || text.contains("Authorization Violation")
}

/// A complaint about one connection, such as a handshake that fails.
fn is_connection_error(level: Level, text: &str) -> bool {
    level <= Level::WARN && text.contains(" - cid:")
}

fn emit(level: Level, text: &str) {
    match level {
        Level::ERROR => tracing::error!(component = COMPONENT, "{text}"),
        Level::WARN => tracing::warn!(component = COMPONENT, "{text}"),
        Level::INFO => tracing::info!(component = COMPONENT, "{text}"),
        _ => tracing::debug!(component = COMPONENT, "{text}"),
    }
}

/// Who speaks in these records.
const COMPONENT: &str = "nats_server";

/// nats-server's names of levels; its fatal errors have no equal here.
const LEVELS: [(&str, Level); 6] = [
    ("[INF]", Level::INFO),
    ("[WRN]", Level::WARN),
    ("[ERR]", Level::ERROR),
    ("[FTL]", Level::ERROR),
    ("[DBG]", Level::DEBUG),
    ("[TRC]", Level::TRACE),
];

/// Longer lines are forwarded in pieces.
const LONGEST_LINE: u64 = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_level_and_lose_their_frame() {
        let rows = [
            ("[5113] [INF] Server is ready", Level::INFO, "Server is ready"),
            ("[1] [WRN] slow [ERR] inside", Level::WARN, "slow [ERR] inside"),
            ("[1] [FTL] Error listening on port: x", Level::ERROR, "Error listening on port: x"),
            ("[1] [DBG] 10.0.0.1:5 - cid:9 - Client", Level::DEBUG, "10.0.0.1:5 - cid:9 - Client"),
            ("[1] [INF]", Level::INFO, ""),
            ("nats-server: Parse error", Level::ERROR, "nats-server: Parse error"),
        ];
        for (line, level, text) in rows {
            assert_eq!(parse(line), (level, text), "{line}");
        }
    }

    #[test]
    fn a_flood_shows_as_a_number() {
        let start = Instant::now();
        let mut sampler = Sampler::new(2, Duration::from_secs(10));
        let at = |seconds| start + Duration::from_secs(seconds);
        let seen: Vec<_> = [0, 1, 2, 3, 10, 11, 12].into_iter().map(|second| sampler.admit(at(second))).collect();
        assert_eq!(seen, [Some(0), Some(0), None, None, Some(2), Some(0), None]);
    }

    #[test]
    fn complaints_about_single_connections_are_sampled_and_others_are_not() {
        let rows = [
            (Level::ERROR, "10.0.0.1:5 - cid:9 - TLS handshake error: EOF", true),
            (Level::WARN, "10.0.0.1:5 - cid:9 - Readloop processing time: 4.0s", true),
            (Level::DEBUG, "10.0.0.1:5 - cid:9 - Client connection created", false),
            (Level::ERROR, "JetStream resource limits exceeded for server", false),
        ];
        for (level, text, expected) in rows {
            assert_eq!(is_connection_error(level, text), expected, "{level} {text}");
        }
    }

    #[test]
    fn the_last_reason_is_remembered() {
        let (give_up, given_up) = watch::channel(false);
        let mut forwarder = Forwarder::new(give_up);
        forwarder.forward(&b"[1] [INF] Starting\n[1] [FTL] Error eyJhbGciOi.J9 x\n[1] [INF]  ___ | |\n"[..]);
        assert_eq!(forwarder.last_words(), "Error [token] x");
        assert!(!*given_up.borrow());
        let rows = [
            ("JetStream out of File resources, will be DISABLED", true),
            ("JetStream failed to store a msg on stream 'choria > X': write /x: no space left on device", true),
            ("JetStream failed to store a msg on stream 'choria > X': timeout", false),
        ];
        for (line, expected) in rows {
            let (give_up, given_up) = watch::channel(false);
            Forwarder::new(give_up).forward(format!("[1] [ERR] {line}\n").as_bytes());
            assert_eq!(*given_up.borrow(), expected, "{line}");
        }
    }
}
