//! Signing requests in the name of their callers (spec 07 §5, §6), over HTTP and RPC alike.
//!
//! | module | holds |
//! |---|---|
//! | `keys` | whose tokens count and who signs, from files that may be replaced |
//! | `decide` | every rule, in order |
//! | `authorize` | the action list and the policy |
//! | `agent` | the agent `aaa_signer` |
//! | `service` | its host on the network |

mod agent;
mod authorize;
mod decide;
mod keys;
mod service;

pub(crate) use agent::SignerAgent;
pub(crate) use keys::check as check_files;
pub(crate) use service::{Host, Service};

use crate::audit::{Action, Auditors, Record};
use crate::metrics::{Metrics, Signature as Outcome};
use crate::settings;
use authorize::Authorization;
use decide::{Denial, Question};
use keys::Keys;
use std::sync::Arc;
use std::time::SystemTime;

/// Signs requests of callers with tokens.
#[derive(Debug)]
pub(crate) struct Signer {
    keys: Keys,
    authorization: Authorization,
    bearer_tokens: bool,
    auditors: Arc<Auditors>,
    metrics: Arc<Metrics>,
}

/// A request is not signed; the reason is for the log alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Denied;

impl Signer {
    /// A signer as `settings` say; its files were tried when they were judged.
    pub(crate) fn new(
        settings: &settings::Signer,
        authorizer: settings::Authorizer,
        site: &str,
        auditors: Arc<Auditors>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let authorization = Authorization::new(authorizer, site);
        Self { keys: Keys::new(settings), authorization, bearer_tokens: settings.bearer_tokens, auditors, metrics }
    }

    /// The name of the authorizer in metrics.
    pub(crate) fn authorizer(&self) -> &'static str {
        self.authorization.kind()
    }

    /// When the delegator's token stops to count, if it can be read.
    pub(crate) fn delegator_expiry(&self) -> Option<SystemTime> {
        self.keys.delegator().ok()?.expiry()
    }

    /// Reads all files at the next request, whatever their times say.
    pub(crate) fn forget_files(&self) {
        self.keys.forget();
    }

    /// The secure request for `request`, JSON text, whose caller has `token` and signed it with `signature`. Every
    /// decision is audited, counted and logged.
    ///
    /// # Errors
    /// [`Denied`], whatever the reason.
    pub(crate) async fn sign(&self, request: &[u8], token: &str, signature: &str) -> Result<Vec<u8>, Denied> {
        let now = SystemTime::now();
        let question = Question { request, token, signature, bearer_tokens: self.bearer_tokens };
        let decided = question.decide(&self.keys, &self.authorization, &self.metrics, now).await;
        let result = match decided {
            Ok(allowed) => {
                let caller = allowed.request.caller.as_str();
                let bytes = allowed.request.encode();
                let record = Record { action: Action::Allow, caller, request: &bytes, time: now };
                match self.auditors.tell(record).await {
                    Ok(()) => self.keys.seal(&allowed.request, now).map(|sealed| (sealed, allowed)),
                    Err(full) => Err(Denial::Audit(full)),
                }
            }
            Err(denied) => {
                if let Some(request) = &denied.request {
                    let (caller, bytes) = (request.caller.as_str(), request.encode());
                    let record = Record { action: Action::Deny, caller, request: &bytes, time: now };
                    // What is denied stays denied, and the failure is logged and counted.
                    let _full = self.auditors.tell(record).await;
                }
                Err(denied.denial)
            }
        };
        match result {
            Ok((sealed, allowed)) => {
                let request = &allowed.request;
                self.metrics.signature(Outcome::Allowed);
                tracing::info!(
                    event = "signed",
                    request = %request.id,
                    caller = %request.caller,
                    sender = %request.sender,
                    action = allowed.action,
                    "Allowing request {} from {}@{} for {}", request.id, request.caller, request.sender, allowed.action
                );
                Ok(sealed)
            }
            Err(denial) => {
                self.metrics.signature(Outcome::Denied);
                if denial.is_error() {
                    self.metrics.signature(Outcome::Error);
                }
                tracing::warn!(event = "not_signed", reason = denial.label(), "Signing failed: {denial}");
                Err(Denied)
            }
        }
    }
}

#[cfg(test)]
mod tests;
