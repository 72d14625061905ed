//! The status file and the status line, and what there is to say about the token.

use crate::certificate;
use crate::live::{Handle, shown};
use crate::settings::Settings;
use crate::token::{self, Stage, TokenFile};
use agents::{Counts, Node, Status};
use network::{Connection, State};
use security::{Credentials, Provider, Role};
use std::convert::Infallible;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// Writes the status file and the status line, and looks after the token as often.
#[derive(Debug)]
pub(crate) struct Reporter {
    settings: Settings,
    context: Option<daemon::Context>,
    handle: Handle,
    certificate_expires: Option<SystemTime>,
    token: TokenFile,
}

impl Reporter {
    pub(crate) fn new(settings: &Settings, context: Option<daemon::Context>, handle: Handle) -> Self {
        // The servers of an emulator have their tokens in memory.
        let has_token = handle.node().provider.credentials().is_some();
        let file = settings.config.token_file().filter(|_| has_token);
        Self {
            certificate_expires: certificate::expiry(&settings.config),
            settings: settings.clone(),
            context,
            handle,
            token: TokenFile::new(file),
        }
    }

    /// At once, then at each change of the connection and each interval.
    pub(crate) async fn report(&mut self, connection: &Connection) -> Infallible {
        let mut changes = connection.changes();
        loop {
            let token = self.check_token(SystemTime::now());
            let node = self.handle.node();
            let server = connection.connected_server().unwrap_or_default();
            self.write_file(&node, &server);
            let show = || {
                let dropped = connection.status().dropped_messages;
                let last = node.stats.last_accepted();
                self.show(&server, node.stats.counts(), dropped, age(last, SystemTime::now()), token.as_deref());
            };
            show();
            let line_follows = async {
                loop {
                    self.arrived(&node).await;
                    sleep(STATUS_LINE_PAUSE).await;
                    show();
                }
            };
            tokio::select! {
                () = self.interval() => {}
                // The sender lives as long as the connection, which is ours.
                changed = changes.wait_for(|state| (*state == State::Connected) == server.is_empty()) => drop(changed),
                () = line_follows => {}
            }
        }
    }

    /// The same before there is a connection; the status line then tells of failed attempts, which name an expired
    /// token.
    pub(crate) async fn report_unconnected(&mut self) -> Infallible {
        loop {
            self.check_token(SystemTime::now());
            self.write_file(&self.handle.node(), "");
            self.interval().await;
        }
    }

    /// Completes when there is something new for the line, and somebody who looks at it.
    async fn arrived(&self, node: &Node) {
        match &self.context {
            Some(context) if context.is_supervised() => node.stats.arrived().await,
            _ => std::future::pending().await,
        }
    }

    async fn interval(&self) {
        let supervised = self.context.as_ref().is_some_and(daemon::Context::is_supervised);
        if self.settings.status_file.is_some() {
            sleep(self.settings.status_interval).await;
        } else if supervised {
            sleep(STATUS_LINE_INTERVAL).await;
        } else if self.token.path().is_some() {
            sleep(TOKEN_INTERVAL).await;
        } else {
            // Nothing is worth waking up for.
            std::future::pending().await
        }
    }

    /// Takes a renewed token over and tells how near the end of the one in force is; the answer is for the status line.
    fn check_token(&mut self, now: SystemTime) -> Option<String> {
        if let Some(token) = self.token.changed() {
            self.renew(&token, now);
        }
        let node = self.handle.node();
        let state = token::state(expiry(&node), self.token.path(), now);
        if self.token.is_due(state.stage, now) {
            match (&state.text, state.stage) {
                (Some(text), Stage::Expired) => {
                    tracing::error!(
                        event = "token_expired",
                        file = %shown(self.token.path()),
                        "{text}: the broker lets nobody in with it; provision this node again or replace the file"
                    );
                }
                (Some(text), _) => tracing::warn!(
                    event = "token_expires",
                    file = %shown(self.token.path()),
                    "{text}: renew it, a renewed one is read without a restart"
                ),
                (None, _) => tracing::info!(file = %shown(self.token.path()), "the token counts again"),
            }
        }
        state.text
    }

    fn renew(&self, token: &str, now: SystemTime) {
        let node = self.handle.node();
        if node.provider.token() == Some(token.trim()) {
            return;
        }
        let file = shown(self.token.path());
        match Provider::from_settings(&node.settings, Role::Server, now) {
            Ok(provider) => {
                self.handle.renew(provider);
                tracing::info!(%file, "the token was renewed; replies are signed for it from now on");
            }
            Err(errors) => tracing::error!(%file, "the new token is not used: {errors}"),
        }
    }

    fn write_file(&self, node: &Node, server: &str) {
        let Some(path) = &self.settings.status_file else { return };
        let status = Status {
            identity: self.settings.config.identity(),
            uptime: node.uptime(SystemTime::now()).as_secs(),
            connected_server: server.to_owned(),
            last_message: node.stats.last_accepted().unwrap_or_default(),
            provisioning_mode: node.provisioning,
            stats: node.stats.counts(),
            certificate_expires: self.certificate_expires,
            token_expires: expiry(node),
        };
        if let Err(error) = status.write(path) {
            tracing::warn!(file = %path.display(), "the status file was not written: {error}; see plugin.choria.status_file_path");
        }
    }

    fn show(&self, server: &str, counts: Counts, dropped: u64, last: Option<Duration>, token: Option<&str>) {
        let Some(context) = &self.context else { return };
        context.status(&line(server, counts, dropped, last, token));
    }
}

/// One line about a server that had a connection.
///
/// `last` is how long ago the last request came.
pub(crate) fn line(server: &str, counts: Counts, dropped: u64, last: Option<Duration>, token: Option<&str>) -> String {
    let mut line = if server.is_empty() {
        "Reconnecting to the broker".to_owned()
    } else {
        format!(
            "Connected to {server}; {} requests answered, {} filtered out, {} invalid",
            counts.replies, counts.filtered, counts.invalid
        )
    };
    let troubles = [
        (counts.replayed, "replayed"),
        (counts.timed_out, "timed out"),
        (dropped, "dropped because too many came at once"),
        (counts.unsent, "replies not sent"),
        (counts.unaudited, "without their audit line"),
    ];
    for (count, what) in troubles.into_iter().filter(|(count, _)| *count > 0) {
        line.push_str(&format!(", {count} {what}"));
    }
    if let Some(last) = last {
        let ago = match last.as_secs() {
            0..60 => "less than a minute".to_owned(),
            60..120 => "a minute".to_owned(),
            _ => token::rough(last),
        };
        line.push_str(&format!("; last request {ago} ago"));
    }
    if let Some(token) = token {
        line.push_str(&format!("; {token}"));
    }
    line
}

/// The time since `last`, in unix seconds.
pub(crate) fn age(last: Option<u64>, now: SystemTime) -> Option<Duration> {
    let last = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(last?))?;
    Some(now.duration_since(last).unwrap_or_default())
}

fn expiry(node: &Node) -> Option<SystemTime> {
    node.provider.credentials().and_then(Credentials::expiry)
}

/// How often the status line is renewed where no status file asks for more.
const STATUS_LINE_INTERVAL: Duration = Duration::from_secs(60);
/// The status line follows requests at most this often.
const STATUS_LINE_PAUSE: Duration = Duration::from_secs(2);
/// How often the token's file is looked at where nobody is told of anything else.
const TOKEN_INTERVAL: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_troubles_only_when_there_are_any() {
        let counts = Counts { replies: 7, filtered: 2, ..Counts::default() };
        let troubled = Counts { replayed: 1, unaudited: 2, ..counts };
        let token = Some("the token in /t expires in 6 days");
        let rows = [
            ("tls://b:1", counts, 0, None, "Connected to tls://b:1; 7 requests answered, 2 filtered out, 0 invalid"),
            (
                "tls://b:1",
                troubled,
                3,
                token,
                "Connected to tls://b:1; 7 requests answered, 2 filtered out, 0 invalid, 1 replayed, 3 dropped because too \
                 many came at once, 2 without their audit line; the token in /t expires in 6 days",
            ),
            ("", Counts::default(), 0, token, "Reconnecting to the broker; the token in /t expires in 6 days"),
        ];
        for (server, counts, dropped, token, expected) in rows {
            assert_eq!(line(server, counts, dropped, None, token), expected);
        }
    }

    #[test]
    fn the_line_tells_the_age_of_the_last_request() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        let rows = [
            (None, ""),
            (Some(10_003), "; last request less than a minute ago"),
            (Some(9_990), "; last request less than a minute ago"),
            (Some(9_930), "; last request a minute ago"),
            (Some(9_400), "; last request 10 minutes ago"),
            (Some(1_000), "; last request 2 hours ago"),
        ];
        for (last, expected) in rows {
            let line = line("tls://b:1", Counts::default(), 0, age(last, now), None);
            assert_eq!(
                line,
                format!("Connected to tls://b:1; 0 requests answered, 0 filtered out, 0 invalid{expected}")
            );
        }
    }
}
