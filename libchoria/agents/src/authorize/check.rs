//! Every policy file of a node, judged before it counts.

use super::{files, folder, is_file_name, is_yes, rego_policy};
use crate::policy::action_policy::{ActionPolicy, Groups, MAX_TEXT};
use config::{Settings, keys};
use std::path::{Path, PathBuf};

/// Something that is wrong with a policy file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Where, counted from 1, if that is known.
    pub line: Option<u32>,
    /// What is wrong and what comes of it.
    pub what: String,
    /// Whether all that the file would decide is denied, not only what a line would.
    pub denies_all: bool,
}

/// Reads every policy file that the provider of `settings` may ask. Nothing for a provider without files, or when calls
/// are not authorized at all.
///
/// Of each folder at most a thousand files are read.
#[must_use]
pub fn policy_files(settings: &Settings) -> Vec<Finding> {
    let provider = settings.get(keys::RPCAUTHPROVIDER).unwrap_or_default().to_lowercase();
    let Some(folder) = folder(settings).filter(|_| settings.get(keys::RPCAUTHORIZATION)) else { return Vec::new() };
    let mut findings = Vec::new();
    match provider.as_str() {
        "action_policy" => {
            let found = files_with(&folder, "policy", &mut findings);
            found.iter().for_each(|file| action_policy(file, &mut findings));
            groups(&folder.join("groups"), &mut findings);
            default_name(settings, &folder, &mut findings);
        }
        "rego_policy" => {
            let found = files_with(&folder.join("rego"), "rego", &mut findings);
            found.iter().for_each(|file| rego(file, &mut findings));
        }
        _ => {}
    }
    findings
}

fn action_policy(file: &Path, findings: &mut Vec<Finding>) {
    match files::read(file, MAX_TEXT) {
        Ok(text) => findings.extend(ActionPolicy::parse(&text).1.into_iter().map(|fault| Finding {
            file: file.to_owned(),
            line: Some(fault.line),
            what: fault.what,
            denies_all: false,
        })),
        Err(error) => findings.push(unusable(file, error.why())),
    }
}

fn groups(file: &Path, findings: &mut Vec<Finding>) {
    if !files::exists(file) {
        return;
    }
    match files::read(file, MAX_TEXT) {
        Ok(text) => findings.extend(Groups::parse(&text).1.into_iter().map(|fault| Finding {
            file: file.to_owned(),
            line: Some(fault.line),
            what: fault.what,
            denies_all: false,
        })),
        Err(error) => findings.push(unusable(file, error.why())),
    }
}

fn rego(file: &Path, findings: &mut Vec<Finding>) {
    match files::read(file, crate::policy::rego::MAX_TEXT) {
        Ok(text) => {
            if let Err(error) = rego_policy::check(&file.display().to_string(), &text) {
                findings.push(Finding { line: error.line(), ..unusable(file, error.why()) });
            }
        }
        Err(error) => findings.push(unusable(file, error.why())),
    }
}

/// A default that is switched on and not there.
fn default_name(settings: &Settings, folder: &Path, findings: &mut Vec<Finding>) {
    let name = settings.raw("plugin.actionpolicy.default_name").unwrap_or("default");
    let file = folder.join(format!("{name}.policy"));
    if is_yes(settings, "plugin.actionpolicy.enable_default") && !(is_file_name(name) && files::exists(&file)) {
        let what = "it is named by plugin.actionpolicy.default_name and not there".to_owned();
        findings.push(Finding { file, line: None, what, denies_all: true });
    }
}

/// The files of `folder` whose names end so, sorted.
fn files_with(folder: &Path, ending: &str, findings: &mut Vec<Finding>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            findings.push(unusable(folder, &format!("the folder cannot be read: {error}")));
            return Vec::new();
        }
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == ending)).take(MAX_FILES).collect();
    found.sort_unstable();
    found
}

fn unusable(file: &Path, why: &str) -> Finding {
    Finding {
        file: file.to_owned(),
        line: None,
        what: format!("{why}; what it would decide is denied"),
        denies_all: true,
    }
}

const MAX_FILES: usize = 1000;
