//! The audit stream (spec 07 §10.2): each record is published until the stream has confirmed it.

use super::{NoRoom, Record};
use crate::metrics::Metrics;
use crate::settings::Problem;
use bytes::Bytes;
use network::{Connection, Options, RequestError, Role, Servers};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Where records are put.
#[derive(Debug)]
pub(super) struct Queue(mpsc::Sender<Bytes>);

/// Publishes what is put into its queue; [`Stream::run`] must be run.
#[derive(Debug)]
pub(crate) struct Stream {
    queue: mpsc::Receiver<Bytes>,
    options: Options,
    topic: String,
    metrics: Arc<Metrics>,
}

/// A record on the wire.
#[derive(Serialize)]
struct Message<'a> {
    protocol: &'a str,
    callerid: &'a str,
    action: &'a str,
    site: &'a str,
    time: u64,
    request: &'a RawValue,
}

/// What a stream answers.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Confirmation {
    stream: String,
    error: Option<Trouble>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Trouble {
    description: String,
}

/// A queue and its stream, on a connection of its own to `servers` with the login of `choria`.
///
/// # Errors
/// The connection cannot be described.
pub(super) fn open(
    choria: &config::Settings,
    servers: &str,
    topic: &str,
    metrics: &Arc<Metrics>,
) -> Result<(Queue, Stream), Problem> {
    let identity = choria.identity();
    let name = format!("{identity}-aaa-auditor");
    let mut options = Options::from_settings(choria, Role::Server, &name, identity.as_str())?;
    let addresses = network::parse_addresses(&servers.split(',').collect::<Vec<_>>());
    let addresses =
        addresses.map_err(|error| Problem::File { key: "jetstream_auditor.servers", reason: error.to_string() })?;
    options.servers = Servers::Fixed(addresses);
    let (sender, queue) = mpsc::channel(CAPACITY);
    Ok((Queue(sender), Stream { queue, options, topic: topic.to_owned(), metrics: Arc::clone(metrics) }))
}

impl Queue {
    /// Puts a record into the queue, waiting for room at most [`LONGEST_WAIT`].
    ///
    /// # Errors
    /// [`NoRoom`].
    pub(super) async fn put(&self, record: &Record<'_>, site: &str) -> Result<(), NoRoom> {
        let room = tokio::time::timeout(LONGEST_WAIT, self.0.reserve()).await;
        match room {
            Ok(Ok(place)) => {
                place.send(message(record, site));
                Ok(())
            }
            // Late, or the stream has ended and takes nothing more.
            Ok(Err(_)) | Err(_) => Err(NoRoom(self.0.max_capacity() - self.0.capacity())),
        }
    }
}

impl Stream {
    /// Publishes until `stop`, then what is left for at most `grace`. What is left after that is logged in full.
    pub(crate) async fn run(mut self, stop: CancellationToken, grace: Duration) {
        let connected = tokio::select! {
            connected = network::connect(self.options.clone(), stop.child_token()) => connected,
            // Being told to stop ends the wait; the records in the queue are logged below.
        };
        let mut unconfirmed = None;
        if let Ok(connection) = &connected {
            tokio::select! {
                () = self.publish_all(connection, &mut unconfirmed) => {}
                () = async { stop.cancelled().await; } => {}
            }
            self.queue.close();
            let rest = self.publish_all(connection, &mut unconfirmed);
            let _late = tokio::time::timeout(grace, rest).await;
            connection.close(grace / 4).await;
        }
        self.queue.close();
        let rest = unconfirmed.into_iter().chain(std::iter::from_fn(|| self.queue.try_recv().ok()));
        for record in rest {
            self.metrics.auditor_error("jetstream");
            tracing::error!("Auditing failed: stopped before the stream took {}", String::from_utf8_lossy(&record));
        }
    }

    /// Publishes record after record until the queue is closed and empty. `current` holds the one that is not confirmed.
    async fn publish_all(&mut self, connection: &Connection, current: &mut Option<Bytes>) {
        loop {
            if current.is_none() {
                *current = self.queue.recv().await;
            }
            let Some(record) = current.clone() else { return };
            self.publish(connection, record).await;
            *current = None;
        }
    }

    async fn publish(&self, connection: &Connection, record: Bytes) {
        let mut attempt: u32 = 0;
        loop {
            let answer = connection.request(&self.topic, record.clone(), CONFIRMATION_LIMIT).await;
            let why = match answer {
                Ok(delivery) => match serde_json::from_slice(&delivery.payload) {
                    Ok(Confirmation { error: None, stream }) if !stream.is_empty() => return,
                    Ok(Confirmation { error: Some(trouble), .. }) => trouble.description,
                    _ => "the answer is not that of a stream".to_owned(),
                },
                Err(RequestError::NoResponders(_)) => format!("no stream listens to {}", self.topic),
                Err(error) => error.to_string(),
            };
            attempt += 1;
            if attempt.is_power_of_two() {
                tracing::warn!(attempt, "an audit record waits for its stream: {why}; see jetstream_auditor");
            }
            tokio::time::sleep(network::backoff::TWENTY_SECONDS.random_delay(attempt as usize)).await;
        }
    }
}

fn message(record: &Record<'_>, site: &str) -> Bytes {
    let request = serde_json::from_slice::<&RawValue>(record.request).ok();
    let nothing = RawValue::NULL;
    let message = Message {
        protocol: "io.choria.signer.v1.signature_audit",
        callerid: record.caller,
        action: record.action.as_str(),
        site,
        time: record.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        request: request.unwrap_or(nothing),
    };
    // Texts and JSON always have a JSON form.
    serde_json::to_vec(&message).unwrap_or_default().into()
}

/// Records that wait for the stream.
const CAPACITY: usize = 1000;

/// How long a decision waits for room in the queue.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a stream may take to confirm.
const CONFIRMATION_LIMIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
