//! Counters of one server (spec 02 §9): handed in, never global, since thousands of servers may share a process.

use protocol::{Counter as ProtocolCounter, Version};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counter {
    /// Messages received.
    Total,
    /// Requests that passed every check.
    Validated,
    /// Messages that could not be read or verified, or name a collective this server is not in.
    Unvalidated,
    /// Requests whose filter matched.
    Passed,
    /// Requests whose filter did not match.
    Filtered,
    /// Replies, counted when they are handed to the connection, even if that fails.
    Replies,
    /// Requests that matched but were too old, or from too far in the future.
    TtlExpired,
    /// Lifecycle events published.
    Events,
    /// Requests that were served already, or cannot be told from such.
    Replayed,
    /// Requests whose id made room for a newer one while they still counted.
    Displaced,
    /// Requests that took longer than their agent's timeout and were ended.
    TimedOut,
    /// Calls that the authorization refused.
    Denied,
    /// Those of them that no policy could decide about.
    PolicyFaults,
    /// Calls that were carried out without their audit line.
    Unaudited,
    /// Replies that the connection did not take.
    Unsent,
}

/// The counters of one server and when it last accepted a request.
#[derive(Debug, Default)]
pub struct Stats {
    counters: [AtomicU64; Counter::ALL.len()],
    /// Requests that are being answered.
    running: AtomicU64,
    /// By version, then by counter.
    protocol: [[AtomicU64; 4]; 2],
    /// Unix seconds; 0 is never.
    last_accepted: AtomicU64,
    /// That something came.
    arrival: Notify,
}

/// The counters at one moment. As JSON they are what the status file holds (spec 04 §4.3), without our own ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// [`Counter::Total`].
    pub total: u64,
    /// [`Counter::Validated`].
    pub valid: u64,
    /// [`Counter::Unvalidated`].
    pub invalid: u64,
    /// [`Counter::Passed`].
    pub passed: u64,
    /// [`Counter::Filtered`].
    pub filtered: u64,
    /// [`Counter::Replies`].
    pub replies: u64,
    /// [`Counter::TtlExpired`].
    #[serde(rename = "ttlexpired")]
    pub ttl_expired: u64,
    /// [`Counter::Events`].
    pub events: u64,
    /// [`Counter::Replayed`].
    #[serde(skip)]
    pub replayed: u64,
    /// [`Counter::Displaced`].
    #[serde(skip)]
    pub displaced: u64,
    /// [`Counter::TimedOut`].
    #[serde(skip)]
    pub timed_out: u64,
    /// [`Counter::Denied`].
    #[serde(skip)]
    pub denied: u64,
    /// [`Counter::PolicyFaults`].
    #[serde(skip)]
    pub policy_faults: u64,
    /// [`Counter::Unaudited`].
    #[serde(skip)]
    pub unaudited: u64,
    /// [`Counter::Unsent`].
    #[serde(skip)]
    pub unsent: u64,
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Total,
        Self::Validated,
        Self::Unvalidated,
        Self::Passed,
        Self::Filtered,
        Self::Replies,
        Self::TtlExpired,
        Self::Events,
        Self::Replayed,
        Self::Displaced,
        Self::TimedOut,
        Self::Denied,
        Self::PolicyFaults,
        Self::Unaudited,
        Self::Unsent,
    ];

    /// What the metric says of itself; the first eight are the words of the original.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Total => "Total number of messages received from the network",
            Self::Validated => "Number of messages that were received and validated successfully",
            Self::Unvalidated => "Number of messages that were received but did not pass validation",
            Self::Passed => "Number of messages where this instance matched the filter expression",
            Self::Filtered => "Number of messages where this instance did not match the filter expression",
            Self::Replies => "Number of reply messages that were produced",
            Self::TtlExpired => "Number of messages received that were too old and dropped",
            Self::Events => "Number of lifecycle events that were published by this instance",
            Self::Replayed => "Number of requests refused because they were served already",
            Self::Displaced => "Number of request ids forgotten early because too many came",
            Self::TimedOut => "Number of requests ended because their agent took too long",
            Self::Denied => "Number of calls that the authorization refused",
            Self::PolicyFaults => "Number of calls refused because no policy could decide about them",
            Self::Unaudited => "Number of calls whose audit line could not be written",
            Self::Unsent => "Number of replies that the connection did not take",
        }
    }

    /// The name of the metric.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Total => "choria_server_total",
            Self::Validated => "choria_server_validated",
            Self::Unvalidated => "choria_server_unvalidated",
            Self::Passed => "choria_server_passed",
            Self::Filtered => "choria_server_filtered",
            Self::Replies => "choria_server_replies",
            Self::TtlExpired => "choria_server_ttlexpired",
            Self::Events => "choria_server_events",
            Self::Replayed => "choria_server_replayed",
            Self::Displaced => "choria_server_replay_ids_displaced",
            Self::TimedOut => "choria_server_timed_out",
            Self::Denied => "choria_server_denied",
            Self::PolicyFaults => "choria_server_policy_faults",
            Self::Unaudited => "choria_server_unaudited",
            Self::Unsent => "choria_server_unsent_replies",
        }
    }
}

impl Stats {
    /// Adds one.
    pub fn count(&self, counter: Counter) {
        self.counters[counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn value(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// Adds one to a counter of the protocol.
    pub fn count_protocol(&self, version: Version, counter: ProtocolCounter) {
        self.protocol[version as usize][counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The value of a counter of the protocol.
    #[must_use]
    pub fn protocol(&self, version: Version, counter: ProtocolCounter) -> u64 {
        self.protocol[version as usize][counter as usize].load(Ordering::Relaxed)
    }

    /// Says how many requests are being answered now.
    pub(crate) fn set_running(&self, count: usize) {
        self.running.store(count as u64, Ordering::Relaxed);
    }

    /// How many requests are being answered.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// All values.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            total: self.value(Counter::Total),
            valid: self.value(Counter::Validated),
            invalid: self.value(Counter::Unvalidated),
            passed: self.value(Counter::Passed),
            filtered: self.value(Counter::Filtered),
            replies: self.value(Counter::Replies),
            ttl_expired: self.value(Counter::TtlExpired),
            events: self.value(Counter::Events),
            replayed: self.value(Counter::Replayed),
            displaced: self.value(Counter::Displaced),
            timed_out: self.value(Counter::TimedOut),
            denied: self.value(Counter::Denied),
            policy_faults: self.value(Counter::PolicyFaults),
            unaudited: self.value(Counter::Unaudited),
            unsent: self.value(Counter::Unsent),
        }
    }

    /// Records that a request was accepted at `now`.
    pub fn accepted(&self, now: SystemTime) {
        let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        self.last_accepted.store(seconds, Ordering::Relaxed);
        self.arrival.notify_one();
    }

    /// Completes once a request was accepted since it completed last; for one waiter.
    pub async fn arrived(&self) {
        self.arrival.notified().await;
    }

    /// When a request was last accepted, in unix seconds; `None` if never.
    #[must_use]
    pub fn last_accepted(&self) -> Option<u64> {
        Some(self.last_accepted.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_has_its_own_place_and_name() {
        let stats = Stats::default();
        let all = [
            (Counter::Total, "choria_server_total"),
            (Counter::Validated, "choria_server_validated"),
            (Counter::Unvalidated, "choria_server_unvalidated"),
            (Counter::Passed, "choria_server_passed"),
            (Counter::Filtered, "choria_server_filtered"),
            (Counter::Replies, "choria_server_replies"),
            (Counter::TtlExpired, "choria_server_ttlexpired"),
            (Counter::Events, "choria_server_events"),
            (Counter::Replayed, "choria_server_replayed"),
            (Counter::Displaced, "choria_server_replay_ids_displaced"),
            (Counter::TimedOut, "choria_server_timed_out"),
            (Counter::Denied, "choria_server_denied"),
            (Counter::PolicyFaults, "choria_server_policy_faults"),
            (Counter::Unaudited, "choria_server_unaudited"),
            (Counter::Unsent, "choria_server_unsent_replies"),
        ];
        assert_eq!(all.map(|(counter, _)| counter), Counter::ALL);
        for (times, (counter, metric)) in all.into_iter().enumerate() {
            (0..=times).for_each(|_| stats.count(counter));
            assert_eq!(counter.metric(), metric);
        }
        let counts = stats.counts();
        let denied = [counts.denied, counts.policy_faults];
        assert_eq!(denied, [12, 13]);
        let own = [counts.replayed, counts.displaced, counts.timed_out, counts.unaudited, counts.unsent];
        assert_eq!(own, [9, 10, 11, 14, 15]);
        let json = serde_json::to_string(&counts).expect("JSON");
        assert_eq!(
            json,
            r#"{"total":1,"valid":2,"invalid":3,"passed":4,"filtered":5,"replies":6,"ttlexpired":7,"events":8}"#
        );
    }

    #[test]
    fn never_is_not_1970() {
        let stats = Stats::default();
        assert_eq!(stats.last_accepted(), None);
        stats.accepted(SystemTime::UNIX_EPOCH + Duration::from_secs(5));
        assert_eq!(stats.last_accepted(), Some(5));
    }
}
