//! A key-value bucket as elections use it: look, create, update, delete, by the messages that all JetStream clients send.

use super::MOST_VALUE;
use crate::{Connection, State};
use async_nats::header::{HeaderName, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_SEQUENCE};
use async_nats::{HeaderMap, RequestErrorKind};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One bucket, reached over one connection.
#[derive(Debug)]
pub struct Bucket {
    connection: Connection,
    name: String,
    /// `$JS.API`, or what stands for it.
    api: String,
    /// What comes before `$KV`, with its dot.
    prefix: String,
    /// Whether reading keys is worth trying; a login that may not read finds out once.
    readable: AtomicBool,
}

/// What the broker says of a bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BucketInfo {
    /// Creation, as the broker writes it (RFC 3339).
    pub created: String,
    /// How long entries live; zero is for ever.
    pub max_age: Duration,
    /// `file` or `memory`.
    pub storage: String,
    /// Copies of the bucket.
    pub replicas: u64,
    /// Entries kept per key.
    pub history: i64,
    /// Name of the member that leads the bucket's copies; `None` outside clusters too.
    pub leader: Option<String>,
    /// Whether the bucket lives in a cluster.
    pub clustered: bool,
    /// The other members with a copy.
    pub peers: Vec<Peer>,
    /// The keys that have an entry, deleted ones included. Only filled by [`Bucket::info_with_keys`].
    pub keys: Vec<String>,
}

/// A member that holds a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Not reachable now.
    pub offline: bool,
    /// Up to date.
    pub current: bool,
    /// Writes that it misses.
    pub lag: u64,
}

/// An entry of a bucket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What is stored.
    pub value: Bytes,
    /// Its revision.
    pub revision: u64,
    /// It says that the key was deleted.
    pub deleted: bool,
}

/// A bucket cannot be used. Each text starts as the bucket's name is known to the reader.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BucketError {
    /// The name cannot be part of a subject.
    #[error("{0:?} cannot name a bucket: 1 to 64 letters, digits, - and _")]
    Name(String),
    /// There is none.
    #[error("bucket {0} does not exist")]
    Missing(String),
    /// JetStream does not answer here: it is off, or the account has no way to it.
    #[error(
        "bucket {0} cannot be reached: nobody answers on {1}; is Choria Streams on (plugin.choria.network.stream.store of the broker)?"
    )]
    NoStreams(String, String),
    /// No answer: the login may not ask, or the broker has no leader.
    #[error(
        "bucket {bucket} cannot be reached: no answer on {subject} within {seconds} s; the login may lack the elections permission, or the broker's cluster has no leader"
    )]
    NoAnswer {
        /// The bucket.
        bucket: String,
        /// Where the question went.
        subject: String,
        /// The limit that passed.
        seconds: u64,
    },
    /// The broker refused.
    #[error("bucket {bucket} cannot be used: {reason}")]
    Refused {
        /// The bucket.
        bucket: String,
        /// What the broker said.
        reason: String,
    },
}

/// A key was not written.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// Another revision stands than the one expected.
    #[error("another candidate holds the key")]
    Held,
    /// No answer, so that nobody knows whether it was written.
    #[error("{0}")]
    NoAnswer(String),
    /// The broker refused.
    #[error("the broker refused the write: {0}")]
    Refused(String),
}

impl Bucket {
    /// The bucket `name`, reached through `api_prefix` instead of `$JS.API` if that is given.
    ///
    /// # Errors
    /// [`BucketError::Name`]; nothing is asked yet.
    pub fn new(connection: &Connection, name: &str, api_prefix: Option<&str>) -> Result<Self, BucketError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            return Err(BucketError::Name(name.to_owned()));
        }
        Ok(Self {
            connection: connection.clone(),
            name: name.to_owned(),
            api: api_prefix.unwrap_or("$JS.API").to_owned(),
            prefix: api_prefix.map(|prefix| format!("{prefix}.")).unwrap_or_default(),
            readable: AtomicBool::new(true),
        })
    }

    /// What the broker knows of the bucket.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn info(&self) -> Result<BucketInfo, BucketError> {
        self.ask_info(Bytes::new()).await
    }

    /// [`info`](Self::info) with the names of all keys.
    ///
    /// # Errors
    /// [`BucketError`].
    pub async fn info_with_keys(&self) -> Result<BucketInfo, BucketError> {
        self.ask_info(json!({"subjects_filter": ">"}).to_string().into()).await
    }

    async fn ask_info(&self, body: Bytes) -> Result<BucketInfo, BucketError> {
        let subject = format!("{}.STREAM.INFO.KV_{}", self.api, self.name);
        let bucket = || self.name.clone();
        let request = async_nats::Request::new().payload(body).timeout(Some(QUESTION));
        let answer = match self.connection.client().send_request(subject.clone(), request).await {
            Ok(message) => message.payload,
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                return Err(BucketError::NoStreams(bucket(), subject));
            }
            Err(_) => {
                return Err(BucketError::NoAnswer { bucket: bucket(), subject, seconds: QUESTION.as_secs() });
            }
        };
        let refused = |reason: String| BucketError::Refused { bucket: bucket(), reason };
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| refused(error.to_string()))?;
        match answer.get("error") {
            Some(error) if error_code(error) == Some(STREAM_NOT_FOUND) => Err(BucketError::Missing(bucket())),
            Some(error) => Err(refused(description(error))),
            None => Ok(BucketInfo::read(&answer, &format!("$KV.{}.", self.name))),
        }
    }

    /// The entry of `key`; `None` when there is none. An entry that says that the key was deleted is one.
    ///
    /// # Errors
    /// [`WriteError::NoAnswer`], also where the login may not read; [`WriteError::Refused`].
    pub async fn get(&self, key: &str, limit: Duration) -> Result<Option<Entry>, WriteError> {
        let subject = format!("{}.DIRECT.GET.KV_{}.$KV.{}.{key}", self.api, self.name, self.name);
        let request = async_nats::Request::new().payload(Bytes::new()).timeout(Some(limit));
        let message = match self.connection.client().send_request(subject.clone(), request).await {
            Ok(message) => message,
            Err(error) => return Err(WriteError::NoAnswer(format!("{subject}: {error}"))),
        };
        let headers = message.headers.unwrap_or_default();
        let header = |name: HeaderName| headers.get(name).map(|value| value.as_str().to_owned());
        match message.status.map(|status| status.as_u16()) {
            Some(404) => return Ok(None),
            Some(status) if status >= 400 => return Err(WriteError::Refused(format!("status {status}"))),
            _ => {}
        }
        let revision = header(NATS_SEQUENCE).and_then(|text| text.parse().ok());
        let Some(revision) = revision else {
            return Err(WriteError::Refused("the entry has no Nats-Sequence".to_owned()));
        };
        let deleted = matches!(header(HeaderName::from_static(OPERATION)).as_deref(), Some("DEL" | "PURGE"));
        Ok(Some(Entry { value: message.payload, revision, deleted }))
    }

    /// Writes `key` when it has no entry, or one that says that it was deleted. Returns the revision.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn create(&self, key: &str, value: &[u8], limit: Duration) -> Result<u64, WriteError> {
        let first = self.update(key, value, 0, limit).await;
        if first != Err(WriteError::Held) || !self.readable.load(Ordering::Relaxed) {
            return first;
        }
        match self.get(key, limit.min(READING)).await {
            Ok(Some(entry)) if entry.deleted => self.update(key, value, entry.revision, limit).await,
            Ok(_) => first,
            Err(error) => {
                // While the connection is lost, no answer says nothing about what the login may do.
                if self.connection.status().state == State::Connected {
                    self.readable.store(false, Ordering::Relaxed);
                    let bucket = &self.name;
                    tracing::debug!(
                        bucket,
                        "keys of bucket {bucket} cannot be read here, given-up keys must expire: {error}"
                    );
                }
                first
            }
        }
    }

    /// Writes `key` when its last entry is `revision`, 0 for none. Returns the new revision.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn update(&self, key: &str, value: &[u8], revision: u64, limit: Duration) -> Result<u64, WriteError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string().as_str());
        self.write(key, value, headers, limit).await
    }

    /// Marks `key` as deleted, if its last entry is `revision` or if none is given.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delete(&self, key: &str, revision: Option<u64>, limit: Duration) -> Result<(), WriteError> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        if let Some(revision) = revision {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string().as_str());
        }
        self.write(key, &[], headers, limit).await.map(drop)
    }

    async fn write(&self, key: &str, value: &[u8], headers: HeaderMap, limit: Duration) -> Result<u64, WriteError> {
        if !is_key(key) || value.len() > MOST_VALUE {
            return Err(WriteError::Refused(format!(
                "{key:?} is no key, or its value is longer than {MOST_VALUE} bytes"
            )));
        }
        let subject = format!("{}$KV.{}.{key}", self.prefix, self.name);
        let payload = Bytes::copy_from_slice(value);
        let request = async_nats::Request::new().payload(payload).headers(headers).timeout(Some(limit));
        let answer = self.connection.client().send_request(subject.clone(), request).await;
        let answer = answer.map_err(|error| WriteError::NoAnswer(format!("no answer on {subject}: {error}")))?;
        let answer: Value =
            serde_json::from_slice(&answer.payload).map_err(|error| WriteError::Refused(error.to_string()))?;
        match answer.get("error") {
            Some(error) if matches!(error_code(error), Some(WRONG_LAST_SEQUENCE | WRONG_LAST_SEQUENCE_CONSTANT)) => {
                Err(WriteError::Held)
            }
            Some(error) => Err(WriteError::Refused(description(error))),
            None => answer
                .get("seq")
                .and_then(Value::as_u64)
                .ok_or_else(|| WriteError::Refused("the answer has no sequence".to_owned())),
        }
    }
}

impl BucketInfo {
    fn read(answer: &Value, subject_start: &str) -> Self {
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        let peer = |peer: &Value| Peer {
            name: peer.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            offline: peer.get("offline").and_then(Value::as_bool).unwrap_or_default(),
            current: peer.get("current").and_then(Value::as_bool).unwrap_or_default(),
            lag: peer.get("lag").and_then(Value::as_u64).unwrap_or_default(),
        };
        let peers = answer.pointer("/cluster/replicas").and_then(Value::as_array);
        let subjects = answer.pointer("/state/subjects").and_then(Value::as_object);
        let key = |subject: &String| subject.strip_prefix(subject_start).map(str::to_owned);
        let leader = text("/cluster/leader");
        Self {
            created: text("/created"),
            max_age: Duration::from_nanos(number("/config/max_age")),
            storage: text("/config/storage"),
            replicas: number("/config/num_replicas"),
            history: answer.pointer("/config/max_msgs_per_subject").and_then(Value::as_i64).unwrap_or(-1),
            clustered: answer.pointer("/cluster/name").is_some(),
            leader: Some(leader).filter(|name| !name.is_empty()),
            peers: peers.map(|peers| peers.iter().map(peer).collect()).unwrap_or_default(),
            keys: subjects.map(|subjects| subjects.keys().filter_map(key).collect()).unwrap_or_default(),
        }
    }
}

/// Whether `text` can be a key: what NATS allows in keys, with a bound on the length.
pub(super) fn is_key(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-/_=.".contains(&b);
    (1..=128).contains(&text.len()) && text.bytes().all(allowed) && text.split('.').all(|part| !part.is_empty())
}

fn error_code(error: &Value) -> Option<u64> {
    error.get("err_code")?.as_u64()
}

fn description(error: &Value) -> String {
    error.get("description").and_then(Value::as_str).unwrap_or("it gave no reason").to_owned()
}

/// Header that tells entries from marks of deletion.
const OPERATION: &str = "KV-Operation";
/// Answers take milliseconds; a cluster that elects a leader takes seconds.
const QUESTION: Duration = Duration::from_secs(5);
/// A read is a courtesy to candidates that gave up.
const READING: Duration = Duration::from_secs(1);
/// nats-server's numbers.
const STREAM_NOT_FOUND: u64 = 10059;
const WRONG_LAST_SEQUENCE: u64 = 10071;
const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10164;
