//! What makes one server, and what it may share with the other servers of a process.

use crate::control::{Orders, control};
use crate::problems::{Problem, Problems};
use crate::provision_agent::{ProvisionSetup, provision_agent};
use crate::provisioning;
use agents::{Agent, ClassSource, FactSource, HandlingTimes, Roster, builtin};
use config::keys;
use lifecycle::{Component, Format};
use names::InvalidName;
use network::{Options, SettingsError};
use rand::rngs::StdRng;
use security::{Provider, Role};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use submission::delivery::Delivery;

/// One server, judged.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration as agents see it.
    pub config: config::Settings,
    /// Host only agents that are services, do not listen for requests to the node, do not register (`--service-host`).
    pub services_only: bool,
    /// Wait to be provisioned: other component in events, other agents (spec 06 §2.3).
    pub provisioning: bool,
    /// Where the status file is written, if anywhere.
    pub status_file: Option<PathBuf>,
    /// How often the status file is written.
    pub status_interval: Duration,
    /// How lifecycle events are written.
    pub events: Format,
    /// Time for everything between being told to stop and having stopped; running requests may use half of it.
    pub stop_limit: Duration,
}

/// What a server is made of beside its settings. Facts, classes and roster may be shared among servers.
#[derive(Debug)]
pub struct Parts {
    /// Verifies requests and seals replies.
    pub provider: Provider,
    /// How to connect. Its observer is the server's own.
    pub network: Options,
    /// The node's facts.
    pub facts: Arc<FactSource>,
    /// The node's classes.
    pub classes: Arc<ClassSource>,
    /// The hosted agents.
    pub roster: Arc<Roster>,
    /// Where handling times are added, if anybody wants to know.
    pub times: Option<Arc<HandlingTimes>>,
    /// Delivers the spool of submitted messages, where there is one.
    pub delivery: Option<Delivery>,
    /// What its agent `choria_provision` asks for, see [`crate::control()`]; `None` without that agent.
    pub orders: Option<Orders>,
    /// The daemon this is the only server of; gets status lines, and signs of life from the work itself.
    pub context: Option<daemon::Context>,
}

impl Settings {
    /// The server that `config` describes.
    #[must_use]
    pub fn new(config: config::Settings, services_only: bool) -> Self {
        let seconds = |key| u64::try_from(config.get(key)).unwrap_or_default();
        let status_interval = Duration::from_secs(seconds(keys::STATUS_UPDATE_INTERVAL));
        let stop_limit = match seconds(keys::SOFT_SHUTDOWN_TIMEOUT) {
            0 => UNSET_STOP_LIMIT,
            limit => Duration::from_secs(limit),
        };
        let legacy = config.get(keys::LEGACY_LIFECYCLE_FORMAT);
        Self {
            services_only,
            provisioning: false,
            // An interval of 0 switches the file off, where it would otherwise be written without pause.
            status_file: config.get(keys::STATUS_FILE_PATH).filter(|_| !status_interval.is_zero()),
            status_interval,
            events: if legacy { Format::Bare } else { Format::CloudEvent },
            stop_limit,
            config,
        }
    }

    /// The server that waits to be provisioned and has the settings `config`.
    #[must_use]
    pub fn unprovisioned(config: config::Settings) -> Self {
        Self { provisioning: true, ..Self::new(config, false) }
    }

    /// The component in lifecycle events.
    pub(crate) fn component(&self) -> Result<Component, lifecycle::InvalidComponent> {
        let word = match (self.provisioning, self.services_only) {
            (true, _) => "provision_mode_server",
            (false, true) => "service_host",
            (false, false) => "server",
        };
        word.parse()
    }
}

impl Parts {
    /// Reads what the settings name: token, seed, certificates. Facts and classes are read when they are needed.
    ///
    /// # Errors
    /// Every problem found.
    pub fn from_settings(settings: &Settings, now: SystemTime) -> Result<Self, Problems> {
        let config = &settings.config;
        let identity = config.identity();
        let provider = Provider::from_settings(config, Role::Server, now).map_err(Problem::from);
        let network = Options::from_settings(config, network::Role::Server, identity.as_str(), identity.as_str());
        let network = network.map_err(Problem::from);
        // Hosts of services deliver nothing (spec 04 §1.2).
        let delivery = if settings.services_only { Ok(None) } else { Delivery::from_settings(config) };
        let delivery = delivery.map_err(Problem::from);
        match (provider, network, roster(settings.services_only, None), delivery) {
            (Ok(provider), Ok(network), Ok(roster), Ok(delivery)) => {
                let (facts, classes) = (facts(config), classes(config));
                let (times, orders, context) = (None, None, None);
                Ok(Self { provider, network, facts, classes, roster, times, delivery, orders, context })
            }
            (provider, network, roster, delivery) => {
                let errors = [provider.err(), network.err(), roster.err(), delivery.err()];
                Err(Problems::new(errors.into_iter().flatten().collect()))
            }
        }
    }

    /// The same with the agent `choria_provision`, which obeys whoever knows the secret of the provisioning token.
    ///
    /// # Errors
    /// Never: the agent's name is valid and no other agent has it.
    pub fn with_provisioning(
        self,
        settings: &Settings,
        setup: ProvisionSetup,
        random: StdRng,
    ) -> Result<Self, Problems> {
        let (control, orders) = control();
        let roster = provision_agent(setup, control, random)
            .map_err(Problem::from)
            .and_then(|agent| roster(settings.services_only, Some(agent)));
        let roster = roster.map_err(|problem| Problems::new(vec![problem]))?;
        Ok(Self { roster, orders: Some(orders), ..self })
    }

    /// Parts of a server that waits to be provisioned: it verifies nobody's requests, and its agent asks for a secret.
    ///
    /// # Errors
    /// [`Problems`] when the cryptography library refuses to work.
    pub fn provisioning(settings: &Settings, setup: ProvisionSetup, random: StdRng) -> Result<Self, Problems> {
        let config = &settings.config;
        let network = provisioning::network(config, &setup.token)
            .map_err(|error| Problems::new(vec![Problem::Network(SettingsError::Tls(error))]))?;
        let parts = Self {
            provider: Provider::provisioning(config.identity()),
            network,
            facts: facts(config),
            classes: Arc::new(ClassSource::new(None)),
            roster: Arc::default(),
            times: None,
            delivery: None,
            orders: None,
            context: None,
        };
        parts.with_provisioning(settings, setup, random)
    }
}

/// The agents that this build can host, as they describe themselves: the built-in ones, those of a custom build, and
/// `choria_provision`, which is there where a provisioning token is.
///
/// # Errors
/// An agent whose name is none.
pub fn compiled_agents() -> Result<Vec<agents::Metadata>, InvalidName> {
    let mut all = builtin::agents()?;
    all.extend(extra_agents::agents()?);
    let mut all: Vec<agents::Metadata> = all.iter().map(|agent| agent.metadata().clone()).collect();
    all.push(crate::provision_agent::metadata()?);
    Ok(all)
}

/// The built-in agents, those of a custom build, and one more.
fn roster(services_only: bool, more: Option<Arc<dyn Agent>>) -> Result<Arc<Roster>, Problem> {
    let mut agents = builtin::agents().map_err(|error: InvalidName| Problem::from(error))?;
    agents.extend(extra_agents::agents().map_err(|error: InvalidName| Problem::from(error))?);
    agents.extend(more);
    Ok(Arc::new(Roster::new(agents, services_only)?))
}

pub(crate) fn facts(config: &config::Settings) -> Arc<FactSource> {
    let list = config.get(keys::YAML).map(|path| path.display().to_string()).unwrap_or_default();
    Arc::new(FactSource::new(list.split(':').filter(|file| !file.is_empty()).map(str::to_owned).collect()))
}

pub(crate) fn classes(config: &config::Settings) -> Arc<ClassSource> {
    Arc::new(ClassSource::new(config.get(keys::CLASSESFILE)))
}

/// What a `soft_shutdown_timeout` of zero or less means (spec 04 §2.2).
const UNSET_STOP_LIMIT: Duration = Duration::from_secs(10);
