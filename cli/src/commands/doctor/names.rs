//! Which brokers to connect to, and the addresses of their names.

use super::report::Report;
use config::{Settings, keys};
use network::{Dns, LookupError, Search, ServerAddress, ServiceLookup, ServiceRecord};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::timeout;

/// The name of this check.
pub(super) const CHECK: &str = "names";

/// A broker and where it is.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As configured or found.
    pub(super) server: ServerAddress,
    /// Its addresses, at least one.
    pub(super) addresses: Vec<SocketAddr>,
}

/// Finds the brokers and resolves their names; those whose names resolve are given back.
pub(super) async fn examine(report: &mut Report, settings: &Settings) -> Vec<Target> {
    let search = match Search::from_settings(settings) {
        Ok(search) => search,
        Err(error) => {
            report.fail(CHECK, error.to_string(), "write host:port, several separated by commas");
            return Vec::new();
        }
    };
    let configured = !search.configured.is_empty();
    let asked = Asked::default();
    let servers = match timeout(SEARCH_LIMIT, search.find(&asked)).await {
        Ok(Ok(servers)) => servers,
        Ok(Err(error)) => {
            report.fail(CHECK, error.to_string(), WHERE);
            return Vec::new();
        }
        Err(_elapsed) => {
            report.fail(CHECK, format!("no answer to SRV queries within {} s", SEARCH_LIMIT.as_secs()), WHERE);
            return Vec::new();
        }
    };
    if !configured {
        tell_search(report, &servers, &asked.lines());
    }
    let resolved = resolve_all(servers).await;
    let works = resolved.iter().any(|(_, found)| found.is_ok());
    let mut targets = Vec::new();
    for (server, found) in resolved {
        match found {
            Ok(addresses) => {
                if bare(server.host()).parse::<std::net::IpAddr>().is_err() {
                    report.ok(CHECK, format!("{} is {}", server.host(), listed(&addresses)));
                }
                targets.push(Target { server, addresses });
            }
            Err(reason) => {
                let key = keys::MIDDLEWARE_HOSTS.name();
                let place = settings.place(key).map(|place| format!(" ({place})")).unwrap_or_default();
                let text = format!("the name {} cannot be resolved: {reason}", server.host());
                let fix = format!("correct {key}{place}, or add the name to DNS");
                if works { report.warn(CHECK, text, fix) } else { report.fail(CHECK, text, fix) }
            }
        }
    }
    if !targets.is_empty() && !report.mentions(CHECK) {
        report.ok(
            CHECK,
            format!("none to resolve: {}", targets.iter().map(|t| t.server.to_string()).collect::<Vec<_>>().join(", ")),
        );
    }
    targets
}

/// What the search came to when no broker is configured.
fn tell_search(report: &mut Report, servers: &[ServerAddress], asked: &[String]) {
    let found: Vec<String> = servers.iter().map(ToString::to_string).collect();
    let found = found.join(", ");
    let is_answered = asked.last().is_some_and(|line| line.ends_with(FOUND));
    if is_answered {
        report.ok(CHECK, format!("{}: {found}", asked.join("; ")));
    } else {
        let asked = if asked.is_empty() { "SRV records were not asked for".to_owned() } else { asked.join("; ") };
        report.warn(CHECK, format!("{asked}; the default {found} is tried"), WHERE);
    }
}

/// The addresses of each server, all asked for at once.
async fn resolve_all(servers: Vec<ServerAddress>) -> Vec<(ServerAddress, Result<Vec<SocketAddr>, String>)> {
    let lookups = servers.into_iter().map(|server| async {
        let lookup = tokio::net::lookup_host((bare(server.host()).to_owned(), server.port()));
        let found = match timeout(RESOLVE_LIMIT, lookup).await {
            Err(_elapsed) => Err(format!("no answer within {} s", RESOLVE_LIMIT.as_secs())),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(addresses)) => {
                let mut addresses: Vec<SocketAddr> = addresses.collect();
                addresses.dedup();
                if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
            }
        };
        (server, found)
    });
    futures_util::future::join_all(lookups).await
}

/// Asks DNS and remembers what was asked.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>);

impl Asked {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl ServiceLookup for Asked {
    async fn lookup(&self, name: &str) -> Result<Vec<ServiceRecord>, LookupError> {
        let answer = timeout(RESOLVE_LIMIT, Dns.lookup(name)).await.unwrap_or_else(|_elapsed| {
            Err(LookupError {
                name: name.to_owned(),
                reason: format!("no answer within {} s", RESOLVE_LIMIT.as_secs()),
            })
        });
        let line = match &answer {
            Ok(records) if !records.is_empty() => format!("SRV {name} {FOUND}"),
            _ => format!("SRV {name} has no records"),
        };
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
        answer
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn listed(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
}

const FOUND: &str = "answers";

/// What to do when no broker is known.
const WHERE: &str =
    "set plugin.choria.middleware_hosts to host:port, or plugin.choria.srv_domain to a domain with SRV records";

/// One query; a resolver that works answers in milliseconds and gives up after some seconds.
const RESOLVE_LIMIT: Duration = Duration::from_secs(6);

/// All queries of a search, Facter's answer included.
const SEARCH_LIMIT: Duration = Duration::from_secs(25);
