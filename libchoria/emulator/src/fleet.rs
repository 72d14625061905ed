//! The servers: made, started a few at a time, counted, stopped together.

use crate::plan::Plan;
use crate::report::{Report, resident_bytes};
use agents::{ClassSource, FactSource, HandlingTimes, InvalidAgent, Roster, builtin};
use config::Problems;
use names::{Collective, Identity, InvalidName};
use network::{Login, Options, Role, Search, Servers};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::subjects;
use rand::RngCore;
use rand::rngs::OsRng;
use security::{Credentials, CredentialsError, Parts as SecurityParts, Provider, Trust, TrustedTokens};
use server::{Parts, Running, Server, Settings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{IssueError, PublicKey, Seed, ServerClaims, ServerPermissions, SigningKey, TrustRoots};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Running servers.
#[derive(Debug)]
pub struct Fleet {
    instances: usize,
    running: Vec<Running>,
    times: Arc<HandlingTimes>,
    /// Resident memory before the first server, bytes.
    base: u64,
}

/// Why a fleet cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name of a server is not valid.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The settings of a server are not valid.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// A token cannot be issued.
    #[error("cannot issue the token of a server: {0}")]
    Issue(#[from] IssueError),
    /// A token does not fit its seed.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The agents cannot be hosted.
    #[error(transparent)]
    Agents(#[from] InvalidAgent),
    /// A server cannot be built.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The system does not let this process hold so many connections.
    #[error(
        "{wanted} connections need as many open files, and the limit is {limit}: raise it with `ulimit -Hn` or LimitNOFILE="
    )]
    OpenFiles {
        /// Files needed.
        wanted: u64,
        /// The hard limit.
        limit: u64,
    },
}

/// Starts the fleet of `plan`, tells `told` how it fares, and stops it when `stop` is cancelled. The first report comes
/// when all servers serve, at the latest after `interval`; the next ones every `interval`.
///
/// # Errors
/// [`Error`] before the first server starts; servers that fail later are counted.
pub async fn run(
    plan: Plan,
    stop: CancellationToken,
    interval: Duration,
    mut told: impl FnMut(&Report),
) -> Result<Report, Error> {
    let mut fleet = Fleet::start(plan, stop.clone()).await?;
    tokio::select! {
        () = fleet.all_serving() => {}
        () = stop.cancelled() => {}
        () = tokio::time::sleep(interval) => {}
    }
    while !stop.is_cancelled() {
        told(&fleet.report());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
    let report = fleet.report();
    fleet.stop().await;
    Ok(report)
}

impl Fleet {
    /// Starts all servers, [`Plan::at_once`] at a time, each batch when the one before has tried to connect. Cancelling
    /// `stop` ends the starting, not the servers.
    ///
    /// # Errors
    /// [`Error`] when a server cannot be made.
    pub async fn start(plan: Plan, stop: CancellationToken) -> Result<Self, Error> {
        let (count, at_once) = (plan.count, plan.at_once.max(1));
        allow_open_files(count)?;
        let maker = Maker::new(plan)?;
        let mut fleet =
            Self { instances: count, running: Vec::new(), times: Arc::clone(&maker.times), base: resident_bytes() };
        while fleet.running.len() < count && !stop.is_cancelled() {
            let first = fleet.running.len();
            for number in first + 1..=(first + at_once).min(count) {
                fleet.running.push(maker.server(number)?.start());
            }
            for started in &fleet.running[first..] {
                tokio::select! {
                    () = started.attempted() => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        Ok(fleet)
    }

    /// Completes when every server serves requests, or has ended by itself.
    pub async fn all_serving(&self) {
        for server in &self.running {
            server.serving().await;
        }
    }

    /// Counters and memory now.
    #[must_use]
    pub fn report(&self) -> Report {
        let resident = resident_bytes();
        let mut report = Report {
            instances: self.instances,
            failed: self.running.iter().filter(|server| server.has_ended()).count(),
            resident_bytes: resident,
            resident_bytes_per_instance: resident
                .saturating_sub(self.base)
                .checked_div(self.running.len() as u64)
                .unwrap_or_default(),
            p50: self.times.percentile(50),
            p90: self.times.percentile(90),
            p99: self.times.percentile(99),
            longest: self.times.percentile(100),
            ..Report::default()
        };
        for node in self.running.iter().filter_map(Running::node) {
            let counts = node.stats.counts();
            report.requests += counts.total;
            report.invalid += counts.invalid;
            report.filtered += counts.filtered;
            report.expired += counts.ttl_expired;
            report.replies += counts.replies;
            if let Some(status) = node.broker.status() {
                report.connected += usize::from(status.state == network::State::Connected);
                report.reconnects += status.reconnects;
                report.dropped += status.dropped_messages;
            }
        }
        report
    }

    /// Stops all servers at once, each in order.
    pub async fn stop(&mut self) {
        let mut stopping = JoinSet::new();
        for server in self.running.drain(..) {
            stopping.spawn(server.wait(std::future::ready(())));
        }
        while let Some(stopped) = stopping.join_next().await {
            match stopped {
                Ok(Ok(_outcome)) => {}
                Ok(Err(error)) => tracing::warn!("a server did not stop in order: {error}"),
                Err(error) => tracing::error!("a server was lost while stopping: {error}"),
            }
        }
    }
}

/// Makes servers from what all of them have in common.
struct Maker {
    name: String,
    organization: String,
    collective: Collective,
    issuer: SigningKey,
    settings: Settings,
    trusted: Arc<TrustedTokens>,
    network: Options,
    facts: Arc<FactSource>,
    classes: Arc<ClassSource>,
    roster: Arc<Roster>,
    times: Arc<HandlingTimes>,
}

impl Maker {
    fn new(plan: Plan) -> Result<Self, Error> {
        let Plan { name, organization, collective, .. } = plan;
        let config = config::Settings::builder()
            .set("identity", &name)
            .set("collectives", collective.as_str())
            .set("rpcauthorization", "0")
            .set("plugin.choria.log_calls", "false")
            .set("soft_shutdown_timeout", "10")
            .build()?;
        let roots = TrustRoots::issuers(BTreeMap::from([(organization.clone(), plan.issuer.public())]));
        let servers = Servers::Search(Arc::new(Search::brokers(plan.servers, false, None)));
        let facts = plan.facts.iter().map(|path| path.display().to_string()).collect();
        Ok(Self {
            issuer: SigningKey::Ed25519(plan.issuer),
            settings: Settings::new(config, false),
            trusted: Arc::new(TrustedTokens::new(roots)),
            network: Options::new(Role::Server, name.clone(), servers, plan.tls),
            facts: Arc::new(FactSource::new(facts)),
            classes: Arc::new(ClassSource::new(plan.classes)),
            roster: Arc::new(Roster::new(builtin::agents()?, false)?),
            times: Arc::default(),
            name,
            organization,
            collective,
        })
    }

    /// One server with a key and token of its own.
    fn server(&self, number: usize) -> Result<Server, Error> {
        let now = SystemTime::now();
        let identity = Plan::identity(&self.name, number)?;
        // The login and the replies each hold the key; it lives as long as the process and is worth nothing elsewhere.
        let mut key = [0; 32];
        OsRng.fill_bytes(&mut key);
        let seed = Seed::from_bytes(key);
        let token = self.token(&identity, seed.public(), now)?;

        let mut network = self.network.clone();
        identity.as_str().clone_into(&mut network.name);
        network.inbox_prefix = subjects::inbox_prefix(&self.collective, identity.as_str());
        network.login = Login::TokenText { token: Arc::from(token.as_str()), seed: Arc::new(Seed::from_bytes(key)) };
        let provider = Provider::new(SecurityParts {
            identity: identity.clone(),
            credentials: Some(Credentials::new(&token, seed)?),
            trust: Trust::Tokens(Arc::clone(&self.trusted)),
            sign_replies: true,
        });
        let parts = Parts {
            provider,
            network,
            facts: Arc::clone(&self.facts),
            classes: Arc::clone(&self.classes),
            roster: Arc::clone(&self.roster),
            times: Some(Arc::clone(&self.times)),
            delivery: None,
            orders: None,
            context: None,
        };
        let config = self.settings.config.with(&[("identity", identity.to_string())])?;
        Ok(Server::build(Settings { config, ..self.settings.clone() }, parts, number as u64, now)?)
    }

    fn token(&self, identity: &Identity, key: PublicKey, now: SystemTime) -> Result<String, IssueError> {
        let collectives = vec![self.collective.to_string()];
        let mut claims = ServerClaims::new(identity.as_str(), collectives, key, VALIDITY, now, &mut OsRng)?;
        self.organization.clone_into(&mut claims.organization_unit);
        claims.permissions = Some(ServerPermissions { submission: true, ..ServerPermissions::default() });
        claims.sign(&self.issuer)
    }
}

/// An emulated fleet rarely runs longer than a day; brokers refuse tokens without end.
const VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Files that a process opens beside its connections.
const OTHER_FILES: u64 = 64;

/// Raises the limit of open files as far as the system lets this process.
fn allow_open_files(connections: usize) -> Result<(), Error> {
    let wanted = connections as u64 + OTHER_FILES;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if wanted <= soft {
        return Ok(());
    }
    if wanted > hard || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
        return Err(Error::OpenFiles { wanted, limit: hard });
    }
    Ok(())
}
