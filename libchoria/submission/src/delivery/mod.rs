//! Delivery of what waits in a spool to the network (spec 04 §5.3): the edge around [`crate::schedule`].
//!
//! | module | holds |
//! |---|---|
//! | `queue` | the loop of one queue |
//! | `run` | which messages go together (pure) |
//! | `watch` | the kernel tells of new messages |
//! | `signing` | [`SigningFiles`]: seed and token |
//! | `counts` | [`Counts`] |
//!
//! # What is promised
//!
//! **Reliable messages** stay in the spool until a stream acknowledged them. Each is in the stream once, as long as the
//! stream remembers its `Nats-Msg-Id` (two minutes unless it says otherwise): whatever is not known to be stored is sent
//! again, after a lost acknowledgement, after a power cut, after a removal that was not on disk yet.
//!
//! **Order**: within one queue, a message is sent when everything before it is stored, dropped, or set aside; or in one
//! burst with messages before it. Then the order in the stream is that of the queue, also when the connection is lost
//! anywhere in the burst, when the broker dies, when the stream refuses the burst from some message on, or takes nothing of
//! it. One case is left: a stream that refuses a message and takes a later one of the same burst, although that is not
//! smaller and has the same subject: room was made, the stream was made, or it changed its leader, within the milliseconds
//! that a burst travels. Bursts begin with one message and grow with success, so that troubled streams get no bursts.
//!
//! **Tries** are counted when a stream or the broker did not take a message, and not while there is no connection or
//! while this server may not publish at all: an outage of hours costs no message its tries.
//!
//! **The other messages** wait in the spool while there is no connection, are published once, and removed. Whether
//! anybody got them is not asked. They are not held up by reliable ones.
//!
//! Messages whose time to live is over are dropped, when their turn comes while there is a connection.

mod counts;
mod queue;
mod run;
mod signing;
mod watch;

pub use counts::{Count, Counts, Standing};
pub use signing::SigningFiles;

use crate::settings::{DEFAULT_SPOOL, Settings, SettingsError};
use crate::spool::{Claim, InUse, Spool, SpoolError};
use crate::words::Priority;
use config::keys;
use names::Collective;
use network::Connection;
use queue::Queue;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use watch::Watch;

/// Delivers one spool; the work of one server.
#[derive(Debug)]
pub struct Delivery {
    settings: Settings,
    collective: Collective,
    signing: SigningFiles,
    counts: Arc<Counts>,
    /// Once it is claimed.
    at_work: Option<AtWork>,
}

#[derive(Debug)]
struct AtWork {
    spool: Arc<Spool>,
    _claim: Claim,
}

/// What the loops of the queues share.
#[derive(Debug)]
struct Shared<'a> {
    spool: Arc<Spool>,
    collective: &'a Collective,
    signing: &'a SigningFiles,
    counts: &'a Counts,
    connection: &'a Connection,
    stop: &'a CancellationToken,
}

/// How often a spool is tried again that another program delivers, or that cannot be used.
const AGAIN: Duration = Duration::from_secs(10);
/// How often it is looked whether there is a default spool by now.
const UNMADE: Duration = Duration::from_secs(60);
/// How often queues are looked at when the kernel tells nothing.
const POLL: Duration = Duration::from_secs(5);

impl Delivery {
    /// Delivers to `<collective>.submission.in.…`. Nothing is opened yet.
    #[must_use]
    pub fn new(settings: Settings, collective: Collective, signing: SigningFiles, counts: Arc<Counts>) -> Self {
        Self { settings, collective, signing, counts, at_work: None }
    }

    /// What delivery of the configured spool is made of; `None` where none is configured.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn from_settings(config: &config::Settings) -> Result<Option<Self>, SettingsError> {
        config.get(keys::SUBMISSION_SPOOL).map(|spool| Self::of_spool(config, spool)).transpose()
    }

    /// The same with [`DEFAULT_SPOOL`], which `choria-submit` makes where none is configured; it may do so at any time.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn from_default_spool(config: &config::Settings) -> Result<Self, SettingsError> {
        Self::of_spool(config, PathBuf::from(DEFAULT_SPOOL))
    }

    fn of_spool(config: &config::Settings, spool: PathBuf) -> Result<Self, SettingsError> {
        let settings = Settings::with_spool(config, spool)?;
        let signing = SigningFiles::from_settings(config);
        Ok(Self::new(settings, config.main_collective().clone(), signing, Arc::default()))
    }

    /// What it comes to.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Delivers over `connection` until `stop`; what is being sent then is finished. Waits while the connection is lost,
    /// and for the spool when another program delivers it.
    pub async fn run(&mut self, connection: &Connection, stop: &CancellationToken) {
        let Some(spool) = self.claimed(stop).await else { return };
        self.counts.stand(Standing::Delivering);
        let shared = Shared {
            spool: Arc::clone(&spool),
            collective: &self.collective,
            signing: &self.signing,
            counts: &self.counts,
            connection,
            stop,
        };
        let arrivals: [Notify; 5] = Default::default();
        let [a, b, c, d, e] = Priority::ALL.map(|priority| {
            let arrival = &arrivals[priority.index()];
            // Boxed: what five queues need is kept only while there is a connection.
            Box::pin(Queue::new(&shared, priority, arrival).run())
        });
        let queues = async { tokio::join!(a, b, c, d, e) };
        tokio::select! {
            _ended = queues => {}
            never = tell(&spool, &arrivals) => match never {},
        }
    }

    /// The spool, once it is ours; `None` when `stop` comes first.
    async fn claimed(&mut self, stop: &CancellationToken) -> Option<Arc<Spool>> {
        loop {
            if let Some(at_work) = &self.at_work {
                return Some(Arc::clone(&at_work.spool));
            }
            if self.settings.spool == Path::new(DEFAULT_SPOOL) && !self.settings.spool.is_dir() {
                self.counts.stand(Standing::NoSpool);
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep(UNMADE) => continue,
                }
            }
            let (path, limits) = (self.settings.spool.clone(), self.settings.limits);
            let opened = tokio::task::spawn_blocking(move || -> Result<AtWork, InUse> {
                let spool = Spool::open(&path, limits)?;
                let claim = spool.claim()?;
                Ok(AtWork { spool: Arc::new(spool), _claim: claim })
            });
            match opened.await {
                Ok(Ok(at_work)) => {
                    tracing::info!(spool = %self.settings.spool.display(), "delivering submitted messages");
                    self.counts.claimed(&at_work.spool);
                    self.at_work = Some(at_work);
                }
                Ok(Err(why)) => self.hindered(&why),
                Err(fault) => tracing::error!("opening the spool ended by a fault: {fault}"),
            }
            if self.at_work.is_none() {
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        }
    }

    fn hindered(&self, why: &InUse) {
        let text = why.to_string();
        if !self.counts.stand(Standing::Hindered(text.clone())) {
            return;
        }
        match why {
            InUse::Claimed { .. } => tracing::warn!("submitted messages are not delivered by this server: {text}"),
            InUse::Spool(_) => tracing::error!("submitted messages are not delivered: {text}"),
        }
    }
}

/// Wakes the queues whenever something comes in; without the kernel's help, every few seconds.
async fn tell(spool: &Arc<Spool>, arrivals: &[Notify; 5]) -> std::convert::Infallible {
    let mut told = false;
    loop {
        let error = match Watch::new(&spool.path()) {
            Ok(watch) => {
                // What came before the watch was there.
                arrivals.iter().for_each(Notify::notify_one);
                watch.tell(arrivals).await
            }
            Err(error) => error,
        };
        if !told {
            tracing::warn!("new submitted messages are looked for every {} s: {error}", POLL.as_secs());
            told = true;
        }
        tokio::time::sleep(POLL).await;
        arrivals.iter().for_each(Notify::notify_one);
    }
}

/// Why a call of the spool came to nothing.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Connection(#[from] network::SubscribeError),
    #[error("the work on the spool ended by a fault: {0}")]
    Ended(#[from] tokio::task::JoinError),
}
