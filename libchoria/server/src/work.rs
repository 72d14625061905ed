//! The one task of a server.

use crate::control::{Departure, Event, Orders, Outcome};
use crate::live::Handle;
use crate::report::Reporter;
use crate::server::Error;
use crate::settings::Settings;
use agents::{Announcer, Broker, Drained, Host, Node, Pulse};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use network::{ConnectError, Connection, Observer, Options};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use submission::delivery::Delivery;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Everything the task owns.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) settings: Settings,
    pub(crate) network: Options,
    pub(crate) context: Option<daemon::Context>,
    pub(crate) announcer: Announcer,
    /// Delivers submitted messages; none without a spool.
    pub(crate) delivery: Option<Delivery>,
    /// What the agent `choria_provision` asks for; none without that agent.
    pub(crate) orders: Option<Orders>,
    /// The server as its agents see it; without a connection at first.
    pub(crate) handle: Handle,
    /// Becomes true once a first attempt to connect was made.
    pub(crate) attempted: watch::Sender<bool>,
    /// Becomes true once it serves.
    pub(crate) serving: watch::Sender<bool>,
}

/// How the use of one connection ended.
enum Ended {
    /// Told to stop by whoever started the server or by its agent, or disconnected for good.
    Drained(Drained, Outcome),
    /// An attempt to return hung; what ran has ended.
    Hung,
}

impl Work {
    /// Connects, serves until `stop` or an order of the agent `choria_provision`, stops in order. A connection whose
    /// attempt to return hangs is given up for a new one.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<Outcome, Error> {
        let mut reporter = Reporter::new(&self.settings, self.context.clone(), self.handle.clone());
        let mut departure = Departure::new(self.orders.take());
        let mut delivery = self.delivery.take();
        loop {
            // Boxed, so that what connecting needs is freed afterwards and not kept in the task for as long as it lives.
            let connection = match Box::pin(self.connect(&stop, &mut reporter, &mut departure)).await? {
                Ok(connection) => connection,
                Err(outcome) => return Ok(outcome),
            };
            let broker = broker(&self.network, &connection, &self.settings);
            self.handle.0.send_modify(|node| *node = Arc::new(Node { broker, ..Node::clone(node) }));
            let (drained, outcome) =
                match self.serve(&connection, &stop, &mut reporter, &mut departure, &mut delivery).await? {
                    Ended::Hung => {
                        connection.abandon();
                        continue;
                    }
                    Ended::Drained(drained, outcome) => (drained, outcome),
                };
            if drained.disconnected {
                return Err(Error::Disconnected);
            }
            if drained.abandoned > 0 {
                tracing::warn!(requests = drained.abandoned, "stopping without waiting longer for running requests");
            }
            if !departure.is_announced() {
                self.announcer.shutdown(&self.handle.node(), &connection).await;
            }
            if !connection.close(self.settings.stop_limit / 4).await {
                tracing::warn!("the broker did not confirm the end of the connection in time");
            }
            return Ok(outcome);
        }
    }

    /// Serves over one connection until `stop`, an order to leave, or its end.
    async fn serve(
        &self,
        connection: &Connection,
        stop: &CancellationToken,
        reporter: &mut Reporter,
        departure: &mut Departure,
        delivery: &mut Option<Delivery>,
    ) -> Result<Ended, Error> {
        let node = self.handle.node();
        let nodes = self.handle.0.subscribe();
        let host = Host::subscribe(nodes, connection.clone(), self.settings.services_only).await?;
        // Returning over a new connection is no start.
        if !self.serving.send_replace(true) {
            self.announcer.startup(&node, connection).await;
        }
        tracing::info!(agents = ?node.roster.names(), "serving");

        let turn = stop.child_token();
        let pulse = Life(self.context.as_ref());
        let mut serve = std::pin::pin!(host.run(turn.clone(), self.settings.stop_limit / 2, &pulse));
        let mut beside = std::pin::pin!(async {
            tokio::select! {
                never = reporter.report(connection) => match never {},
                never = self.announcer.alive(&node, connection) => match never {},
            }
        });
        let mut delivers = delivery.is_some();
        let mut delivering = match delivery {
            Some(delivery) => delivery.run(connection, &turn).boxed(),
            None => pending().boxed(),
        };
        let mut left = None;
        let drained = loop {
            tokio::select! {
                drained = &mut serve => break drained,
                age = connection.hangs(), if !turn.is_cancelled() => {
                    tracing::error!(
                        "the attempt to return to the broker hangs since {} s: the broker took the connection and fell \
                         silent; connecting anew", age.as_secs()
                    );
                    turn.cancel();
                }
                event = departure.next(), if left.is_none() => match event {
                    Event::Announce(kind) => self.announcer.publish(kind, &self.handle.node(), connection).await,
                    Event::Leave(outcome) => {
                        left = Some(outcome);
                        turn.cancel();
                    }
                },
                () = &mut delivering, if delivers => delivers = false,
                never = &mut beside => never,
            }
        };
        // Messages that are on their way are finished, so that they are not sent again after the next start.
        if delivers && timeout(self.settings.stop_limit / 4, delivering).await.is_err() {
            tracing::info!("submitted messages on their way were not acknowledged in time; they are sent again");
        }
        Ok(match left {
            Some(outcome) => Ended::Drained(drained, outcome),
            None if turn.is_cancelled() && !stop.is_cancelled() => Ended::Hung,
            None => Ended::Drained(drained, Outcome::Stopped),
        })
    }

    /// The next connection, or how the server ends when it is to leave before there is one.
    async fn connect(
        &self,
        stop: &CancellationToken,
        reporter: &mut Reporter,
        departure: &mut Departure,
    ) -> Result<Result<Connection, Outcome>, Error> {
        let mut options = self.network.clone();
        let (attempted, context) = (self.attempted.clone(), self.context.clone());
        options.observer = Some(Observer::new(move |attempt| {
            attempted.send_replace(true);
            if let Some(context) = &context {
                context.status(&format!("Not connected: {}: {}", attempt.server, attempt.failure));
            }
        }));
        let leave = async {
            loop {
                match departure.next().await {
                    Event::Announce(kind) => tracing::debug!("not connected, the event {kind:?} is not sent"),
                    Event::Leave(outcome) => break outcome,
                }
            }
        };
        let connected = tokio::select! {
            connected = network::connect(options, stop.clone()) => connected,
            outcome = leave => return Ok(Err(outcome)),
            never = reporter.report_unconnected() => match never {},
            never = signs_of_life(self.context.as_ref()) => match never {},
        };
        self.attempted.send_replace(true);
        match connected {
            Ok(connection) => Ok(Ok(connection)),
            Err(ConnectError::Stopped) => Ok(Err(Outcome::Stopped)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The service manager's watchdog, answered by the loop that takes requests and by nothing beside it.
struct Life<'a>(Option<&'a daemon::Context>);

impl Pulse for Life<'_> {
    fn asked(&self) -> BoxFuture<'_, ()> {
        match self.0 {
            Some(context) => context.asked_for_life().boxed(),
            None => pending().boxed(),
        }
    }

    fn alive(&self) {
        if let Some(context) = self.0 {
            context.alive();
        }
    }
}

/// Before there are requests to take, the task that connects answers.
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
        counters: Arc::clone(&options.counters),
    }
}
