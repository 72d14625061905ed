//! One run of nats-server with everything that belongs to it: fresh keys, its configuration file, the callout, the
//! internal connection. All of it ends together.

use crate::adapters;
use crate::broker::Parts;
use crate::callout::{Judge, Keys, Service, ServiceError};
use crate::child::{self, Exit, Process, Program, ProgramError, Version};
use crate::configure::{self, Ports};
use crate::departures::Departures;
use crate::front::FrontError;
use crate::internal::{self, Access, InternalError};
use crate::listener_files::{Placed, Stage, Unusable};
use crate::nats_config::NatsConfig;
use crate::readiness::{CheckError, Verdict};
use crate::renewal::Fingerprint;
use crate::roll_call::RollCall;
use crate::sessions::Sessions;
use crate::streams::{self, Keeper};
use async_nats::Client;
use nkeys::KeyPair;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A nats-server that serves.
#[derive(Debug)]
pub(crate) struct Run {
    process: Process,
    callout: Callout,
    internal: Client,
    /// Records the ends of connections; dropping it ends that.
    _departures: JoinSet<()>,
    keeper: Keeper,
    /// The adapters' workers; dropping it ends them.
    _adapters: JoinSet<()>,
    verdict: Verdict,
    config: NatsConfig,
    /// The certificates that nats-server has read, or that were refused.
    read: Fingerprint,
    /// Why the certificate that is there now is not in use.
    refused: Option<String>,
    /// The nats-server that runs.
    program: Program,
    /// What the program's file looked like when it was started or last looked at.
    installed: Fingerprint,
    /// Another version was installed since.
    newer: Option<Version>,
}

/// The callout's task and what it takes to start another.
#[derive(Debug)]
struct Callout {
    access: Access,
    login: KeyPair,
    keys: Arc<Keys>,
    /// Who speaks for which node that waits to be provisioned; ends with nats-server, as the connections do.
    sessions: Arc<Sessions>,
    task: JoinSet<Result<(), ServiceError>>,
}

/// Why a run came to its end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It was asked to.
    Stopped,
    /// nats-server ended by itself.
    Died(Exit),
    /// nats-server runs and does not answer any more.
    Unresponsive,
    /// nats-server gave up its streams and could store them again, once started anew.
    RoomAgain,
}

/// Why nats-server does not serve. The text is for the administrator: it says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration file could not be written.
    #[error("nats-server's configuration cannot be written: {0}; is the runtime directory writable?")]
    Write(#[from] tokens::KeyError),
    /// The certificate cannot be used.
    #[error("the certificate of the listener cannot be used: {0}")]
    Certificate(String),
    /// The program is not there any more, or is no nats-server now.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// nats-server does not accept its configuration.
    #[error("nats-server refuses the configuration made from these settings: {0}")]
    Refused(String),
    /// nats-server could not be started at all.
    #[error("nats-server cannot be started: {0}")]
    Spawn(#[from] std::io::Error),
    /// Something else has the port.
    #[error(
        "port {port} of {address} is taken by another program (find it with: ss -ltnp 'sport = :{port}'); stop that \
         program, \
         or set plugin.choria.network.client_port"
    )]
    PortTaken {
        /// The address to listen on.
        address: String,
        /// The port.
        port: u16,
    },
    /// The folder of the streams cannot be used.
    #[error(
        "plugin.choria.network.stream.store: {store} cannot be used: {why}; it must be a folder of the broker's user, and a \
         service may write only what its unit allows: either name a folder below /var/lib/choria/broker, or allow this one \
         (systemctl edit choria-broker, then [Service] and ReadWritePaths={store})"
    )]
    Store {
        /// The folder.
        store: String,
        /// What nats-server said.
        why: String,
    },
    /// The TLS front could not be opened.
    #[error(transparent)]
    Front(#[from] FrontError),
    /// nats-server ended while it was starting.
    #[error("nats-server ended while it was starting: {0}")]
    Ended(String),
    /// nats-server does not come up.
    #[error("nats-server did not open its ports within {} seconds", STARTING.as_secs())]
    Slow,
    /// The internal connections could not be made.
    #[error(transparent)]
    Internal(#[from] InternalError),
    /// The callout could not be started.
    #[error("{0}")]
    Callout(String),
    /// It all runs and does not serve.
    #[error(transparent)]
    Check(#[from] CheckError),
}

impl Run {
    /// Starts nats-server, the callout and the streams. Whether members of the fleet can connect is not known yet:
    /// [`Run::prove`] tells.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub(crate) async fn start(parts: &Parts) -> Result<Self, StartError> {
        let keys = Arc::new(Keys::generate());
        let [service, internal, listener] = [(); 3].map(|()| KeyPair::new_user());
        let read = Fingerprint::of(configure::watched_files(parts));
        let installed = Fingerprint::of([parts.program.path.as_path()]);
        let program = Program::at(&parts.program.path).await?;
        let files = &parts.listener_files;
        let trial =
            configure::nats_config(parts, &keys, &service, &internal, &listener, &files.places(Stage::Candidate));
        let (placed, refused) = place_certificate(parts, &program, &trial).await?;
        let config = configure::with_files(&trial, &parts.settings, &placed);
        let file = parts.config_file();
        tokens::write_private(&file, config.to_string().as_bytes())?;
        child::check(&program.path, &file).await.map_err(StartError::Refused)?;

        let mut process = Process::start(&program.path, &file).await?;
        let ports = configure::wait_for_ports(parts, process.id());
        let Ports { internal: access, clients, monitoring } = tokio::select! {
            ports = tokio::time::timeout(STARTING, ports) => ports.map_err(|_| StartError::Slow)?,
            exit = process.ended() => return Err(ended(parts, &exit)),
        };
        parts.monitoring.send_replace(monitoring);
        let sessions = Arc::<Sessions>::default();
        let of = Arc::clone(&sessions);
        let mut callout = Callout { access: access.clone(), login: service, keys, sessions, task: JoinSet::new() };
        // First of all, as nobody is let in before: questions already queue up, and are answered only when the streams
        // exist that members publish to at once.
        let service = callout.subscribe(parts).await?;
        let departures = listen(parts, &access, &listener, &of).await?;
        let login = internal;
        let internal = internal::connect(&access, "choria-broker internal", &login).await?;
        let mut keeper = keep_streams(parts, &process, &internal);
        keeper.settled(FIRST_STREAMS).await;
        callout.begin(service, parts);
        if parts.peers.is_empty() {
            // Nothing but a full or broken disk delays the streams of a broker alone.
            keeper.settled(LATER_STREAMS).await;
        }
        let adapters = adapters::start(&parts.adapters, &access, &login).await;
        if let Some(front) = &parts.front {
            front.serve_from(clients);
        }
        let verdict = Verdict::Accepted;
        Ok(Self {
            process,
            callout,
            internal,
            _departures: departures,
            keeper,
            _adapters: adapters,
            verdict,
            config,
            read,
            refused,
            program,
            installed,
            newer: None,
        })
    }

    /// Connects like a member of the fleet. When so many of those come at once that this one connection is turned away,
    /// their being answered is proof enough: giving up now would send all of them away again.
    ///
    /// # Errors
    /// [`StartError`] when nobody is served.
    pub(crate) async fn prove(&mut self, parts: &Parts, stop: &CancellationToken) -> Result<(), StartError> {
        let answered = parts.metrics.snapshot().answered();
        let checked = tokio::select! {
            checked = parts.self_check.run(FIRST_CHECK, stop) => checked,
            exit = self.process.ended() => return Err(ended(parts, &exit)),
        };
        match checked {
            Ok(verdict) => self.verdict = verdict,
            Err(CheckError::Connect(why)) if parts.metrics.snapshot().answered() > answered => {
                tracing::warn!("others are served, although {why}");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What the last self check found.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How the streams are.
    pub(crate) fn streams(&self) -> streams::State {
        self.keeper.state()
    }

    /// The nats-server that runs.
    pub(crate) fn version(&self) -> Version {
        self.program.version
    }

    /// The version that was installed since it was started.
    pub(crate) fn newer(&self) -> Option<Version> {
        self.newer
    }

    /// Why the certificate that is there now is not in use.
    pub(crate) fn refused_certificate(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Watches over the run until it ends; `report` is called after each self check and each change of the streams.
    ///
    /// A callout that ends is started again; nats-server only when it does not answer the internal connection either,
    /// because that disconnects everybody, and a callout that is down disconnects nobody.
    pub(crate) async fn watch(&mut self, parts: &Parts, stop: &CancellationToken, report: impl Fn(&Self)) -> Ending {
        loop {
            let answered = parts.metrics.snapshot().answered();
            let healthy = tokio::select! {
                () = stop.cancelled() => return Ending::Stopped,
                exit = self.process.ended() => return Ending::Died(exit),
                ended = self.callout.task.join_next() => {
                    tracing::error!("the callout ended and is started again: {}", outcome(ended));
                    false
                }
                () = self.keeper.changed() => {
                    if self.keeper.state().room_again {
                        return Ending::RoomAgain;
                    }
                    report(self);
                    continue;
                }
                checked = check(parts, stop) => match checked {
                    Ok(verdict) => {
                        self.verdict = verdict;
                        true
                    }
                    Err(error) => {
                        parts.metrics.self_check_failed();
                        tracing::warn!("self check failed: {error}");
                        // A broker under a storm of connections turns its own away too; it is at work all the same.
                        parts.metrics.snapshot().answered() > answered
                    }
                },
            };
            if !healthy {
                tokio::select! {
                    () = stop.cancelled() => return Ending::Stopped,
                    exit = self.process.ended() => return Ending::Died(exit),
                    silent = stays_silent(&self.internal) => if silent {
                        return Ending::Unresponsive;
                    },
                }
                parts.metrics.callout_restarted();
                self.callout.replace(parts).await;
            }
            self.renew_certificate(parts).await;
            self.look_for_another_version().await;
            tracing::debug!("since the start: {:?}", parts.metrics.snapshot());
            report(self);
        }
    }

    /// Has a certificate that was replaced read. The TLS front does so unnoticed; nats-server's reload closes the
    /// connections of all members, who come back: the price of that reload, paid for nothing else. A certificate that
    /// is no good changes nothing.
    async fn renew_certificate(&mut self, parts: &Parts) {
        let found = Fingerprint::of(configure::watched_files(parts));
        if found == self.read || !found.is_complete() {
            return;
        }
        let file = &parts.certificate.certificate;
        self.read = found;
        let mut taken = self.take_certificate(parts).await.map_err(|why| why.to_string());
        if let (Ok(()), Some(front)) = (&taken, &parts.front) {
            taken = front.renew().map_err(|why| why.to_string());
        }
        match taken {
            Ok(()) if parts.front.is_some() && !configure::has_other_listeners(parts) => {
                tracing::info!("{} was replaced; new connections are shown the new one", file.display());
                self.refused = None;
            }
            Ok(()) => {
                tracing::warn!("{} was replaced; nats-server reads it now, and everybody reconnects", file.display());
                self.refused = None;
                parts.metrics.certificate_reloaded();
                self.process.reload();
            }
            Err(why) => {
                parts.metrics.certificate_refused();
                tracing::error!("{} was replaced and is not used: {why}; the one before stays in use", file.display());
                self.refused = Some(why);
            }
        }
    }

    /// Puts the certificate that is there now in the place of the one in use, if it is good.
    async fn take_certificate(&self, parts: &Parts) -> Result<(), Unusable> {
        let files = &parts.listener_files;
        let candidate = files.copy()?;
        files.check_dates(SystemTime::now())?;
        let trial = configure::with_files(&self.config, &parts.settings, &candidate);
        check_candidate(parts, &self.program, &trial).await?;
        let placed = files.adopt(&candidate)?;
        parts.metrics.certificate_expires(u64::try_from(placed.expires).unwrap_or_default());
        Ok(())
    }

    /// Notices that the program was replaced, as an upgrade of its package does; it is used from the next start on.
    async fn look_for_another_version(&mut self) {
        let found = Fingerprint::of([self.program.path.as_path()]);
        if found == self.installed || !found.is_complete() {
            return;
        }
        self.installed = found;
        match Program::at(&self.program.path).await {
            Ok(program) if program.version == self.program.version => self.newer = None,
            Ok(program) => {
                let (running, installed) = (self.program.version, program.version);
                tracing::warn!(
                    "nats-server {installed} was installed while {running} runs; it is used once this broker is restarted"
                );
                self.newer = Some(installed);
            }
            Err(error) => {
                tracing::error!("the installed nats-server was replaced by one that cannot be used: {error}");
            }
        }
    }

    /// Ends the run in order: nats-server first, so that no client waits for an answer that cannot come. In a cluster
    /// clients are sent to other members before that, spread over time, so that those do not meet all of them at once.
    pub(crate) async fn stop(self, patience: Duration, cluster: bool) -> Exit {
        let Self { mut process, callout, internal, keeper, .. } = self;
        if !cluster {
            return process.stop(patience).await;
        }
        tracing::info!("clients are sent to other brokers of the cluster");
        process.drain();
        // These would be waited for like clients; nobody new can connect any more.
        drop((callout, keeper));
        if let Err(error) = internal.drain().await {
            tracing::debug!("the internal connection could not be closed: {error}");
        }
        let drained = tokio::time::timeout(DRAINING.min(patience), process.ended()).await;
        match drained {
            Ok(exit) => exit,
            Err(_) => process.stop(patience.saturating_sub(DRAINING).max(LAST_PATIENCE)).await,
        }
    }
}

impl Callout {
    async fn subscribe(&self, parts: &Parts) -> Result<Service, StartError> {
        let client = internal::connect(&self.access, "choria-broker callout", &self.login).await?;
        let (keys, policy) = (Arc::clone(&self.keys), parts.policy.clone());
        let quiet = parts.self_check.name().to_owned();
        let peers = parts.front.as_ref().map(|front| Arc::clone(front.peers()));
        let judge = Judge::new(keys, policy, quiet, Arc::clone(&parts.metrics), peers, Arc::clone(&self.sessions));
        let service = Service::subscribe(client, judge).await;
        service.map_err(|error| StartError::Callout(error.to_string()))
    }

    /// Puts a new service in the place of one that does not answer.
    async fn replace(&mut self, parts: &Parts) {
        match self.subscribe(parts).await {
            Ok(service) => self.begin(service, parts),
            Err(error) => {
                tracing::error!("the callout could not be started again: {error}");
                tokio::time::sleep(CALLOUT_PAUSE).await;
            }
        }
    }

    /// Lets `service` answer. One that answered before ends only now: between two there is never none.
    fn begin(&mut self, service: Service, parts: &Parts) {
        self.task.abort_all();
        self.task = JoinSet::new();
        self.task.spawn(service.run(Arc::clone(&parts.beat)));
    }
}

/// Begins to record the ends of connections, and who waits to be provisioned, as the user `login` of the system account.
async fn listen(
    parts: &Parts,
    access: &Access,
    login: &KeyPair,
    sessions: &Arc<Sessions>,
) -> Result<JoinSet<()>, StartError> {
    let client = internal::connect(access, "choria-broker departures", login).await?;
    let (server, quiet) = (parts.settings.identity.clone(), parts.self_check.name().to_owned());
    let mut tasks = JoinSet::new();
    if parts.settings.policy.provisioning.is_some() {
        match RollCall::subscribe(client.clone(), &server, Arc::clone(sessions)).await {
            Ok(roll_call) => drop(tasks.spawn(roll_call.run())),
            Err(error) => tracing::error!("nodes in provisioning mode are not told apart for long: {error}"),
        }
    }
    let (metrics, sessions) = (Arc::clone(&parts.metrics), Arc::clone(sessions));
    match Departures::subscribe(client, server, quiet, metrics, sessions).await {
        Ok(departures) => drop(tasks.spawn(departures.run())),
        Err(error) => tracing::error!("the ends of connections are not recorded: {error}"),
    }
    Ok(tasks)
}

/// One self check after the usual pause.
async fn check(parts: &Parts, stop: &CancellationToken) -> Result<Verdict, CheckError> {
    tokio::time::sleep(parts.check_interval).await;
    parts.self_check.run(LATER_CHECK, stop).await
}

/// Whether nats-server answers nothing on its internal connection, asked several times.
async fn stays_silent(internal: &Client) -> bool {
    for question in 1..=MOST_SILENT {
        if internal::answers(internal).await {
            return false;
        }
        tracing::warn!("nats-server does not answer ({question} of {MOST_SILENT})");
        tokio::time::sleep(SILENCE_PAUSE).await;
    }
    true
}

fn keep_streams(parts: &Parts, process: &Process, internal: &Client) -> Keeper {
    let settings = parts.settings.streams.as_ref();
    let streams = settings.map(|settings| settings.streams.clone()).unwrap_or_default();
    Keeper::start(streams::Materials {
        internal: internal.clone(),
        streams: streams.into_iter().map(|stream| stream.among(parts.peers.len())).collect(),
        store: settings.map(|settings| settings.store.clone()),
        given_up: process.streams_given_up(),
        metrics: Arc::clone(&parts.metrics),
    })
}

/// Puts the configured certificate into use, or leaves the one of the run before there, with the reason.
async fn place_certificate(
    parts: &Parts,
    program: &Program,
    trial: &NatsConfig,
) -> Result<(Placed, Option<String>), StartError> {
    let files = &parts.listener_files;
    let taken = async {
        let candidate = files.copy()?;
        let known_good = files.in_use();
        if let Err(error) = files.check_dates(SystemTime::now()) {
            // Better one that is out of date than none, but not better than one that was good.
            if known_good.is_some() {
                return Err(error);
            }
            tracing::warn!("{error}; members of the fleet that verify this broker do not connect");
        }
        if known_good.is_some() {
            check_candidate(parts, program, trial).await?;
        }
        files.adopt(&candidate)
    };
    let (placed, refused) = match (taken.await, files.in_use()) {
        (Ok(placed), _) => (placed, None),
        (Err(why), Some(placed)) => {
            parts.metrics.certificate_refused();
            tracing::error!("the certificate is not used: {why}; the one before stays in use");
            (placed, Some(why.to_string()))
        }
        (Err(why), None) => return Err(StartError::Certificate(why.to_string())),
    };
    parts.metrics.certificate_expires(u64::try_from(placed.expires).unwrap_or_default());
    Ok((placed, refused))
}

/// Has nats-server check `trial` without using it.
async fn check_candidate(parts: &Parts, program: &Program, trial: &NatsConfig) -> Result<(), Unusable> {
    let file = parts.directory.path().join("candidate.conf");
    tokens::write_private(&file, trial.to_string().as_bytes())?;
    let checked = child::check(&program.path, &file).await;
    std::fs::remove_file(&file)?;
    checked.map_err(Unusable::Refused)
}

fn ended(parts: &Parts, exit: &Exit) -> StartError {
    let (address, port) = (parts.settings.listen_address.clone(), parts.settings.client_port);
    if exit.last_words.contains("address already in use") {
        return StartError::PortTaken { address, port };
    }
    if let (Some(why), Some(streams)) = (refused_store(&exit.last_words), &parts.settings.streams) {
        return StartError::Store { store: streams.store.display().to_string(), why };
    }
    StartError::Ended(exit.to_string())
}

/// What nats-server says about the folder of its streams when that is why it ended.
fn refused_store(last_words: &str) -> Option<String> {
    let (_, said) = last_words.split_once("storage directory")?;
    Some(said.trim_start_matches([' ', '-']).to_owned())
}

fn outcome(ended: Option<Result<Result<(), ServiceError>, tokio::task::JoinError>>) -> String {
    match ended {
        Some(Ok(Err(error))) => error.to_string(),
        Some(Err(error)) => error.to_string(),
        Some(Ok(Ok(()))) | None => "it was not running".to_owned(),
    }
}

/// How long nats-server may take to open its ports: streams are read from disk before that.
const STARTING: Duration = Duration::from_secs(60);

/// How long members may wait for the streams, of the two seconds that they wait at all; new streams take a tenth.
const FIRST_STREAMS: Duration = Duration::from_millis(500);

/// How long a broker alone waits for its streams before it goes on without them.
const LATER_STREAMS: Duration = Duration::from_secs(5);

/// How long clients may take to leave: nats-server spreads that over 30 seconds (spec 10 §13).
const DRAINING: Duration = Duration::from_secs(40);

/// What is left for an orderly end after that, at least.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// The first check may have to wait for its turn among clients that all come back at once.
const FIRST_CHECK: Duration = Duration::from_secs(30);

/// Later ones only measure.
const LATER_CHECK: Duration = Duration::from_secs(8);

/// Questions in a row without an answer before nats-server is started anew.
const MOST_SILENT: u32 = 3;

/// Time between those questions, besides the time that each may take.
const SILENCE_PAUSE: Duration = Duration::from_secs(2);

/// Time between attempts to start a callout.
const CALLOUT_PAUSE: Duration = Duration::from_secs(1);
