//! From inputs to settings: reads every value by its type and rule, and lists all that cannot be used.

use crate::derived::{Derivation, Derived, Values, derive};
use crate::inputs::{Inputs, Place, Protection};
use crate::key::KeyInfo;
use crate::keys;
use crate::problems::{Problem, Problems, Warning};
use crate::retired::is_retired;
use crate::secret::shown;
use crate::settings::{Settings, Shared};
use crate::spelling::{matches_pattern, probably_meant};
use crate::value::Value;
use std::collections::BTreeMap;
use std::path::Path;

impl Inputs {
    /// Makes settings of the inputs.
    ///
    /// # Errors
    /// [`Problems`] with every value that is not readable by its type, breaks its rule, or does not fit the others.
    pub fn check(self) -> Result<Settings, Problems> {
        let mut problems = self.unresolved.clone();
        let mut values = BTreeMap::new();
        for info in keys::table() {
            let (lines, place) = self.lines(info.name);
            let lines = if lines.is_empty() { info.default.as_slice() } else { &lines[..] };
            if lines.is_empty() {
                continue;
            }
            match read(info, info.name, lines, self.home.as_deref(), place) {
                Ok(value) => _ = values.insert(info.name, value),
                Err(problem) => problems.push(problem),
            }
        }
        let mut warnings = self.warnings.clone();
        for key in self.given.keys().filter(|key| keys::find_key(key).is_none()) {
            let (lines, place) = self.lines(key);
            match keys::patterns().iter().find(|info| matches_pattern(info.name, key)) {
                Some(info) => problems.extend(read(info, key, &lines, self.home.as_deref(), place).err()),
                None => warnings.extend(misspelled(key, place)),
            }
        }
        let judged = Judged { inputs: &self, values: &values };
        match derive(&judged) {
            Ok(Derivation { derived, stored }) if problems.is_empty() => {
                values.extend(stored);
                Ok(self.settle(values, derived, warnings))
            }
            Ok(_) => Err(Problems::new(problems)),
            Err(more) => {
                // What was refused by its own rule is not reported again because it fits nothing else.
                let known: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
                problems.extend(more.into_iter().filter(|problem| !known.contains(&problem.key)));
                Err(Problems::new(problems))
            }
        }
    }

    /// Packs the judged values for sharing.
    fn settle(self, values: BTreeMap<&'static str, Value>, derived: Derived, warnings: Vec<Warning>) -> Settings {
        let last = |(key, mut given): (String, Vec<_>)| Some((key.into_boxed_str(), given.pop()?));
        Settings::new(
            Shared {
                kind: self.kind,
                main: self.main,
                files: self.files,
                given: self.given.into_iter().filter_map(last).collect(),
                variables: self.variables.into_iter().map(|(key, variable, _)| (key, variable)).collect(),
                values,
                warnings,
                protection: self.protection,
                home: self.home,
                host_identity: self.host_identity,
                user: self.user,
                certificate_name: self.certificate_name,
            },
            derived,
        )
    }
}

/// Reads the texts of one key by its type and checks its rule.
pub(crate) fn read(
    info: &KeyInfo,
    key: &str,
    lines: &[&str],
    home: Option<&Path>,
    place: Place,
) -> Result<Value, Problem> {
    let judged = Value::parse(info.value_type, lines, home).and_then(|value| info.rule.check(&value).map(|()| value));
    judged.map_err(|rule| {
        let text = shown(key, lines.last().copied().unwrap_or_default());
        Problem { place, key: key.to_owned(), value: text.chars().take(SHOWN).collect(), rule }
    })
}

/// A word about a key that nothing reads and that looks like a typing error.
fn misspelled(key: &str, place: Place) -> Option<Warning> {
    let meant = probably_meant(key).filter(|_| !is_retired(key))?;
    Some(Warning { place, text: format!("nothing reads {key}; did you mean {meant}?") })
}

/// Inputs whose values were read, seen by what derives the rest.
struct Judged<'a> {
    inputs: &'a Inputs,
    values: &'a BTreeMap<&'static str, Value>,
}

impl Values for Judged<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    fn is_given(&self, name: &str) -> bool {
        self.inputs.text(name).is_some()
    }

    fn place(&self, name: &str) -> Place {
        self.inputs.lines(name).1
    }

    fn config_file(&self) -> Option<&Path> {
        self.inputs.config_file()
    }

    fn host_identity(&self) -> Option<&str> {
        self.inputs.host_identity.as_deref()
    }

    fn protection(&self) -> Protection {
        self.inputs.protection
    }
}

/// Characters of a refused value that are shown.
const SHOWN: usize = 120;

#[cfg(test)]
mod tests;
