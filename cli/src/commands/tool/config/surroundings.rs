//! What the report needs to know that is not in the configuration: credentials, brokers, facter.

use config::{Environment, Settings, SystemEnvironment, keys};
use network::{Dns, InvalidAddress, Search, ServerAddress, ServiceLookup};
use std::future::Future;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) security: Security,
    /// Nothing where facter is not installed.
    pub(super) facter: Option<Facter>,
    /// Addresses of PuppetDB.
    pub(super) puppet_db: String,
    /// Addresses of brokers, or why there are none.
    pub(super) brokers: String,
    /// Addresses of federation brokers, or why there are none; nothing when not federated.
    pub(super) federation: Option<String>,
}

/// Who this user is, and what is missing for it.
#[derive(Clone, Debug)]
pub(super) struct Security {
    pub(super) errors: Vec<String>,
    pub(super) caller: String,
    pub(super) certificate_name: String,
}

/// What facter says about this host.
#[derive(Clone, Debug)]
pub(super) struct Facter {
    pub(super) command: String,
    pub(super) domain: String,
    pub(super) name: String,
}

/// Looks around. Works without a network: what cannot be found in [`PATIENCE`] is said to be unknown.
///
/// # Errors
/// When no runtime can be made for the DNS lookups.
pub(super) fn find(settings: &Settings) -> std::io::Result<Surroundings> {
    let facter = facter(&SystemEnvironment);
    let domain = settings.get(keys::SRV_DOMAIN).map(str::to_owned);
    let domain = domain.or_else(|| facter.as_ref().map(|facter| facter.domain.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let uses_srv = settings.get(keys::USE_SRV) && domain.is_some();
    let search = |hosts: &[String], search: fn(Vec<ServerAddress>, bool, Option<String>) -> Search| {
        network::parse_addresses(hosts).map(|hosts| search(hosts, uses_srv, domain.clone()))
    };
    let brokers = search(settings.get(keys::MIDDLEWARE_HOSTS), Search::brokers);
    let federated = search(settings.get(keys::FEDERATION_MIDDLEWARE_HOSTS), Search::federation);
    let is_federated = !settings.get(keys::FEDERATION_COLLECTIVES).is_empty();
    let puppet_domain = domain.as_deref().filter(|_| uses_srv);
    Ok(runtime.block_on(async {
        let federation = if is_federated { Some(addresses(&federated).await) } else { None };
        let brokers = match &federation {
            Some(federation) => federation.clone(),
            None => addresses(&brokers).await,
        };
        let puppet_db = puppet_db(settings, puppet_domain, &Dns).await;
        Surroundings { security: security(settings, SystemTime::now()), facter, puppet_db, brokers, federation }
    }))
}

/// Who this user is: from the credentials where they are complete, else from the environment.
fn security(settings: &Settings, now: SystemTime) -> Security {
    let user = settings.user().unwrap_or("unknown");
    let certificate_name = settings.certificate_name().unwrap_or(user).to_owned();
    match security::Provider::from_settings(settings, security::Role::Client, now) {
        Ok(provider) => Security { errors: Vec::new(), caller: provider.caller().to_string(), certificate_name },
        Err(errors) => Security {
            errors: errors.list().iter().map(ToString::to_string).collect(),
            caller: format!("choria={certificate_name}"),
            certificate_name,
        },
    }
}

/// Asks facter, where it is installed.
fn facter(environment: &SystemEnvironment) -> Option<Facter> {
    let name = environment.fact("networking.fqdn")?;
    let packaged = "/opt/puppetlabs/bin/facter";
    let command = if Path::new(packaged).exists() { packaged } else { "facter" };
    let domain = environment.fact("networking.domain").unwrap_or_default();
    Some(Facter { command: command.to_owned(), domain, name })
}

/// The addresses that a search finds, or the reason why it finds none.
async fn addresses(search: &Result<Search, InvalidAddress>) -> String {
    let search = match search {
        Ok(search) => search,
        Err(error) => return error.to_string(),
    };
    match within(search.find(&Dns)).await {
        Some(Ok(addresses)) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Some(Err(error)) => error.to_string(),
        None => UNKNOWN.to_owned(),
    }
}

/// The addresses of PuppetDB: configured, from DNS, else `puppet`. Records of the Puppet Server have another port.
async fn puppet_db(settings: &Settings, domain: Option<&str>, lookup: &impl ServiceLookup) -> String {
    let port = settings.get(keys::PUPPETDB_PORT);
    if let Some(host) = settings.get(keys::PUPPETDB_HOST) {
        return format!("https://{host}:{port}");
    }
    let Some(domain) = domain else { return format!("https://puppet:{port}") };
    let databases = within(lookup.lookup(&format!("_x-puppet-db._tcp.{domain}"))).await;
    let mut found: Vec<String> = databases
        .and_then(Result::ok)
        .unwrap_or_default()
        .iter()
        .map(|record| format!("https://{}:{}", record.target, record.port))
        .collect();
    if found.is_empty() {
        let servers = within(lookup.lookup(&format!("_x-puppet._tcp.{domain}"))).await;
        let servers = servers.and_then(Result::ok).unwrap_or_default();
        found = servers.iter().map(|record| format!("https://{}:{port}", record.target)).collect();
    }
    if found.is_empty() { format!("https://puppet:{port}") } else { found.join(", ") }
}

async fn within<T>(answer: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, answer).await.ok()
}

/// A person waits for the report; DNS answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is said of what did not answer.
const UNKNOWN: &str = "unknown, DNS did not answer in time";

#[cfg(test)]
mod tests {
    use super::*;
    use network::{LookupError, ServiceRecord};

    /// Answers for the names it holds.
    struct Table(&'static [(&'static str, u16)]);

    impl ServiceLookup for Table {
        async fn lookup(&self, name: &str) -> Result<Vec<ServiceRecord>, LookupError> {
            let known = self.0.iter().filter(|(known, _)| *known == name);
            let records = known.map(|(name, port)| ServiceRecord {
                target: format!("host.{}", name.trim_start_matches("_x-")),
                port: *port,
                priority: 0,
                weight: 0,
            });
            Ok(records.collect())
        }
    }

    #[test]
    fn puppetdb_is_configured_looked_up_or_guessed() {
        const DATABASE: (&str, u16) = ("_x-puppet-db._tcp.example.net", 9000);
        const SERVER: (&str, u16) = ("_x-puppet._tcp.example.net", 8140);
        let (own, srv) = (Some("db"), Some("example.net"));
        let rows = [
            (own, srv, Table(&[DATABASE]), "https://db:8081"),
            (None, srv, Table(&[DATABASE, SERVER]), "https://host.puppet-db._tcp.example.net:9000"),
            (None, srv, Table(&[SERVER]), "https://host.puppet._tcp.example.net:8081"),
            (None, srv, Table(&[]), "https://puppet:8081"),
            (None, None, Table(&[DATABASE]), "https://puppet:8081"),
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        for (host, domain, table, wanted) in rows {
            let mut builder = Settings::builder();
            if let Some(host) = host {
                builder = builder.set("plugin.choria.puppetdb_host", host);
            }
            let settings = builder.build().expect("valid");
            let found = runtime.block_on(puppet_db(&settings, domain, &table));
            assert_eq!(found, wanted, "{host:?} {domain:?}");
        }
    }

    #[test]
    fn a_user_without_credentials_is_told_what_is_missing() {
        let builder = Settings::builder().set("plugin.security.provider", "choria").user("alice");
        let found = security(&builder.build().expect("valid"), SystemTime::UNIX_EPOCH);
        assert_eq!((found.caller.as_str(), found.certificate_name.as_str()), ("choria=alice", "alice"));
        assert!(found.errors.iter().any(|error| error.contains("token_file")), "{:?}", found.errors);
    }
}
