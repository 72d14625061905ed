//! The metrics of a broker (spec 01 §13): those of the original with its names and labels, and our own below
//! `choria_broker_`. Asked for at each scrape, never collected ahead.

use crate::adapters::{Counts, Role};
use crate::broker::Status;
use crate::certificates;
use crate::decision::Reason;
use crate::metrics::{Metrics, Snapshot};
use crate::monitoring::{Figures, Leaf, Monitoring, PAGES};
use daemon::metrics::{Response, Scrape};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokens::Purpose;
use tokio::sync::watch;

/// What a broker tells on its statistics endpoint.
#[derive(Debug)]
pub struct Exporter {
    pub(crate) identity: String,
    pub(crate) metrics: Arc<Metrics>,
    /// Of the connections that this process makes as a client of its own broker.
    pub(crate) connector: Arc<network::Counters>,
    pub(crate) adapters: Vec<Arc<Counts>>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) monitoring: Monitoring,
    /// The listener's certificate, PEM.
    pub(crate) certificate: PathBuf,
    /// The broker's own token.
    pub(crate) token: PathBuf,
}

impl daemon::metrics::Exporter for Exporter {
    async fn export(&self, scrape: &mut Scrape) {
        let labels = [("identity", self.identity.as_str())];
        let figures = self.monitoring.figures().await;
        let mut gauge = |name, help, value: f64| scrape.gauge(name, help, &labels, value);
        let serving = self.status.borrow().serving;
        gauge("choria_broker_serving", "Whether members of the fleet can connect", f64::from(serving));
        let help = "Whether nats-server told its figures; without them there are no choria_network metrics";
        gauge("choria_broker_monitoring_up", help, f64::from(figures.is_some()));
        if let Some(end) = certificates::expiry(&self.certificate) {
            let help = "When the certificate of the listener expires, seconds since 1970";
            gauge("choria_broker_certificate_expiry_timestamp_seconds", help, unix_seconds(end));
        }
        if let Some(end) = token_expiry(&self.token) {
            let help = "When the broker's own token expires, seconds since 1970";
            gauge("choria_broker_token_expiry_timestamp_seconds", help, unix_seconds(end));
        }
        own(&self.metrics.snapshot(), &self.identity, scrape);
        self.adapters.iter().for_each(|counts| adapter(counts, &self.identity, scrape));
        scrape.connector(&self.connector.counts(), &self.identity);
        if let Some(figures) = figures {
            network(&figures, &self.identity, scrape);
            streams(&figures, &self.identity, scrape);
            figures.leaf_nodes.iter().for_each(|leaf| leaf_node(leaf, &self.identity, scrape));
        }
    }

    async fn page(&self, path: &str, query: Option<&str>) -> Option<Response> {
        self.monitoring.page(path, query).await
    }

    fn pages(&self) -> &'static [&'static str] {
        PAGES
    }
}

/// What this process counts about itself.
fn own(seen: &Snapshot, identity: &str, scrape: &mut Scrape) {
    let labels = [("identity", identity)];
    let counters = [
        ("choria_broker_connections_allowed", "Connections that were allowed", seen.allowed),
        ("choria_broker_connections_closed", "Connections that were allowed and ended", seen.departed),
        ("choria_broker_callout_late", "Logins denied undecided because they had waited too long", seen.late),
        ("choria_broker_callout_dropped", "Logins that found the queue full and were not answered", seen.dropped),
        ("choria_broker_callout_malformed", "Messages to the callout that were no question", seen.malformed),
        ("choria_broker_nats_restarts", "Times nats-server was started again after it ended by itself", seen.restarts),
        (
            "choria_broker_front_accepted",
            "Connections that the TLS front encrypted and handed to nats-server",
            seen.front_accepted,
        ),
        (
            "choria_broker_front_failed",
            "Connections that ended at the TLS front before they were encrypted",
            seen.front_failed,
        ),
        (
            "choria_broker_front_turned_away",
            "Connections that the TLS front closed because it had more to do than it could",
            seen.front_turned_away,
        ),
        (
            "choria_broker_callout_restarts",
            "Times the callout was started again while nats-server ran on",
            seen.callout_restarts,
        ),
        (
            "choria_broker_certificate_reloads",
            "Times nats-server was told to read a replaced certificate",
            seen.certificate_reloads,
        ),
        ("choria_broker_certificates_refused", "Replaced certificates that were refused", seen.certificates_refused),
        ("choria_broker_streams_given_up", "Times nats-server stopped storing", seen.streams_given_up),
        ("choria_broker_reloads", "Configurations read anew and put in force", seen.reloads),
        ("choria_broker_reloads_refused", "Configurations read anew and refused as a whole", seen.reloads_refused),
        (
            "choria_broker_self_check_failures",
            "Failed attempts of the broker to log in to itself",
            seen.self_checks_failed,
        ),
    ];
    for (name, help, value) in counters {
        scrape.counter(name, help, &labels, value);
    }
    for reason in Reason::LABELS {
        let labels = [("identity", identity), ("reason", reason)];
        let count = seen.denied.get(reason).copied().unwrap_or_default();
        scrape.counter("choria_broker_connections_denied", "Connections that were denied, by reason", &labels, count);
    }
    let longest = seen.longest_wait.as_secs_f64();
    let help = "The longest time a login waited for its decision since the start";
    scrape.gauge("choria_broker_callout_longest_wait_seconds", help, &labels, longest);
    let help = "How long logins waited for their decision";
    scrape.summary("choria_broker_callout_wait_seconds", help, &labels, seen.waits, seen.waited.as_secs_f64());
    let help = "Whether nats-server stores nothing although it should, as on a full disk";
    scrape.gauge("choria_broker_streams_off", help, &labels, seen.streams_off as f64);
    let help = "Configured streams that could not be set up yet";
    scrape.gauge("choria_broker_streams_missing", help, &labels, seen.streams_missing as f64);
}

/// `choria_adapter_*` with the names and labels of the original, whose output counts what it wrote as received; what it
/// has registered for that is counted here too.
fn adapter(counts: &Counts, identity: &str, scrape: &mut Scrape) {
    for worker in counts.workers() {
        let labels = [("name", worker.name), ("role", worker.role.as_str()), ("identity", identity)];
        let published = if worker.role == Role::Output { worker.messages } else { 0 };
        let counters = [
            ("choria_adapter_received_msgs", "Messages that an adapter handled", worker.messages),
            ("choria_adapter_published_msgs", "Messages that an adapter wrote", published),
            ("choria_adapter_errors", "Messages that an adapter dropped", worker.errors),
            ("choria_adapter_bytes", "Size of the messages of an adapter", worker.bytes),
        ];
        for (name, help, value) in counters {
            scrape.counter(name, help, &labels, value);
        }
        let (count, time) = worker.timed;
        let help = "How long an adapter handled its messages, in seconds";
        scrape.summary("choria_adapter_time", help, &labels, count, time.as_secs_f64());
    }
    let labels = [("name", counts.name.as_str()), ("identity", identity)];
    let help = "Messages that wait in an adapter";
    scrape.gauge("choria_adapter_queue_length", help, &labels, counts.queued() as f64);
    let help = "Most messages that wait in an adapter";
    scrape.gauge("choria_adapter_queue_capacity", help, &labels, counts.capacity as f64);
}

/// `choria_network_*` with the help texts of the original.
fn network(figures: &Figures, identity: &str, scrape: &mut Scrape) {
    let varz = &figures.server;
    let gauges = [
        ("choria_network_connections", "Current connections on the network broker", varz.connections),
        ("choria_network_total_connections", "Total connections received since start", varz.total_connections),
        ("choria_network_routes", "Current active routes to other brokers", varz.routes),
        ("choria_network_remotes", "Current active connections to other brokers", varz.remotes),
        ("choria_network_leafnode_remotes", "Current active connections to other leafnodes", varz.leafnodes),
        ("choria_network_in_msgs", "Messages received by the network broker", varz.in_msgs),
        ("choria_network_out_msgs", "Messages sent by the network broker", varz.out_msgs),
        ("choria_network_in_bytes", "Total size of messages received by the network broker", varz.in_bytes),
        ("choria_network_out_bytes", "Total size of messages sent by the network broker", varz.out_bytes),
        (
            "choria_network_slow_consumers",
            "Total number of clients who were considered slow consumers",
            varz.slow_consumers,
        ),
        (
            "choria_network_subscriptions",
            "Number of active subscriptions to subjects on this broker",
            varz.subscriptions,
        ),
    ];
    for (name, help, value) in gauges {
        scrape.gauge(name, help, &[("identity", identity)], value as f64);
    }
}

/// `choria_network_stream_*`. A limit below 0 is none, as nats-server says it.
fn streams(figures: &Figures, identity: &str, scrape: &mut Scrape) {
    let jsz = &figures.streams;
    let gauges = [
        (
            "memorystore_max",
            "Maximum amount of Memory Storage allocated to Choria Streams",
            jsz.config.max_memory as f64,
        ),
        ("filestore_max", "Maximum amount of File Storage allocated to Choria Streams", jsz.config.max_storage as f64),
        ("memorystore_used", "Memory in use by Choria Streams", jsz.memory as f64),
        ("filestore_used", "File Storage in use by Choria Streams", jsz.storage as f64),
        ("streams", "Number of active streams", jsz.streams as f64),
        ("consumers", "Number of active consumers", jsz.consumers as f64),
        ("messages", "Number of messages stored", jsz.messages as f64),
        ("message_bytes", "Size in bytes of messages stored", jsz.bytes as f64),
    ];
    for (name, help, value) in gauges {
        scrape.gauge(&format!("choria_network_stream_{name}"), help, &[("identity", identity)], value);
    }
}

/// `choria_network_leafnode_*` of one connection.
fn leaf_node(leaf: &Leaf, identity: &str, scrape: &mut Scrape) {
    let port = leaf.port.to_string();
    let labels = [("identity", identity), ("host", &leaf.ip), ("port", &port), ("account", &leaf.account)];
    let gauges = [
        ("in_msgs", "Messages received over the leafnode connection", leaf.in_msgs),
        ("out_msgs", "Messages sent over the leafnode connection", leaf.out_msgs),
        ("in_bytes", "Bytes received over the leafnode connection", leaf.in_bytes),
        ("out_bytes", "Total size of messages sent over the leafnode connection", leaf.out_bytes),
        ("subscriptions", "Number of active subscriptions to subjects on this leafnode", leaf.subscriptions),
    ];
    for (name, help, value) in gauges {
        scrape.gauge(&format!("choria_network_leafnode_{name}"), help, &labels, value as f64);
    }
    if let Some(milliseconds) = whole_milliseconds(&leaf.rtt) {
        let help = "RTT for the Leafnode connection";
        scrape.gauge("choria_network_leafnode_rtt_ms", help, &labels, milliseconds as f64);
    }
}

/// The original knows round-trip times in whole milliseconds only, and leaves out what has a fraction.
fn whole_milliseconds(text: &str) -> Option<u32> {
    text.strip_suffix("ms")?.parse().ok()
}

fn token_expiry(file: &Path) -> Option<SystemTime> {
    let token = tokens::read_token(file).ok()?;
    if tokens::purpose_of(&token) == Ok(Purpose::Client) {
        tokens::read_client(&token).ok()?.standard.expires
    } else {
        tokens::read_server(&token).ok()?.standard.expires
    }
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64().floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_with_fractions_are_left_out() {
        for (text, expected) in
            [("3ms", Some(3)), ("0ms", Some(0)), ("1.2ms", None), ("950µs", None), ("1s", None), ("", None)]
        {
            assert_eq!(whole_milliseconds(text), expected, "{text}");
        }
    }
    #[test]
    fn a_leaf_node_has_its_own_labels() {
        let page = r#"{"leafs":[{"name":"l","account":"choria","ip":"10.0.0.9","port":7422,"rtt":"3ms","in_msgs":1,
            "out_msgs":2,"in_bytes":3,"out_bytes":4,"subscriptions":5}]}"#;
        let leafs: serde_json::Value = serde_json::from_str(page).unwrap();
        let leaf: Leaf = serde_json::from_value(leafs["leafs"][0].clone()).unwrap();
        let mut scrape = Scrape::default();
        leaf_node(&leaf, "b1", &mut scrape);
        let text = String::from_utf8(scrape.encode()).unwrap();
        let labels = r#"{account="choria",host="10.0.0.9",identity="b1",port="7422"}"#;
        for (name, value) in
            [("in_msgs", 1), ("out_msgs", 2), ("in_bytes", 3), ("out_bytes", 4), ("subscriptions", 5), ("rtt_ms", 3)]
        {
            assert!(text.contains(&format!("choria_network_leafnode_{name}{labels} {value}\n")), "{name} in\n{text}");
        }
    }
}
