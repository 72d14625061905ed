//! The answer to `Status`: numbers, no contents.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use submission::{Settings, Summary, Timestamp};

/// How much waits, how much may, and what was handed in.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// The identity that messages carry.
    pub identity: String,
    /// The directory of the spool.
    pub spool: String,
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// The five queues, priority 0 first.
    pub priorities: Vec<Waiting>,
    /// Files set aside because they were no messages.
    pub corrupt: u64,
    /// What is allowed.
    pub limits: Limits,
    /// What the service did; all zero when the spool was looked at without it.
    pub counters: Counters,
}

/// One queue.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// 0 to 4.
    pub priority: u8,
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// When the oldest was stored, RFC 3339.
    pub oldest: Option<String>,
}

/// The most that is taken.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Limits {
    /// Messages of a priority (`plugin.choria.submission.max_spool_size`).
    pub messages: u64,
    /// Bytes of the spool (`plugin.choria.submission.max_spool_bytes`).
    pub spool_bytes: u64,
    /// Bytes of a payload (`plugin.choria.submission.max_message_size`).
    pub payload_bytes: u64,
    /// The longest time to live, in seconds.
    pub ttl: f64,
}

/// Submissions since the service started.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counters {
    /// Messages on the disk.
    pub accepted: u64,
    /// Bytes of their payloads.
    pub accepted_bytes: u64,
    /// Rounds of waiting for the disk: fewer than messages when many come at once.
    pub commits: u64,
    /// Refused, by the name of the error.
    pub refused: BTreeMap<String, u64>,
}

impl Status {
    /// Puts it together.
    #[must_use]
    pub fn new(settings: &Settings, spool: &Path, summary: &Summary, counters: Counters) -> Self {
        let waiting = summary.queues.iter().zip(0..).map(|(queue, priority)| Waiting {
            priority,
            messages: queue.messages,
            bytes: queue.bytes,
            oldest: queue.oldest.map(|time| Timestamp::from(time).to_string()),
        });
        Self {
            identity: settings.identity.clone(),
            spool: spool.display().to_string(),
            messages: summary.messages(),
            bytes: summary.bytes(),
            priorities: waiting.collect(),
            corrupt: summary.corrupt,
            limits: Limits {
                messages: settings.limits.max_messages,
                spool_bytes: settings.limits.max_bytes,
                payload_bytes: settings.limits.max_message_size,
                ttl: submission::LONGEST_TTL.as_secs_f64(),
            },
            counters,
        }
    }
}
