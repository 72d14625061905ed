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

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::metrics::Exporter as _;
    use std::collections::BTreeMap;
    use std::path::Path;

    fn exporter(counts: Counts) -> Exporter {
        Exporter {
            counts: Arc::new(counts),
            live: Arc::default(),
            campaigns: Arc::default(),
            connector: Arc::default(),
            site: "testing".to_owned(),
            identity: "p1".to_owned(),
            leader_election: true,
        }
    }

    async fn scrape(exporter: &Exporter) -> String {
        let mut scrape = Scrape::default();
        exporter.export(&mut scrape).await;
        String::from_utf8(scrape.encode()).expect("UTF-8")
    }

    #[tokio::test]
    async fn every_metric_is_explained_and_every_explained_one_is_exported() {
        let exporter = exporter(Counts::default());
        exporter.campaigns.keep(Arc::default());
        let text = scrape(&exporter).await;
        let ours = |name: &str| name.starts_with("choria_provisioner_") || name.starts_with("choria_election_");
        let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let exported: BTreeMap<&str, &str> = lines.filter(|(name, _)| ours(name)).collect();

        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../daemons/monitoring/README.md");
        let readme = std::fs::read_to_string(path).expect("the table of metrics");
        let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let rows = rows.filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0)));
        let explained: BTreeMap<&str, &str> = rows.filter(|(name, _)| ours(name)).collect();
        assert_eq!(exported, explained);
    }

    #[tokio::test]
    async fn values_are_those_of_the_counts() {
        let counts = Counts::default();
        counts.add(Counter::Provisioned);
        counts.add_call(Ask::Jwt, std::time::Duration::from_millis(250));
        let exporter = exporter(counts);
        exporter.live.set(3, 2, 9);
        let text = scrape(&exporter).await;
        for line in [
            "choria_provisioner_provisioned{site=\"testing\"} 1",
            "choria_provisioner_rpc_time_sum{rpc=\"choria_provision#jwt\",site=\"testing\"} 0.25",
            "choria_provisioner_work_queue_entries{site=\"testing\"} 3",
            "choria_provisioner_busy_workers{site=\"testing\"} 2",
            "choria_provisioner_waiting_nodes{site=\"testing\"} 9",
            "choria_election_leader{election=\"provisioner\",identity=\"p1\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }
}
