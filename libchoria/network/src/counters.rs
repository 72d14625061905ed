//! What happened to all connections of one role, counted (spec 04 §2.4): more than one connection follow each other when one
//! is given up.

use crate::srv::{LookupError, ServiceLookup, ServiceRecord};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters that connections add to; share one with every connection that is to be counted.
#[derive(Debug, Default)]
pub struct Counters {
    attempts: AtomicU64,
    connections: AtomicU64,
    connect_micros: AtomicU64,
    reconnections: AtomicU64,
    closed: AtomicU64,
    errors: AtomicU64,
    hung: AtomicU64,
    dropped_messages: AtomicU64,
    lookups: AtomicU64,
}

/// The counters at one moment; the names of the metrics stand beside the fields.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConnectorCounts {
    /// `choria_connector_initial_connection_attempts`: attempts until the first success.
    pub initial_attempts: u64,
    /// Connections that came about at the first go or after having been given up; the count of
    /// `choria_connector_initial_connect_time`.
    pub initial_connections: u64,
    /// Their times from the first attempt to the success; the sum of `choria_connector_initial_connect_time`.
    pub initial_connect_time: Duration,
    /// `choria_connector_reconnections`: lost connections that returned.
    pub reconnections: u64,
    /// `choria_connector_connection_closed`: connections that were lost or closed.
    pub closed: u64,
    /// `choria_connector_errors`: what brokers complained of, and failed attempts to return.
    pub errors: u64,
    /// Attempts to return that hung and were given up.
    pub hung: u64,
    /// Messages dropped because a subscription was full.
    pub dropped_messages: u64,
    /// `choria_dns_srv_lookups`: SRV names asked for. Answers are not kept, so each is asked of DNS.
    pub lookups: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Attempt,
    Reconnection,
    Closed,
    Error,
    Hung,
    Dropped,
    Lookup,
}

impl Counters {
    /// All values.
    #[must_use]
    pub fn counts(&self) -> ConnectorCounts {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectorCounts {
            initial_attempts: value(&self.attempts),
            initial_connections: value(&self.connections),
            initial_connect_time: Duration::from_micros(value(&self.connect_micros)),
            reconnections: value(&self.reconnections),
            closed: value(&self.closed),
            errors: value(&self.errors),
            hung: value(&self.hung),
            dropped_messages: value(&self.dropped_messages),
            lookups: value(&self.lookups),
        }
    }

    pub(crate) fn add(&self, what: Count) {
        let counter = match what {
            Count::Attempt => &self.attempts,
            Count::Reconnection => &self.reconnections,
            Count::Closed => &self.closed,
            Count::Error => &self.errors,
            Count::Hung => &self.hung,
            Count::Dropped => &self.dropped_messages,
            Count::Lookup => &self.lookups,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connected(&self, time: Duration) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connect_micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Counts what is asked of another lookup.
pub(crate) struct Counted<'a, L>(pub(crate) &'a Counters, pub(crate) L);

impl<L: ServiceLookup> ServiceLookup for Counted<'_, L> {
    async fn lookup(&self, name: &str) -> Result<Vec<ServiceRecord>, LookupError> {
        self.0.add(Count::Lookup);
        self.1.lookup(name).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Search;

    struct Empty;

    impl ServiceLookup for Empty {
        async fn lookup(&self, name: &str) -> Result<Vec<ServiceRecord>, LookupError> {
            Err(LookupError { name: name.to_owned(), reason: "none".to_owned() })
        }
    }

    #[tokio::test]
    async fn each_name_that_is_asked_counts() {
        let counters = Counters::default();
        let search = Search::brokers(Vec::new(), true, Some("example.net".to_owned()));
        assert!(search.find(&Counted(&counters, Empty)).await.is_ok(), "the last resort");
        assert_eq!(counters.counts().lookups, 2);
    }
}
