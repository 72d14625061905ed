//! Changed configuration put in force while the broker runs, without disconnecting anybody.
//!
//! What connections are judged by can change at any time: the next decision follows it. nats-server itself is not told
//! to reload, because that disconnects everybody (spec 10 §10); what only nats-server could change waits for a restart.
//! Connections that exist keep what they were given until they are lost, as tokens do that expire.

use crate::broker::Parts;
use crate::decision::Policy;
use crate::metrics::Metrics;
use crate::readiness::{CheckError, SelfCheck, Verdict};
use crate::settings::{Settings, SettingsError};
use config::keys;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::watch;

/// Puts changed configuration in force; made by [`crate::Broker::reloader`].
#[derive(Debug)]
pub struct Reloader {
    /// What the running nats-server was started with.
    started: config::Settings,
    /// What is in force.
    current: config::Settings,
    policy: watch::Sender<Arc<Policy>>,
    self_check: Arc<SelfCheck>,
    metrics: Arc<Metrics>,
}

/// What a reload did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Keys whose new values are in force, in the order of their names.
    pub applied: Vec<String>,
    /// Keys whose new values take effect when the broker is restarted; those of earlier reloads included.
    pub waiting: Vec<String>,
    /// Sentences to log.
    pub warnings: Vec<String>,
}

/// A configuration was not put in force; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is not one that a broker could start with.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The broker could not connect to itself any more.
    #[error(transparent)]
    OwnToken(#[from] CheckError),
}

impl Reloader {
    pub(crate) fn new(config: config::Settings, parts: &Parts, policy: watch::Sender<Arc<Policy>>) -> Self {
        let (self_check, metrics) = (Arc::clone(&parts.self_check), Arc::clone(&parts.metrics));
        Self { started: config.clone(), current: config, policy, self_check, metrics }
    }

    /// Judges `config` as a whole, then puts in force what can change now.
    ///
    /// # Errors
    /// [`ReloadError`]; nothing changed then.
    pub fn apply(&mut self, config: config::Settings) -> Result<Changes, ReloadError> {
        let (policy, warnings) = self.judge(&config).inspect_err(|_| self.metrics.reload_refused())?;
        let waiting: Vec<String> = changed(&self.started, &config).filter(|key| !self.is_live(key)).collect();
        let applied = changed(&self.current, &config).filter(|key| self.is_live(key)).collect();
        self.policy.send_replace(Arc::new(policy));
        self.current = config;
        self.metrics.reloaded();
        Ok(Changes { applied, waiting, warnings })
    }

    /// The policy of `config` and what there is to say about it.
    fn judge(&self, config: &config::Settings) -> Result<(Policy, Vec<String>), ReloadError> {
        let settings = Settings::try_from(config)?;
        let (mut policy, mut warnings) = (Policy::clone(&settings.policy), settings.warnings);
        if !self.has_provisioning_account() {
            policy.provisioning = None;
        }
        policy.certificates_on_issuer_network = self.policy.borrow().certificates_on_issuer_network;
        if self.self_check.rehearse_with(&policy, SystemTime::now())? == Verdict::OwnTokenExpired {
            warnings.push(OWN_TOKEN_EXPIRED.to_owned());
        }
        Ok((policy, warnings))
    }

    /// Whether a changed value of `key` is in force at once.
    fn is_live(&self, key: &str) -> bool {
        if key == keys::NETWORK_PROVISIONING_CLIENT_PASSWORD.name() {
            return self.has_provisioning_account();
        }
        LIVE.contains(&key) || key.starts_with("plugin.security.issuer.")
    }

    /// Accounts are nats-server's: one that it was started without cannot be entered.
    fn has_provisioning_account(&self) -> bool {
        self.started.get(keys::NETWORK_PROVISIONING_CLIENT_PASSWORD).is_some()
    }
}

/// The keys that are set in one of two configurations and not, or otherwise, in the other.
fn changed(before: &config::Settings, after: &config::Settings) -> impl Iterator<Item = String> {
    let (before, after) = (before.raw_starting_with(""), after.raw_starting_with(""));
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let changed: Vec<String> =
        names.into_iter().filter(|name| before.get(name) != after.get(name)).map(str::to_owned).collect();
    changed.into_iter()
}

/// Keys whose values are in force as soon as they are read anew, beside those of organization issuers.
const LIVE: &[&str] = &[
    keys::LOGLEVEL.name(),
    keys::SECURITY_CHORIA_TRUSTED_SIGNERS.name(),
    keys::NETWORK_CLIENT_SIGNER_CERT.name(),
    keys::NETWORK_SERVER_SIGNER_CERT.name(),
    keys::NETWORK_CLIENT_HOSTS.name(),
    keys::NETWORK_DENY_SERVER_CONNECTIONS.name(),
    keys::NETWORK_READ_ONLY.name(),
    keys::NETWORK_ENFORCE_TOKEN_EXPIRY.name(),
    keys::NETWORK_SYSTEM_USER.name(),
    keys::NETWORK_SYSTEM_PASSWORD.name(),
    keys::NETWORK_PROVISIONING_SIGNER_CERT.name(),
    keys::NETWORK_PROVISIONING_PROVISIONER_WITHOUT_TOKEN.name(),
];

const OWN_TOKEN_EXPIRED: &str =
    "the broker's own token in plugin.security.choria.token_file has expired; others are served, but renew it";
