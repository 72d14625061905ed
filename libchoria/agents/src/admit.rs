//! Which messages are requests for this node: pure, with the node and the time as arguments (spec 02 §9, 04 §2.1).

use crate::replay::{Remembered, Replay, Replays};
use crate::stats::Counter;
use names::{AgentName, Collective, Identity};
use protocol::filter::{DataAnswers, DataNeed, FilterError, NodeView};
use protocol::{Expired, Invalid, Request, Transport};
use security::{Provider, Rejection, Verified};
use std::time::SystemTime;

/// A genuine request: read, and its signature and caller verified. Not yet known to be for this node.
#[derive(Debug)]
pub struct Candidate {
    request: Verified<Request>,
    headers: protocol::Headers,
}

/// A request for this node, in time and for an agent that is here. Not yet authorized.
#[derive(Debug)]
pub struct Admitted {
    request: Verified<Request>,
    headers: protocol::Headers,
    remembered: Remembered,
}

/// Why a message is dropped before any agent sees it; the sender gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A layer of the message cannot be read.
    #[error("message cannot be read: {0}")]
    Unreadable(#[from] Invalid),
    /// The security provider does not vouch for it.
    #[error("request is not valid: {0}")]
    Untrusted(#[from] Rejection),
    /// The filter is for other nodes.
    #[error("filter does not match this node: its identity, agents, classes or facts are others")]
    Filtered,
    /// The filter cannot be evaluated here.
    #[error("filter counts as not matching: {0}")]
    Unfilterable(#[from] FilterError),
    /// The request names a collective that this server does not belong to.
    #[error("request is for the collective {0}, which is not one of the configured collectives (collectives)")]
    OtherCollective(Collective),
    /// It is outside its time.
    #[error("{0}")]
    Expired(#[from] Expired),
    /// It was served already, or may have been.
    #[error("{0}")]
    Replayed(#[from] Replay),
    /// No such agent is here.
    #[error("request is for the agent {0}, which this node does not host")]
    NoSuchAgent(AgentName),
}

impl Candidate {
    /// Reads and verifies a message as it arrived.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`] and [`Refusal::Untrusted`].
    pub fn open(message: &[u8], provider: &Provider, now: SystemTime) -> Result<Self, Refusal> {
        let transport = Transport::parse(message)?;
        let secure = transport.secure_request()?;
        let request = provider.verify_request(&secure, now)?;
        Ok(Self { request, headers: transport.headers })
    }

    /// Judges the request: filter, then collective, then age, then whether it was served before, then agent. This order
    /// is the counters' meaning. However many ways a request came on, it is admitted once, and `served` remembers it.
    ///
    /// `data` answers for the data providers that the filter asks; [`NodeView::data`] of `node` is not looked at.
    ///
    /// # Errors
    /// Every other [`Refusal`].
    pub fn admit(
        self,
        node: NodeView<'_>,
        data: impl FnOnce(Vec<DataNeed>) -> DataAnswers,
        collectives: &[Collective],
        served: &Replays,
        now: SystemTime,
    ) -> Result<Admitted, Refusal> {
        let Self { request, headers } = self;
        if !request.filter.is_empty() {
            let filter = request.filter.compile();
            let answers = data(filter.needs());
            if !filter.matches(&NodeView { data: &answers, ..node })? {
                return Err(Refusal::Filtered);
            }
        }
        if !collectives.contains(&request.collective) {
            return Err(Refusal::OtherCollective(request.collective.clone()));
        }
        request.check_ttl(now)?;
        let remembered = served.accept(&request, now)?;
        if !node.agents.contains(&request.agent) {
            return Err(Refusal::NoSuchAgent(request.agent.clone()));
        }
        Ok(Admitted { request, headers, remembered })
    }
}

impl Admitted {
    /// The counters an admitted request adds one to.
    #[must_use]
    pub fn counters(&self) -> &'static [Counter] {
        match self.remembered {
            Remembered::Room => VALID,
            Remembered::Displaced => &[Counter::Passed, Counter::Validated, Counter::Displaced],
        }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Verified<Request> {
        &self.request
    }

    /// Where the reply goes, if the sender wants one.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.headers.reply_to.as_deref()
    }

    /// The headers of the reply of `identity`, which is connected to `server`; empty when it is not connected.
    #[must_use]
    pub fn reply_headers(&self, identity: &Identity, server: &str) -> protocol::Headers {
        let mut headers = self.headers.for_reply(identity.clone());
        let server = if server.is_empty() { "unknown" } else { server };
        headers.add_hop(server, identity.as_str(), server);
        headers
    }
}

impl Refusal {
    /// The protocol's counters that this refusal adds one to; none when the message was genuine.
    #[must_use]
    pub fn protocol_counters(&self) -> &'static [protocol::Counter] {
        match self {
            Self::Unreadable(invalid) => invalid.counters(),
            Self::Untrusted(rejection) => rejection.counters(),
            _ => &[protocol::Counter::Valid],
        }
    }

    /// The counters this refusal adds one to. A request for an agent that is not here was valid all the same.
    #[must_use]
    pub fn counters(&self) -> &'static [Counter] {
        match self {
            Self::Unreadable(_) | Self::Untrusted(_) => &[Counter::Unvalidated],
            Self::Filtered | Self::Unfilterable(_) => &[Counter::Filtered],
            Self::OtherCollective(_) => &[Counter::Passed, Counter::Unvalidated],
            Self::Expired(_) => &[Counter::Passed, Counter::TtlExpired],
            Self::Replayed(_) => &[Counter::Passed, Counter::Replayed],
            Self::NoSuchAgent(_) => VALID,
        }
    }
}

const VALID: &[Counter] = &[Counter::Passed, Counter::Validated];
