//! One run of nats-server with everything that belongs to it: fresh keys, its configuration file, the callout, the
//! internal connection. All of it ends together.

use crate::admission;
use crate::broker::Parts;
use crate::callout::{Keys, Service, ServiceError};
use crate::child::{self, Exit, Process};
use crate::front::FrontError;
use crate::internal::{self, InternalError};
use crate::nats_config::{CalloutKeys, NatsConfig, TlsConfig};
use crate::readiness::{CheckError, Verdict};
use crate::renewal::Fingerprint;
use crate::streams::{self, StreamConfig};
use async_nats::Client;
use nkeys::KeyPair;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A nats-server that serves.
#[derive(Debug)]
pub(crate) struct Run {
    process: Process,
    callout: Callout,
    internal: Client,
    /// Streams that could not be set up yet.
    streams: Vec<StreamConfig>,
    verdict: Verdict,
    /// The certificate that nats-server has read.
    read: Fingerprint,
}

/// The callout's task and what it takes to start another.
#[derive(Debug)]
struct Callout {
    address: String,
    login: KeyPair,
    keys: Arc<Keys>,
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
}

/// Why nats-server does not serve. The text is for the administrator: it says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration file could not be written.
    #[error("nats-server's configuration cannot be written: {0}; is the runtime directory writable?")]
    Write(#[from] tokens::KeyError),
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
        let (service, internal) = (KeyPair::new_user(), KeyPair::new_user());
        let config = nats_config(parts, &keys, &service, &internal);
        let file = parts.config_file();
        tokens::write_private(&file, config.to_string().as_bytes())?;
        let read = Fingerprint::of(&parts.certificate);
        child::check(&parts.program.path, &file).await.map_err(StartError::Refused)?;

        let mut process = Process::start(&parts.program.path, &file).await?;
        let ports = wait_for_ports(parts.directory.path(), process.id());
        let Ports { internal: address, clients, monitoring } = tokio::select! {
            ports = tokio::time::timeout(STARTING, ports) => ports.map_err(|_| StartError::Slow)?,
            exit = process.ended() => return Err(ended(parts, &exit)),
        };
        parts.monitoring.send_replace(monitoring);
        let mut callout = Callout { address: address.clone(), login: service, keys, task: JoinSet::new() };
        // Questions already queue up, and are answered only when the streams exist that members publish to at once.
        let service = callout.subscribe(parts).await?;
        let internal = internal::connect(&address, "choria-broker internal", &internal).await?;
        let wanted = parts.settings.streams.as_ref().map(|streams| streams.streams.clone()).unwrap_or_default();
        let streams = {
            let mut set_up = pin!(set_up(&internal, wanted));
            let in_time = tokio::time::timeout(FIRST_STREAMS, &mut set_up).await;
            callout.begin(service);
            match in_time {
                Ok(streams) => streams,
                Err(_) => set_up.await,
            }
        };
        if let Some(front) = &parts.front {
            front.serve_from(Some(clients));
        }
        Ok(Self { process, callout, internal, streams, verdict: Verdict::Accepted, read })
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

    /// How many streams are still to be set up.
    pub(crate) fn missing_streams(&self) -> usize {
        self.streams.len()
    }

    /// Watches over the run until it ends; `report` is called after each self check.
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
            if healthy {
                self.streams = set_up(&self.internal, std::mem::take(&mut self.streams)).await;
            } else {
                tokio::select! {
                    () = stop.cancelled() => return Ending::Stopped,
                    exit = self.process.ended() => return Ending::Died(exit),
                    silent = stays_silent(&self.internal) => if silent {
                        return Ending::Unresponsive;
                    },
                }
                self.callout.replace(parts).await;
            }
            self.renew_certificate(parts).await;
            tracing::debug!("since the start: {:?}", parts.metrics.snapshot());
            report(self);
        }
    }

    /// Has a certificate that was replaced read. The TLS front does so unnoticed; nats-server's reload closes the connections of all members, who come back:
    /// the price of nats-server's reload, paid for nothing else.
    async fn renew_certificate(&mut self, parts: &Parts) {
        let found = Fingerprint::of(&parts.certificate);
        if found == self.read || !found.is_complete() {
            return;
        }
        let file = &parts.certificate.certificate;
        if let Some(front) = &parts.front {
            match front.renew() {
                Ok(()) => tracing::info!("{} was replaced; new connections are shown the new one", file.display()),
                Err(why) => tracing::error!("{} was replaced and is not used: {why}", file.display()),
            }
            self.read = found;
            return;
        }
        match child::check(&parts.program.path, &parts.config_file()).await {
            Ok(()) => {
                tracing::warn!("{} was replaced; nats-server reads it now, and everybody reconnects", file.display());
                self.process.reload();
            }
            Err(why) => tracing::error!("{} was replaced and is not used: {why}", file.display()),
        }
        self.read = found;
    }

    /// Ends the run in order: nats-server first, so that no client waits for an answer that cannot come.
    pub(crate) async fn stop(self, patience: Duration) -> Exit {
        self.process.stop(patience).await
    }
}

impl Callout {
    async fn subscribe(&self, parts: &Parts) -> Result<Service, StartError> {
        let client = internal::connect(&self.address, "choria-broker callout", &self.login).await?;
        let (keys, policy) = (Arc::clone(&self.keys), parts.policy.clone());
        let quiet = parts.self_check.name().to_owned();
        let peers = parts.front.as_ref().map(|front| Arc::clone(front.peers()));
        let service = Service::subscribe(client, keys, policy, quiet, Arc::clone(&parts.metrics), peers).await;
        service.map_err(|error| StartError::Callout(error.to_string()))
    }

    /// Puts a new service in the place of one that does not answer.
    async fn replace(&mut self, parts: &Parts) {
        match self.subscribe(parts).await {
            Ok(service) => self.begin(service),
            Err(error) => {
                tracing::error!("the callout could not be started again: {error}");
                tokio::time::sleep(CALLOUT_PAUSE).await;
            }
        }
    }

    /// Lets `service` answer. One that answered before ends only now: between two there is never none.
    fn begin(&mut self, service: Service) {
        self.task.abort_all();
        self.task = JoinSet::new();
        self.task.spawn(service.run());
    }
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

/// Sets up `wanted` and returns those that failed, each with a log line.
async fn set_up(internal: &Client, wanted: Vec<StreamConfig>) -> Vec<StreamConfig> {
    let mut failed = Vec::new();
    for stream in wanted {
        if let Err(error) = streams::set_up(internal, &stream).await {
            tracing::error!("{error}; it is tried again with the next self check");
            failed.push(stream);
        }
    }
    failed
}

fn nats_config(parts: &Parts, keys: &Keys, service: &KeyPair, internal: &KeyPair) -> NatsConfig {
    let settings = &parts.settings;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let connections_per_second = admission::connections_per_second(processors, admission::cpu_pressure());
    tracing::info!(connections_per_second, "at most {connections_per_second} connections may begin in a second");
    NatsConfig {
        server_name: settings.identity.clone(),
        listen_address: settings.listen_address.clone(),
        client_port: settings.client_port,
        client_advertise: settings.client_advertise.clone(),
        monitoring: settings.statistics.as_ref().map(|_| LOOPBACK_ANY_PORT.to_owned()),
        ports_directory: parts.directory.path().to_owned(),
        tls: TlsConfig {
            certificate: parts.certificate.certificate.clone(),
            key: parts.certificate.key.clone(),
            timeout: settings.tls_timeout,
            connections_per_second,
            cipher_suites: settings.cipher_suites.clone(),
            curves: settings.curves.clone(),
        },
        front: settings.front.is_some(),
        authentication_timeout: settings.authentication_timeout,
        write_deadline: settings.write_deadline,
        max_connections: settings.max_connections,
        stream_store: settings.streams.as_ref().map(|streams| streams.store.clone()),
        provisioning: settings.policy.provisioning.is_some(),
        mappings: settings.mappings.clone(),
        debug: settings.debug,
        callout: CalloutKeys {
            issuer: keys.issuer.public_key(),
            curve: keys.curve.public_key().to_owned(),
            service: service.public_key(),
            internal: internal.public_key(),
        },
    }
}

/// Where nats-server listens.
#[derive(Debug)]
struct Ports {
    /// The address of the loopback listener for this process, a URL.
    internal: String,
    /// The listener for clients.
    clients: SocketAddr,
    /// Where it serves its monitoring, if it does.
    monitoring: Option<SocketAddr>,
}

/// Waits for the file in which nats-server names the ports it opened.
async fn wait_for_ports(directory: &Path, process: i32) -> Ports {
    loop {
        if let Some(ports) = read_ports(directory, process) {
            return ports;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn read_ports(directory: &Path, process: i32) -> Option<Ports> {
    let ending = format!("_{process}.ports");
    let mut entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let file = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))?.path();
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let internal = ports.pointer("/websocket/0")?.as_str()?.to_owned();
    let (_, clients) = ports.pointer("/nats/0")?.as_str()?.split_once("://")?;
    let monitoring = ports.pointer("/monitoring/0").and_then(serde_json::Value::as_str);
    let monitoring = monitoring.and_then(|url| url.strip_prefix("http://")?.parse().ok());
    Some(Ports { internal, clients: clients.parse().ok()?, monitoring })
}

fn ended(parts: &Parts, exit: &Exit) -> StartError {
    let (address, port) = (parts.settings.listen_address.clone(), parts.settings.client_port);
    if exit.last_words.contains("address already in use") {
        return StartError::PortTaken { address, port };
    }
    StartError::Ended(exit.to_string())
}

fn outcome(ended: Option<Result<Result<(), ServiceError>, tokio::task::JoinError>>) -> String {
    match ended {
        Some(Ok(Err(error))) => error.to_string(),
        Some(Err(error)) => error.to_string(),
        Some(Ok(Ok(()))) | None => "it was not running".to_owned(),
    }
}

/// Where nats-server serves its monitoring: for this process only, on a port that it chooses.
const LOOPBACK_ANY_PORT: &str = "127.0.0.1:-1";

/// How long nats-server may take to open its ports: streams are read from disk before that.
const STARTING: Duration = Duration::from_secs(60);

/// How long members may wait for the streams, of the two seconds that they wait at all; new streams take a tenth.
const FIRST_STREAMS: Duration = Duration::from_millis(500);

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
