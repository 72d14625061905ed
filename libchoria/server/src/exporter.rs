//! The metrics of a server (spec 04 §2.4), asked for at each scrape: those of the original with its names and labels,
//! and our own.

use crate::certificate;
use crate::live::Handle;
use agents::{Counter, Node};
use config::keys;
use daemon::Sockets;
use daemon::metrics::{About, Build, Endpoint, Scrape};
use network::{Counters, State};
use protocol::{Counter as ProtocolCounter, Version};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use submission::delivery::{self, Count, Standing};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// What a server tells on its statistics endpoint.
#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) handle: Handle,
    /// Of all connections that the server made.
    pub(crate) connector: Arc<Counters>,
    /// Of delivery, where there is a spool.
    pub(crate) submission: Option<Arc<delivery::Counts>>,
}

/// Serves statistics where `config` wants them; nothing at all without a port. A port that cannot be had is no reason
/// for a node to be out of reach, so it is logged and the server goes on.
pub(crate) async fn serve(
    config: &config::Settings,
    sockets: &Sockets,
    exporter: Exporter,
    stop: &CancellationToken,
) -> Option<AbortOnDropHandle<()>> {
    let endpoint = match Endpoint::given(sockets) {
        Ok(Some(endpoint)) => Ok(endpoint),
        Ok(None) => {
            let address = config.get(keys::STATS_ADDRESS).unwrap_or("127.0.0.1");
            Endpoint::bind(address, port(config)?).await.map_err(anyhow::Error::from)
        }
        Err(error) => Err(error.into()),
    };
    match endpoint {
        Ok(endpoint) => {
            let serving = endpoint.serve(Arc::new(exporter), about(config), stop.clone());
            Some(AbortOnDropHandle::new(tokio::spawn(serving)))
        }
        Err(error) => {
            tracing::error!("{error}");
            None
        }
    }
}

/// Whether anybody may ask for statistics.
pub(crate) fn is_wanted(config: &config::Settings, sockets: &Sockets) -> bool {
    sockets.has(daemon::metrics::SOCKET) || port(config).is_some()
}

/// The port for statistics; `None` when they are off.
fn port(config: &config::Settings) -> Option<u16> {
    u16::try_from(config.get(keys::STATS_PORT)).ok().filter(|port| *port > 0)
}

fn about(config: &config::Settings) -> About {
    About {
        build: Build::this(),
        identity: config.identity().to_string(),
        config_file: config.config_file().unwrap_or(Path::new("")).to_owned(),
        tls: config.protection().tls,
        secure: true,
        max_broker_clients: 0,
    }
}

impl daemon::metrics::Exporter for Exporter {
    async fn export(&self, scrape: &mut Scrape) {
        let node = self.handle.node();
        let identity = node.identity();
        let labels = [("identity", identity.as_str())];
        for counter in Counter::ALL {
            scrape.counter(counter.metric(), counter.help(), &labels, node.stats.value(counter));
        }
        protocol(&node, scrape);
        scrape.connector(&self.connector.counts(), identity.as_str());
        state(&node, scrape);
        if let Some(counts) = &self.submission {
            submission(counts, identity.as_str(), scrape).await;
        }
        if let Some(times) = &node.times {
            let help = "How long requests took from arrival to the reply handed to the connection";
            let seconds = times.total().as_secs_f64();
            scrape.summary("choria_server_handling_seconds", help, &labels, times.count(), seconds);
        }
    }
}

/// `choria_submission_*`.
async fn submission(counts: &Arc<delivery::Counts>, identity: &str, scrape: &mut Scrape) {
    if counts.standing() == Standing::NoSpool {
        return;
    }
    for count in Count::ALL {
        let name = format!("choria_submission_{}", count.as_str());
        scrape.counter(&name, help(count), &[("identity", identity)], counts.value(count));
    }
    let delivering = counts.standing() == Standing::Delivering;
    let about = "Whether this server delivers its spool of submitted messages";
    scrape.gauge("choria_submission_delivering", about, &[("identity", identity)], f64::from(delivering));
    let counts = Arc::clone(counts);
    // A spool that cannot be listed is in the log of delivery already.
    let Ok(Ok(Some(summary))) = tokio::task::spawn_blocking(move || counts.waiting()).await else { return };
    let mut oldest = None;
    for (priority, queue) in summary.queues.iter().enumerate() {
        let priority = priority.to_string();
        let labels = [("identity", identity), ("priority", priority.as_str())];
        let about = "Submitted messages that wait in the spool";
        scrape.gauge("choria_submission_waiting_messages", about, &labels, queue.messages as f64);
        oldest = [oldest, queue.oldest].into_iter().flatten().min();
    }
    let labels = [("identity", identity)];
    let about = "Bytes of the submitted messages that wait in the spool";
    scrape.gauge("choria_submission_waiting_bytes", about, &labels, summary.bytes() as f64);
    let age = oldest.and_then(|oldest| SystemTime::now().duration_since(oldest).ok()).unwrap_or_default();
    let about = "How long the oldest submitted message waits, 0 when none does";
    scrape.gauge("choria_submission_oldest_age_seconds", about, &labels, age.as_secs_f64());
}

fn help(count: Count) -> &'static str {
    match count {
        Count::Stored => "Reliable messages that a stream acknowledged as new",
        Count::Duplicate => "Reliable messages that the stream had already",
        Count::Published => "Messages that are not reliable and were published",
        Count::FailedTry => "Tries to store a reliable message that failed",
        Count::Expired => "Messages dropped because their time to live was over",
        Count::MaxTries => "Messages dropped because they were tried as often as they may",
        Count::SetAside => "Files of the spool moved aside because they can never be delivered",
        Count::Denied => "Attempts that the broker did not allow this server",
    }
}

/// `choria_protocol_*` by version.
fn protocol(node: &Node, scrape: &mut Scrape) {
    let counters = [
        (ProtocolCounter::JsonParseFailure, "Amount of times un-parsable JSON was received"),
        (ProtocolCounter::Valid, "Number of messages with valid signatures"),
        (ProtocolCounter::Invalid, "Number of messages with invalid signatures"),
        (
            ProtocolCounter::Error,
            "Number of protocol errors such as missing certificate, un-parsable files and other unrecoverable errors",
        ),
    ];
    for (counter, help) in counters {
        for version in [Version::V1, Version::V2] {
            let value = node.stats.protocol(version, counter);
            scrape.counter(counter.metric(), help, &[("version", version.label())], value);
        }
    }
}

/// What goes up and down.
fn state(node: &Node, scrape: &mut Scrape) {
    let identity = node.identity();
    let mut gauge = |name, help, value: f64| scrape.gauge(name, help, &[("identity", identity.as_str())], value);
    let connected = node.broker.status().is_some_and(|status| status.state == State::Connected);
    gauge("choria_server_connected", "Whether the server is connected to a broker", f64::from(connected));
    let running = node.stats.running() as f64;
    gauge("choria_server_requests_running", "Requests that are being answered", running);
    let help = "Request ids remembered so that none is served twice";
    gauge("choria_server_replay_ids", help, node.replays.len() as f64);
    if let Some(accepted) = node.stats.last_accepted() {
        let help = "When a request was last accepted, seconds since 1970";
        gauge("choria_server_last_request_timestamp_seconds", help, accepted as f64);
    }
    if let Some(end) = node.provider.credentials().and_then(security::Credentials::expiry) {
        let help = "When the server's token or its issuer expires, seconds since 1970";
        gauge("choria_server_token_expiry_timestamp_seconds", help, unix_seconds(end));
    }
    if let Some(end) = certificate::expiry(&node.settings) {
        let help = "When the server's certificate expires, seconds since 1970";
        gauge("choria_server_certificate_expiry_timestamp_seconds", help, unix_seconds(end));
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64().floor())
}
