//! One structured record for each decision, bounded in number: a storm of connections shows as a number.
//!
//! | field | holds |
//! |---|---|
//! | `event` | `connection_allowed`, `connection_denied` |
//! | `identity` | caller id, identity or user name; only claimed when denied |
//! | `purpose`, `token_id`, `organization`, `issuer` | the token's kind, `jti`, `ou` and `iss`; never the token |
//! | `address`, `connection` | where it comes from, and its number on nats-server, as nats-server's own lines name it |
//! | `client` | the name that the client gave its connection: not proven |
//! | `kind` | `client`, `leafnode`, `other` |
//! | `account`, `user` | where it was placed and as whom; only when allowed |
//! | `holder_address`, `holder_connection` | who has the name of a node that came a second time |
//! | `reason` | [`Reason::label`](crate::decision::Reason::label), as the counters have it; only when denied |
//! | `missed` | records of this sort that were held back since the last |

use super::Question;
use crate::child::Sampler;
use crate::decision::{Decision, Grant, Holder, Kind, Presented, bounded};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Writes the records of one callout.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The name of the broker's own checking connection, which is no news.
    quiet: String,
    allowed: Mutex<Sampler>,
    denied: Mutex<Sampler>,
}

impl Recorder {
    /// A recorder that tells of connections called `quiet` only when details are logged.
    pub(super) fn new(quiet: String) -> Self {
        let sampler = || Mutex::new(Sampler::new(LOGGED, WINDOW));
        Self { quiet, allowed: sampler(), denied: sampler() }
    }

    /// Records that `decision` was made about `question`.
    pub(super) fn decided(&self, question: &Question, decision: &Decision) {
        match decision {
            Decision::Allow(grant) => self.allowed(question, grant),
            Decision::Deny(reason) => self.refused(question, reason.label(), &reason.to_string(), reason.holder()),
        }
    }

    /// Records a denial for the reason with the short name `reason`.
    pub(super) fn denied(&self, question: &Question, reason: &'static str, text: &str) {
        self.refused(question, reason, text, None);
    }

    fn refused(&self, question: &Question, reason: &'static str, text: &str, holder: Option<&Holder>) {
        let Some(missed) = admit(&self.denied) else { return };
        let facts = Facts::of(question);
        let Presented { purpose, identity, token_id, issuer, organization } = &facts.presented;
        let (connection, address, client, kind) = (question.connection, &facts.address, &facts.client, facts.kind);
        tracing::warn!(
            event = "connection_denied",
            identity,
            purpose,
            token_id,
            organization,
            issuer,
            address,
            connection,
            client,
            kind,
            reason,
            holder_address = holder.map(|holder| holder.address.as_str()),
            holder_connection = holder.map(|holder| holder.connection),
            missed,
            "connection {connection} from {address} is denied: {text}"
        );
    }

    fn allowed(&self, question: &Question, grant: &Grant) {
        let is_quiet = question.request.name == self.quiet;
        let missed = if is_quiet { None } else { admit(&self.allowed) };
        if missed.is_none() && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let facts = Facts::of(question);
        let Presented { purpose, identity, token_id, issuer, organization } = &facts.presented;
        let (connection, address, client, kind) = (question.connection, &facts.address, &facts.client, facts.kind);
        let (account, user) = (grant.account.name(), &bounded(&grant.name));
        macro_rules! record {
            ($level:ident, $missed:expr) => {
                tracing::$level!(
                    event = "connection_allowed",
                    identity,
                    purpose,
                    token_id,
                    organization,
                    issuer,
                    address,
                    connection,
                    client,
                    kind,
                    account,
                    user,
                    missed = $missed,
                    "connection {connection} from {address} is {user} in account {account}"
                )
            };
        }
        match missed {
            Some(missed) => record!(info, missed),
            None => record!(debug, 0),
        }
        if missed.is_some() {
            for sentence in &grant.skipped {
                tracing::warn!(
                    identity,
                    token_id,
                    connection,
                    address,
                    "part of the token of {user} gives nothing: {sentence}"
                );
            }
        }
    }
}

/// What every record says.
struct Facts {
    presented: Presented,
    address: String,
    client: String,
    kind: &'static str,
}

impl Facts {
    fn of(question: &Question) -> Self {
        Self {
            presented: Presented::by(&question.request),
            address: question
                .request
                .address
                .map_or_else(|| bounded(&question.host), |ip| ip.to_canonical().to_string()),
            client: bounded(&question.request.name),
            kind: match question.request.kind {
                Kind::Client => "client",
                Kind::Leafnode => "leafnode",
                Kind::Other => "other",
            },
        }
    }
}

fn admit(sampler: &Mutex<Sampler>) -> Option<u64> {
    sampler.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now())
}

/// Records of one sort in each [`WINDOW`].
const LOGGED: u32 = 20;

/// See [`LOGGED`].
const WINDOW: Duration = Duration::from_secs(10);
