//! The provider `rego_policy`: Rego files beside the configuration file (spec 03b §9.2).

use super::Reason;
use super::files::{self, Files};
use crate::node::Node;
use crate::policy::rego::{InvalidPolicy, MAX_TEXT, Package, Policy};
use crate::policy::{Evaluator, NodeInput, Policies, Undecided};
use crate::stamp::Stamp;
use config::Settings;
use protocol::Request;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was made of a file.
type Understood = Result<Arc<Policy>, String>;

/// The provider.
#[derive(Debug)]
pub(crate) struct RegoPolicies {
    folder: PathBuf,
    /// Whether each evaluation is logged with what it saw.
    tracing: bool,
    evaluator: Evaluator,
    files: Files<Understood>,
}

impl RegoPolicies {
    /// What `plugin.regopolicy.*` say of the files in `rego` in `folder`.
    pub(crate) fn from_settings(folder: &Path, settings: &Settings) -> Self {
        Self {
            folder: folder.join("rego"),
            tracing: super::is_yes(settings, "plugin.regopolicy.tracing"),
            evaluator: Evaluator::default(),
            files: Files::new(),
        }
    }

    /// Decides about a `request` to `action` of `agent` with `data`.
    pub(super) async fn judge(
        &self,
        agent: &str,
        action: &str,
        data: &Value,
        request: &Request,
        node: &Node,
    ) -> Result<(), Reason> {
        let own = self.folder.join(format!("{agent}.rego"));
        let candidates = [own.clone(), self.folder.join("default.rego")];
        let Some(path) = candidates.into_iter().find(|path| files::exists(path)) else {
            return Err(Reason::rule(format!("there is no policy {} and no default.rego beside it", own.display())));
        };
        let understood = self.read(&path).await;
        let policy = understood.as_ref().as_ref().map_err(|error| Reason::fault(error.clone()))?;
        let input = input(agent, action, data, request, node);
        let traced = self.tracing || tracing::enabled!(tracing::Level::DEBUG);
        let shown = traced.then(|| input.to_string());
        let answer = self.evaluator.traced(policy, input, &request.filter).await;
        let answer = answer.map_err(|error| Reason::fault(error.to_string()))?;
        if let Some(input) = shown {
            let (prints, answer) = (answer.prints.join("; "), format!("{:?}", answer.answer));
            let (id, policy) = (&request.id, path.display());
            match self.tracing {
                true => tracing::info!(request = %id, %policy, %answer, %prints, %input, "a policy was evaluated"),
                false => tracing::debug!(request = %id, %policy, %answer, %prints, %input, "a policy was evaluated"),
            }
        }
        match answer.answer {
            Ok(true) => Ok(()),
            Ok(false) => Err(Reason::rule(format!("denied by {}", path.display()))),
            Err(error) => Err(Reason::fault(error.to_string())),
        }
    }

    /// What the file at `path` holds now, understood if it changed; what is wrong with it is logged then.
    async fn read(&self, path: &Path) -> Arc<Understood> {
        let stamp = Stamp::of_file_or_link(path);
        if let Some(known) = self.files.current(path, stamp.as_ref()) {
            return known;
        }
        let name = path.display().to_string();
        let understood: Understood = match files::read(path, MAX_TEXT) {
            Err(error) => Err(format!("policy file {error}")),
            Ok(text) => {
                // Its own memory of one: the files are remembered here.
                let policies = Arc::new(Policies::new(Package::McorpcAuthPolicy, 1));
                match self.evaluator.understand(&policies, &name, &text).await {
                    Ok(policy) => Ok(policy),
                    Err(Undecided::Invalid(error)) => Err(error.to_string()),
                    // No fault of the file, or not known to be one: the next call tries again.
                    Err(error) => return Arc::new(Err(error.to_string())),
                }
            }
        };
        if let Err(error) = &understood {
            tracing::error!(event = "policy_unusable", file = %name, reason = %error, "{error}; what it would decide is denied");
        }
        let understood = Arc::new(understood);
        self.files.keep(path, stamp, Arc::clone(&understood));
        understood
    }
}

fn input(agent: &str, action: &str, data: &Value, request: &Request, node: &Node) -> Value {
    let input = NodeInput {
        agent,
        action,
        caller: request.caller.as_str(),
        collective: request.collective.as_str(),
        data,
        ttl: u64::from(request.ttl),
        time: request.time,
        // Facts are written by this program, so they can be read.
        facts: serde_json::from_str(node.facts.read().json()).unwrap_or_default(),
        classes: &node.classes.read(),
        agents: node.roster.names().iter().map(names::AgentName::as_str).collect(),
        provision_mode: node.provisioning,
    };
    input.to_value()
}

/// For the check of files: what is wrong with the policy in `text`.
pub(crate) fn check(name: &str, text: &str) -> Result<(), InvalidPolicy> {
    Policy::parse(name, text, Package::McorpcAuthPolicy).map(drop)
}
