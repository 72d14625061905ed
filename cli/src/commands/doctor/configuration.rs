//! Whose configuration it is, and whether it can be used.

use super::Role;
use super::report::Report;
use config::build;
use config::{Environment, Kind, LoadError, Settings, keys};
use std::path::{Path, PathBuf};
use tokens::Purpose;

/// The name of this check.
pub(super) const CHECK: &str = "configuration";

/// The file to examine: the one named, else the one that programs of this role read.
pub(super) fn file(named: Option<&Path>, role: Option<Role>, environment: &dyn Environment) -> PathBuf {
    match (named, role) {
        (Some(file), _) => file.to_owned(),
        (None, Some(Role::Server)) => PathBuf::from(build::SERVER_CONFIG),
        (None, Some(Role::Broker)) => PathBuf::from(build::BROKER_CONFIG),
        (None, Some(Role::Client) | None) => config::find_client_config(environment),
    }
}

/// Whose configuration `file` is, as far as it tells: a broker's says so, else the kind of token decides, else the name
/// of the file.
pub(super) fn role(file: &Path, environment: &dyn Environment) -> Role {
    let settings = config::load(file, Kind::Server, environment).ok().and_then(|inputs| inputs.check().ok());
    if settings.as_ref().is_some_and(|settings| settings.get(keys::BROKER_NETWORK)) {
        return Role::Broker;
    }
    let token = settings.and_then(|settings| settings.token_file()).and_then(|file| tokens::read_token(&file).ok());
    match token.and_then(|token| tokens::purpose_of(&token).ok()) {
        Some(Purpose::Server) => Role::Server,
        Some(Purpose::Client) => Role::Client,
        _ => match file.file_stem().and_then(|stem| stem.to_str()) {
            Some("server") => Role::Server,
            Some("broker") => Role::Broker,
            _ => Role::Client,
        },
    }
}

/// Reads and judges the file.
pub(super) fn examine(report: &mut Report, file: &Path, role: Role, environment: &dyn Environment) -> Option<Settings> {
    let kind = if role == Role::Client { Kind::client(environment) } else { Kind::Server };
    let inputs = match config::load(file, kind, environment) {
        Ok(inputs) => inputs,
        Err(error) => {
            report.fail(CHECK, error.to_string(), missing(&error, role));
            return None;
        }
    };
    let settings = match inputs.check() {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems.list() {
                report.fail(CHECK, problem.to_string(), format!("choria tool config {}", problem.key));
            }
            return None;
        }
    };
    let files: Vec<String> = settings.files().iter().map(|file| file.display().to_string()).collect();
    report.ok(CHECK, files.join(", "));
    for warning in settings.warnings() {
        report.warn(CHECK, warning.to_string(), "choria tool config shows what is in force");
    }
    Some(settings)
}

fn missing(error: &LoadError, role: Role) -> String {
    match (error, role) {
        (LoadError::Missing { .. }, Role::Server) => "let the node be provisioned, or write the file".to_owned(),
        (LoadError::Missing { .. } | LoadError::NoClientFile, _) => {
            "write plugin.choria.middleware_hosts, the token and the seed into it; man choria.conf tells how".to_owned()
        }
        _ => "the file must be text that this user may read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::FixedEnvironment;

    #[test]
    fn the_file_tells_whose_it_is() {
        let rows = [
            ("/a/x.conf", "plugin.choria.broker_network = true", Role::Broker),
            ("/a/server.conf", "", Role::Server),
            ("/a/broker.conf", "ttl = soon", Role::Broker),
            ("/a/client.conf", "", Role::Client),
            ("/a/.choriarc", "", Role::Client),
        ];
        for (path, text, expected) in rows {
            let environment = FixedEnvironment::default().with_file(path, text);
            assert_eq!(role(Path::new(path), &environment), expected, "{path} {text:?}");
        }
    }

    #[test]
    fn every_bad_value_is_named() {
        let environment = FixedEnvironment::default().with_file("/a/client.conf", "ttl = soon\ncolor = perhaps\n");
        let mut report = Report::default();
        assert!(examine(&mut report, Path::new("/a/client.conf"), Role::Client, &environment).is_none());
        let mut out = Vec::new();
        report.write_json(&mut out, &super::super::report::Patient { role: "", config: String::new() }).expect("room");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("/a/client.conf:1: ttl = soon") && text.contains("/a/client.conf:2: color"), "{text}");
    }
}
