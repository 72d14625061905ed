//! Whether a caller may do what a request asks for (spec 07 §9): by the list of actions or by the policy in the token.

use crate::metrics::Metrics;
use crate::settings::Authorizer;
use agents::policy::rego::Package;
use agents::policy::{AaaInput, Evaluator, Policies, Undecided, action_list};
use protocol::Request;
use rpc::{InvalidBody, RequestBody};
use std::sync::Arc;
use std::time::SystemTime;
use tokens::{ClientClaims, Verified};

/// One of the two ways to decide.
#[derive(Debug)]
pub(super) struct Authorization {
    way: Authorizer,
    site: String,
    /// Prepared policies by their text, and the threads that evaluate them.
    policies: Arc<Policies>,
    evaluator: Evaluator,
}

/// A request that its caller may not make.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The list or the policy says no.
    #[error("the caller's token does not allow it")]
    Plain,
    #[error("authorization failed: {0}")]
    Times(tokens::Invalid),
    #[error("authorization failed: the message is no RPC request: {0}")]
    Body(InvalidBody),
    #[error("authorization failed: the request is for agent {outer} and its message for agent {inner:?}")]
    OtherAgent { outer: String, inner: String },
    #[error("authorization failed: {0}")]
    Entry(action_list::InvalidEntry),
    #[error("authorization failed: 'opa_policy' claim is an empty string, denying request")]
    NoPolicy,
    #[error("authorization failed: OPA policy evaluation failed: {0}")]
    Policy(Undecided),
}

impl Authorization {
    pub(super) fn new(way: Authorizer, site: &str) -> Self {
        Self {
            way,
            site: site.to_owned(),
            policies: Arc::new(Policies::new(Package::Aaasvc, MOST_POLICIES)),
            evaluator: Evaluator::default(),
        }
    }

    /// The name in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self.way {
            Authorizer::ActionList => "actionlist",
            Authorizer::Opa => "opa",
        }
    }

    /// Decides about a request of the holder of `claims`, and counts it; the answer is `agent.action`, or the agent alone
    /// where there is no action.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) async fn decide(
        &self,
        request: &Request,
        claims: &Verified<ClientClaims>,
        metrics: &Metrics,
        now: SystemTime,
    ) -> Result<String, Refused> {
        let mut action = request.agent.to_string();
        let result = self.judge(request, claims, now, &mut action).await;
        metrics.decided(self.kind(), &action, result.is_ok());
        match result {
            Ok(()) => Ok(action),
            Err(refused) => {
                if !matches!(refused, Refused::Plain) {
                    metrics.authorizer_error(self.kind());
                }
                Err(refused)
            }
        }
    }

    async fn judge(
        &self,
        request: &Request,
        claims: &Verified<ClientClaims>,
        now: SystemTime,
        action: &mut String,
    ) -> Result<(), Refused> {
        let agent = request.agent.as_str();
        if agent == DISCOVERY {
            return Ok(());
        }
        claims.check_times(now).map_err(Refused::Times)?;
        let body = RequestBody::parse(&request.body()).map_err(Refused::Body)?;
        // Nodes run what the message says, so it is what is judged; nodes refuse a difference as well.
        if !body.agent.is_empty() && body.agent != agent {
            return Err(Refused::OtherAgent { outer: agent.to_owned(), inner: body.agent.chars().take(64).collect() });
        }
        *action = format!("{agent}.{}", body.action);
        let allowed = match self.way {
            Authorizer::ActionList => {
                action_list::allows(&claims.allowed_agents, agent, &body.action).map_err(Refused::Entry)?
            }
            Authorizer::Opa => self.ask_policy(request, claims, &body).await?,
        };
        if allowed { Ok(()) } else { Err(Refused::Plain) }
    }

    async fn ask_policy(&self, request: &Request, claims: &ClientClaims, body: &RequestBody) -> Result<bool, Refused> {
        let text = claims.opa_policy.as_deref().filter(|text| !text.is_empty()).ok_or(Refused::NoPolicy)?;
        let name = format!("of {}", claims.caller_id);
        let policy = self.evaluator.understand(&self.policies, &name, text).await.map_err(Refused::Policy)?;
        let input = AaaInput {
            agent: request.agent.as_str(),
            action: &body.action,
            data: &body.data,
            sender: request.sender.as_str(),
            collective: request.collective.as_str(),
            ttl: request.ttl.into(),
            time: request.time,
            site: &self.site,
            // Claims are texts, flags, lists and times: all have a JSON form.
            claims: serde_json::to_value(claims).unwrap_or_default(),
        };
        let input = input.to_value();
        tracing::debug!(request = %request.id, "policy {name} is asked about {}.{}", request.agent, body.action);
        self.evaluator.allows(&policy, input, &request.filter).await.map_err(Refused::Policy)
    }
}

/// Finding nodes is allowed to everybody with a token.
const DISCOVERY: &str = "discovery";

/// Policies that are kept prepared.
const MOST_POLICIES: usize = 128;
