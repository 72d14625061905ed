//! The standard streams of an organization, created or brought to their configured settings at every start
//! (spec 01 §12). `keeper.rs` is the task that does it.

mod keeper;

pub(crate) use keeper::{Keeper, Materials, State};

use async_nats::Client;
use config::keys;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Streams as configured.
#[derive(Clone, Debug)]
pub(crate) struct StreamSettings {
    /// Where nats-server stores them.
    pub(crate) store: PathBuf,
    /// The streams to create or update; empty when they are managed elsewhere.
    pub(crate) streams: Vec<StreamConfig>,
}

/// The settings of one stream, in the words of nats-server's API.
#[derive(Clone, Debug, Serialize)]
pub struct StreamConfig {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'static str>,
    subjects: [&'static str; 1],
    retention: &'static str,
    max_consumers: i64,
    max_msgs: i64,
    max_bytes: i64,
    /// Nanoseconds.
    max_age: u64,
    max_msgs_per_subject: i64,
    max_msg_size: i64,
    discard: &'static str,
    storage: &'static str,
    num_replicas: u32,
    /// The configuration asks for as many copies as the cluster has members.
    #[serde(skip)]
    follows_members: bool,
    deny_delete: bool,
    allow_rollup_hdrs: bool,
    allow_direct: bool,
}

/// A stream could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("stream {stream} could not be set up: {problem}")]
pub(crate) struct StreamError {
    stream: &'static str,
    problem: String,
}

impl StreamSettings {
    /// `None` when no store is configured.
    pub(crate) fn read(config: &config::Settings) -> Option<Self> {
        let store = config.get(keys::NETWORK_STREAM_STORE)?;
        let streams =
            if config.get(keys::NETWORK_STREAM_MANAGE_STREAMS) { standard_streams(config) } else { Vec::new() };
        Some(Self { store, streams })
    }
}

/// The streams that a broker alone keeps with this configuration; a retention of zero leaves one out.
#[must_use]
pub fn standard_streams(config: &config::Settings) -> Vec<StreamConfig> {
    let replicas = |key| config.get(key);
    let events = StreamConfig::new("CHORIA_EVENTS", "choria.lifecycle.>")
        .kept(config.get(keys::NETWORK_STREAM_EVENT_RETENTION), replicas(keys::NETWORK_STREAM_EVENT_REPLICAS));
    let machine = StreamConfig::new("CHORIA_MACHINE", "choria.machine.>")
        .kept(config.get(keys::NETWORK_STREAM_MACHINE_RETENTION), replicas(keys::NETWORK_STREAM_MACHINE_REPLICAS));
    let advisories = StreamConfig::new("CHORIA_STREAM_ADVISORIES", "$JS.EVENT.ADVISORY.>")
        .kept(config.get(keys::NETWORK_STREAM_ADVISORY_RETENTION), replicas(keys::NETWORK_STREAM_ADVISORY_REPLICAS));
    let executor = StreamConfig {
        description: Some("Choria Executor Events"),
        allow_direct: true,
        ..StreamConfig::new("CHORIA_EXECUTOR", EXECUTOR_STORED)
    }
    .kept(config.get(keys::NETWORK_STREAM_EXECUTOR_RETENTION), replicas(keys::NETWORK_STREAM_EXECUTOR_REPLICAS));
    let elections = StreamConfig {
        description: Some("Choria Leader Election Bucket"),
        max_msgs_per_subject: 1,
        max_msg_size: 1024,
        discard: "new",
        deny_delete: true,
        allow_rollup_hdrs: true,
        allow_direct: true,
        ..StreamConfig::new("KV_CHORIA_LEADER_ELECTION", "$KV.CHORIA_LEADER_ELECTION.>")
    }
    .kept(
        config.get(keys::NETWORK_STREAM_LEADER_ELECTION_TTL),
        replicas(keys::NETWORK_STREAM_LEADER_ELECTION_REPLICAS),
    );

    let mut streams: Vec<StreamConfig> =
        [events, machine, advisories, executor].into_iter().filter(|stream| stream.max_age > 0).collect();
    streams.push(elections);
    streams
}

/// How the executor's events, which servers submit like any other message, come to their stream: source and destination
/// of a mapping. `None` where the standard streams are managed elsewhere or this one is not wanted.
///
/// The existing broker lets the stream itself listen to the submitted subjects and store other ones. Then no stream of
/// an organization can listen to all that is submitted, because the subjects of streams may not overlap. A mapping
/// renames an event before any stream sees it, on whichever broker it is published: members of a cluster that store
/// nothing map too.
pub(crate) fn executor_mapping(config: &config::Settings) -> Option<(String, String)> {
    let managed = config.get(keys::NETWORK_STREAM_MANAGE_STREAMS);
    let kept = !config.get(keys::NETWORK_STREAM_EXECUTOR_RETENTION).is_zero();
    (managed && kept).then(|| (EXECUTOR_SUBMITTED.to_owned(), EXECUTOR_STORED.to_owned()))
}

/// Creates `stream`, or updates the one that exists to exactly these settings.
///
/// # Errors
/// [`StreamError`] with what nats-server said.
pub(crate) async fn set_up(client: &Client, stream: &StreamConfig) -> Result<(), StreamError> {
    let name = stream.name;
    let failed = |problem: String| StreamError { stream: name, problem };
    let body = serde_json::to_vec(stream).map_err(|error| failed(error.to_string()))?;
    // In a cluster that is electing a leader nobody may answer at all.
    let found = tokio::time::timeout(QUESTION, ask(client, &format!("$JS.API.STREAM.INFO.{name}"), Vec::new())).await;
    let found = found.map_err(|_| failed("the cluster does not answer, it may have no leader yet".to_owned()))?;
    let found = found.map_err(failed)?;
    let (verb, done) = match error_code(&found) {
        None => ("UPDATE", "configured"),
        Some(STREAM_NOT_FOUND) => ("CREATE", "created"),
        Some(_) => return Err(failed(description(&found))),
    };
    let answer = ask(client, &format!("$JS.API.STREAM.{verb}.{name}"), body).await.map_err(failed)?;
    if error_code(&answer).is_some() {
        return Err(failed(description(&answer)));
    }
    let seconds = Duration::from_nanos(stream.max_age).as_secs();
    tracing::info!(stream = name, "stream {name} {done}: replicas {}, kept for {seconds} s", stream.num_replicas);
    Ok(())
}

impl StreamConfig {
    /// The name of the stream.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A file stream without limits.
    fn new(name: &'static str, subject: &'static str) -> Self {
        Self {
            name,
            description: None,
            subjects: [subject],
            retention: "limits",
            max_consumers: -1,
            max_msgs: -1,
            max_bytes: -1,
            max_age: 0,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            discard: "old",
            storage: "file",
            num_replicas: 1,
            follows_members: false,
            deny_delete: false,
            allow_rollup_hdrs: false,
            allow_direct: false,
        }
    }

    /// `replicas` as configured: -1 follows the number of members of the cluster, 0 is one copy.
    fn kept(self, age: Duration, replicas: i64) -> Self {
        Self {
            max_age: u64::try_from(age.as_nanos()).unwrap_or(u64::MAX),
            num_replicas: u32::try_from(replicas).unwrap_or(1).max(1),
            follows_members: replicas < 0,
            ..self
        }
    }

    /// The same stream in a cluster of so many `members`; 0 is a broker alone.
    #[must_use]
    pub fn among(self, members: usize) -> Self {
        let members = u32::try_from(members).unwrap_or(MOST_REPLICAS).clamp(1, MOST_REPLICAS);
        if self.follows_members { Self { num_replicas: members, ..self } } else { self }
    }
}

async fn ask(client: &Client, subject: &str, body: Vec<u8>) -> Result<Value, String> {
    let answer = client.request(subject.to_owned(), body.into()).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())
}

fn error_code(answer: &Value) -> Option<u64> {
    answer.get("error")?.get("err_code")?.as_u64()
}

fn description(answer: &Value) -> String {
    let text = answer.pointer("/error/description").and_then(Value::as_str);
    text.unwrap_or("nats-server gave no reason").to_owned()
}

/// Answers take milliseconds.
const QUESTION: Duration = Duration::from_secs(2);

/// nats-server makes no more copies of a stream.
const MOST_REPLICAS: u32 = 5;

/// nats-server's number for a stream that does not exist.
const STREAM_NOT_FOUND: u64 = 10059;

/// What servers publish the executor's events under.
const EXECUTOR_SUBMITTED: &str = "choria.submission.in.choria.executor.>";

/// What clients read them under (spec 01 §12).
const EXECUTOR_STORED: &str = "choria.executor.>";
