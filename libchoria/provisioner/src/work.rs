//! The one task of a provisioner: connects, hears of nodes, gives them to workers, stops in time.

use crate::audit::{Audit, Entry};
use crate::calls::{CallError, Caller};
use crate::counts::{Counter, Counts};
use crate::election::{self, Campaigns};
use crate::helper::Helper;
use crate::intake;
use crate::live::Live;
use crate::node::{Bench, Failure, Outcome, Round};
use crate::provisioner::{Error, Parts};
use crate::queue::{Ended, Next, Offer, Queue, Source};
use crate::settings::Settings;
use lifecycle::{Component, Event, Format, Kind};
use names::Identity;
use network::election::Standing;
use network::{ConnectError, Connection, Observer, Subscription};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// Everything the task owns.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) settings: Arc<Settings>,
    pub(crate) parts: Parts,
    pub(crate) helper: Helper,
    pub(crate) audit: Option<Audit>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) live: Arc<Live>,
    pub(crate) campaigns: Arc<Campaigns>,
    /// Becomes true once a first attempt to connect was made.
    pub(crate) attempted: watch::Sender<bool>,
}

/// How the use of one connection ended.
enum Over {
    Stopped,
    Hung,
    Disconnected,
}

/// What happens over one connection.
struct Session<'a> {
    work: &'a Work,
    queue: &'a mut Queue,
    bench: Arc<Bench>,
    events: Subscription,
    /// Nodes that discovery finds.
    found: (mpsc::Sender<Identity>, mpsc::Receiver<Identity>),
    discoveries: JoinSet<Result<usize, CallError>>,
    next_discovery: Instant,
    rounds: JoinSet<Result<Outcome, Failure>>,
    busy: HashMap<Id, Busy>,
    standing: watch::Receiver<Standing>,
    /// The other end of `standing` where no election has it.
    fixed: Option<watch::Sender<Standing>>,
    paused: watch::Sender<bool>,
    /// When the status line may be shown again, if it changed since it was shown.
    status: Status,
}

/// A node that is being provisioned.
struct Busy {
    node: Identity,
    since: Instant,
    waited: Duration,
}

/// When the status line was shown and whether it is still right.
struct Status {
    shown: Option<Instant>,
    changed: bool,
}

impl Work {
    /// Works until `stop`. A connection whose attempt to return hangs is given up for a new one.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let mut queue = Queue::new(self.settings.interval * 2);
        let mut announced = false;
        loop {
            let Some(connection) = self.connect(&stop).await? else { return Ok(()) };
            if !std::mem::replace(&mut announced, true) {
                self.announce(&connection).await;
            }
            match self.serve(&connection, &mut queue, &stop).await? {
                Over::Hung => connection.abandon(),
                Over::Disconnected => return Err(Error::Disconnected),
                Over::Stopped => {
                    if !connection.close(CLOSE_LIMIT).await {
                        tracing::warn!("the broker did not confirm the end of the connection in time");
                    }
                    return Ok(());
                }
            }
        }
    }

    /// The next connection; `None` when told to stop before there is one.
    async fn connect(&self, stop: &CancellationToken) -> Result<Option<Connection>, Error> {
        self.status("Connecting to the broker");
        let mut options = self.parts.network.clone();
        let (attempted, context) = (self.attempted.clone(), self.parts.context.clone());
        options.observer = Some(Observer::new(move |attempt| {
            attempted.send_replace(true);
            if let Some(context) = &context {
                context.status(&format!("Not connected: {}: {}", attempt.server, attempt.failure));
            }
        }));
        let connected = tokio::select! {
            connected = network::connect(options, stop.clone()) => connected,
            never = self.signs_of_life() => match never {},
        };
        self.attempted.send_replace(true);
        match connected {
            Ok(connection) => Ok(Some(connection)),
            Err(ConnectError::Stopped) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the network that a provisioner started; in the bare form, as the original does.
    async fn announce(&self, connection: &Connection) {
        let kind = Kind::Startup { version: agents::VERSION.to_owned() };
        let Ok(component) = COMPONENT.parse::<Component>() else { return };
        let identity = self.parts.provider.identity().clone();
        let event = Event::new(identity, component, kind, SystemTime::now(), &mut rand::thread_rng());
        if let Err(error) = connection.publish(&event.subject(), event.encode(Format::Bare).into()).await {
            tracing::warn!("the lifecycle event `{event}` was not sent: {error}");
        }
    }

    async fn serve(&self, connection: &Connection, queue: &mut Queue, stop: &CancellationToken) -> Result<Over, Error> {
        let Parts { provider, collective, ttl, pace, .. } = &self.parts;
        let counts = Arc::clone(&self.counts);
        let made = Caller::new(connection.clone(), provider.clone(), collective.clone(), *ttl, Arc::clone(&counts));
        let (caller, replies) = made.await?;
        let events = connection.subscribe(&intake::subject(&self.settings.component), None).await?;
        let helper = self.helper.clone();
        let bench = Bench { settings: Arc::clone(&self.settings), helper, counts, caller, pace: *pace };
        let mut tasks = JoinSet::new();
        tasks.spawn(replies.run());
        let turn = stop.child_token();
        let (fixed, standing) = if self.settings.leader_election {
            (
                None,
                election::enter(connection, provider.identity(), Arc::clone(&self.campaigns), turn.clone(), &mut tasks),
            )
        } else {
            let fixed = watch::Sender::new(Standing::Leader);
            let standing = fixed.subscribe();
            (Some(fixed), standing)
        };
        let session = Session {
            work: self,
            queue,
            bench: Arc::new(bench),
            events,
            found: mpsc::channel(FOUND_IN_FLIGHT),
            discoveries: JoinSet::new(),
            next_discovery: Instant::now(),
            rounds: JoinSet::new(),
            busy: HashMap::new(),
            paused: watch::Sender::new(self.settings.leader_election),
            standing,
            fixed,
            status: Status { shown: None, changed: true },
        };
        let over = session.run(connection, stop).await;
        turn.cancel();
        // The election gives up its lead before the connection goes.
        let left = async {
            while tasks.len() > 1 {
                tasks.join_next().await;
            }
        };
        if timeout(LEAVE_LIMIT, left).await.is_err() {
            tracing::debug!("the election was not left in time");
        }
        Ok(over)
    }

    fn status(&self, text: &str) {
        if let Some(context) = &self.parts.context {
            context.status(text);
        }
    }

    /// Completes when the service manager wants a sign of life.
    async fn asked(&self) {
        match &self.parts.context {
            Some(context) => context.asked_for_life().await,
            None => pending().await,
        }
    }

    fn alive(&self) {
        if let Some(context) = &self.parts.context {
            context.alive();
        }
    }

    async fn signs_of_life(&self) -> Infallible {
        loop {
            self.asked().await;
            self.alive();
        }
    }
}

impl Session<'_> {
    async fn run(mut self, connection: &Connection, stop: &CancellationToken) -> Over {
        self.follow_standing();
        let mut changes = connection.changes();
        let over = loop {
            self.start_rounds();
            self.show();
            let paused = *self.paused.borrow();
            let has_discovery = !self.discoveries.is_empty();
            tokio::select! {
                () = stop.cancelled() => break Over::Stopped,
                age = connection.hangs() => {
                    tracing::error!(
                        "the attempt to return to the broker hangs since {} s: the broker took the connection and fell \
                         silent; connecting anew", age.as_secs()
                    );
                    break Over::Hung;
                }
                _closed = changes.wait_for(|state| *state == network::State::Closed) => break Over::Disconnected,
                event = self.events.recv() => match event {
                    Some(event) if !paused => self.hear(&event.payload),
                    Some(_) => {}
                    None => break Over::Disconnected,
                },
                Some(node) = self.found.1.recv() => {
                    if !paused {
                        self.offer(&node, Source::Discovery);
                    }
                }
                Some(discovered) = self.discoveries.join_next(), if has_discovery => self.discovered(discovered),
                () = at(self.next_discovery), if !paused => self.discover(),
                Some(ended) = self.rounds.join_next_with_id(), if !self.busy.is_empty() => self.ended(ended),
                changed = self.standing.changed() => match changed {
                    Ok(()) => self.follow_standing(),
                    Err(_) => self.leave_election(),
                },
                () = maybe_at(self.queue.next_tick()) => drop(self.queue.tick(Instant::now())),
                () = maybe_at(self.status.due()) => {}
                () = self.work.asked() => self.work.alive(),
            }
        };
        match over {
            Over::Stopped => self.finish_rounds().await,
            Over::Hung | Over::Disconnected => self.abandon_rounds(),
        }
        over
    }

    /// A node announced itself.
    fn hear(&mut self, payload: &[u8]) {
        match intake::read(payload, &self.work.settings.component) {
            Ok(node) => self.offer(&node, Source::Event),
            Err(reason) => {
                self.work.counts.add(Counter::BadEvents);
                tracing::debug!("a startup event is ignored: {reason}");
            }
        }
    }

    fn offer(&mut self, node: &Identity, source: Source) {
        let counts = &self.work.counts;
        match self.queue.offer(node, source, Instant::now()) {
            Offer::Queued => {
                tracing::debug!(%node, ?source, "queued");
                counts.add(if source == Source::Event { Counter::EventDiscovered } else { Counter::Discovered });
            }
            Offer::Full => {
                let refused = counts.add(Counter::Refused);
                if refused.is_power_of_two() {
                    tracing::warn!(%node, refused, "not queued: too many nodes are known already; a later discovery finds it");
                }
            }
            Offer::Later | Offer::Known => {}
        }
        self.status.changed = true;
    }

    /// Asks who is there, unless that is being asked.
    fn discover(&mut self) {
        self.next_discovery = Instant::now() + self.work.settings.interval;
        if !self.discoveries.is_empty() {
            return;
        }
        self.work.counts.add(Counter::DiscoverCycles);
        let (caller, found) = (self.bench.caller.clone(), self.found.0.clone());
        self.discoveries.spawn(async move { caller.discover(&found).await });
    }

    fn discovered(&mut self, ended: Result<Result<usize, CallError>, JoinError>) {
        let reason = match ended {
            Ok(Ok(count)) => return tracing::debug!(count, "discovered nodes in provisioning mode"),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.work.counts.add(Counter::DiscoveryErrors);
        tracing::warn!("nodes could not be discovered: {reason}");
    }

    /// Gives waiting nodes to idle workers.
    fn start_rounds(&mut self) {
        while self.busy.len() < self.work.settings.workers && !*self.paused.borrow() {
            let now = Instant::now();
            match self.queue.take(now) {
                None => return,
                Some(Next::Stale(node, waited)) => {
                    self.work.counts.add(Counter::Stale);
                    let reason = format!("skipping node that's been waiting {} s", waited.as_secs());
                    tracing::warn!(%node, "{reason}");
                    self.write(&node, "discarded", &reason, Duration::ZERO, waited);
                }
                Some(Next::Node(node, waited)) => {
                    tracing::debug!(%node, "provisioning");
                    let round =
                        Round { node: node.clone(), bench: Arc::clone(&self.bench), paused: self.paused.subscribe() };
                    let task = self.rounds.spawn(round.run());
                    self.busy.insert(task.id(), Busy { node, since: now, waited });
                }
            }
            self.status.changed = true;
        }
    }

    /// A round is over.
    fn ended(&mut self, ended: Result<(Id, Result<Outcome, Failure>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, Ok(outcome))) => (id, Ok(outcome)),
            Ok((id, Err(failure))) => (id, Err((kind(&failure), failure.to_string()))),
            Err(error) => (error.id(), Err((Ended::Failed, format!("the work for it ended by a fault: {error}")))),
        };
        let Some(Busy { node, since, waited }) = self.busy.remove(&id) else { return };
        self.status.changed = true;
        let took = since.elapsed();
        let counts = &self.work.counts;
        let (how, word, reason) = match result {
            Ok(outcome) => {
                counts.add(Counter::Provisioned);
                tracing::info!(%node, seconds = took.as_secs_f64(), "{}", outcome.word());
                let reason = match &outcome {
                    Outcome::Provisioned => String::new(),
                    Outcome::Upgraded { version } => version.clone(),
                    Outcome::Stopped(reason) => reason.clone(),
                };
                let how = if matches!(outcome, Outcome::Upgraded { .. }) { Ended::Upgraded } else { Ended::Finished };
                (how, outcome.word(), reason)
            }
            Err((how, reason)) => {
                counts.add(Counter::ProvisionErrors);
                tracing::warn!(%node, "not provisioned: {reason}");
                let word = match how {
                    Ended::Deferred => "deferred",
                    Ended::Abandoned => "paused",
                    _ => "failed",
                };
                if how == Ended::Deferred {
                    counts.add(Counter::Deferred);
                }
                (how, word, reason)
            }
        };
        self.write(&node, word, &reason, took, waited);
        self.queue.finish(&node, how, Instant::now());
    }

    fn write(&self, node: &Identity, outcome: &str, reason: &str, took: Duration, waited: Duration) {
        if let Some(audit) = &self.work.audit {
            audit.write(&Entry { node, outcome, reason, took, waited }, SystemTime::now());
        }
    }

    /// Works while this provisioner leads, and forgets everything when it does not.
    fn follow_standing(&mut self) {
        let leads = *self.standing.borrow_and_update() == Standing::Leader;
        self.work.live.set_paused(!leads);
        let was_paused = self.paused.send_replace(!leads);
        self.status.changed = true;
        if !leads {
            self.queue.clear();
            if !was_paused {
                tracing::warn!("another provisioner leads: pausing");
            }
        } else if was_paused {
            tracing::warn!("leading: provisioning begins");
            self.next_discovery = Instant::now();
        }
    }

    /// The election ended by itself: nothing is done any more without a lead.
    fn leave_election(&mut self) {
        tracing::error!("the election ended by itself, pausing: restart the provisioner");
        let fixed = watch::Sender::new(Standing::Candidate);
        self.standing = fixed.subscribe();
        self.fixed = Some(fixed);
        self.follow_standing();
    }

    /// Lets what is under way come to an end, for a while.
    async fn finish_rounds(&mut self) {
        if !self.busy.is_empty() {
            tracing::info!(nodes = self.busy.len(), "stopping: waiting for nodes that are being provisioned");
        }
        let rest = async {
            while let Some(ended) = self.rounds.join_next_with_id().await {
                self.ended(ended);
            }
        };
        if timeout(ROUNDS_LIMIT, rest).await.is_err() {
            tracing::warn!(nodes = self.busy.len(), "stopping in the middle of provisioning");
        }
    }

    fn abandon_rounds(&mut self) {
        self.rounds.abort_all();
        for (_, busy) in self.busy.drain() {
            self.queue.finish(&busy.node, Ended::Abandoned, Instant::now());
        }
    }

    /// Writes down what can be seen from outside.
    fn show(&mut self) {
        let (waiting, busy, known) = (self.queue.waiting(), self.busy.len(), self.queue.known());
        self.work.live.set(waiting, busy, known);
        if self.work.parts.context.is_none() || self.status.due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        self.status = Status { shown: Some(Instant::now()), changed: false };
        let provisioned = self.work.counts.value(Counter::Provisioned);
        let standing = match (*self.paused.borrow(), self.work.settings.leader_election) {
            (true, _) => "Paused, another provisioner leads; ",
            (false, true) => "Leading; ",
            (false, false) => "",
        };
        self.work.status(&format!("{standing}{waiting} waiting, {busy} busy, {provisioned} provisioned"));
    }
}

impl Status {
    /// When the line should be shown anew.
    fn due(&self) -> Option<Instant> {
        self.changed.then(|| self.shown.map_or_else(Instant::now, |shown| shown + STATUS_PAUSE))
    }
}

/// What a failure means for the node's place in the work set.
fn kind(failure: &Failure) -> Ended {
    match failure {
        Failure::Deferred(_) => Ended::Deferred,
        Failure::Paused(_) => Ended::Abandoned,
        _ => Ended::Failed,
    }
}

async fn at(time: Instant) {
    sleep_until(time.into()).await;
}

async fn maybe_at(time: Option<Instant>) {
    match time {
        Some(time) => at(time).await,
        None => pending().await,
    }
}

/// How this component is called in lifecycle events.
const COMPONENT: &str = "provisioner";
/// Nodes that discovery found and that are not yet queued.
const FOUND_IN_FLIGHT: usize = 1024;
/// The status line changes at most this often.
const STATUS_PAUSE: Duration = Duration::from_secs(1);
/// How long nodes that are being provisioned may take when told to stop.
const ROUNDS_LIMIT: Duration = Duration::from_secs(4);
/// How long leaving the election may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(1);
/// How long closing the connection may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
