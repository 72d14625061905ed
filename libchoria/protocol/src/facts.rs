//! What is known about a node: the merged fact files, looked up by gjson path, and the list of classes (spec 04 §4).
//!
//! Reading the files is left to the caller; here are only functions over their text.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The facts of one node: one JSON object, kept as compact text since every lookup needs only a part of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    json: String,
}

/// One fact file: its name decides how it is read, a name ending in `yaml` as YAML and any other as JSON.
#[derive(Clone, Copy, Debug)]
pub struct FactFile<'a> {
    /// Path as configured in `plugin.yaml`.
    pub name: &'a str,
    /// The content.
    pub text: &'a str,
}

/// A fact file that was left out because it cannot be read as a mapping.
#[derive(Debug, thiserror::Error)]
#[error("fact file {name} is skipped: {why}")]
pub struct InvalidFacts {
    /// Path as configured in `plugin.yaml`.
    pub name: String,
    /// What the parser said.
    pub why: String,
}

impl Facts {
    /// Merges fact files: keys of later files replace those of earlier ones, at the top level only. Files that cannot
    /// be read are reported and left out; without any fact the result is the empty object.
    #[must_use]
    pub fn merge(files: &[FactFile<'_>]) -> (Self, Vec<InvalidFacts>) {
        let mut merged = BTreeMap::new();
        let mut refused = Vec::new();
        for file in files {
            match parse(*file) {
                Ok(facts) => merged.extend(facts),
                Err(why) => refused.push(InvalidFacts { name: file.name.to_owned(), why }),
            }
        }
        // Every key is text and every value came from JSON, so writing cannot fail.
        let json = serde_json::to_string(&merged).unwrap_or_else(|_| "{}".to_owned());
        (Self { json }, refused)
    }

    /// All facts as the text of one JSON object, its top level sorted by key.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The fact at a gjson `path`, `None` when there is none or the path is refused by [`lookup`].
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Value> {
        lookup(&self.json, path)
    }

    /// As [`get`](Self::get), borrowed from the text where possible; what filters compare.
    pub(crate) fn find<'a>(&'a self, path: &'a str) -> Option<gjson::Value<'a>> {
        find(&self.json, path)
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self { json: "{}".to_owned() }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}

/// Looks up a gjson `path` in a `json` text (spec 02 §6).
///
/// `None` when nothing is there, and for paths longer than 512 bytes or nested deeper than 8 brackets, which no
/// fact needs and which could exhaust the stack.
#[must_use]
pub fn lookup(json: &str, path: &str) -> Option<Value> {
    find(json, path).and_then(|found| serde_json::from_str(found.json()).ok())
}

/// The classes of a node: one a line, in the order of the file, as `classesfile` holds them. Nothing is trimmed but
/// the line ends; empty lines are no class.
#[must_use]
pub fn classes(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

const MAX_PATH: usize = 512;
const MAX_PATH_DEPTH: usize = 8;

fn find<'a>(json: &'a str, path: &'a str) -> Option<gjson::Value<'a>> {
    if !is_bounded(path) {
        return None;
    }
    let found = gjson::get(json, path);
    found.exists().then_some(found)
}

/// Whether a path stays within the documented bounds.
fn is_bounded(path: &str) -> bool {
    let mut depth = 0_usize;
    let mut deepest = 0;
    for byte in path.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    !path.is_empty() && path.len() <= MAX_PATH && deepest <= MAX_PATH_DEPTH
}

fn parse(file: FactFile<'_>) -> Result<BTreeMap<String, Value>, String> {
    let value = if file.name.ends_with("yaml") {
        let yaml = serde_yaml_ng::from_str(file.text).map_err(|error| error.to_string())?;
        json_of(yaml)
    } else {
        serde_json::from_str(file.text).map(normal).map_err(|error| error.to_string())?
    };
    match value {
        Value::Object(facts) => Ok(facts.into_iter().collect()),
        _ => Err("the file must hold a mapping of fact names to values".to_owned()),
    }
}

/// YAML as JSON: keys become text, tags are dropped, numbers JSON cannot hold become `null`.
fn json_of(yaml: serde_yaml_ng::Value) -> Value {
    use serde_yaml_ng::Value as Yaml;
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(truth) => Value::Bool(truth),
        Yaml::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .or_else(|| number.as_f64().map(float))
            .unwrap_or(Value::Null),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(items.into_iter().map(json_of).collect()),
        Yaml::Mapping(entries) => {
            let sorted: BTreeMap<_, _> =
                entries.into_iter().map(|(key, value)| (key_text(key), json_of(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Yaml::Tagged(tagged) => json_of(tagged.value),
    }
}

fn key_text(key: serde_yaml_ng::Value) -> String {
    match json_of(key) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Whole floats are written as integers, as existing servers do; it matters to people who read `1` and not `1.0`.
fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().map_or(Value::Null, float),
        Value::Array(items) => Value::Array(items.into_iter().map(normal).collect()),
        Value::Object(entries) => {
            let sorted: BTreeMap<_, _> = entries.into_iter().map(|(key, value)| (key, normal(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        other => other,
    }
}

fn float(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53, up to where every whole number has its own float
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Value::from(number as i64);
    }
    Value::from(number)
}

#[cfg(test)]
mod tests;
