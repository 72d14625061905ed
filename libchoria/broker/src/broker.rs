//! A broker from its settings to its end: built, started, watched, restarted, stopped.

use crate::adapters::{AdapterSettings, Counts};
use crate::certificates::{self, Certificate, CertificateError};
use crate::child::{Program, ProgramError};
use crate::decision::Policy;
use crate::exporter::Exporter;
use crate::front::Front;
use crate::listener_files::ListenerFiles;
use crate::metrics::Metrics;
use crate::monitoring::Monitoring;
use crate::own_identity::{IdentityError, OwnIdentity};
use crate::peers;
use crate::readiness::{CheckError, SelfCheck, Verdict};
use crate::reload::Reloader;
use crate::run::{Ending, Run, StartError};
use crate::settings::{ClientCertificates, Settings};
use crate::surroundings::Surroundings;
use daemon::{Beat, Sockets};
use network::ServerAddress;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A broker that could be started: settings read, nats-server found, certificate there, own token accepted.
#[derive(Debug)]
pub struct Broker(Parts, watch::Sender<Arc<Policy>>);

/// What every run of nats-server is made from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) program: Program,
    pub(crate) certificate: Certificate,
    /// The copies of it that nats-server reads.
    pub(crate) listener_files: ListenerFiles,
    /// For connections to the own nats-server.
    pub(crate) own_tls: network::Tls,
    /// The other members of the cluster; empty for a broker alone.
    pub(crate) peers: Vec<ServerAddress>,
    /// Private; removed at the end.
    pub(crate) directory: TempDir,
    pub(crate) self_check: Arc<SelfCheck>,
    /// What connections are judged by; a reload changes it.
    pub(crate) policy: watch::Receiver<Arc<Policy>>,
    /// Time between self checks.
    pub(crate) check_interval: Duration,
    pub(crate) metrics: Arc<Metrics>,
    /// The data adapters and what they count.
    pub(crate) adapters: Vec<(AdapterSettings, Arc<Counts>)>,
    /// Open from the start of the broker to its end, over all runs of nats-server.
    pub(crate) front: Option<Front>,
    /// From the service manager.
    pub(crate) sockets: Sockets,
    /// Where the nats-server that runs now serves its monitoring.
    pub(crate) monitoring: watch::Sender<Option<SocketAddr>>,
    /// Of the loop that answers nats-server's questions.
    pub(crate) beat: Arc<Beat>,
}

/// A broker that was started. Dropping it kills nats-server.
#[derive(Debug)]
pub struct Running {
    status: watch::Receiver<Status>,
    exporter: Arc<Exporter>,
    beat: Arc<Beat>,
    task: AbortOnDropHandle<Result<(), StartError>>,
}

/// What a broker is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Whether members of the fleet can connect now. The first time it becomes true the broker is ready.
    pub serving: bool,
    /// One line for people.
    pub text: String,
}

/// Why a broker cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no nats-server to run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// No private directory could be made.
    #[error(
        "no private directory can be made in {directory}: {source}; set RUNTIME_DIRECTORY to a writable directory",
        directory = directory.display()
    )]
    Directory {
        /// Where it was tried.
        directory: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No certificate could be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// nats-server keeps streams behind a gateway only as a member of a cluster.
    #[error(
        "plugin.choria.network.gateway_port: a broker with streams (plugin.choria.network.stream.store) needs a cluster \
         to have a way to other clusters; set plugin.choria.network.peers, or remove one of the two"
    )]
    GatewayAlone,
    /// The broker could not prove itself to its own listeners.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The broker's own token is not good.
    #[error(transparent)]
    Token(#[from] CheckError),
}

/// A started broker ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It never served.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its task failed.
    #[error("the broker's task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Broker {
    /// Makes ready everything that can be judged without opening a port.
    ///
    /// # Errors
    /// [`BuildError`].
    pub async fn build(
        settings: Settings,
        surroundings: &Surroundings,
        metrics: Arc<Metrics>,
    ) -> Result<Self, BuildError> {
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        let (policy_sender, policy) = watch::channel(Arc::clone(&settings.policy));
        let program = Program::find(surroundings.nats_server.as_deref(), surroundings.search_path.as_deref()).await?;
        let base = &surroundings.runtime_directory;
        let directory = tempfile::Builder::new().prefix("choria-broker-").tempdir_in(base);
        let directory = directory.map_err(|source| BuildError::Directory { directory: base.clone(), source })?;
        let certificate = match &settings.certificate {
            Some((certificate, key)) => Certificate { certificate: certificate.clone(), key: key.clone() },
            None => {
                let kept = surroundings.state_directory.as_deref().unwrap_or(directory.path());
                certificates::find_or_generate(kept, &certificate_names(&settings), SystemTime::now())?
            }
        };
        let topology = &settings.topology;
        let demanded = topology.certificates != ClientCertificates::None;
        let own = if demanded { Some(OwnIdentity::make(directory.path())?) } else { None };
        let authority = topology.authority.clone().filter(|_| demanded);
        let (own_authority, own_tls) = match own {
            Some(own) => (Some(own.authority), own.tls),
            None => (None, network::Tls::unverified().map_err(IdentityError::from)?),
        };
        let listener_files = ListenerFiles::new(certificate.clone(), authority, own_authority, directory.path());
        let self_check = SelfCheck::new(&settings, policy.clone(), Arc::clone(&metrics), own_tls.clone());
        let self_check = Arc::new(self_check);
        warn_of_expiry(self_check.rehearse(SystemTime::now())?);
        let peers = peers::find(&topology.peers, &network::Dns).await;
        if !peers.is_empty() {
            warn_of_open_cluster(&settings);
        } else if topology.gateway.is_some() && settings.streams.is_some() {
            return Err(BuildError::GatewayAlone);
        }
        let monitoring = watch::Sender::new(None);
        let adapters = settings.adapters.iter().map(|adapter| (adapter.clone(), Counts::new(adapter))).collect();
        let parts = Parts {
            settings,
            program,
            certificate,
            listener_files,
            own_tls,
            peers,
            directory,
            self_check,
            policy,
            check_interval: CHECK_INTERVAL,
            metrics,
            adapters,
            front: None,
            sockets: surroundings.sockets.clone(),
            monitoring,
            beat: Arc::default(),
        };
        Ok(Self(parts, policy_sender))
    }

    /// What puts changed configuration in force later; `config` is what this broker was made from.
    #[must_use]
    pub fn reloader(&self, config: config::Settings) -> Reloader {
        Reloader::new(config, &self.0, self.1.clone())
    }

    /// Checks itself and its certificate this often instead of every 30 seconds.
    #[must_use]
    pub fn checking_every(mut self, interval: Duration) -> Self {
        self.0.check_interval = interval;
        self
    }

    /// Starts nats-server and everything around it. `stop` ends all of it in order.
    #[must_use]
    pub fn start(self, stop: CancellationToken) -> Running {
        let starting = Status { serving: false, text: format!("starting nats-server {}", self.0.program.version) };
        let (reporter, status) = watch::channel(starting);
        let exporter = Arc::new(self.0.exporter(status.clone()));
        let beat = Arc::clone(&self.0.beat);
        Running {
            status,
            exporter,
            beat,
            task: AbortOnDropHandle::new(tokio::spawn(supervise(self.0, reporter, stop))),
        }
    }
}

impl Parts {
    /// What this broker tells on its statistics endpoint.
    fn exporter(&self, status: watch::Receiver<Status>) -> Exporter {
        Exporter {
            identity: self.settings.identity.to_string(),
            metrics: Arc::clone(&self.metrics),
            connector: self.self_check.counters(),
            adapters: self.adapters.iter().map(|(_, counts)| Arc::clone(counts)).collect(),
            status,
            monitoring: Monitoring::new(self.monitoring.subscribe()),
            certificate: self.certificate.certificate.clone(),
            token: self.settings.login.token_file.clone(),
        }
    }

    /// nats-server's configuration file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("nats-server.conf")
    }
}

impl Running {
    /// What the broker is doing, as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What the broker tells on its statistics endpoint.
    #[must_use]
    pub fn exporter(&self) -> Arc<Exporter> {
        Arc::clone(&self.exporter)
    }

    /// Waits until the broker serves for the first time.
    ///
    /// # Errors
    /// [`BrokerError`] when it ends instead.
    pub async fn ready(&mut self) -> Result<(), BrokerError> {
        let serves = self.status.wait_for(|status| status.serving).await.is_ok();
        if serves { Ok(()) } else { self.end().await }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// [`BrokerError`] when it was not asked for.
    pub async fn wait(mut self) -> Result<(), BrokerError> {
        self.end().await
    }

    /// Waits for the end and tells the service manager what happens until then: ready, status, signs of life.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub async fn follow(mut self, context: &daemon::Context) -> Result<(), BrokerError> {
        let mut status = self.status.clone();
        let beat = Arc::clone(&self.beat);
        let mut asked = false;
        loop {
            let Status { serving, text } = status.borrow_and_update().clone();
            context.status(&text);
            if serving {
                context.ready();
            } else if std::mem::take(&mut asked) {
                // There is nobody to answer for a while.
                context.alive();
            }
            tokio::select! {
                ended = self.end() => return ended,
                changed = status.changed() => {
                    if changed.is_err() {
                        return self.end().await;
                    }
                }
                () = context.asked_for_life() => match serving {
                    // Who can connect is decided by the callout: it must live for the broker to live.
                    true => {
                        asked = true;
                        beat.ask();
                    }
                    false => context.alive(),
                },
                () = beat.answered() => {
                    asked = false;
                    context.alive();
                }
            }
        }
    }

    async fn end(&mut self) -> Result<(), BrokerError> {
        (&mut self.task).await?.map_err(BrokerError::from)
    }
}

/// Runs nats-server until `stop`, again and again when it ends by itself. Only a first run that never serves is an
/// error: after that, clients wait for this broker.
async fn supervise(
    mut parts: Parts,
    reporter: watch::Sender<Status>,
    stop: CancellationToken,
) -> Result<(), StartError> {
    if let Some(wanted) = &parts.settings.front {
        let metrics = Arc::clone(&parts.metrics);
        parts.front = Some(Front::open(&parts.settings, wanted, &parts.certificate, metrics, &parts.sockets).await?);
    }
    let mut served = false;
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let started = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            started = Run::start(&parts) => started,
        };
        let what = match started {
            Ok(mut run) => {
                if let Err(error) = run.prove(&parts, &stop).await {
                    if stop.is_cancelled() || !served {
                        run.stop(parts.settings.stop_patience, false).await;
                        return if stop.is_cancelled() { Ok(()) } else { Err(error) };
                    }
                    tracing::warn!("{error}");
                }
                served = true;
                tracing::info!("ready: {}", describe(&parts, &run).text);
                let ending = serve(&mut run, &parts, &reporter, &stop).await;
                if let Some(front) = &parts.front {
                    front.serve_from(None);
                }
                match ending {
                    Ending::Stopped => {
                        let cluster = !parts.peers.is_empty();
                        let text = if cluster {
                            "stopping: clients are sent to other brokers of the cluster"
                        } else {
                            "stopping nats-server"
                        };
                        reporter.send_replace(Status { serving: false, text: text.to_owned() });
                        let exit = run.stop(parts.settings.stop_patience, cluster).await;
                        tracing::info!("nats-server stopped: {exit}");
                        return Ok(());
                    }
                    Ending::Died(exit) => format!("nats-server ended by itself: {exit}"),
                    Ending::Unresponsive => {
                        run.stop(UNRESPONSIVE_PATIENCE, false).await;
                        "nats-server did not answer and was stopped".to_owned()
                    }
                    Ending::RoomAgain => {
                        let text = "restarting nats-server: there is room for streams again";
                        tracing::warn!("{text}; everybody reconnects");
                        reporter.send_replace(Status { serving: false, text: text.to_owned() });
                        run.stop(parts.settings.stop_patience, false).await;
                        continue;
                    }
                }
            }
            Err(error) if !served => return Err(error),
            Err(error) => error.to_string(),
        };
        failures = if began.elapsed() >= STABLE { 0 } else { failures + 1 };
        let pause = RESTART_PAUSES[failures.min(RESTART_PAUSES.len() - 1)];
        parts.metrics.restarted();
        parts.monitoring.send_replace(None);
        tracing::error!(
            event = "nats_server_ended",
            reason = what,
            "{what}; it is started again in {:.1} s",
            pause.as_secs_f64()
        );
        reporter.send_replace(Status { serving: false, text: format!("restarting: {what}") });
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Reports that the broker serves, and watches over `run` until it ends.
async fn serve(run: &mut Run, parts: &Parts, reporter: &watch::Sender<Status>, stop: &CancellationToken) -> Ending {
    reporter.send_replace(describe(parts, run));
    let report = |run: &Run| {
        reporter.send_replace(describe(parts, run));
    };
    run.watch(parts, stop, report).await
}

/// The status line of a broker that serves.
fn describe(parts: &Parts, run: &Run) -> Status {
    let settings = &parts.settings;
    let seen = parts.metrics.snapshot();
    let denied: u64 = seen.denied.values().sum();
    let mut text = format!(
        "nats-server {} serves {} on port {}; {} connections allowed, {denied} denied",
        run.version(),
        settings.identity,
        settings.client_port,
        seen.allowed
    );
    if seen.restarts > 0 {
        text.push_str(&format!(", {} restarts", seen.restarts));
    }
    let streams = run.streams();
    if streams.off {
        text.push_str("; NOTHING IS STORED: the disk of plugin.choria.network.stream.store is full");
    } else if streams.missing > 0 {
        let why = streams.problem.unwrap_or_else(|| "they are being set up".to_owned());
        text.push_str(&format!("; {} streams are missing: {why}", streams.missing));
    }
    if run.refused_certificate().is_some() {
        text.push_str("; the new certificate is refused and the one before stays in use, see the log");
    }
    if let Some(newer) = run.newer() {
        text.push_str(&format!("; nats-server {newer} is installed and used after a restart"));
    }
    if run.verdict() == Verdict::OwnTokenExpired {
        text.push_str("; the broker's own token has expired");
    }
    Status { serving: true, text }
}

fn warn_of_expiry(verdict: Verdict) {
    if verdict == Verdict::OwnTokenExpired {
        tracing::warn!(
            event = "token_expired",
            file = "plugin.security.choria.token_file",
            "the broker's own token in plugin.security.choria.token_file has expired; others are served, but renew it"
        );
    }
}

/// Routes carry every account, the system's included.
fn warn_of_open_cluster(settings: &Settings) {
    let peers = &settings.topology.peers;
    if peers.login.is_none() && peers.tls.is_none() {
        tracing::warn!(
            "whoever reaches port {} joins the cluster with all rights: set plugin.choria.network.peer_user and \
             peer_password, or plugin.choria.network.peer_tls, on all of its brokers",
            peers.port
        );
    }
}

fn certificate_names(settings: &Settings) -> Vec<String> {
    let advertised = settings.client_advertise.rsplit_once(':').map_or("", |(host, _)| host);
    let advertised = advertised.trim_start_matches('[').trim_end_matches(']');
    let mut names = vec![settings.identity.to_string()];
    for name in [advertised, "localhost", "127.0.0.1"] {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Half of what a service manager usually allows without a sign of life.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// A nats-server that answers nothing gets little time to answer this.
const UNRESPONSIVE_PATIENCE: Duration = Duration::from_secs(5);

/// A run this long makes the next failure the first of its kind.
const STABLE: Duration = Duration::from_secs(60);

/// Pauses before another run, by failures in a row; the first is short because everybody waits.
const RESTART_PAUSES: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(20),
];
