//! One mapping of a YAML or JSON file, asked key by key; what is wrong with it gathers on the way.

use super::problems::{Problem, Problems};
use config::parse_duration;
use serde_yaml_ng::{Mapping, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A mapping whose keys are taken out one by one.
#[derive(Debug, Default)]
pub(crate) struct Document {
    values: Mapping,
    /// Written before keys in messages, for example `features.`.
    prefix: &'static str,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Document {
    /// Reads the text of the file at `path`; an empty one is an empty mapping.
    ///
    /// # Errors
    /// When it is neither YAML nor JSON, or no mapping.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        let fault = |rule: String| Problems::new(path, vec![Problem { key: String::new(), rule }]);
        match serde_yaml_ng::from_str(text) {
            Ok(Value::Mapping(values)) => Ok(Self { values, ..Self::default() }),
            Ok(Value::Null) => Ok(Self::default()),
            Ok(_) => Err(fault("the file must hold keys with values, for example `workers: 4`".to_owned())),
            Err(error) => Err(fault(format!("the file is neither YAML nor JSON: {error}"))),
        }
    }

    /// Records a problem of `key`.
    pub(crate) fn problem(&mut self, key: &str, rule: impl Into<String>) {
        self.problems.push(Problem { key: format!("{}{key}", self.prefix), rule: rule.into() });
    }

    /// Records something that is worth telling and no obstacle.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// A text; none when absent, null or empty.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            Value::Number(_) | Value::Bool(_) => {
                self.problem(key, "must be text: put quotes around it");
                None
            }
            _ => {
                self.problem(key, "must be text");
                None
            }
        }
    }

    /// A path; none when absent or empty.
    pub(crate) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A whole number from 0 to `most`.
    pub(crate) fn number(&mut self, key: &str, most: u64) -> Option<u64> {
        let number = self.take(key)?.as_u64().filter(|number| *number <= most);
        if number.is_none() {
            self.problem(key, format!("must be a whole number from 0 to {most}"));
        }
        number
    }

    /// `true` or `false`, the latter when absent.
    pub(crate) fn flag(&mut self, key: &str) -> bool {
        match self.take(key) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.problem(key, "must be true or false, without quotes");
                false
            }
        }
    }

    /// A length of time of at least `least`, for example `1m`; the default when absent, empty or `0`.
    pub(crate) fn duration(&mut self, key: &str, least: Duration, default: Duration) -> Duration {
        let Some(text) = self.text(key) else { return default };
        match parse_duration(&text) {
            Ok(time) if time.is_zero() => default,
            Ok(time) if time >= least => time,
            Ok(_) => {
                self.problem(key, format!("{text} is too small: the minimum is {} s", least.as_secs()));
                default
            }
            Err(error) => {
                self.problem(key, error.to_string());
                default
            }
        }
    }

    /// A list of texts; none when absent.
    pub(crate) fn list(&mut self, key: &str) -> Option<Vec<String>> {
        let Value::Sequence(items) = self.take(key)? else {
            self.problem(key, "must be a list of texts");
            return None;
        };
        let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        if texts.is_none() {
            self.problem(key, "must be a list of texts: put quotes around each");
        }
        texts
    }

    /// The mapping under `key`, empty when absent; give it back with [`absorb`](Self::absorb).
    pub(crate) fn section(&mut self, key: &str, prefix: &'static str) -> Self {
        let values = match self.take(key) {
            None => Mapping::new(),
            Some(Value::Mapping(values)) => values,
            Some(_) => {
                self.problem(key, "must hold keys with values");
                Mapping::new()
            }
        };
        Self { values, prefix, ..Self::default() }
    }

    /// Takes over what was found in a section, and warns of keys that nobody asked it for.
    pub(crate) fn absorb(&mut self, mut section: Self, known: &[&str]) {
        section.warn_of_unknown(known);
        self.problems.append(&mut section.problems);
        self.warnings.append(&mut section.warnings);
    }

    /// Drops a key that is accepted and means nothing any more.
    pub(crate) fn ignore(&mut self, key: &str) {
        if self.take(key).is_some() {
            self.warnings.push(format!("{}{key} has no effect: remove it", self.prefix));
        }
    }

    /// Everything that is wrong, or the warnings.
    ///
    /// # Errors
    /// [`Problems`] of the file at `path`.
    pub(crate) fn finish(mut self, path: &Path, known: &[&str]) -> Result<Vec<String>, Problems> {
        self.warn_of_unknown(known);
        if self.problems.is_empty() { Ok(self.warnings) } else { Err(Problems::new(path, self.problems)) }
    }

    fn warn_of_unknown(&mut self, known: &[&str]) {
        let left: Vec<String> = self.values.keys().map(shown_key).collect();
        for key in left {
            let same = known.iter().find(|known| known.eq_ignore_ascii_case(&key));
            let advice = same.map(|known| format!(", did you mean {known}?")).unwrap_or_default();
            self.warnings.push(format!("{}{key} is not a known key and has no effect{advice}", self.prefix));
        }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.values.remove(key).filter(|value| !value.is_null())
    }
}

fn shown_key(key: &Value) -> String {
    let text = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}
