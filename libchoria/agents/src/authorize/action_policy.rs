//! The provider `action_policy`: files beside the configuration file (spec 03b §9.1).

use super::Reason;
use super::files::{self, Files};
use crate::node::Node;
use crate::policy::action_policy::{ActionPolicy, Fault, Groups, MAX_TEXT, Question};
use crate::stamp::Stamp;
use config::{Settings, keys};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was made of a policy file.
type Read<T> = Result<T, files::Unreadable>;

/// The provider.
#[derive(Debug)]
pub(crate) struct ActionPolicies {
    folder: PathBuf,
    /// The name of the policy for agents without one.
    default_name: Option<String>,
    /// What holds in a file until it says otherwise.
    default_allow: bool,
    policies: Files<Read<ActionPolicy>>,
    groups: Files<Read<Groups>>,
}

impl ActionPolicies {
    /// What `plugin.actionpolicy.*` say of the files in `folder`.
    pub(crate) fn from_settings(folder: PathBuf, settings: &Settings) -> Self {
        let named = settings.raw("plugin.actionpolicy.default_name").unwrap_or("default").to_owned();
        let enabled = super::is_yes(settings, "plugin.actionpolicy.enable_default");
        if enabled && !super::is_file_name(&named) {
            tracing::warn!(
                "plugin.actionpolicy.default_name: {named:?} is not the name of a file; there is no default policy"
            );
        }
        Self {
            folder,
            default_name: Some(named).filter(|name| enabled && super::is_file_name(name)),
            default_allow: super::is_yes(settings, "plugin.actionpolicy.allow_unconfigured"),
            policies: Files::new(),
            groups: Files::new(),
        }
    }

    /// Decides about `action` of `agent` for `caller`.
    pub(super) fn judge(&self, agent: &str, action: &str, caller: &str, node: &Node) -> Result<(), Reason> {
        let own = self.folder.join(format!("{agent}.policy"));
        let default = self.default_name.as_ref().map(|name| self.folder.join(format!("{name}.policy")));
        let Some(path) = std::iter::once(own.clone()).chain(default).find(|path| files::exists(path)) else {
            return Err(Reason::rule(format!("there is no policy {}", own.display())));
        };
        let policy = read(&self.policies, &path, ActionPolicy::parse);
        let policy = policy.as_ref().as_ref().map_err(|error| Reason::fault(error.to_string()))?;
        let groups_path = self.folder.join("groups");
        let groups = match files::exists(&groups_path) {
            true => read(&self.groups, &groups_path, Groups::parse),
            false => Arc::new(Ok(Groups::default())),
        };
        // Without the groups fewer rules fit; a rule that denies a group must not be lost by that.
        let groups = groups.as_ref().as_ref().map_err(|error| Reason::fault(error.to_string()))?;
        let (facts, classes) = (node.facts.read(), node.classes.read());
        let classes = node.settings.get(keys::CLASSESFILE).map(|_| classes.as_slice());
        let question = Question { caller, action, facts: &facts, classes };
        match policy.decide(self.default_allow, groups, question) {
            Ok(decision) if decision.allowed => Ok(()),
            Ok(decision) => Err(Reason::rule(match decision.line {
                Some(line) => format!("denied by line {line} of {}", path.display()),
                None => format!("denied by default: no rule of {} allows it", path.display()),
            })),
            Err(error) => Err(Reason::fault(format!("{}: {error}", path.display()))),
        }
    }
}

/// What the file at `path` holds now, read if it changed; what is wrong with it is logged then.
fn read<T>(files: &Files<Read<T>>, path: &Path, parse: fn(&str) -> (T, Vec<Fault>)) -> Arc<Read<T>> {
    let stamp = Stamp::of_file_or_link(path);
    if let Some(known) = files.current(path, stamp.as_ref()) {
        return known;
    }
    let value = files::read(path, MAX_TEXT).map(|text| parse(&text));
    let value = match value {
        Ok((value, faults)) => {
            for fault in faults.iter().take(MAX_FAULTS) {
                tracing::warn!(file = %path.display(), line = fault.line, "policy file {}: {fault}", path.display());
            }
            if faults.len() > MAX_FAULTS {
                let more = faults.len() - MAX_FAULTS;
                tracing::warn!(file = %path.display(), "policy file {}: {more} more lines are wrong", path.display());
            }
            Ok(value)
        }
        Err(error) => {
            tracing::error!(
                event = "policy_unusable",
                file = %path.display(),
                reason = %error,
                "policy file {error}; what it would decide is denied"
            );
            Err(error)
        }
    };
    let value = Arc::new(value);
    files.keep(path, stamp, Arc::clone(&value));
    value
}

/// Lines of one file that are told of.
const MAX_FAULTS: usize = 20;
