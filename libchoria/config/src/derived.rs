//! What follows from several keys together: names, collectives, files beside the configuration (spec 04b §1.5).

use crate::inputs::{Place, Protection};
use crate::key::{Key, TypedKey};
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

/// Derives what follows from `values`: the names, and the values to store for keys that were left out.
///
/// # Errors
/// Every problem found.
pub(crate) fn derive(values: &dyn Values) -> Result<(Derived, Vec<(&'static str, Value)>), Vec<Problem>> {
    let mut problems = Vec::new();
    let mut stored = Vec::new();
    let names = names(values, &mut stored).map_err(|problem| problems.push(problem));
    let protection = anonymous_tls(values, &mut stored, &mut problems);
    match names {
        Ok((identity, collectives, main_collective, registration_collective)) if problems.is_empty() => {
            Ok((Derived { identity, collectives, main_collective, registration_collective, protection }, stored))
        }
        _ => Err(problems),
    }
}

/// Identity and collectives. The rules of single names were checked before, so that only missing ones fail here.
fn names(
    values: &dyn Values,
    stored: &mut Vec<(&'static str, Value)>,
) -> Result<(Identity, Arc<[Collective]>, Collective, Collective), Problem> {
    let identity_text = get(values, keys::IDENTITY).filter(|_| values.is_given(keys::IDENTITY.name()));
    let identity: Identity = match identity_text.or_else(|| values.host_identity()) {
        Some(text) => text.parse().map_err(|error: names::InvalidName| {
            problem(values, keys::IDENTITY.name(), text, &format!("{}; set identity in the configuration", error.rule))
        })?,
        None => return Err(problem(values, keys::IDENTITY.name(), "", "this host has no name: set identity")),
    };
    store(stored, keys::IDENTITY, Value::Text(identity.as_str().into()));

    let given = get(values, keys::COLLECTIVES);
    let is_choria = get(values, keys::SECURITY_PROVIDER) == Some("choria");
    let unset = [if is_choria { "choria" } else { "mcollective" }.to_owned()];
    let texts = if given.is_empty() { &unset[..] } else { given };
    let parse = |key: &'static str, text: &str| {
        text.parse::<Collective>().map_err(|error| problem(values, key, text, error.rule))
    };
    let collectives: Result<Arc<[Collective]>, Problem> =
        texts.iter().map(|text| parse(keys::COLLECTIVES.name(), text)).collect();
    let collectives = collectives?;
    store(stored, keys::COLLECTIVES, Value::List(texts.into()));

    // A derived value of an earlier layer does not count as given.
    let given = |key: Key<crate::key::Text>| get(values, key).filter(|_| values.is_given(key.name()));
    let main = given(keys::MAIN_COLLECTIVE).unwrap_or(&texts[0]);
    let main_collective = parse(keys::MAIN_COLLECTIVE.name(), main)?;
    store(stored, keys::MAIN_COLLECTIVE, Value::Text(main.into()));
    let registration = given(keys::REGISTRATION_COLLECTIVE).unwrap_or(main);
    let registration_collective = parse(keys::REGISTRATION_COLLECTIVE.name(), registration)?;
    store(stored, keys::REGISTRATION_COLLECTIVE, Value::Text(registration.into()));
    Ok((identity, collectives, main_collective, registration_collective))
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

fn store<T>(stored: &mut Vec<(&'static str, Value)>, key: Key<T>, value: Value) {
    stored.push((key.name(), value));
}

fn problem(values: &dyn Values, key: &str, value: &str, rule: &str) -> Problem {
    Problem { place: values.place(key), key: key.to_owned(), value: value.to_owned(), rule: rule.to_owned() }
}
