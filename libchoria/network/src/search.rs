//! Which brokers to try: configured hosts, SRV records, the last resort, in that order (spec 02 §14, 04 §1.5).

use crate::address::{InvalidAddress, Scheme, ServerAddress};
use crate::srv::{LookupError, ServiceLookup, in_order_of_use};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// How to find the listeners of one purpose.
#[derive(Clone, Debug)]
pub struct Search {
    /// Addresses from the configuration; when there are any, nothing else is asked.
    pub configured: Vec<ServerAddress>,
    /// SRV names without a domain, the first that has records wins. Empty: SRV is not asked.
    pub service_names: &'static [&'static str],
    /// Domain of the SRV names; `None` asks Facter for `networking.domain`.
    pub domain: Option<String>,
    /// Used when neither configuration nor SRV gave an address.
    pub fallback: Option<ServerAddress>,
}

/// Where to connect: addresses known now, or a search repeated before every first connection attempt.
#[derive(Clone, Debug)]
pub enum Servers {
    /// Exactly these.
    Fixed(Vec<ServerAddress>),
    /// Whatever the search finds at the time.
    Search(Arc<Search>),
}

/// No address of a broker is known.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SearchError {
    /// Neither configured nor found: says what was tried.
    #[error("no broker address is known: {configure} is not set and {asked}")]
    Nothing {
        /// The configuration key that would have settled it.
        configure: &'static str,
        /// What became of the SRV lookup.
        asked: String,
    },
    /// A list of servers was given and it is empty.
    #[error("the list of brokers is empty: give at least one host:port")]
    Empty,
}

/// SRV names of brokers.
pub(crate) const BROKER_SERVICES: &[&str] = &["_mcollective-server._tcp", "_x-puppet-mcollective._tcp"];
/// SRV names of brokers that serve federated clients.
pub(crate) const FEDERATION_SERVICES: &[&str] =
    &["_mcollective-federation_server._tcp", "_x-puppet-mcollective_federation._tcp"];
/// SRV name of the brokers of a cluster, for each other.
pub(crate) const PEER_SERVICES: &[&str] = &["_mcollective-broker._tcp"];
/// SRV name of brokers that unprovisioned servers connect to.
pub(crate) const PROVISIONER_SERVICES: &[&str] = &["_choria-provisioner._tcp"];

impl Search {
    /// Brokers of this collective: `hosts`, SRV in `domain`, then `nats://puppet:4222`.
    #[must_use]
    pub fn brokers(configured: Vec<ServerAddress>, use_srv: bool, domain: Option<String>) -> Self {
        let service_names = if use_srv { BROKER_SERVICES } else { &[] };
        let fallback = Some(ServerAddress::new(Scheme::Nats, "puppet", 4222));
        Self { configured, service_names, domain, fallback }
    }

    /// Brokers for a federated client: `hosts`, then SRV; there is no last resort.
    #[must_use]
    pub fn federation(configured: Vec<ServerAddress>, use_srv: bool, domain: Option<String>) -> Self {
        let service_names = if use_srv { FEDERATION_SERVICES } else { &[] };
        Self { configured, service_names, domain, fallback: None }
    }

    /// Brokers that accept unprovisioned servers: URLs or the SRV domain of the provisioning token.
    #[must_use]
    pub fn provisioning(configured: Vec<ServerAddress>, domain: Option<String>) -> Self {
        let service_names = if domain.is_some() { PROVISIONER_SERVICES } else { &[] };
        Self { configured, service_names, domain, fallback: None }
    }

    /// The members of a broker's cluster, by SRV alone.
    #[must_use]
    pub fn peers(domain: Option<String>) -> Self {
        Self { configured: Vec::new(), service_names: PEER_SERVICES, domain, fallback: None }
    }

    /// The addresses to try, in order. A failed SRV lookup is logged and passed over while there is a fallback.
    ///
    /// # Errors
    /// [`SearchError`] when nothing gave an address.
    pub async fn find(&self, lookup: &impl ServiceLookup) -> Result<Vec<ServerAddress>, SearchError> {
        if !self.configured.is_empty() {
            return Ok(self.configured.clone());
        }
        let asked = match self.ask(lookup).await {
            Ok(found) => return Ok(found),
            Err(asked) => asked,
        };
        match &self.fallback {
            Some(fallback) => {
                tracing::warn!(fallback = %fallback, "{asked}; using the default broker address");
                Ok(vec![fallback.clone()])
            }
            None => Err(SearchError::Nothing { configure: self.configure_key(), asked }),
        }
    }

    /// SRV records of the first name that has any; otherwise a sentence about what was asked in vain.
    async fn ask(&self, lookup: &impl ServiceLookup) -> Result<Vec<ServerAddress>, String> {
        if self.service_names.is_empty() {
            return Err("SRV lookup is switched off".to_owned());
        }
        let domain = match &self.domain {
            Some(domain) => domain.clone(),
            None => facter_domain().await?,
        };
        let mut failures: Vec<LookupError> = Vec::new();
        for service in self.service_names {
            match lookup.lookup(&format!("{service}.{domain}")).await {
                Ok(records) if !records.is_empty() => {
                    let ordered = in_order_of_use(records, rand::random);
                    let addresses = ordered.into_iter().map(|record| {
                        ServerAddress::new(Scheme::Nats, record.target.trim_end_matches('.'), record.port)
                    });
                    return Ok(addresses.collect());
                }
                Ok(_) => {
                    failures.push(LookupError { name: format!("{service}.{domain}"), reason: "empty answer".into() })
                }
                Err(error) => failures.push(error),
            }
        }
        Err(failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    fn configure_key(&self) -> &'static str {
        match self.service_names {
            names if names == FEDERATION_SERVICES => "plugin.choria.federation_middleware_hosts",
            names if names == PEER_SERVICES => "plugin.choria.network.peers",
            names if names == PROVISIONER_SERVICES => "a broker URL in the provisioning token",
            _ => "plugin.choria.middleware_hosts",
        }
    }
}

impl Servers {
    /// The addresses to try now.
    ///
    /// # Errors
    /// As [`Search::find`].
    pub async fn find(&self, lookup: &impl ServiceLookup) -> Result<Vec<ServerAddress>, SearchError> {
        match self {
            Self::Fixed(addresses) => Ok(addresses.clone()),
            Self::Search(search) => search.find(lookup).await,
        }
    }
}

/// Reads a list as `plugin.choria.middleware_hosts` holds it, already split at its commas.
///
/// # Errors
/// The first entry that is not an address.
pub fn parse_addresses<T: AsRef<str>>(texts: &[T]) -> Result<Vec<ServerAddress>, InvalidAddress> {
    texts.iter().map(AsRef::as_ref).filter(|text| !text.trim().is_empty()).map(str::parse).collect()
}

/// Facter is a program of another project and may hang; two seconds are its usual run time.
const FACTER_LIMIT: Duration = Duration::from_secs(10);

/// The domain Facter reports, or a sentence that says why there is none.
async fn facter_domain() -> Result<String, String> {
    let packaged = Path::new("/opt/puppetlabs/bin/facter");
    let program = if packaged.exists() { packaged } else { Path::new("facter") };
    let mut command = Command::new(program);
    command.arg("networking.domain").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let configure = "set plugin.choria.srv_domain to use SRV records";
    match tokio::time::timeout(FACTER_LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            let domain = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if domain.is_empty() { Err(format!("Facter knows no domain, {configure}")) } else { Ok(domain) }
        }
        Ok(Ok(output)) => Err(format!("Facter failed ({}), {configure}", output.status)),
        Ok(Err(error)) => Err(format!("the SRV domain is unknown (could not run Facter: {error}), {configure}")),
        Err(_elapsed) => Err(format!("Facter did not answer in {} s, {configure}", FACTER_LIMIT.as_secs())),
    }
}
