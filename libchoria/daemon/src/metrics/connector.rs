//! The metrics of the connector, which server and broker have in common.

use super::scrape::Scrape;
use network::ConnectorCounts;

impl Scrape {
    /// `choria_connector_*`, which have no labels, and `choria_dns_srv_*`. Answers of DNS are not kept here, so every
    /// look-up is a miss.
    pub fn connector(&mut self, counts: &ConnectorCounts, identity: &str) {
        let counters = [
            (
                "initial_connection_attempts",
                "How many connection attempts were made before a connection was established",
                counts.initial_attempts,
            ),
            ("reconnections", "Number of times the connector reconnected to the middleware", counts.reconnections),
            ("connection_closed", "Number of times the connection was closed", counts.closed),
            ("errors", "Number of times the connection encountered an error", counts.errors),
        ];
        for (name, help, value) in counters {
            self.counter(&format!("choria_connector_{name}"), help, &[], value);
        }
        let help = "How long it took to establish the initial connection";
        let seconds = counts.initial_connect_time.as_secs_f64();
        self.summary("choria_connector_initial_connect_time", help, &[], counts.initial_connections, seconds);
        let labels = [("identity", identity)];
        let help = "Number of attempts to return that hung and were given up";
        self.counter("choria_connector_hung_attempts", help, &labels, counts.hung);
        let help = "Number of messages dropped because they arrived faster than they were handled";
        self.counter("choria_connector_dropped_messages", help, &labels, counts.dropped_messages);
        let lookups = [
            ("choria_dns_srv_lookups", "Number of SRV queries performed", counts.lookups),
            ("choria_dns_srv_cachehits", "Number of SRV lookups served from the cache", 0),
            ("choria_dns_srv_cachemiss", "Number of SRV cache lookup misses", counts.lookups),
        ];
        for (name, help, value) in lookups {
            self.counter(name, help, &labels, value);
        }
    }
}
