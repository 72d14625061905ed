//! What an agent is to its host.

use crate::admit::Admitted;
use crate::node::Node;
use futures_util::future::BoxFuture;
use names::AgentName;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something that answers requests. One value may serve any number of servers at once: what differs between them is
/// in the [`Node`].
pub trait Agent: fmt::Debug + Send + Sync {
    /// Who it is and how long it may take.
    fn metadata(&self) -> &Metadata;

    /// Answers one request with the payload of the reply. The host stops it after [`Metadata::timeout`].
    fn handle(&self, request: Admitted, node: Arc<Node>) -> BoxFuture<'_, Result<Vec<u8>, Unanswered>>;
}

/// Who an agent is (spec 03a §1.5); the fields are written in this order.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// Licence identifier.
    pub license: Cow<'static, str>,
    /// Who made it.
    pub author: Cow<'static, str>,
    /// How long one request may take, in whole seconds, at least 1.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// Its name.
    pub name: AgentName,
    /// Its version.
    pub version: Cow<'static, str>,
    /// Where to read about it.
    pub url: Cow<'static, str>,
    /// What it does, in a few words.
    pub description: Cow<'static, str>,
    /// What runs it, when it is not compiled in.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub provider: Cow<'static, str>,
    /// Whether requests are shared among all its hosts instead of answered by each.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
}

/// Why a request that reached its agent gets no reply.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The agent does not understand the request and speaks no protocol to say so.
    #[error("the agent does not know this request")]
    Unknown,
    /// It took longer than [`Metadata::timeout`].
    #[error("the agent did not answer within its timeout of {0} s")]
    TimedOut(u64),
}

fn seconds<S: Serializer>(timeout: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(timeout.as_secs())
}
