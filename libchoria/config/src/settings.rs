//! The third room: judged values, shared by everything that asks for them.

use crate::check::read;
use crate::derived::{Derivation, Derived, Values, derive};
use crate::environment::FixedEnvironment;
use crate::inputs::{Given, Inputs, Kind, Place, Protection};
use crate::key::{Key, TypedKey};
use crate::keys;
use crate::problems::{Problems, Warning};
use crate::secret::{HIDDEN, is_secret, shown};
use crate::value::Value;
use names::{Collective, Identity};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The configuration of one program or of one server among many in a process. Cloning is cheap, and
/// [`Settings::with`] makes variants that share everything they do not change.
#[derive(Clone)]
pub struct Settings {
    shared: Arc<Shared>,
    /// What [`Settings::with`] changed.
    own: Option<Arc<Layer>>,
    derived: Arc<Derived>,
}

/// Collects values in the program instead of files, for tests and embedding programs.
///
/// The node is called `localhost` unless `identity` is set, variables and the home directory are not consulted.
#[derive(Clone, Debug)]
#[must_use]
pub struct SettingsBuilder {
    inputs: Inputs,
}

/// What all variants have in common.
pub(crate) struct Shared {
    pub(crate) kind: Kind,
    pub(crate) main: Option<PathBuf>,
    pub(crate) files: Vec<Arc<Path>>,
    /// The last text of every key in files, as it was written.
    pub(crate) given: BTreeMap<Box<str>, Given>,
    /// Keys that a variable replaced, with the variable.
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    /// Typed keys with a value or default, and derived ones.
    pub(crate) values: BTreeMap<&'static str, Value>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) protection: Protection,
    pub(crate) home: Option<PathBuf>,
    pub(crate) host_identity: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) certificate_name: Option<String>,
}

/// The few values in which one variant differs; searched from the front.
#[derive(Default)]
struct Layer {
    values: Vec<(&'static str, Value)>,
    given: Vec<(Box<str>, Box<str>)>,
}

/// Asking for values.
impl Settings {
    /// The value of a typed key: what was given, else its default, else the empty value of its type.
    #[must_use]
    pub fn get<T: TypedKey>(&self, key: Key<T>) -> T::Output<'_> {
        T::read(self.value(key.name()))
    }

    /// Whether the user gave the key, in a file, in its variable or in the program; a default does not count.
    #[must_use]
    pub fn is_set<T>(&self, key: Key<T>) -> bool {
        self.is_given(key.name())
    }

    /// The text of any key, typed or not, as it was written last; variables do not count (spec 04b §1.4).
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        let own = self.own.as_ref().and_then(|own| own.given.iter().find(|(key, _)| **key == *name));
        own.map(|(_, text)| &**text).or_else(|| self.shared.given.get(name).map(|given| given.text.as_str()))
    }

    /// The raw options whose names start with `prefix`, for example `plugin.rpcutil.`, as name and text in the order
    /// of their names.
    #[must_use]
    pub fn raw_starting_with(&self, prefix: &str) -> BTreeMap<&str, &str> {
        let shared = self.shared.given.range(Box::from(prefix)..).map(|(key, given)| (&**key, given.text.as_str()));
        let shared = shared.take_while(|(key, _)| key.starts_with(prefix));
        let own = self.own.iter().flat_map(|own| &own.given).map(|(key, text)| (&**key, &**text));
        shared.chain(own.filter(|(key, _)| key.starts_with(prefix))).collect()
    }

    /// The value of a typed key by name; `None` for other names, and for keys without value and default. The value
    /// may be a secret: see [`shown`] and [`Settings::json`].
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        let own = self.own.as_ref().and_then(|own| own.values.iter().find(|(key, _)| *key == name));
        own.map(|(_, value)| value).or_else(|| self.shared.values.get(name))
    }

    /// The value of a declared key as agents and data providers answer it, with secrets as `*****`; `None` for names
    /// that are not declared (spec 03b §2, 04 §7).
    #[must_use]
    pub fn json(&self, name: &str) -> Option<serde_json::Value> {
        let info = keys::find_key(name)?;
        let value = self.value(name).cloned().unwrap_or_else(|| Value::zero(info.value_type));
        Some(if is_secret(name) && !value.is_zero() { HIDDEN.into() } else { value.to_json() })
    }

    /// Where a key was given, for messages that say where to change it.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Place> {
        self.is_given(name).then(|| Values::place(self, name))
    }

    /// This node's name: `identity`, else found from the host (spec 04 §3.2).
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.derived.identity.clone()
    }

    /// The collectives this program belongs to; never empty.
    #[must_use]
    pub fn collectives(&self) -> &[Collective] {
        &self.derived.collectives
    }

    /// `main_collective`, else the first collective.
    #[must_use]
    pub fn main_collective(&self) -> &Collective {
        &self.derived.main_collective
    }

    /// `registration_collective`, else the main collective.
    #[must_use]
    pub fn registration_collective(&self) -> &Collective {
        &self.derived.registration_collective
    }

    /// The word of `plugin.security.provider`.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.get(keys::SECURITY_PROVIDER).unwrap_or_default()
    }

    /// Which protections are in force; anonymous TLS turns some off.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.derived.protection
    }

    /// The main configuration file, absolute, whether it exists or not.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        self.shared.main.as_deref()
    }

    /// The files that were read, in order.
    #[must_use]
    pub fn files(&self) -> &[Arc<Path>] {
        &self.shared.files
    }

    /// Whether a server or a client reads.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.shared.kind
    }

    /// The variable `USER`: who a client is.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.shared.user.as_deref()
    }

    /// The variable `MCOLLECTIVE_CERTNAME`: the name that replaces the one derived by the security provider.
    #[must_use]
    pub fn certificate_name(&self) -> Option<&str> {
        self.shared.certificate_name.as_deref()
    }

    /// What was ignored and probably meant otherwise; programs log it once at start.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.shared.warnings
    }
}

/// Making settings.
impl Settings {
    /// Collects values in the program.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder { inputs: Inputs::empty(None, Kind::Server, &FixedEnvironment::default()) }
    }

    /// A variant in which `overrides`, texts as in a file, replace what was given. Lists that append are replaced.
    /// It shares all other values, so that thousands of servers in one process cost little each.
    ///
    /// # Errors
    /// [`Problems`] with every override that cannot be used.
    pub fn with(&self, overrides: &[(&str, String)]) -> Result<Self, Problems> {
        let mut layer = self.own.as_deref().map(Layer::copy).unwrap_or_default();
        let mut problems = Vec::new();
        for (name, text) in overrides {
            replace(&mut layer.given, Box::from(*name), text.as_str().into());
            let Some(info) = keys::find_key(name) else { continue };
            match read(info, name, &[text], self.shared.home.as_deref(), Place::Program) {
                Ok(value) => replace(&mut layer.values, info.name, value),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(Problems::new(problems));
        }
        let mut variant =
            Self { shared: Arc::clone(&self.shared), own: Some(Arc::new(layer)), derived: Arc::clone(&self.derived) };
        let Derivation { derived, stored } = derive(&variant).map_err(Problems::new)?;
        variant.adopt(derived, stored);
        Ok(variant)
    }

    pub(crate) fn new(shared: Shared, derived: Derived) -> Self {
        Self { shared: Arc::new(shared), own: None, derived: Arc::new(derived) }
    }

    /// Takes over what was derived for this variant, as far as it differs from what is shared.
    fn adopt(&mut self, mut derived: Derived, stored: Vec<(&'static str, Value)>) {
        let mut layer = self.own.as_deref().map(Layer::copy).unwrap_or_default();
        for (key, value) in stored {
            if self.value(key) != Some(&value) {
                replace(&mut layer.values, key, value);
            }
        }
        if derived.collectives == self.derived.collectives {
            derived.collectives = Arc::clone(&self.derived.collectives);
        }
        for (new, old) in [
            (&mut derived.main_collective, &self.derived.main_collective),
            (&mut derived.registration_collective, &self.derived.registration_collective),
        ] {
            if new == old {
                new.clone_from(old);
            }
        }
        layer.values.shrink_to_fit();
        layer.given.shrink_to_fit();
        self.own = Some(Arc::new(layer));
        self.derived = Arc::new(derived);
    }
}

impl SettingsBuilder {
    /// Sets a key, typed or not, to a text as in a file.
    pub fn set(mut self, key: &str, text: &str) -> Self {
        self.inputs.set(key, text);
        self
    }

    /// Says which file the settings stand for; nothing is read from it.
    pub fn config_file(mut self, path: &Path) -> Self {
        self.inputs.main = Some(path.to_owned());
        self
    }

    /// Makes settings of a client instead of a server.
    pub fn client(mut self, working_directory: &Path) -> Self {
        self.inputs.kind = Kind::Client { working_directory: working_directory.to_owned() };
        self
    }

    /// Says who the user is, as the variable `USER` does.
    pub fn user(mut self, name: &str) -> Self {
        self.inputs.user = Some(name.to_owned());
        self
    }

    /// Replaces the protections.
    pub fn protection(mut self, protection: Protection) -> Self {
        self.inputs.protect(protection);
        self
    }

    /// Judges the values.
    ///
    /// # Errors
    /// [`Problems`] as from [`Inputs::check`].
    pub fn build(self) -> Result<Settings, Problems> {
        self.inputs.check()
    }
}

impl Values for Settings {
    fn value(&self, name: &str) -> Option<&Value> {
        self.value(name)
    }

    fn is_given(&self, name: &str) -> bool {
        self.raw(name).is_some() || self.shared.variables.iter().any(|(key, _)| *key == name)
    }

    fn place(&self, name: &str) -> Place {
        if self.own.as_ref().is_some_and(|own| own.given.iter().any(|(key, _)| **key == *name)) {
            return Place::Program;
        }
        if let Some((_, variable)) = self.shared.variables.iter().find(|(key, _)| *key == name) {
            return Place::Variable(variable);
        }
        self.shared.given.get(name).map_or(Place::Program, |given| given.place.clone())
    }

    fn config_file(&self) -> Option<&Path> {
        self.config_file()
    }

    fn host_identity(&self) -> Option<&str> {
        self.shared.host_identity.as_deref()
    }

    fn protection(&self) -> Protection {
        self.shared.protection
    }
}

/// Shows what was given, without secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.raw_starting_with("").into_iter().map(|(key, text)| (key, shown(key, text)));
        let given: BTreeMap<&str, String> = given.collect();
        let main = &self.shared.main;
        f.debug_struct("Settings").field("config_file", main).field("given", &given).finish_non_exhaustive()
    }
}

impl Layer {
    fn copy(&self) -> Self {
        Self { values: self.values.clone(), given: self.given.clone() }
    }
}

/// Sets `key` in a short list.
fn replace<K: PartialEq, V>(list: &mut Vec<(K, V)>, key: K, value: V) {
    match list.iter_mut().find(|(known, _)| *known == key) {
        Some((_, known)) => *known = value,
        None => list.push((key, value)),
    }
}

#[cfg(test)]
mod tests;
