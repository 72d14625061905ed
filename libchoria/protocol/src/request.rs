//! Requests: who asks the agents of which nodes for what, and for how long that counts.

use crate::read::{self, decode_base64};
use crate::{Filter, Invalid, Layer, Reply, Version, v1, v2};
use names::{AgentName, CallerId, Collective, Identity, RequestId};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// A request as agents see it, equal for both generations (spec 02 §2, §3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The generation it is written in; the reply uses the same.
    pub version: Version,
    /// Fresh for every request, see [`crate::new_request_id`]; version 1 requires 32 characters.
    pub id: RequestId,
    /// Identity of the host that asks, as configured there; not proven by anything.
    pub sender: Identity,
    /// Who asks; the security provider compares it with the signature.
    pub caller: CallerId,
    /// The part of the fleet it is for.
    pub collective: Collective,
    /// The agent it is for.
    pub agent: AgentName,
    /// Seconds for which it counts, before and after `time`; at least [`Request::least_ttl`].
    pub ttl: u32,
    /// When it was made; whole seconds in version 1, nanoseconds in version 2.
    pub time: SystemTime,
    /// Which nodes it is for.
    pub filter: Filter,
    /// What the agent gets, before the rule of [`Request::body`]; not empty, and UTF-8 in version 1.
    pub payload: Vec<u8>,
}

/// A request outside its time, see [`Request::check_ttl`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Expired {
    /// Made too long ago.
    #[error(
        "request is {age_s} s old and its ttl is {ttl_s} s: it waited too long, or a clock is wrong here or at the sender"
    )]
    Old {
        /// Seconds since it was made.
        age_s: u64,
        /// Its ttl in seconds.
        ttl_s: u32,
    },
    /// Made by a clock that is too far ahead.
    #[error(
        "request is from {ahead_s} s in the future and its ttl is {ttl_s} s: a clock is wrong here or at the sender"
    )]
    Future {
        /// Seconds until the time it claims to be made.
        ahead_s: u64,
        /// Its ttl in seconds.
        ttl_s: u32,
    },
}

impl Request {
    /// The shortest `ttl` that receivers accept, in seconds (spec 02 §4).
    #[must_use]
    pub fn least_ttl(version: Version) -> u32 {
        match version {
            Version::V1 => 30,
            Version::V2 => 1,
        }
    }

    /// The JSON text of the request, in the generation of `version`. Invalid UTF-8 of a version 1 payload is replaced.
    ///
    /// What breaks a rule of the schema is written all the same: see [`Request::check`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.version {
            Version::V1 => v1::write_request(self),
            Version::V2 => v2::write_request(self),
        }
    }

    /// Reads a request of either generation.
    ///
    /// # Errors
    /// What the schema of its generation refuses (spec 02 §4), and names that are not valid.
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let request = match read::version(Layer::Request, bytes)? {
            Version::V1 => v1::read_request(bytes)?,
            Version::V2 => v2::read_request(bytes)?,
        };
        request.check()?;
        Ok(request)
    }

    /// Checks what the types leave open, so that a writer refuses what every receiver would drop (spec 02 §4).
    ///
    /// # Errors
    /// An empty payload, a too short `ttl`, a version 2 time before 1970, a version 1 id not of 32 characters, an empty
    /// name or value in a fact filter.
    pub fn check(&self) -> Result<(), Invalid> {
        let keys = match self.version {
            Version::V1 => ["message", "envelope.ttl", "envelope.filter", "envelope.requestid"],
            Version::V2 => ["message", "ttl", "filter", "id"],
        };
        let (v1, v2) = (self.version == Version::V1, self.version == Version::V2);
        let rows = [
            (keys[0], self.payload.is_empty(), "is empty"),
            (keys[1], v1 && self.ttl < Self::least_ttl(Version::V1), "is below 30 seconds"),
            (keys[1], v2 && self.ttl < Self::least_ttl(Version::V2), "is below 1 second"),
            (
                keys[2],
                self.filter.facts.iter().any(|fact| fact.fact.is_empty() || fact.value.is_empty()),
                "has an empty fact or value",
            ),
            (keys[3], v1 && self.id.as_str().chars().count() != 32, "has not 32 characters"),
            ("time", v2 && self.time <= SystemTime::UNIX_EPOCH, "is not after 1970-01-01T00:00:00Z"),
        ];
        let broken = rows.into_iter().find(|(_, broken, _)| *broken);
        broken.map_or(Ok(()), |(field, _, rule)| Err(Invalid::Field { layer: Layer::Request, field, rule }))
    }

    /// What the agent gets: the payload decoded if it is valid base64, else the payload itself (spec 02 §4).
    ///
    /// Discovery sends base64 on purpose; JSON is never valid base64.
    #[must_use]
    pub fn body(&self) -> Cow<'_, [u8]> {
        let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte);
        if !self.payload.iter().all(letter) {
            return Cow::Borrowed(&self.payload);
        }
        decode_base64(&self.payload).map_or(Cow::Borrowed(&self.payload), Cow::Owned)
    }

    /// Whether the request counts at `now`: its time lies less than its ttl away, on either side (spec 02 §4).
    ///
    /// # Errors
    /// On which side it lies and how far.
    pub fn check_ttl(&self, now: SystemTime) -> Result<(), Expired> {
        let (ttl, ttl_s) = (Duration::from_secs(self.ttl.into()), self.ttl);
        match now.duration_since(self.time) {
            Ok(age) if age >= ttl => Err(Expired::Old { age_s: age.as_secs(), ttl_s }),
            Err(ahead) if ahead.duration() >= ttl => {
                Err(Expired::Future { ahead_s: ahead.duration().as_secs(), ttl_s })
            }
            _ => Ok(()),
        }
    }

    /// The reply of `sender` to this request, made at `now`.
    #[must_use]
    pub fn reply(&self, sender: Identity, payload: Vec<u8>, now: SystemTime) -> Reply {
        Reply { version: self.version, request: self.id.clone(), sender, agent: self.agent.clone(), time: now, payload }
    }
}
