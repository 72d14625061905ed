//! What a finished request amounts to (spec 03a §9.2), in memory and as `request_stats` (spec 03a §9.4).

use crate::document::nanoseconds;
use names::{AgentName, Identity, RequestId};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The outcome of one request, all batches together.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// The id of the request.
    pub request: RequestId,
    /// The agent asked.
    pub agent: AgentName,
    /// The action asked for.
    pub action: String,
    /// How many nodes were asked; for a service how many answered.
    pub discovered: usize,
    /// How many of them answered.
    pub responses: usize,
    /// Answers with status 0.
    pub ok: usize,
    /// Answers with another status, and messages that were no valid reply.
    pub failed: usize,
    /// Who was asked and did not answer, sorted.
    pub silent: Vec<Identity>,
    /// Who answered without being asked, or more than once, sorted.
    pub unexpected: Vec<Identity>,
    /// Answers whose signature was verified; the others were only checked for damage, see [`crate::client`].
    pub signed: usize,
    /// Messages lost because they came faster than they could be read; normally 0.
    pub lost: u64,
    /// When the request began, discovery aside.
    pub started: SystemTime,
    /// From there to its end.
    pub request_time: Duration,
    /// Time spent on handing out the messages, all batches together.
    pub publish_time: Duration,
    /// Time spent on discovery, if any.
    pub discovery_time: Duration,
}

impl Stats {
    /// Whether everyone who was asked answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.silent.is_empty() && self.responses == self.discovered && self.responses > 0
    }
}

/// The object `request_stats`: times are whole nanoseconds.
impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut stats = serializer.serialize_struct("Stats", 11)?;
        stats.serialize_field("requestid", &self.request)?;
        stats.serialize_field("no_responses", &self.silent)?;
        stats.serialize_field("unexpected_responses", &self.unexpected)?;
        stats.serialize_field("discovered", &self.discovered)?;
        stats.serialize_field("failed", &self.failed)?;
        stats.serialize_field("ok", &self.ok)?;
        stats.serialize_field("responses", &self.responses)?;
        stats.serialize_field("publish_time", &nanoseconds(self.publish_time))?;
        stats.serialize_field("request_time", &nanoseconds(self.request_time))?;
        stats.serialize_field("discover_time", &nanoseconds(self.discovery_time))?;
        stats.serialize_field("start_time_utc", &utc_text(self.started))?;
        stats.end()
    }
}

/// `time` in UTC as `2026-11-21T09:23:18.669321778Z`, with no more decimals than it needs.
#[must_use]
pub fn utc_text(time: SystemTime) -> String {
    // Only years beyond 9999 cannot be written.
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_in_the_existing_documents() {
        let at = |nanos| SystemTime::UNIX_EPOCH + Duration::new(1_795_252_998, nanos);
        let rows = [
            (at(669_321_778), "2026-11-21T09:23:18.669321778Z"),
            (at(677_067_000), "2026-11-21T09:23:18.677067Z"),
            (at(100_000_000), "2026-11-21T09:23:18.1Z"),
            (at(0), "2026-11-21T09:23:18Z"),
        ];
        for (time, text) in rows {
            assert_eq!(utc_text(time), text);
        }
    }
}
