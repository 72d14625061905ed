//! A stream as nats-server describes it: settings and state.
//!
//! Settings that this version of nats-server does not have are left out, so that an older one accepts them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// The settings of a stream, in the words of nats-server's API. Durations are nanoseconds, -1 is no limit.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) subjects: Vec<String>,
    pub(crate) retention: String,
    pub(crate) max_consumers: i64,
    pub(crate) max_msgs: i64,
    pub(crate) max_bytes: i64,
    pub(crate) max_age: i64,
    pub(crate) max_msgs_per_subject: i64,
    pub(crate) max_msg_size: i64,
    pub(crate) discard: String,
    pub(crate) storage: String,
    pub(crate) num_replicas: u32,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) no_ack: bool,
    pub(crate) duplicate_window: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) placement: Option<Placement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mirror: Option<Source>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<Source>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) sealed: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) compression: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) first_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject_transform: Option<Transform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) republish: Option<Transform>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) discard_new_per_subject: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) allow_rollup_hdrs: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) deny_delete: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) deny_purge: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) allow_direct: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) mirror_direct: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) allow_msg_ttl: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) allow_atomic: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) allow_batched: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) allow_msg_counter: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) allow_msg_schedules: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Where a stream is kept.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Placement {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) cluster: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
}

/// A stream that another one copies.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Source {
    pub(crate) name: String,
}

/// Subjects and what becomes of them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Transform {
    pub(crate) src: String,
    pub(crate) dest: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) headers_only: bool,
}

/// A stream: settings and state.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Described {
    pub(crate) config: Settings,
    pub(crate) state: Contents,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created: OffsetDateTime,
    #[serde(default)]
    pub(crate) cluster: Option<Cluster>,
}

/// What is in a stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Contents {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) first_seq: u64,
    pub(crate) first_ts: Option<String>,
    pub(crate) last_seq: u64,
    pub(crate) last_ts: Option<String>,
    pub(crate) num_deleted: u64,
    pub(crate) num_subjects: u64,
    pub(crate) consumer_count: u64,
}

/// The members of a cluster that keep a stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) raft_group: String,
    pub(crate) leader: String,
    pub(crate) replicas: Vec<Replica>,
}

/// A member that follows the leader.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) current: bool,
    pub(crate) offline: bool,
    /// Nanoseconds since it was heard of.
    pub(crate) active: i64,
    pub(crate) lag: u64,
}

/// Streams that hold buckets and sessions, which other commands show better.
pub(super) fn is_internal(name: &str) -> bool {
    ["KV_", "OBJ_", "$MQTT_"].iter().any(|prefix| name.starts_with(prefix))
}

fn is_default<Value: Default + PartialEq>(value: &Value) -> bool {
    *value == Value::default()
}
