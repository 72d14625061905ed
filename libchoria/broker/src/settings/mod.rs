//! What a broker takes from the configuration, all of it judged before anything is started.
//!
//! `trust.rs` reads the keys that tokens are judged by, `topology.rs` those about other brokers, `unsupported.rs` refuses what this broker cannot do, so that no
//! setting is silently without effect.

mod topology;
mod trust;
mod unsupported;

use crate::adapters::{self, AdapterSettings};
use crate::decision::{Network, Networks, Policy, Provisioning, Secret, System, Trust};
use crate::front::FrontSettings;
use crate::streams::{StreamSettings, executor_mapping};
use config::keys;
use names::Identity;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
pub(crate) use topology::{ClientCertificates, PeerSettings, TopologySettings};

/// The configuration of one broker, complete and checked. Made from [`config::Settings`].
#[derive(Debug)]
pub struct Settings {
    pub(crate) identity: Identity,
    /// Address of the listener, without a port.
    pub(crate) listen_address: String,
    pub(crate) client_port: u16,
    /// `host:port` that clients are told.
    pub(crate) client_advertise: String,
    pub(crate) policy: Arc<Policy>,
    /// The broker's own token, with which it checks itself.
    pub(crate) login: OwnLogin,
    /// Certificate and key; `None` makes the broker generate them.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// The TLS front, where one is wanted.
    pub(crate) front: Option<FrontSettings>,
    pub(crate) tls_timeout: Duration,
    pub(crate) cipher_suites: Vec<String>,
    pub(crate) curves: Vec<String>,
    pub(crate) authentication_timeout: Duration,
    pub(crate) write_deadline: Duration,
    pub(crate) max_connections: u32,
    /// Address and port of the statistics endpoint; `None` for none.
    pub(crate) statistics: Option<(String, u16)>,
    pub(crate) mappings: Vec<(String, String)>,
    pub(crate) streams: Option<StreamSettings>,
    pub(crate) topology: TopologySettings,
    /// The data adapters.
    pub(crate) adapters: Vec<AdapterSettings>,
    /// How long nats-server may take to stop.
    pub(crate) stop_patience: Duration,
    pub(crate) debug: bool,
    /// Sentences to log once: settings that are in effect in a way that may surprise.
    pub(crate) warnings: Vec<String>,
}

/// The files of the broker's own token.
#[derive(Clone, Debug)]
pub(crate) struct OwnLogin {
    pub(crate) token_file: PathBuf,
    pub(crate) seed_file: PathBuf,
}

/// Everything that is wrong with a broker's configuration, a sentence each; never none.
#[derive(Debug, thiserror::Error)]
pub struct SettingsError(pub Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker cannot start with this configuration:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl TryFrom<&config::Settings> for Settings {
    type Error = SettingsError;

    /// Reads the keys of signers as well as the configuration, but no token: that is for [`crate::Broker::build`].
    ///
    /// # Errors
    /// [`SettingsError`] with every problem, not only the first.
    fn try_from(config: &config::Settings) -> Result<Self, SettingsError> {
        let warnings = config.warnings().iter().map(ToString::to_string).collect();
        let mut reader = Reader { config, problems: Vec::new(), warnings };
        unsupported::check(&mut reader);
        let trust = trust::read(&mut reader);
        let policy = reader.policy(trust);
        let login = reader.login();
        let certificate = reader.certificate();
        let client_port = reader.port(keys::NETWORK_CLIENT_PORT);
        let client_advertise = reader.client_advertise(client_port);
        let statistics = reader.statistics();
        let mappings = reader.mappings();
        let listen_address = reader.listen_address();
        let topology = topology::read(&mut reader, &client_advertise);
        let adapters = adapters::read(&mut reader);
        let Reader { problems, warnings, .. } = reader;
        let (Some(policy), Some(login), true) = (policy, login, problems.is_empty()) else {
            return Err(SettingsError(problems));
        };
        let list = |set: bool, list: &[String]| if set { list.to_vec() } else { Vec::new() };
        Ok(Self {
            identity: config.identity(),
            listen_address,
            client_port,
            client_advertise,
            policy: Arc::new(policy),
            login,
            certificate,
            front: config
                .get(keys::NETWORK_TLS_FRONT)
                .then(|| FrontSettings { authorities: config.get(keys::SECURITY_CHORIA_CA) }),
            tls_timeout: config.get(keys::NETWORK_TLS_TIMEOUT),
            cipher_suites: list(true, config.get(keys::SECURITY_CIPHER_SUITES)),
            curves: list(config.is_set(keys::SECURITY_ECC_CURVES), config.get(keys::SECURITY_ECC_CURVES)),
            authentication_timeout: authentication_timeout(config),
            write_deadline: config.get(keys::NETWORK_WRITE_DEADLINE),
            max_connections: u32::try_from(config.get(keys::NETWORK_MAX_CONNECTIONS)).unwrap_or(MAX_CONNECTIONS),
            statistics,
            mappings,
            streams: StreamSettings::read(config),
            topology,
            adapters,
            stop_patience: stop_patience(config),
            debug: config.get(keys::LOGLEVEL) == Some("debug"),
            warnings,
        })
    }
}

/// Reads one configuration and collects what is wrong with it.
pub(crate) struct Reader<'a> {
    pub(crate) config: &'a config::Settings,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// Adds a problem with `key`, naming the place where it was set.
    pub(crate) fn problem(&mut self, key: &str, rule: impl fmt::Display) {
        let place = self.config.place(key).map(|place| format!("{place}: ")).unwrap_or_default();
        self.problems.push(format!("{place}{key}: {rule}"));
    }

    /// Adds a sentence about `key` to be logged once.
    pub(crate) fn warn(&mut self, key: &str, rule: impl fmt::Display) {
        self.warnings.push(format!("{key}: {rule}"));
    }

    fn policy(&mut self, trust: Option<Trust>) -> Option<Policy> {
        let config = self.config;
        let provisioning = config.get(keys::NETWORK_PROVISIONING_CLIENT_PASSWORD).map(|password| Provisioning {
            password: Secret::new(password.to_owned()),
            without_token: config.get(keys::NETWORK_PROVISIONING_PROVISIONER_WITHOUT_TOKEN),
            signer: config.get(keys::NETWORK_PROVISIONING_SIGNER_CERT).map(trust::provisioning_signer),
        });
        let system = match (config.get(keys::NETWORK_SYSTEM_USER), config.get(keys::NETWORK_SYSTEM_PASSWORD)) {
            (Some(user), Some(password)) => {
                Some(System { user: user.to_owned(), password: Secret::new(password.to_owned()) })
            }
            (None, None) => None,
            (Some(_), None) => {
                self.problem(
                    keys::NETWORK_SYSTEM_USER.name(),
                    "a user needs plugin.choria.network.system.password too",
                );
                None
            }
            (None, Some(_)) => {
                self.problem(
                    keys::NETWORK_SYSTEM_PASSWORD.name(),
                    "a password needs plugin.choria.network.system.user too",
                );
                None
            }
        };
        let client_hosts = self.client_hosts();
        Some(Policy {
            trust: trust?,
            provisioning,
            system,
            deny_servers: config.get(keys::NETWORK_DENY_SERVER_CONNECTIONS),
            client_hosts,
            read_only: config.get(keys::NETWORK_READ_ONLY),
            enforce_expiry: config.get(keys::NETWORK_ENFORCE_TOKEN_EXPIRY),
            certificates_on_issuer_network: config.get(keys::SECURITY_CHORIA_CA).is_some(),
            renamed: executor_mapping(config),
        })
    }

    fn client_hosts(&mut self) -> Networks {
        let key = keys::NETWORK_CLIENT_HOSTS;
        let mut networks = Vec::new();
        for text in self.config.get(key) {
            match text.parse::<Network>() {
                Ok(network) => networks.push(network),
                Err(error) => self.problem(key.name(), error),
            }
        }
        networks.into_iter().collect()
    }

    fn login(&mut self) -> Option<OwnLogin> {
        let mut file = |key: config::Key<config::PathText>| {
            let path = self.config.get(key);
            if path.is_none() {
                self.problem(
                    key.name(),
                    "the broker needs a token and its seed, with which it checks that it serves; set it to a file",
                );
            }
            path
        };
        let token_file = file(keys::SECURITY_CHORIA_TOKEN_FILE);
        let seed_file = file(keys::SECURITY_CHORIA_SEED_FILE);
        Some(OwnLogin { token_file: token_file?, seed_file: seed_file? })
    }

    /// Certificate and key that this broker presents to others, where they are configured.
    fn identity(&self) -> Option<(PathBuf, PathBuf)> {
        self.config.get(keys::SECURITY_CHORIA_CERTIFICATE).zip(self.config.get(keys::SECURITY_CHORIA_KEY))
    }

    fn certificate(&mut self) -> Option<(PathBuf, PathBuf)> {
        let (certificate, key) = (keys::SECURITY_CHORIA_CERTIFICATE, keys::SECURITY_CHORIA_KEY);
        match (self.config.get(certificate), self.config.get(key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                self.problem(certificate.name(), "a certificate needs its key in plugin.security.choria.key");
                None
            }
            (None, Some(_)) => {
                self.problem(key.name(), "a key needs its certificate in plugin.security.choria.certificate");
                None
            }
        }
    }

    fn port(&mut self, key: config::Key<config::Integer>) -> u16 {
        let port = u16::try_from(self.config.get(key)).ok().filter(|port| *port > 0);
        if port.is_none() {
            self.problem(key.name(), "a port is a number from 1 to 65535");
        }
        port.unwrap_or_default()
    }

    fn listen_address(&mut self) -> String {
        let key = keys::NETWORK_LISTEN_ADDRESS;
        let text = self.config.get(key).unwrap_or("::").trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        if text.parse::<IpAddr>().is_err() && !is_name(&text) {
            self.problem(key.name(), "the address to listen on is an IP address or a host name, without a port");
        }
        text
    }

    fn client_advertise(&mut self, client_port: u16) -> String {
        let key = keys::NETWORK_PUBLIC_URL;
        let Some(text) = self.config.get(key) else { return format!("{}:{client_port}", self.config.identity()) };
        match text.parse::<network::ServerAddress>() {
            Ok(address) => format!("{}:{}", address.host(), address.port()),
            Err(error) => {
                self.problem(key.name(), format!("what clients are told is name:port: {error}"));
                String::new()
            }
        }
    }

    fn statistics(&mut self) -> Option<(String, u16)> {
        if self.config.get(keys::STATS_PORT) == 0 {
            return None;
        }
        let port = self.port(keys::STATS_PORT);
        Some((self.config.get(keys::STATS_ADDRESS).unwrap_or("127.0.0.1").to_owned(), port))
    }

    fn mappings(&mut self) -> Vec<(String, String)> {
        let names = self.config.get(keys::NETWORK_MAPPING_NAMES).to_vec();
        let mut mappings = Vec::new();
        for name in &names {
            let mut subject = |part: &str| {
                let key = format!("plugin.choria.network.mapping.{name}.{part}");
                let text = self.config.raw(&key).map(str::to_owned);
                if text.as_deref().is_none_or(|text| !is_mapping_subject(text)) {
                    let rule = format!(
                        "the mapping {name} needs a subject here: no space, quote or backslash, no empty part \
                         between dots"
                    );
                    self.problem(&key, rule);
                }
                text
            };
            let (source, destination) = (subject("source"), subject("destination"));
            mappings.extend(source.zip(destination));
        }
        // A source can be mapped once, and what an administrator says goes first.
        let own = executor_mapping(self.config);
        mappings.extend(own.filter(|(own, _)| mappings.iter().all(|(source, _)| source != own)));
        mappings
    }
}

/// nats-server's language has no way to write a quote or backslash in the name of a setting, which a source is.
fn is_mapping_subject(text: &str) -> bool {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '\\';
    text.chars().all(allowed) && text.split('.').all(|part| !part.is_empty())
}

/// The key's default of two seconds was made for decisions inside the server; waiting for a callout needs more.
fn authentication_timeout(config: &config::Settings) -> Duration {
    let key = keys::NETWORK_AUTH_TIMEOUT;
    if config.is_set(key) { config.get(key) } else { CALLOUT_TIMEOUT }
}

/// nats-server gets the time that the whole daemon has, but for what it takes to kill it and say so.
fn stop_patience(config: &config::Settings) -> Duration {
    let seconds = u64::try_from(config.get(keys::NETWORK_SOFT_SHUTDOWN_TIMEOUT)).unwrap_or_default();
    Duration::from_secs(seconds.saturating_sub(2).max(1))
}

/// The most connections of one broker (spec 01 §10).
const MAX_CONNECTIONS: u32 = 50_000;

/// With one second, a quarter of 2000 clients that came at once was refused; with four, none (spec 10 §8).
const CALLOUT_TIMEOUT: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests;
