//! The workers of adapters, from the subject that is read to the one that is written.

use super::output::{self, Output};
use super::{AdapterSettings, Counts, Role};
use crate::child::Sampler;
use crate::internal::{self, Access, InternalError};
use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Starts `adapters` as the user `login`; each has one connection to read and one to write. Their tasks end with the set
/// or with nats-server; what is queued then is lost. An adapter that cannot be started is logged and left out.
pub(crate) async fn start(
    adapters: &[(AdapterSettings, Arc<Counts>)],
    access: &Access,
    login: &KeyPair,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (adapter, counts) in adapters {
        let started = start_one(adapter, counts, access, login, &mut tasks).await;
        match started {
            Ok(()) => tracing::info!(
                "adapter {}: {} to {} with {} and {} workers",
                adapter.name,
                adapter.ingest_topic,
                adapter.stream_topic,
                adapter.ingest_workers,
                adapter.stream_workers
            ),
            Err(error) => tracing::error!("Failed to run Protocol Adapters: {}: {error}", adapter.name),
        }
    }
    tasks
}

/// Why an adapter does not run.
#[derive(Debug, thiserror::Error)]
enum AdapterError {
    #[error(transparent)]
    Connect(#[from] InternalError),
    #[error("its subject cannot be read: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
}

async fn start_one(
    adapter: &AdapterSettings,
    counts: &Arc<Counts>,
    access: &Access,
    login: &KeyPair,
    tasks: &mut JoinSet<()>,
) -> Result<(), AdapterError> {
    let name = &adapter.name;
    let writer = internal::connect(access, &format!("choria adapter {name} output"), login).await?;
    let reader = internal::connect(access, &format!("choria adapter {name}"), login).await?;
    let (sender, receiver) = mpsc::channel(adapter.queue);
    let receiver = Arc::new(Mutex::new(receiver));
    let side = |number| Side { adapter: adapter.clone(), counts: Arc::clone(counts), number, log: Log::default() };
    let mut subscriptions = Vec::new();
    for _ in 0..adapter.ingest_workers {
        let group = format!("nats_ingest_{name}");
        subscriptions.push(reader.queue_subscribe(adapter.ingest_topic.clone(), group).await?);
    }
    for number in 0..adapter.stream_workers {
        tasks.spawn(side(number).write(Arc::clone(&receiver), writer.clone()));
    }
    for (number, subscription) in subscriptions.into_iter().enumerate() {
        tasks.spawn(side(number).read(subscription, reader.clone(), sender.clone()));
    }
    Ok(())
}

/// One worker.
struct Side {
    adapter: AdapterSettings,
    counts: Arc<Counts>,
    number: usize,
    log: Log,
}

impl Side {
    /// Takes messages in. Never waits for the queue: what finds it full is dropped, so that nats-server does not count
    /// this connection as slow and drop it with all that is on its way (spec 08 §1.2).
    async fn read(self, mut subscription: Subscriber, _connection: Client, queue: mpsc::Sender<Output>) {
        while let Some(message) = subscription.next().await {
            let began = Instant::now();
            let name = &self.adapter.name;
            let taken = match output::unwrap(&message.payload, self.adapter.kind) {
                Ok(output) => queue.try_send(output).map_err(|_| "Work queue is full, discarding message".to_owned()),
                Err(error) => Err(format!("Could not process message, discarding: {error}")),
            };
            self.counts.set_queued(queue.max_capacity() - queue.capacity());
            let dropped = taken.is_err();
            self.counts.handled(Role::Input, self.number, message.payload.len(), began.elapsed(), dropped);
            if let Err(why) = taken {
                self.log.tell(|missed| tracing::warn!(missed, "adapter {name}: {why}"));
            }
        }
    }

    /// Writes what waits. While the connection is lost this waits and the queue fills.
    async fn write(self, queue: Arc<Mutex<mpsc::Receiver<Output>>>, client: Client) {
        loop {
            let next = queue.lock().await.recv().await;
            let Some(Output { sender, body }) = next else { return };
            let (began, size) = (Instant::now(), body.len());
            let subject = output::subject(&self.adapter.stream_topic, &sender);
            let published = client.publish(subject, body.into()).await;
            self.counts.handled(Role::Output, self.number, size, began.elapsed(), published.is_err());
            if let Err(error) = published {
                let name = &self.adapter.name;
                self.log.tell(|missed| {
                    tracing::warn!(missed, "adapter {name}: Could not publish message, discarding: {error}");
                });
            }
        }
    }
}

/// Keeps a storm of bad messages from becoming a storm of lines.
struct Log(StdMutex<Sampler>);

impl Default for Log {
    fn default() -> Self {
        Self(StdMutex::new(Sampler::new(LOGGED, WINDOW)))
    }
}

impl Log {
    fn tell(&self, line: impl FnOnce(u64)) {
        let admitted = self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if let Some(missed) = admitted {
            line(missed);
        }
    }
}

/// Lines of one worker in each [`WINDOW`].
const LOGGED: u32 = 5;

/// See [`LOGGED`].
const WINDOW: Duration = Duration::from_secs(10);
