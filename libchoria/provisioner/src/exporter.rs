//! The metrics of a provisioner (spec 06 §6), asked for at each scrape: those of the original with its names and its label
//! `site`, and our own.

use crate::counts::{Ask, Counter, Counts};
use crate::election::Campaigns;
use crate::live::Live;
use daemon::metrics::{METRICS_PAGE, Scrape};
use network::Counters;
use std::sync::Arc;

/// What a provisioner tells on its endpoint.
#[derive(Debug)]
pub(crate) struct Exporter {
    pub(crate) counts: Arc<Counts>,
    pub(crate) live: Arc<Live>,
    pub(crate) campaigns: Arc<Campaigns>,
    pub(crate) connector: Arc<Counters>,
    pub(crate) site: String,
    pub(crate) identity: String,
    pub(crate) leader_election: bool,
}

impl daemon::metrics::Exporter for Exporter {
    async fn export(&self, scrape: &mut Scrape) {
        let labels = [("site", self.site.as_str())];
        for counter in Counter::ALL {
            let (name, help) = counter.metric();
            scrape.counter(name, help, &labels, self.counts.value(counter));
        }
        for ask in Ask::ALL {
            let labels = [("site", self.site.as_str()), ("rpc", ask.name())];
            let (count, seconds) = self.counts.calls(ask);
            scrape.summary("choria_provisioner_rpc_time", "How long calls to nodes took", &labels, count, seconds);
            let help = "Calls to nodes given up after all tries";
            scrape.counter("choria_provisioner_rpc_errors", help, &labels, self.counts.call_errors(ask));
        }
        let (count, seconds) = self.counts.helper();
        scrape.summary("choria_provisioner_helper_time", "How long the helper took", &labels, count, seconds);
        let mut gauge = |name, help, value: usize| scrape.gauge(name, help, &labels, value as f64);
        gauge("choria_provisioner_busy_workers", "Nodes being provisioned", self.live.busy());
        gauge("choria_provisioner_work_queue_entries", "Nodes waiting for a worker", self.live.waiting());
        let help = "Nodes known: waiting, being provisioned, restarting or left alone for a while";
        gauge("choria_provisioner_waiting_nodes", help, self.live.known());
        let help = "Whether another provisioner is the leader";
        gauge("choria_provisioner_paused", help, usize::from(self.live.is_paused()));
        if self.leader_election {
            self.election(scrape);
        }
        scrape.connector(&self.connector.counts(), &self.identity);
    }

    /// Where the original serves its metrics.
    fn pages(&self) -> &'static [&'static str] {
        &[METRICS_PAGE]
    }
}

impl Exporter {
    /// `choria_election_*` (spec 08 §6).
    fn election(&self, scrape: &mut Scrape) {
        let labels = [("election", "provisioner"), ("identity", self.identity.as_str())];
        let leads = f64::from(!self.live.is_paused());
        scrape.gauge("choria_election_leader", "Whether this is the leader of the election", &labels, leads);
        let Some(counts) = self.campaigns.counts() else { return };
        for (state, value) in [("candidate", counts.as_candidate()), ("leader", counts.as_leader())] {
            let labels = [labels[0], labels[1], ("state", state)];
            scrape.counter("choria_election_campaigns", "Campaigns and renewals made", &labels, value);
        }
        let seconds = counts.interval().as_secs_f64();
        scrape.gauge("choria_election_interval_seconds", "The wait after the last campaign", &labels, seconds);
    }
}
