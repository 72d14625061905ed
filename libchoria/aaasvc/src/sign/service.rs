//! The service on the network: `aaa_signer` in a host of services only (spec 07 §7), with the events and the status file
//! that every server has.

use super::SignerAgent;
use crate::beat::Beat;
use crate::live::Live;
use crate::settings::Problem;
use agents::{
    Agent, Announcer, Authorization, Broker, ClassSource, FactSource, Host as AgentHost, Node, Replays, Roster, Rpc,
    Stats, Status,
};
use config::keys;
use lifecycle::Format;
use network::{ConnectError, Connection, Options, State, SubscribeError};
use rand::SeedableRng;
use rand::rngs::StdRng;
use security::{Parts, Provider, Role, Trust};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The service before it runs.
#[derive(Debug)]
pub(crate) struct Host {
    options: Options,
    node: watch::Sender<Arc<Node>>,
    announcer: Announcer,
    status_file: Option<(PathBuf, Duration)>,
    service: Service,
}

/// What others may know about the service while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Service(watch::Receiver<Arc<Node>>);

/// Why the service ended by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    #[error("the connection to the broker ended and does not return")]
    Disconnected,
}

impl Service {
    /// Whether it can be asked.
    pub(crate) fn is_connected(&self) -> bool {
        self.0.borrow().broker.status().is_some_and(|status| status.state == State::Connected)
    }

    /// The broker it is connected to; empty while there is none.
    pub(crate) fn broker(&self) -> String {
        self.0.borrow().broker.connected_server()
    }
}

impl Host {
    /// The service that signs with what is `live`, over the connection that `choria` describes.
    ///
    /// # Errors
    /// Token, seed, certificates or addresses cannot be used.
    pub(crate) fn new(choria: &config::Settings, live: Arc<Live>, now: SystemTime) -> Result<Self, Problem> {
        // Who asks for a signature has none: the token and the signature inside the request are what counts.
        let parts = Parts::from_settings(choria, Role::Server, now)?;
        let provider = Provider::new(Parts { trust: Trust::Insecure, ..parts });
        let identity = choria.identity();
        let options = Options::from_settings(choria, network::Role::Server, identity.as_str(), identity.as_str())?;
        let agent = SignerAgent::new(live)
            .map_err(|error| Problem::File { key: "choria_service", reason: error.to_string() })?;
        let agent: Arc<dyn Agent> = Arc::new(Rpc(agent));
        let roster = Roster::new(vec![agent], true);
        let roster = roster.map_err(|error| Problem::File { key: "choria_service", reason: error.to_string() })?;
        let interval = u64::try_from(choria.get(keys::STATUS_UPDATE_INTERVAL)).unwrap_or_default();
        let status_file = choria.get(keys::STATUS_FILE_PATH).filter(|_| interval > 0);
        let component = "service_host".parse();
        let component = component.map_err(|error: lifecycle::InvalidComponent| Problem::File {
            key: "choria_service",
            reason: error.to_string(),
        })?;
        let legacy = choria.get(keys::LEGACY_LIFECYCLE_FORMAT);
        let announcer = Announcer {
            component,
            format: if legacy { Format::Bare } else { Format::CloudEvent },
            random: Mutex::new(StdRng::from_entropy()),
        };
        let node = Node {
            settings: choria.clone(),
            provider,
            roster: Arc::new(roster),
            facts: Arc::new(FactSource::new(Vec::new())),
            classes: Arc::new(ClassSource::new(None)),
            stats: Arc::new(Stats::default()),
            replays: Arc::new(Replays::default()),
            authorization: Authorization::off(),
            audit: None,
            broker: Broker { counters: Arc::clone(&options.counters), ..Broker::default() },
            started: now,
            times: None,
            provisioning: false,
        };
        let node = watch::Sender::new(Arc::new(node));
        let service = Service(node.subscribe());
        let status_file = status_file.map(|path| (path, Duration::from_secs(interval)));
        Ok(Self { options, node, announcer, status_file, service })
    }

    /// For others.
    pub(crate) fn service(&self) -> Service {
        self.service.clone()
    }

    /// Serves until `stop`; requests that were taken by then get their reply within `grace`.
    pub(crate) async fn run(
        self,
        stop: CancellationToken,
        grace: Duration,
        beat: Arc<Beat>,
    ) -> Result<(), ServiceError> {
        let mut announced = false;
        loop {
            let connected = tokio::select! {
                connected = network::connect(self.options.clone(), stop.clone()) => connected,
                never = signs_of_life(&beat) => match never {},
                never = self.write_status(None) => match never {},
            };
            let connection = match connected {
                Ok(connection) => connection,
                Err(ConnectError::Stopped) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let broker = Broker { connection: Some(connection.clone()), ..self.node.borrow().broker.clone() };
            self.node.send_modify(|node| *node = Arc::new(Node { broker, ..Node::clone(node) }));
            let node = Arc::clone(&self.node.borrow());
            let host = AgentHost::subscribe(self.node.subscribe(), connection.clone(), true).await?;
            if !announced {
                self.announcer.startup(&node, &connection).await;
                announced = true;
            }
            tracing::info!(event = "serving", "requests are signed over RPC, as agent {}", security::AAA_SIGNER_AGENT);
            let turn = stop.child_token();
            let mut serve = std::pin::pin!(host.run(turn.clone(), grace, &*beat));
            let mut beside = std::pin::pin!(async {
                tokio::select! {
                    never = self.announcer.alive(&node, &connection) => never,
                    never = self.write_status(Some(&connection)) => never,
                }
            });
            let drained = loop {
                tokio::select! {
                    drained = &mut serve => break drained,
                    age = connection.hangs(), if !turn.is_cancelled() => {
                        tracing::error!("the attempt to return to the broker hangs since {} s; connecting anew", age.as_secs());
                        turn.cancel();
                    }
                    never = &mut beside => match never {},
                }
            };
            if turn.is_cancelled() && !stop.is_cancelled() {
                connection.abandon();
                continue;
            }
            if drained.disconnected {
                return Err(ServiceError::Disconnected);
            }
            if drained.abandoned > 0 {
                tracing::warn!(requests = drained.abandoned, "stopping without waiting longer for requests over RPC");
            }
            self.announcer.shutdown(&node, &connection).await;
            if !connection.close(grace / 2).await {
                tracing::warn!("the broker did not confirm the end of the connection in time");
            }
            return Ok(());
        }
    }

    /// Writes the status file at once, at each change of the connection, and each interval.
    async fn write_status(&self, connection: Option<&Connection>) -> Infallible {
        let Some((path, interval)) = &self.status_file else { return std::future::pending().await };
        loop {
            let node = Arc::clone(&self.node.borrow());
            let server = connection.and_then(Connection::connected_server).unwrap_or_default();
            let status = Status {
                identity: node.identity(),
                uptime: node.uptime(SystemTime::now()).as_secs(),
                connected_server: server.clone(),
                last_message: node.stats.last_accepted().unwrap_or_default(),
                provisioning_mode: false,
                stats: node.stats.counts(),
                certificate_expires: None,
                token_expires: node.provider.credentials().and_then(security::Credentials::expiry),
            };
            if let Err(error) = status.write(path) {
                let file = path.display();
                tracing::warn!(%file, "the status file was not written: {error}; see plugin.choria.status_file_path");
            }
            let changed = async {
                match connection {
                    Some(connection) => {
                        let mut changes = connection.changes();
                        // The sender lives as long as the connection, which is ours.
                        let _ended = changes.wait_for(|state| (*state == State::Connected) == server.is_empty()).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(*interval) => {}
                () = changed => {}
            }
        }
    }
}

/// Before there are requests to take, waiting for a broker is all there is to do.
async fn signs_of_life(beat: &Beat) -> Infallible {
    loop {
        beat.asked().await;
        beat.answer();
    }
}
