//! What is counted, for the metrics (spec 06 §6).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A call that is made to nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    /// The provisioning token.
    Jwt,
    /// A new ed25519 key.
    Gen25519,
    /// Facts and more.
    Inventory,
    /// A new RSA key and its signing request.
    GenCsr,
    /// Other software.
    ReleaseUpdate,
    /// The configuration.
    Configure,
    /// A restart.
    Restart,
    /// The end.
    Shutdown,
}

/// A thing that is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counter {
    /// Runs of the helper that brought no usable answer.
    HelperErrors,
    /// Nodes that were shut down.
    Shutdowns,
    /// Nodes added by discovery.
    Discovered,
    /// Nodes added because they announced themselves.
    EventDiscovered,
    /// Discoveries.
    DiscoverCycles,
    /// Discoveries that could not be made.
    DiscoveryErrors,
    /// Nodes that were not provisioned, deferred ones among them.
    ProvisionErrors,
    /// Nodes that were provisioned, upgraded or shut down.
    Provisioned,
    /// Nodes for which the helper decides later.
    Deferred,
    /// Nodes that waited for too long.
    Stale,
    /// Nodes for which there was no room.
    Refused,
    /// Events that could not be read.
    BadEvents,
    /// Replies that answer nothing that was asked, or come from another node than the one that was asked.
    IgnoredReplies,
}

/// All counters of a provisioner.
#[derive(Debug, Default)]
pub struct Counts {
    counters: [AtomicU64; Counter::ALL.len()],
    calls: [Timing; Ask::ALL.len()],
    call_errors: [AtomicU64; Ask::ALL.len()],
    helper: Timing,
}

/// How often something happened and how long it took in all.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    count: AtomicU64,
    microseconds: AtomicU64,
}

impl Ask {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Jwt,
        Self::Gen25519,
        Self::Inventory,
        Self::GenCsr,
        Self::ReleaseUpdate,
        Self::Configure,
        Self::Restart,
        Self::Shutdown,
    ];

    /// Agent and action.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jwt => "choria_provision#jwt",
            Self::Gen25519 => "choria_provision#gen25519",
            Self::Inventory => "rpcutil#inventory",
            Self::GenCsr => "choria_provision#gencsr",
            Self::ReleaseUpdate => "choria_provision#release_update",
            Self::Configure => "choria_provision#configure",
            Self::Restart => "choria_provision#restart",
            Self::Shutdown => "choria_provision#shutdown",
        }
    }

    /// The agent.
    #[must_use]
    pub fn agent(self) -> &'static str {
        self.name().split_once('#').map_or("", |(agent, _)| agent)
    }

    /// The action.
    #[must_use]
    pub fn action(self) -> &'static str {
        self.name().split_once('#').map_or("", |(_, action)| action)
    }

    /// How often it is tried.
    #[must_use]
    pub fn tries(self) -> u32 {
        match self {
            Self::GenCsr => 1,
            Self::Jwt | Self::ReleaseUpdate | Self::Restart | Self::Shutdown => 3,
            Self::Gen25519 | Self::Inventory | Self::Configure => 5,
        }
    }
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::HelperErrors,
        Self::Shutdowns,
        Self::Discovered,
        Self::EventDiscovered,
        Self::DiscoverCycles,
        Self::DiscoveryErrors,
        Self::ProvisionErrors,
        Self::Provisioned,
        Self::Deferred,
        Self::Stale,
        Self::Refused,
        Self::BadEvents,
        Self::IgnoredReplies,
    ];

    /// The metric's name and what it says.
    #[must_use]
    pub fn metric(self) -> (&'static str, &'static str) {
        match self {
            Self::HelperErrors => ("choria_provisioner_helper_errors", "Runs of the helper without a usable answer"),
            Self::Shutdowns => ("choria_provisioner_helper_shutdown_requests", "Nodes shut down for the helper"),
            Self::Discovered => ("choria_provisioner_discovered", "Nodes added by discovery"),
            Self::EventDiscovered => ("choria_provisioner_event_discovered", "Nodes added by their startup event"),
            Self::DiscoverCycles => ("choria_provisioner_discover_cycles", "Discoveries made"),
            Self::DiscoveryErrors => ("choria_provisioner_discovery_errors", "Discoveries that could not be made"),
            Self::ProvisionErrors => {
                ("choria_provisioner_provision_errors", "Nodes not provisioned, deferred ones included")
            }
            Self::Provisioned => {
                ("choria_provisioner_provisioned", "Nodes provisioned, upgraded or shut down successfully")
            }
            Self::Deferred => ("choria_provisioner_deferred", "Nodes deferred by the helper"),
            Self::Stale => ("choria_provisioner_discarded", "Nodes dropped because they waited for too long"),
            Self::Refused => ("choria_provisioner_refused", "Nodes not queued because too many are known"),
            Self::BadEvents => ("choria_provisioner_event_errors", "Startup events that could not be read"),
            Self::IgnoredReplies => {
                ("choria_provisioner_ignored_replies", "Replies that are not from the node that was asked")
            }
        }
    }
}

impl Counts {
    /// Counts one; the count after it.
    pub(crate) fn add(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a reply that is ignored.
    pub(crate) fn add_ignored_reply(&self) -> u64 {
        self.add(Counter::IgnoredReplies)
    }

    /// A call was tried.
    pub(crate) fn add_call(&self, ask: Ask, took: Duration) {
        self.calls[ask as usize].add(took);
    }

    /// A call was given up.
    pub(crate) fn add_call_error(&self, ask: Ask) {
        self.call_errors[ask as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The helper ran.
    pub(crate) fn add_helper(&self, took: Duration) {
        self.helper.add(took);
    }

    /// The value of a counter.
    #[must_use]
    pub fn value(&self, counter: Counter) -> u64 {
        self.counters[counter as usize].load(Ordering::Relaxed)
    }

    /// How often a call was tried, and the seconds it took in all.
    #[must_use]
    pub fn calls(&self, ask: Ask) -> (u64, f64) {
        self.calls[ask as usize].totals()
    }

    /// How often a call was given up.
    #[must_use]
    pub fn call_errors(&self, ask: Ask) -> u64 {
        self.call_errors[ask as usize].load(Ordering::Relaxed)
    }

    /// How often the helper ran, and the seconds it took in all.
    #[must_use]
    pub fn helper(&self) -> (u64, f64) {
        self.helper.totals()
    }
}

impl Timing {
    fn add(&self, took: Duration) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    fn totals(&self) -> (u64, f64) {
        let microseconds = self.microseconds.load(Ordering::Relaxed);
        (self.count.load(Ordering::Relaxed), microseconds as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_and_call_has_a_place_and_a_name_of_its_own() {
        for (number, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, number);
        }
        for (number, ask) in Ask::ALL.into_iter().enumerate() {
            assert_eq!(ask as usize, number);
            assert_eq!(format!("{}#{}", ask.agent(), ask.action()), ask.name());
        }
        let names: std::collections::BTreeSet<&str> = Counter::ALL.map(|counter| counter.metric().0).into();
        assert_eq!(names.len(), Counter::ALL.len());
    }

    #[test]
    fn calls_are_timed() {
        let counts = Counts::default();
        counts.add_call(Ask::Jwt, Duration::from_millis(1500));
        counts.add_call(Ask::Jwt, Duration::from_millis(500));
        assert_eq!((counts.calls(Ask::Jwt), counts.calls(Ask::Restart)), ((2, 2.0), (0, 0.0)));
    }
}
