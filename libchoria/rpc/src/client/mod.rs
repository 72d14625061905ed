//! Asking a fleet: requests to nodes or to a service, and pings, all over one connection (spec 03a §9.1).
//!
//! | module | holds |
//! |---|---|
//! | here | [`Client`], [`Call`]: what is asked of whom |
//! | `replies` | [`Replies`]: sends the batches of a request and yields its [`Event`]s |
//! | `connect` | from a configuration to a connected client |
//! | `answer` | one message that arrived: verified, read, or [`InvalidReply`] |
//! | `pings` | [`Pings`]: the discovery message and its answers |
//! | `outgoing` | the messages that carry a request |
//! | `patience` | how long to wait |
//!
//! Nothing runs in the background: a request makes progress while its events are asked for, and ends when it is dropped.
//! Answers that arrive meanwhile wait in the subscription, which holds 65,536 of them.

mod answer;
mod connect;
mod outgoing;
mod patience;
mod pings;
mod replies;

pub use answer::{InvalidReply, NodeReply};
pub use connect::OpenError;
pub use pings::{PingOptions, Pings, Pong};
pub use replies::{Event, Replies};

use crate::RequestBody;
use crate::ddl::{Action, AgentDdl};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::signer::{HttpSigner, HttpSignerError, ServiceSigner};
use config::{Settings, keys};
use names::{AgentName, Collective, Identity, InvalidName, RequestId};
use network::{Connection, PublishError, SubscribeError};
use protocol::{Filter, Request, Version, new_request_id, subjects};
use security::{Provider, SignError, Signer};
use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Asks nodes and services over one connection. Cheap to clone; any number of requests may run at once.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// What is asked of whom. Start from [`Call::new`] and change fields.
#[derive(Clone, Debug)]
pub struct Call {
    /// The agent.
    pub agent: AgentName,
    /// The action.
    pub action: String,
    /// The inputs, see [`Action::inputs_from`].
    pub inputs: Map<String, Value>,
    /// Who is asked.
    pub recipients: Recipients,
    /// The part of the fleet; the main collective unless given.
    pub collective: Option<Collective>,
    /// How long nodes may take, from when the last message of a batch is sent. Discovery's timeout is added for the way,
    /// and waiting goes on while answers keep coming, four times as long at most.
    pub timeout: Duration,
    /// How long it took to find the recipients, for the statistics.
    pub discovery_time: Duration,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub enum Recipients {
    /// These nodes, each by a message of its own.
    Nodes(Plan),
    /// Whoever matches the filter, by one message to all; these nodes are expected to answer. Batches are not possible:
    /// the plan's are joined.
    Broadcast {
        /// Which nodes act on it.
        filter: Filter,
        /// Which nodes are waited for.
        expected: Plan,
    },
    /// One of the hosts of a service.
    Service,
}

/// Why a request cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The agent's name in a document is none.
    #[error(transparent)]
    Agent(#[from] InvalidName),
    /// The collective is not one of the configured ones.
    #[error("cannot set collective to '{collective}', it is not on the list of known collectives: {} (collectives)", known.join(", "))]
    UnknownCollective {
        /// The collective asked for.
        collective: Collective,
        /// Those that are configured.
        known: Vec<String>,
    },
    /// The request has no filter and the configuration demands one.
    #[error(
        "requests without filters have been disabled (plugin.choria.require_client_filter): use a filter such as -I, -F or -C"
    )]
    FilterRequired,
    /// Requests shall be signed by an AAA service that cannot be asked over HTTP as configured.
    #[error("requests cannot be signed: {0}")]
    Signer(#[from] HttpSignerError),
    /// The request could not be signed.
    #[error("{0}")]
    Sign(#[from] SignError),
    /// The answers cannot be listened for.
    #[error("could not listen for replies: {0}")]
    Subscribe(#[from] SubscribeError),
    /// A message could not be sent.
    #[error("could not publish the request: {0}")]
    Publish(#[from] PublishError),
}

struct Inner {
    connection: Connection,
    provider: Provider,
    signer: Arc<dyn Signer>,
    defaults: Defaults,
}

/// What the configuration says about requests.
#[derive(Clone, Debug)]
struct Defaults {
    collective: Collective,
    collectives: Vec<Collective>,
    federations: Vec<String>,
    ttl: u32,
    discovery_timeout: Duration,
    windowed: bool,
    filter_required: bool,
}

impl Client {
    /// A client that sends over `connection` in the name of `provider`, with requests signed by `signer`, normally
    /// [`Provider::signer`].
    #[must_use]
    pub fn new(connection: Connection, provider: Provider, signer: Arc<dyn Signer>, settings: &Settings) -> Self {
        Self(Arc::new(Inner { connection, provider, signer, defaults: Defaults::from_settings(settings) }))
    }

    /// A client in the name of `provider` with the signer that the configuration asks for: the AAA service on the same
    /// network (`plugin.choria.security.request_signer.service`), else the one at an address
    /// (`plugin.choria.security.request_signer.url`), else the own seed (spec 02 §13).
    ///
    /// # Errors
    /// [`RequestError::Signer`]: signing over HTTP is asked for and its address or TLS files are no good.
    pub fn from_settings(
        connection: Connection,
        provider: Provider,
        settings: &Settings,
    ) -> Result<Self, RequestError> {
        let local = Self::new(connection.clone(), provider.clone(), provider.signer(), settings);
        if settings.get(keys::SECURITY_REQUEST_SIGNER_SERVICE) {
            let signer = Arc::new(ServiceSigner::new(provider.clone(), local));
            return Ok(Self::new(connection, provider, signer, settings));
        }
        match HttpSigner::configured(&provider, settings)? {
            Some(signer) => Ok(Self::new(connection, provider, Arc::new(signer), settings)),
            None => Ok(local),
        }
    }

    /// Starts a request: listens for its answers. The messages go out as the events are asked for.
    ///
    /// # Errors
    /// When it cannot be sent at all; errors of later batches come among the events.
    pub async fn request(&self, call: Call) -> Result<Replies, RequestError> {
        let collective = self.collective(call.collective.as_ref())?.clone();
        self.check_filter(&call.agent, &call.filter(), matches!(call.recipients, Recipients::Service))?;
        let id = self.new_id();
        // Answers to requests always come back on the main collective, whatever collective is asked (spec 02 §5).
        let reply_to = subjects::reply(&self.0.defaults.collective, self.0.provider.caller(), &id);
        let subscription = self.0.connection.subscribe(&reply_to, None).await?;
        Ok(Replies::new(self.clone(), call, collective, id, reply_to, subscription))
    }

    /// Sends a request whose answers go to `reply_to` and are nobody's business here; returns its id. Batches and their
    /// pauses are kept.
    ///
    /// # Errors
    /// When it cannot be signed or sent; some batches may have been sent then.
    pub async fn send(&self, call: &Call, reply_to: &str) -> Result<RequestId, RequestError> {
        let collective = self.collective(call.collective.as_ref())?;
        self.check_filter(&call.agent, &call.filter(), matches!(call.recipients, Recipients::Service))?;
        let id = self.new_id();
        for (number, targets) in call.batches(collective).into_iter().enumerate() {
            if number > 0 {
                tokio::time::sleep(call.pause()).await;
            }
            for (subject, payload) in self.messages(call, collective, &id, reply_to, targets).await? {
                self.0.connection.publish(&subject, payload).await?;
            }
        }
        self.0.connection.flush().await?;
        Ok(id)
    }

    /// The connection in use.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// `discovery_timeout`.
    #[must_use]
    pub fn discovery_timeout(&self) -> Duration {
        self.0.defaults.discovery_timeout
    }

    /// The messages of one batch, signed now.
    async fn messages(
        &self,
        call: &Call,
        collective: &Collective,
        id: &RequestId,
        reply_to: &str,
        targets: Vec<String>,
    ) -> Result<Vec<(String, bytes::Bytes)>, RequestError> {
        let body = RequestBody::new(call.agent.as_str(), &call.action, call.inputs.clone()).encode();
        self.sealed_messages(self.protocol_request(id, collective, &call.agent, call.filter(), body), reply_to, targets)
            .await
    }

    async fn sealed_messages(
        &self,
        request: Request,
        reply_to: &str,
        targets: Vec<String>,
    ) -> Result<Vec<(String, bytes::Bytes)>, RequestError> {
        let sealed = self.0.signer.seal(&request).await?;
        let server = self.0.connection.connected_server().unwrap_or_else(|| "unknown".to_owned());
        let outgoing = outgoing::Outgoing {
            sealed: &sealed,
            id: &request.id,
            sender: self.0.provider.identity(),
            server: &server,
            reply_to,
            federations: &self.0.defaults.federations,
        };
        Ok(outgoing.messages(targets))
    }

    fn protocol_request(
        &self,
        id: &RequestId,
        collective: &Collective,
        agent: &AgentName,
        filter: Filter,
        payload: Vec<u8>,
    ) -> Request {
        Request {
            version: Version::V2,
            id: id.clone(),
            sender: self.0.provider.identity().clone(),
            caller: self.0.provider.caller().clone(),
            collective: collective.clone(),
            agent: agent.clone(),
            ttl: self.0.defaults.ttl,
            time: SystemTime::now(),
            filter,
            payload,
        }
    }

    fn new_id(&self) -> RequestId {
        new_request_id(Version::V2, SystemTime::now(), &mut rand::thread_rng())
    }

    fn collective<'a>(&'a self, wanted: Option<&'a Collective>) -> Result<&'a Collective, RequestError> {
        let known = &self.0.defaults.collectives;
        match wanted {
            None => Ok(&self.0.defaults.collective),
            Some(collective) if known.contains(collective) => Ok(collective),
            Some(collective) => Err(RequestError::UnknownCollective {
                collective: collective.clone(),
                known: known.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    /// Refuses what `plugin.choria.require_client_filter` forbids: an empty filter, and discovery by one agent alone.
    fn check_filter(&self, agent: &AgentName, filter: &Filter, is_service: bool) -> Result<(), RequestError> {
        let discovers_agent = *agent == *DISCOVERY_AGENT && filter.is_agents_only() && filter.agents.len() == 1;
        let unfiltered = filter.is_empty() || discovers_agent;
        let refused = self.0.defaults.filter_required && unfiltered && !is_service;
        if refused { Err(RequestError::FilterRequired) } else { Ok(()) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("caller", self.0.provider.caller()).finish_non_exhaustive()
    }
}

impl Call {
    /// Asks `recipients` for `action` of the agent that `ddl` describes, with the time it says; a service is asked as one,
    /// whatever the recipients.
    ///
    /// # Errors
    /// When the document's name of the agent is not a valid one.
    pub fn new(
        ddl: &AgentDdl,
        action: &Action,
        inputs: Map<String, Value>,
        recipients: Recipients,
    ) -> Result<Self, RequestError> {
        Ok(Self {
            agent: ddl.metadata.name.parse()?,
            action: action.name.clone(),
            inputs,
            recipients: if ddl.metadata.service { Recipients::Service } else { recipients },
            collective: None,
            timeout: ddl.metadata.timeout(),
            discovery_time: Duration::ZERO,
        })
    }

    /// Which nodes act on the message: those that have the agent, unless the message says more. Services need none.
    fn filter(&self) -> Filter {
        match &self.recipients {
            Recipients::Nodes(_) => Filter { agents: vec![self.agent.to_string()], ..Filter::default() },
            Recipients::Broadcast { filter, .. } => filter.clone(),
            Recipients::Service => Filter::default(),
        }
    }

    /// The subjects of each batch.
    fn batches(&self, collective: &Collective) -> Vec<Vec<String>> {
        let node = |identity| subjects::node(collective, identity);
        match &self.recipients {
            Recipients::Nodes(plan) => plan.batches().iter().map(|batch| batch.iter().map(node).collect()).collect(),
            Recipients::Broadcast { .. } => vec![vec![subjects::broadcast_agent(collective, &self.agent)]],
            Recipients::Service => vec![vec![subjects::broadcast_service(collective, &self.agent)]],
        }
    }

    fn pause(&self) -> Duration {
        match &self.recipients {
            Recipients::Nodes(plan) => plan.pause(),
            Recipients::Broadcast { .. } | Recipients::Service => Duration::ZERO,
        }
    }

    /// Who is waited for in the batch `number`, counted from 0.
    fn expected(&self, number: usize) -> Vec<Identity> {
        match &self.recipients {
            Recipients::Nodes(plan) => plan.batches().get(number).cloned().unwrap_or_default(),
            Recipients::Broadcast { expected, .. } => expected.targets().cloned().collect(),
            Recipients::Service => Vec::new(),
        }
    }

    fn progress(&self) -> Progress {
        match &self.recipients {
            Recipients::Nodes(plan) | Recipients::Broadcast { expected: plan, .. } => {
                Progress::of_nodes(plan.targets())
            }
            Recipients::Service => Progress::of_service(),
        }
    }
}

impl Defaults {
    fn from_settings(settings: &Settings) -> Self {
        let seconds = u64::try_from(settings.get(keys::DISCOVERY_TIMEOUT)).unwrap_or_default();
        Self {
            collective: settings.main_collective().clone(),
            collectives: settings.collectives().to_vec(),
            federations: settings.get(keys::FEDERATION_COLLECTIVES).to_vec(),
            ttl: u32::try_from(settings.get(keys::TTL)).unwrap_or(DEFAULT_TTL),
            discovery_timeout: Duration::from_secs(seconds),
            windowed: settings.get(keys::DISCOVERY_BROADCAST_WINDOWED_TIMEOUT),
            filter_required: settings.get(keys::REQUIRE_CLIENT_FILTER),
        }
    }
}

/// The agent that answers pings.
const DISCOVERY_AGENT: &str = "discovery";

/// Seconds a request counts when the configured time does not fit.
const DEFAULT_TTL: u32 = 60;
