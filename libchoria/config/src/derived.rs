//! What follows from several keys together: names, collectives, files beside the configuration (spec 04b §1.5).

use crate::build;
use crate::inputs::{Place, Protection};
use crate::key::{Key, Text, TypedKey};
use crate::keys;
use crate::problems::Problem;
use crate::value::Value;
use names::{Collective, Identity};
use std::path::Path;
use std::sync::Arc;

/// The names every part of a program asks for, parsed once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Derived {
    pub(crate) identity: Identity,
    pub(crate) collectives: Arc<[Collective]>,
    pub(crate) main_collective: Collective,
    pub(crate) registration_collective: Collective,
    pub(crate) protection: Protection,
}

/// The values as they are before anything is derived.
pub(crate) trait Values {
    /// The value of a key: given, or its default.
    fn value(&self, name: &str) -> Option<&Value>;
    /// Whether the user gave the key.
    fn is_given(&self, name: &str) -> bool;
    /// Where the key was given.
    fn place(&self, name: &str) -> Place;
    /// The main configuration file.
    fn config_file(&self) -> Option<&Path>;
    /// The name of this node for files that do not say it.
    fn host_identity(&self) -> Option<&str>;
    /// The protections before anonymous TLS turns some of them off.
    fn protection(&self) -> Protection;
}

/// What was derived: the parsed names, and the values to store for keys that were left out.
#[derive(Debug)]
pub(crate) struct Derivation {
    pub(crate) derived: Derived,
    pub(crate) stored: Vec<(&'static str, Value)>,
}

/// Derives what follows from `values`.
///
/// # Errors
/// Every problem found.
pub(crate) fn derive(values: &dyn Values) -> Result<Derivation, Vec<Problem>> {
    let mut stored = Vec::new();
    let mut problems = Vec::new();
    let protection = anonymous_tls(values, &mut stored, &mut problems);
    let identity = identity(values).map_err(|problem| problems.push(problem));
    let collectives = collectives(values).map_err(|problem| problems.push(problem));
    let (Ok(identity), Ok(collectives), true) = (identity, collectives, problems.is_empty()) else {
        return Err(problems);
    };
    let (main, registration) = (&collectives.main, &collectives.registration);
    store(&mut stored, keys::IDENTITY, Value::Text(identity.as_str().into()));
    store(&mut stored, keys::COLLECTIVES, Value::List(collectives.all.iter().map(ToString::to_string).collect()));
    store(&mut stored, keys::MAIN_COLLECTIVE, Value::Text(main.as_str().into()));
    store(&mut stored, keys::REGISTRATION_COLLECTIVE, Value::Text(registration.as_str().into()));
    let derived = Derived {
        identity,
        collectives: collectives.all,
        main_collective: collectives.main,
        registration_collective: collectives.registration,
        protection,
    };
    Ok(Derivation { derived, stored })
}

/// The collectives and two that are chosen from them.
struct Collectives {
    all: Arc<[Collective]>,
    main: Collective,
    registration: Collective,
}

/// The configured identity, else the host's.
fn identity(values: &dyn Values) -> Result<Identity, Problem> {
    let name = keys::IDENTITY.name();
    match given(values, keys::IDENTITY).or_else(|| values.host_identity()) {
        Some(text) => text.parse().map_err(|error: names::InvalidName| {
            problem(values, name, text, &format!("{}; set identity in the configuration", error.rule))
        }),
        None => Err(problem(values, name, "", "this host has no name: set identity in the configuration")),
    }
}

/// The configured collectives, else the one that goes with the security provider.
fn collectives(values: &dyn Values) -> Result<Collectives, Problem> {
    let parse = |key: &'static str, text: &str| {
        text.parse::<Collective>().map_err(|error| problem(values, key, text, error.rule))
    };
    let is_given = values.is_given(keys::COLLECTIVES.name());
    let texts = get(values, keys::COLLECTIVES);
    let is_choria = get(values, keys::SECURITY_PROVIDER) == Some("choria");
    let unset: Vec<String> = match build::COLLECTIVES {
        "mcollective" if is_choria => vec!["choria".to_owned()],
        _ => build::collectives().map(str::to_owned).collect(),
    };
    let texts = if is_given && !texts.is_empty() { texts } else { &unset };
    let all: Result<Arc<[Collective]>, Problem> =
        texts.iter().map(|text| parse(keys::COLLECTIVES.name(), text)).collect();
    let main = given(values, keys::MAIN_COLLECTIVE).unwrap_or(&texts[0]);
    let registration = given(values, keys::REGISTRATION_COLLECTIVE).unwrap_or(main);
    Ok(Collectives {
        all: all?,
        main: parse(keys::MAIN_COLLECTIVE.name(), main)?,
        registration: parse(keys::REGISTRATION_COLLECTIVE.name(), registration)?,
    })
}

/// Anonymous TLS turns off verification; servers then have their token and seed beside the configuration file.
fn anonymous_tls(
    values: &dyn Values,
    stored: &mut Vec<(&'static str, Value)>,
    problems: &mut Vec<Problem>,
) -> Protection {
    let mut protection = values.protection();
    let client = get(values, keys::SECURITY_CLIENT_ANON_TLS);
    let has_signer =
        get(values, keys::SECURITY_REQUEST_SIGNER_SERVICE) || get(values, keys::SECURITY_REQUEST_SIGNER_URL).is_some();
    // INSECURE_ANON_TLS, which turned verification off before, asks for no signer.
    if client && !has_signer && protection.verify_tls {
        let rule = "anonymous TLS can only be enabled when a remote signer is configured: set \
                    plugin.choria.security.request_signer.service or plugin.choria.security.request_signer.url";
        problems.push(problem(values, keys::SECURITY_CLIENT_ANON_TLS.name(), "true", rule));
    }
    let server = get(values, keys::SECURITY_SERVER_ANON_TLS);
    if client || server {
        protection.verify_tls = false;
        protection.validate_security = false;
    }
    if server {
        let files =
            [(keys::SECURITY_SERVER_TOKEN_FILE, "server.jwt"), (keys::SECURITY_SERVER_SEED_FILE, "server.seed")];
        for (key, file) in files {
            if get(values, key).is_some() {
                continue;
            }
            match values.config_file().map(|main| main.with_file_name(file)).as_deref().and_then(Path::to_str) {
                Some(path) => store(stored, key, Value::Text(path.into())),
                None => {
                    let rule = "must be set when there is no configuration file to find it beside";
                    problems.push(problem(values, key.name(), "", rule));
                }
            }
        }
    }
    protection
}

fn get<T: TypedKey>(values: &dyn Values, key: Key<T>) -> T::Output<'_> {
    T::read(values.value(key.name()))
}

/// A text that the user gave; one stored by an earlier derivation does not count.
fn given(values: &dyn Values, key: Key<Text>) -> Option<&str> {
    get(values, key).filter(|_| values.is_given(key.name()))
}

fn store<T>(stored: &mut Vec<(&'static str, Value)>, key: Key<T>, value: Value) {
    stored.push((key.name(), value));
}

fn problem(values: &dyn Values, key: &str, value: &str, rule: &str) -> Problem {
    Problem { place: values.place(key), key: key.to_owned(), value: value.to_owned(), rule: rule.to_owned() }
}
