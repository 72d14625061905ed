//! The policy files of a server, each read as the server will read it.

use super::report::Report;
use agents::authorize::check::{Finding, policy_files};
use config::{Settings, keys};

/// The name of this check.
pub(super) const CHECK: &str = "policies";

/// What is wrong with the policies that decide who may call what here.
pub(super) fn examine(report: &mut Report, settings: &Settings) {
    if !settings.get(keys::RPCAUTHORIZATION) {
        return report.skip(CHECK, "rpcauthorization is off: every verified caller may call everything");
    }
    if let Some(warning) = agents::Authorization::from_settings(settings).warning() {
        return report.fail(CHECK, warning, "set rpcauthprovider = action_policy, rego_policy or aaasvc");
    }
    let provider = settings.get(keys::RPCAUTHPROVIDER).unwrap_or_default().to_lowercase();
    let findings = policy_files(settings);
    for finding in findings.iter().take(MAX_FINDINGS) {
        let text = shown(finding);
        match finding.denies_all {
            true => report.fail(CHECK, text, "correct the file; the server reads it again at the next call"),
            false => report.warn(CHECK, text, "correct the line; the server reads the file again at the next call"),
        }
    }
    if findings.len() > MAX_FINDINGS {
        let more = findings.len() - MAX_FINDINGS;
        report.warn(
            CHECK,
            format!("{more} more lines of policy files are wrong"),
            "correct those above, then look again",
        );
    }
    if findings.is_empty() {
        report.ok(CHECK, format!("{provider}: nothing is wrong with its policies"));
    }
}

fn shown(finding: &Finding) -> String {
    let line = finding.line.map_or_else(String::new, |line| format!(" line {line}"));
    format!("{}{line}: {}", finding.file.display(), finding.what)
}

/// Findings that are told one by one.
const MAX_FINDINGS: usize = 20;
