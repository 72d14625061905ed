//! The provider `aaasvc`: what the token of the caller says (spec 03b §9.3).

use super::Reason;
use crate::policy::rego::Package;
use crate::policy::shown;
use crate::policy::{AaaInput, Evaluator, Policies, action_list};
use protocol::Request;
use security::Verified;
use serde_json::Value;
use std::sync::Arc;

/// The provider.
#[derive(Debug)]
pub(crate) struct TokenPolicies {
    policies: Arc<Policies>,
    evaluator: Evaluator,
}

impl TokenPolicies {
    pub(crate) fn new() -> Self {
        Self { policies: Arc::new(Policies::new(Package::Aaasvc, MAX_POLICIES)), evaluator: Evaluator::default() }
    }

    /// Decides about a `request` to `action` of `agent` with `data`.
    pub(super) async fn judge(
        &self,
        agent: &str,
        action: &str,
        data: &Value,
        request: &Verified<Request>,
    ) -> Result<(), Reason> {
        let Some(claims) = request.caller_claims() else {
            return Err(Reason::rule("no policy received in request: it carries no verified token of its caller"));
        };
        // The signature of a delegate does not cover the caller's token: a stranger's could be put in place of one's own.
        if !is_of(&claims.caller_id, request.caller.as_str()) {
            let (token, caller) = (shown(&claims.caller_id), &request.caller);
            return Err(Reason::rule(format!(
                "the request is of {caller}, but the token with the policy is of {token}"
            )));
        }
        let policy = claims.opa_policy.as_deref().filter(|policy| !policy.is_empty());
        let allowed = match (claims.allowed_agents.as_slice(), policy) {
            ([], None) => {
                return Err(Reason::rule(
                    "no policy received in token: it has neither agents nor opa_policy; make it anew with one of them",
                ));
            }
            ([], Some(text)) => {
                let fault = |error: crate::policy::Undecided| Reason::fault(error.to_string());
                let policy = self.evaluator.understand(&self.policies, "opa_policy", text).await.map_err(fault)?;
                let input = AaaInput {
                    agent,
                    action,
                    data,
                    sender: request.sender.as_str(),
                    collective: request.collective.as_str(),
                    ttl: u64::from(request.ttl),
                    time: request.time,
                    site: "server",
                    // Every claim has a JSON form: it came from one.
                    claims: serde_json::to_value(claims).unwrap_or_default(),
                };
                let evaluated = self.evaluator.allows(&policy, input.to_value(), &request.filter).await;
                evaluated.map_err(fault)?
            }
            (agents, None) => {
                action_list::allows(agents, agent, action).map_err(|error| Reason::fault(error.to_string()))?
            }
            (_, Some(_)) => {
                return Err(Reason::rule(
                    "received agent list and rego policy: a token has agents or opa_policy, not both; make it anew",
                ));
            }
        };
        match allowed {
            true => Ok(()),
            false => Err(Reason::rule(match policy {
                Some(_) => "denied by the opa_policy of the caller's token",
                None => "denied by the agents of the caller's token",
            })),
        }
    }
}

/// Whether the request's caller is the token's, as it is or as AAA services write it (spec 07 §6).
fn is_of(token: &str, caller: &str) -> bool {
    token == caller || token.replace(['@', '.'], "_") == caller
}

/// Policies of tokens that are kept ready; sites have one for each kind of user.
const MAX_POLICIES: usize = 64;
