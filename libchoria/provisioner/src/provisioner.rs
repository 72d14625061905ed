//! A provisioner between being built and having stopped.

use crate::audit::Audit;
use crate::counts::Counts;
use crate::election::Campaigns;
use crate::helper::Helper;
use crate::live::Live;
use crate::node::Pace;
use crate::settings::{Secret, Settings};
use crate::work::Work;
use config::{Settings as Config, keys};
use names::Collective;
use network::{ConnectError, Options, SettingsError, SubscribeError, UserPassword};
use security::{Parts as SecurityParts, Provider, Role, SetupErrors, Trust};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// What a provisioner is made of beside its settings.
#[derive(Debug)]
pub struct Parts {
    /// Signs requests; its identity is that of the provisioner.
    pub provider: Provider,
    /// How to connect.
    pub network: Options,
    /// Where nodes wait.
    pub collective: Collective,
    /// Seconds for which a request counts.
    pub ttl: u32,
    /// How long calls may take.
    pub pace: Pace,
    /// The daemon around it.
    pub context: Option<daemon::Context>,
}

/// Why a provisioner cannot be made of the Choria configuration.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// Token and seed.
    #[error(transparent)]
    Security(#[from] SetupErrors),
    /// Brokers and certificates.
    #[error("network setup is not valid: {0}")]
    Network(#[from] SettingsError),
}

/// A provisioner that has not started.
#[derive(Debug)]
pub struct Provisioner(Work);

/// A provisioner at work. Dropping it ends it at once.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<Result<(), Error>>,
    stop: CancellationToken,
    attempted: watch::Receiver<bool>,
    counts: Arc<Counts>,
    live: Arc<Live>,
    campaigns: Arc<Campaigns>,
}

/// Why a provisioner ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection came about, and waiting would not help.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Replies or events cannot be listened for.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// The connection ended and does not return.
    #[error("the connection to the broker ended and does not return")]
    Disconnected,
    /// The work ended early.
    #[error("the work of the provisioner ended by a fault: {0}")]
    Fault(#[from] JoinError),
    /// It did not stop in time.
    #[error("the provisioner did not stop within {} s", .0.as_secs_f64())]
    Late(Duration),
}

impl Parts {
    /// Reads what `config`, the Choria configuration of the provisioner, names.
    ///
    /// # Errors
    /// What is missing or wrong with credentials, brokers and certificates.
    pub fn from_settings(settings: &Settings, config: &Config, now: SystemTime) -> Result<Self, PartsError> {
        let identity = config.identity();
        let provider = if settings.insecure {
            let (credentials, sign_replies) = (None, false);
            Provider::new(SecurityParts {
                identity: identity.clone(),
                credentials,
                trust: Trust::Insecure,
                sign_replies,
            })
        } else {
            // A daemon is not who started it: the configured identity is the sender, not the user.
            let parts = SecurityParts::from_settings(config, Role::Client, now)?;
            Provider::new(SecurityParts { identity: identity.clone(), ..parts })
        };
        let name = format!("{identity}-provisioner");
        let owner = provider.caller().as_str();
        let mut network = Options::from_settings(config, network::Role::Client, &name, owner)?;
        network.patience = None;
        if let Some(password) = &settings.broker_password {
            network.user = Some(user(password));
        }
        let seconds = u64::try_from(config.get(keys::DISCOVERY_TIMEOUT)).unwrap_or_default();
        Ok(Self {
            provider,
            network,
            collective: config.main_collective().clone(),
            ttl: u32::try_from(config.get(keys::TTL)).unwrap_or(60),
            pace: Pace::new(Duration::from_secs(seconds)),
            context: None,
        })
    }
}

impl Provisioner {
    /// A provisioner of these settings and parts.
    #[must_use]
    pub fn build(settings: Settings, parts: Parts) -> Self {
        let secrets = [Some(&settings.token), settings.broker_password.as_ref()];
        let secrets = secrets.into_iter().flatten().map(|secret| secret.reveal().to_owned()).collect();
        let helper = Helper { command: settings.helper.clone(), limit: settings.helper_limit, secrets };
        let identity = parts.provider.identity().clone();
        let audit = settings.audit_log.clone().map(|file| Audit::new(file, identity));
        let live = Arc::new(Live::default());
        live.set_paused(settings.leader_election);
        Self(Work {
            settings: Arc::new(settings),
            parts,
            helper,
            audit,
            counts: Arc::default(),
            live,
            campaigns: Arc::default(),
            attempted: watch::Sender::new(false),
        })
    }

    /// Starts the work as one task of the present runtime.
    #[must_use]
    pub fn start(self) -> Running {
        let stop = CancellationToken::new();
        let attempted = self.0.attempted.subscribe();
        let (counts, live) = (Arc::clone(&self.0.counts), Arc::clone(&self.0.live));
        let campaigns = Arc::clone(&self.0.campaigns);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.0.run(stop.clone()));
        Running { tasks, stop, attempted, counts, live, campaigns }
    }
}

impl Running {
    /// Completes when a first attempt to connect was made, successful or not: all that can be waited for at boot.
    pub async fn attempted(&self) {
        let mut attempted = self.attempted.clone();
        // An error means that the work has ended; `wait` says why.
        let _ended = attempted.wait_for(|made| *made).await;
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// The state of this moment.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// What the election counts.
    pub(crate) fn campaigns(&self) -> Arc<Campaigns> {
        Arc::clone(&self.campaigns)
    }

    /// Runs until `signal` completes or the provisioner ends by itself, which is always a fault; then stops it. Nodes that
    /// are being provisioned get [`STOP_LIMIT`] to get done, the others are found again by whoever provisions next.
    ///
    /// # Errors
    /// Why it ended by itself, or [`Error::Late`].
    pub async fn wait(mut self, signal: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            () = signal => {}
            Some(ended) = self.tasks.join_next() => return ended?,
        }
        self.stop.cancel();
        match tokio::time::timeout(STOP_LIMIT, self.tasks.join_next()).await {
            Ok(Some(ended)) => ended?,
            Ok(None) => Ok(()),
            Err(_elapsed) => Err(Error::Late(STOP_LIMIT)),
        }
    }
}

/// The broker knows provisioners by this name.
fn user(password: &Secret) -> UserPassword {
    UserPassword { user: "provisioner".to_owned(), password: password.reveal().to_owned() }
}

/// Time for everything between being told to stop and having stopped.
pub const STOP_LIMIT: Duration = Duration::from_secs(8);
