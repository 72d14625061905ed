//! Agents that speak RPC: body, action, authorization, audit, then the action itself, in this order (spec 03a §1.4).

use crate::admit::Admitted;
use crate::agent::{Agent, Metadata, Unanswered};
use crate::authorize::{Authorized, Call, Denied};
use crate::node::Node;
use crate::policy::shown;
use crate::stats::Counter;
use config::keys;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use names::{AgentName, CallerId, Identity, RequestId};
use rpc::{InvalidBody, ReplyBody, RequestBody, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What an RPC agent can do.
pub trait Actions: fmt::Debug + Send + Sync {
    /// Who the agent is and how long an action may take.
    fn metadata(&self) -> &Metadata;

    /// Whether there is such an action; asked before authorization.
    fn knows(&self, action: &str) -> bool;

    /// Carries out the call's action, which [`knows`](Self::knows) confirmed.
    fn run(&self, call: Authorized, node: Arc<Node>) -> BoxFuture<'_, ReplyBody>;
}

/// Makes an [`Agent`] of the actions of one.
#[derive(Debug)]
pub struct Rpc<T>(pub T);

impl<T: Actions> Agent for Rpc<T> {
    fn metadata(&self) -> &Metadata {
        self.0.metadata()
    }

    fn handle(&self, admitted: Admitted, node: Arc<Node>) -> BoxFuture<'_, Result<Vec<u8>, Unanswered>> {
        async move {
            let reply = match self.prepare(admitted, &node).await {
                Ok(call) => match Served::begin(&call, &node) {
                    Some(served) => served.end(self.0.run(call, node).await),
                    None => self.0.run(call, node).await,
                },
                Err(reply) => reply,
            };
            Ok(reply.encode())
        }
        .boxed()
    }
}

impl<T: Actions> Rpc<T> {
    /// The call to run, or the reply that says why there is none.
    async fn prepare(&self, admitted: Admitted, node: &Node) -> Result<Authorized, ReplyBody> {
        let name = &self.metadata().name;
        let body = RequestBody::parse(&admitted.request().body()).map_err(|error| {
            let text = format!(
                "Could not process request: could not parse incoming message as a MCollective SimpleRPC Request: {error}"
            );
            ReplyBody::failure("", StatusCode::InvalidData, text)
        })?;
        let action = body.action.clone();
        if !self.0.knows(&action) {
            let text = format!("Unknown action {action} for agent {name}");
            return Err(ReplyBody::failure(&action, StatusCode::UnknownAction, text));
        }
        let call = match node.authorization.authorize(name, Call { admitted, body }, node).await {
            Ok(call) => call,
            Err(denied) => {
                refuse(&denied, node);
                return Err(ReplyBody::failure(&action, StatusCode::Aborted, Denied::REPLY));
            }
        };
        if node.audit.as_ref().is_some_and(|audit| !audit.write(name.as_str(), &call, SystemTime::now())) {
            node.stats.count(Counter::Unaudited);
        }
        Ok(call)
    }
}

/// A call that is being served, for its record in the log.
struct Served {
    request: RequestId,
    caller: CallerId,
    sender: Identity,
    agent: AgentName,
    action: String,
    began: Instant,
}

impl Served {
    /// `None` when served calls are not logged.
    fn begin(call: &Authorized, node: &Node) -> Option<Self> {
        if !tracing::enabled!(tracing::Level::INFO) || !node.settings.get(keys::LOG_CALLS) {
            return None;
        }
        let request = call.admitted().request();
        Some(Self {
            request: request.id.clone(),
            caller: request.caller.clone(),
            sender: request.sender.clone(),
            agent: request.agent.clone(),
            action: call.action().to_owned(),
            began: Instant::now(),
        })
    }

    fn end(self, reply: ReplyBody) -> ReplyBody {
        let Self { request, caller, sender, agent, action, began } = self;
        tracing::info!(
            event = "call_served",
            %request,
            %caller,
            %sender,
            %agent,
            %action,
            status = reply.status.number(),
            seconds = began.elapsed().as_secs_f64(),
            "{agent}#{action} was called by {caller}"
        );
        reply
    }
}

/// Counts, logs and audits a call that is not carried out.
fn refuse(denied: &Denied, node: &Node) {
    node.stats.count(Counter::Denied);
    if denied.is_fault() {
        node.stats.count(Counter::PolicyFaults);
    }
    let request = denied.call().admitted.request();
    tracing::warn!(
        event = "call_denied",
        request = %request.id,
        caller = %request.caller,
        sender = %request.sender,
        agent = %denied.agent(),
        action = %shown(&denied.call().body.action),
        reason = denied.reason(),
        "{}#{} was denied to {}",
        denied.agent(),
        shown(&denied.call().body.action),
        request.caller
    );
    if node.audit.as_ref().is_some_and(|audit| !audit.write_denied(denied, SystemTime::now())) {
        node.stats.count(Counter::Unaudited);
    }
}

impl Authorized {
    /// The action's inputs as `T`, whose fields are named in lower case; unknown inputs are ignored.
    ///
    /// # Errors
    /// The reply for inputs of a wrong type, status 4.
    pub fn inputs<T: DeserializeOwned>(&self) -> Result<T, ReplyBody> {
        self.body().inputs().map_err(|error| {
            let why = match &error {
                InvalidBody::Inputs { source, .. } | InvalidBody::Shape(source) => source.to_string(),
            };
            let (agent, action) = (&self.admitted().request().agent, self.action());
            let text = format!("Could not parse request data for {agent}#{action}: {why}");
            ReplyBody::failure(action, StatusCode::InvalidData, text)
        })
    }

    /// A successful reply with `data`.
    #[must_use]
    pub fn ok(&self, data: &impl Serialize) -> ReplyBody {
        // Every reply type has text keys and plain values, so writing cannot fail; the arm says so rather than panics.
        ReplyBody::ok(self.action(), data).unwrap_or_else(|error| {
            ReplyBody::failure(self.action(), StatusCode::UnknownError, format!("the reply cannot be written: {error}"))
        })
    }

    /// A reply that says why the action could not be done, status 1.
    #[must_use]
    pub fn aborted(&self, message: impl Into<String>) -> ReplyBody {
        ReplyBody::failure(self.action(), StatusCode::Aborted, message)
    }

    /// As [`aborted`](Self::aborted), with `data` all the same.
    #[must_use]
    pub fn aborted_with(&self, message: impl Into<String>, data: &impl Serialize) -> ReplyBody {
        ReplyBody { status: StatusCode::Aborted, message: message.into(), ..self.ok(data) }
    }
}
