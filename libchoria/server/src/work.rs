//! The one task of a server.

use crate::certificate;
use crate::events::Announcer;
use crate::server::Error;
use crate::settings::{Parts, Settings};
use crate::status::Status;
use agents::{Authorization, Broker, Counts, Host, Node, Stats};
use network::{ConnectError, Connection, Observer, State};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Everything the task owns.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) settings: Settings,
    pub(crate) parts: Parts,
    pub(crate) announcer: Announcer,
    pub(crate) started: SystemTime,
    /// Becomes true once a first attempt to connect was made.
    pub(crate) attempted: watch::Sender<bool>,
    /// Becomes the node once it serves.
    pub(crate) serving: watch::Sender<Option<Arc<Node>>>,
}

impl Work {
    /// Connects, serves until `stop`, stops in order.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        // Boxed, so that what connecting needs is freed afterwards and not kept in the task for as long as it lives.
        let Some(connection) = Box::pin(self.connect(&stop)).await? else { return Ok(()) };
        let reporter = Reporter::new(&self);
        let Self { settings, parts, announcer, started, serving, .. } = self;
        let context = parts.context;
        let node = Arc::new(Node {
            authorization: Authorization::from_settings(&settings.config),
            broker: broker(&parts.network, &connection, &settings),
            settings: settings.config,
            provider: parts.provider,
            roster: parts.roster,
            facts: parts.facts,
            classes: parts.classes,
            stats: Stats::default(),
            started,
            times: parts.times,
        });
        if let Some(warning) = node.authorization.warning() {
            tracing::warn!("{warning}");
        }
        let host = Host::subscribe(Arc::clone(&node), connection.clone(), settings.services_only).await?;
        announcer.startup(&node, &connection).await;
        serving.send_replace(Some(Arc::clone(&node)));
        tracing::info!(agents = ?node.roster.names(), "serving");

        let drained = tokio::select! {
            drained = host.run(stop, settings.stop_limit / 2) => drained,
            never = reporter.report(&connection, &node.stats) => match never {},
            never = announcer.alive(&node, &connection) => match never {},
            never = signs_of_life(context.as_ref()) => match never {},
        };
        if drained.disconnected {
            return Err(Error::Disconnected);
        }
        if drained.abandoned > 0 {
            tracing::warn!(requests = drained.abandoned, "stopping without waiting longer for running requests");
        }
        announcer.shutdown(&node, &connection).await;
        if !connection.close(settings.stop_limit / 4).await {
            tracing::warn!("the broker did not confirm the end of the connection in time");
        }
        Ok(())
    }

    /// The first connection; `None` when told to stop before there is one.
    async fn connect(&self, stop: &CancellationToken) -> Result<Option<Connection>, Error> {
        let mut options = self.parts.network.clone();
        let (attempted, context) = (self.attempted.clone(), self.parts.context.clone());
        options.observer = Some(Observer::new(move |attempt| {
            attempted.send_replace(true);
            if let Some(context) = &context {
                context.status(&format!("Not connected: {}: {}", attempt.server, attempt.failure));
            }
        }));
        let reporter = Reporter::new(self);
        let connected = tokio::select! {
            connected = network::connect(options, stop.clone()) => connected,
            never = reporter.report_unconnected() => match never {},
            never = signs_of_life(self.parts.context.as_ref()) => match never {},
        };
        self.attempted.send_replace(true);
        match connected {
            Ok(connection) => Ok(Some(connection)),
            Err(ConnectError::Stopped) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes the status file and the status line.
#[derive(Debug)]
struct Reporter {
    settings: Settings,
    context: Option<daemon::Context>,
    started: SystemTime,
    certificate_expires: Option<SystemTime>,
    token_expires: Option<SystemTime>,
}

impl Reporter {
    fn new(work: &Work) -> Self {
        Self {
            settings: work.settings.clone(),
            context: work.parts.context.clone(),
            started: work.started,
            certificate_expires: certificate::expiry(&work.settings.config),
            token_expires: work.parts.provider.credentials().and_then(security::Credentials::expiry),
        }
    }

    /// At once, then at each change of the connection and each interval.
    async fn report(&self, connection: &Connection, stats: &Stats) -> Infallible {
        let mut changes = connection.changes();
        loop {
            let server = connection.connected_server().unwrap_or_default();
            self.write_file(&server, stats.counts(), stats.last_accepted());
            self.show(&server, stats.counts());
            tokio::select! {
                () = self.interval() => {}
                // The sender lives as long as the connection, which is ours.
                changed = changes.wait_for(|state| (*state == State::Connected) == server.is_empty()) => drop(changed),
            }
        }
    }

    /// The same before there is a connection; the status line then tells of failed attempts.
    async fn report_unconnected(&self) -> Infallible {
        loop {
            self.write_file("", Counts::default(), None);
            self.interval().await;
        }
    }

    /// Without a file and without a service manager, nothing is worth waking up for.
    async fn interval(&self) {
        let supervised = self.context.as_ref().is_some_and(daemon::Context::is_supervised);
        if self.settings.status_file.is_some() {
            sleep(self.settings.status_interval).await;
        } else if supervised {
            sleep(STATUS_LINE_INTERVAL).await;
        } else {
            pending().await
        }
    }

    fn write_file(&self, server: &str, stats: Counts, last_message: Option<u64>) {
        let Some(path) = &self.settings.status_file else { return };
        let status = Status {
            identity: self.settings.config.identity(),
            uptime: SystemTime::now().duration_since(self.started).unwrap_or(Duration::ZERO).as_secs(),
            connected_server: server.to_owned(),
            last_message: last_message.unwrap_or_default(),
            provisioning_mode: false,
            stats,
            certificate_expires: self.certificate_expires,
            token_expires: self.token_expires,
        };
        if let Err(error) = status.write(path) {
            tracing::warn!(file = %path.display(), "the status file was not written: {error}; see plugin.choria.status_file_path");
        }
    }

    fn show(&self, server: &str, counts: Counts) {
        let Some(context) = &self.context else { return };
        context.status(&if server.is_empty() {
            "Reconnecting to the broker".to_owned()
        } else {
            format!(
                "Connected to {server}; {} requests answered, {} filtered out, {} invalid",
                counts.replies, counts.filtered, counts.invalid
            )
        });
    }
}

/// How often the status line is renewed where no status file asks for more.
const STATUS_LINE_INTERVAL: Duration = Duration::from_secs(60);

/// Answers the service manager's watchdog from the task that does the work.
async fn signs_of_life(context: Option<&daemon::Context>) -> Infallible {
    let Some(context) = context else { return pending().await };
    loop {
        context.asked_for_life().await;
        context.alive();
    }
}

/// What agents tell about the connection.
fn broker(options: &network::Options, connection: &Connection, settings: &Settings) -> Broker {
    let servers = match &options.servers {
        network::Servers::Fixed(servers) => servers.clone(),
        network::Servers::Search(search) => search.configured.clone(),
    };
    Broker {
        connection: Some(connection.clone()),
        name: options.name.clone(),
        servers,
        tls: settings.config.protection().tls,
        connect_timeout: options.connect_timeout,
        ping_interval: options.ping_interval,
    }
}
