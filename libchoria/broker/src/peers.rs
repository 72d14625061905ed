//! Who the other members of the cluster are: DNS first, then the configuration (spec 01 §10).

use crate::settings::PeerSettings;
use network::{SearchError, ServerAddress, ServiceLookup};
use std::time::Duration;

/// The members, itself perhaps among them; empty for a broker alone. Asked once: nats-server started again by itself
/// meets the same members, and does not wait for DNS.
pub(crate) async fn find(settings: &PeerSettings, lookup: &impl ServiceLookup) -> Vec<ServerAddress> {
    let mut asked = "SRV lookup is switched off by plugin.choria.use_srv".to_owned();
    if let Some(search) = &settings.search {
        match tokio::time::timeout(LONGEST_LOOKUP, search.find(lookup)).await {
            Ok(Ok(found)) => {
                tracing::info!("members of the cluster by SRV records: {}", listed(&found));
                return found;
            }
            Ok(Err(SearchError::Nothing { asked: answer, .. })) => asked = answer,
            Ok(Err(error)) => asked = error.to_string(),
            Err(_) => asked = format!("DNS did not answer within {} s", LONGEST_LOOKUP.as_secs()),
        }
    }
    if !settings.configured.is_empty() {
        tracing::info!("members of the cluster by plugin.choria.network.peers: {}", listed(&settings.configured));
    } else if settings.port_is_set || settings.login.is_some() {
        tracing::warn!(
            "this broker is alone although its cluster is configured: plugin.choria.network.peers is not set and {asked}"
        );
    } else {
        tracing::debug!("this broker is alone: plugin.choria.network.peers is not set and {asked}");
    }
    settings.configured.clone()
}

fn listed(addresses: &[ServerAddress]) -> String {
    addresses.iter().map(|address| format!("{}:{}", address.host(), address.port())).collect::<Vec<_>>().join(", ")
}

/// DNS that does not answer must not keep a broker from serving; a cluster found later needs a restart.
const LONGEST_LOOKUP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use network::{LookupError, Search, ServiceRecord};

    struct Table(&'static [(&'static str, u16)]);

    impl ServiceLookup for Table {
        async fn lookup(&self, name: &str) -> Result<Vec<ServiceRecord>, LookupError> {
            assert_eq!(name, "_mcollective-broker._tcp.example.net");
            let record = |(target, port): &(&str, u16)| ServiceRecord {
                target: (*target).to_owned(),
                port: *port,
                priority: 0,
                weight: 0,
            };
            Ok(self.0.iter().map(record).collect())
        }
    }

    #[tokio::test]
    async fn records_come_before_the_configuration() {
        let search = || Some(Search::peers(Some("example.net".to_owned())));
        const B1: &[(&str, u16)] = &[("b1", 5222)];
        let rows = [
            ("records win", search(), B1, &["c1:5222"][..], &["b1:5222"][..]),
            ("no records", search(), &[][..], &["c1:5222", "c2:5222"][..], &["c1:5222", "c2:5222"][..]),
            ("switched off", None, B1, &["c1:5222"][..], &["c1:5222"][..]),
            ("nothing", search(), &[][..], &[][..], &[][..]),
        ];
        for (name, search, records, configured, expected) in rows {
            let settings = PeerSettings {
                cluster_name: "CHORIA".to_owned(),
                port: 5222,
                port_is_set: false,
                login: None,
                configured: network::parse_addresses(configured).unwrap(),
                search,
                tls: None,
            };
            let found = find(&settings, &Table(records)).await;
            let found: Vec<_> = found.iter().map(|address| format!("{}:{}", address.host(), address.port())).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
}
