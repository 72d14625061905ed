//! Who may call which action (spec 03b §9). An action accepts nothing but an [`Authorized`] call, and only
//! `Authorization::authorize` makes one: that is how default deny is spelled.
//!
//! | module | holds |
//! |---|---|
//! | `action_policy` | the provider `action_policy` |
//! | `rego_policy` | the provider `rego_policy` |
//! | `aaasvc` | the provider `aaasvc`: what the caller's token says |
//! | `files` | policy files, read again when they changed |
//! | [`check`] | every policy file of a node, for who wants to know before it counts |
//!
//! What a policy says is in [`crate::policy`]; here are the files, tokens and nodes it is asked about.

mod aaasvc;
mod action_policy;
pub mod check;
mod files;
mod rego_policy;

use crate::admit::Admitted;
use crate::node::Node;
use crate::policy::shown;
use aaasvc::TokenPolicies;
use action_policy::ActionPolicies;
use config::{Settings, keys};
use names::AgentName;
use rego_policy::RegoPolicies;
use rpc::RequestBody;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A request for one action of one agent, read but not yet allowed.
#[derive(Debug)]
pub struct Call {
    /// The request as it was admitted.
    pub admitted: Admitted,
    /// Its body.
    pub body: RequestBody,
}

/// A call that may be carried out.
#[derive(Debug)]
pub struct Authorized(Call);

/// Decides about calls, as configured. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authorization(Provider);

#[derive(Clone, Debug)]
enum Provider {
    /// `rpcauthorization = 0`: every caller whom the security provider vouches for may call everything.
    Off,
    /// Policy files, line by line.
    Action(Arc<ActionPolicies>),
    /// Policy files in Rego.
    Rego(Arc<RegoPolicies>),
    /// The caller's token.
    Token(Arc<TokenPolicies>),
    /// `rpcauthorization = 1` without a provider that can decide: nobody may call anything.
    Nobody {
        /// What is wrong with the configuration.
        why: String,
    },
}

/// A call that is not allowed; the caller gets [`Denied::REPLY`], the log and the audit get this.
#[derive(Debug, thiserror::Error)]
#[error(
    "caller {} may not call {agent}#{}: {}", call.admitted.request().caller, shown(&call.body.action), reason.why
)]
pub struct Denied {
    agent: AgentName,
    call: Box<Call>,
    reason: Reason,
}

/// Why a call is denied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reason {
    why: String,
    is_fault: bool,
}

impl Denied {
    /// What the caller is told, with status 1.
    pub const REPLY: &'static str = "You are not authorized to call this agent or action";

    /// The agent that was called.
    #[must_use]
    pub fn agent(&self) -> &AgentName {
        &self.agent
    }

    /// What was called.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Why it is denied, without who called what.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason.why
    }

    /// Whether no rule denied it, but that there is none that can be evaluated: an administrator should look.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.reason.is_fault
    }
}

impl Authorization {
    /// Allows every verified caller everything, for servers that others guard: while they are provisioned, and services
    /// that judge each request themselves.
    #[must_use]
    pub fn off() -> Self {
        Self(Provider::Off)
    }

    /// What `rpcauthorization`, `rpcauthprovider` and the keys of the provider say.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        if !settings.get(keys::RPCAUTHORIZATION) {
            return Self::off();
        }
        let provider = settings.get(keys::RPCAUTHPROVIDER).unwrap_or_default().to_lowercase();
        Self(match (provider.as_str(), folder(settings)) {
            ("aaasvc" | "aaasvc_policy", _) => Provider::Token(Arc::new(TokenPolicies::new())),
            ("action_policy", Some(folder)) => {
                Provider::Action(Arc::new(ActionPolicies::from_settings(folder, settings)))
            }
            ("rego_policy", Some(folder)) => Provider::Rego(Arc::new(RegoPolicies::from_settings(&folder, settings))),
            ("action_policy" | "rego_policy", None) => Provider::Nobody {
                why: format!("{provider} reads files beside the configuration file, and there is none"),
            },
            _ => Provider::Nobody {
                why: format!(
                    "rpcauthprovider is {:?}, which is none of action_policy, rego_policy and aaasvc",
                    shown(&provider)
                ),
            },
        })
    }

    /// What an administrator should know at the start; nothing when calls can be answered.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match &self.0 {
            Provider::Nobody { why } => Some(format!(
                "every RPC request will be denied: {why}; name a provider that can decide, or set rpcauthorization = 0 to \
                 allow every verified caller everything"
            )),
            _ => None,
        }
    }

    /// Decides about a call to `agent` of `node`.
    ///
    /// # Errors
    /// [`Denied`], always when the body names another agent than the one that got it.
    pub(crate) async fn authorize(&self, agent: &AgentName, call: Call, node: &Node) -> Result<Authorized, Denied> {
        match self.judge(agent, &call, node).await {
            Ok(()) => Ok(Authorized(call)),
            Err(reason) => Err(Denied { agent: agent.clone(), call: Box::new(call), reason }),
        }
    }

    async fn judge(&self, agent: &AgentName, call: &Call, node: &Node) -> Result<(), Reason> {
        let (body, request) = (&call.body, call.admitted.request());
        if body.agent != agent.as_str() && !(body.agent.is_empty() && matches!(self.0, Provider::Off)) {
            let body = shown(&body.agent);
            return Err(Reason::rule(format!("the request came to agent {agent} but its body is for agent {body:?}")));
        }
        match &self.0 {
            Provider::Off => Ok(()),
            Provider::Nobody { why } => Err(Reason::fault(why.clone())),
            Provider::Action(policies) => policies.judge(agent.as_str(), &body.action, request.caller.as_str(), node),
            Provider::Rego(policies) => policies.judge(agent.as_str(), &body.action, &body.data, request, node).await,
            Provider::Token(policies) => policies.judge(agent.as_str(), &body.action, &body.data, request).await,
        }
    }
}

impl Authorized {
    /// The action to run.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.0.body.action
    }

    /// The body with the action's inputs.
    #[must_use]
    pub fn body(&self) -> &RequestBody {
        &self.0.body
    }

    /// The request as it was admitted.
    #[must_use]
    pub fn admitted(&self) -> &Admitted {
        &self.0.admitted
    }
}

impl Reason {
    /// A policy says so.
    fn rule(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_fault: false }
    }

    /// No policy could say anything.
    fn fault(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_fault: true }
    }
}

/// Where policy files are: `policies` beside the configuration file.
fn folder(settings: &Settings) -> Option<PathBuf> {
    Some(settings.config_file()?.parent()?.join("policies"))
}

/// Whether `key` holds a word for yes; anything that is none means no, as in the original.
fn is_yes(settings: &Settings, key: &str) -> bool {
    let word = settings.raw(key).unwrap_or_default().trim().to_ascii_lowercase();
    ["1", "yes", "true", "y", "t"].contains(&word.as_str())
}

/// Whether `name` stays in the folder it is joined to.
fn is_file_name(name: &str) -> bool {
    let path = Path::new(name);
    path.file_name().is_some_and(|last| last == path.as_os_str()) && !name.contains('\0')
}
