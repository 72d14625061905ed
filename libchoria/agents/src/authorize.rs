//! Who may call which action (spec 03b §9). An action accepts nothing but an [`Authorized`] call, and only
//! [`Authorization::authorize`] makes one: that is how default deny is spelled.

use crate::admit::Admitted;
use config::{Settings, keys};
use names::{AgentName, CallerId};
use rpc::RequestBody;

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

/// Decides about calls, as configured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Authorization {
    /// `rpcauthorization = 0`: every caller whom the security provider vouches for may call everything.
    Off,
    /// `rpcauthorization = 1`, but the configured provider is not part of this version: nobody may call anything.
    Unavailable {
        /// The word of `rpcauthprovider`.
        provider: String,
    },
}

/// A call that is not allowed; the caller gets [`Denied::REPLY`] and the log gets this.
#[derive(Debug, thiserror::Error)]
#[error("caller {caller} may not call {agent}#{action}: {why}")]
pub struct Denied {
    caller: CallerId,
    agent: AgentName,
    action: String,
    why: String,
}

impl Denied {
    /// What the caller is told, with status 1.
    pub const REPLY: &'static str = "You are not authorized to call this agent or action";
}

impl Authorization {
    /// What `rpcauthorization` and `rpcauthprovider` say.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        if settings.get(keys::RPCAUTHORIZATION) {
            Self::Unavailable { provider: settings.get(keys::RPCAUTHPROVIDER).unwrap_or_default().to_owned() }
        } else {
            Self::Off
        }
    }

    /// What an administrator should know at the start; nothing when calls can be answered.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::Off => None,
            Self::Unavailable { provider } => Some(format!(
                "every RPC request will be denied: rpcauthorization is on and its provider {provider} is not part of this \
                 version; set rpcauthorization = 0 to allow every verified caller everything"
            )),
        }
    }

    /// Decides about a call to `agent`.
    ///
    /// # Errors
    /// [`Denied`], always when the body names another agent than the one that got it.
    pub fn authorize(&self, agent: &AgentName, call: Call) -> Result<Authorized, Denied> {
        let why = if !call.body.agent.is_empty() && call.body.agent != agent.as_str() {
            format!("the request came to agent {agent} but its body is for agent {:?}", call.body.agent)
        } else {
            match self {
                Self::Off => return Ok(Authorized(call)),
                Self::Unavailable { provider } => {
                    format!("rpcauthorization is on and its provider {provider} is not part of this version")
                }
            }
        };
        let caller = call.admitted.request().caller.clone();
        Err(Denied { caller, agent: agent.clone(), action: call.body.action, why })
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
