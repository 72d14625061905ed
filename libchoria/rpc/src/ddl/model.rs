//! The documents that describe agents and data providers, field for field (spec 03a §2).
//!
//! Written back, fields keep the order of the existing tools, and empty optional ones are left out.

use crate::suggest::Suggestion;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The id in `$schema` of agent documents.
pub const AGENT_SCHEMA: &str = "https://choria.io/schemas/mcorpc/ddl/v1/agent.json";

/// The id in `$schema` of data provider documents.
pub const DATA_SCHEMA: &str = "https://choria.io/schemas/mcorpc/ddl/v1/data.json";

/// The description of one agent: what it is, its actions, their inputs and outputs (spec 03a §2.1).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct AgentDdl {
    /// Normally [`AGENT_SCHEMA`].
    #[serde(rename = "$schema", default, deserialize_with = "nullable")]
    pub schema: String,
    /// Name, version, timeout and so on.
    pub metadata: Metadata,
    /// The actions in the order of the document.
    #[serde(default, deserialize_with = "nullable")]
    pub actions: Vec<Action>,
}

/// The description of one data provider (spec 03a §2.2).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct DataDdl {
    /// Normally [`DATA_SCHEMA`].
    #[serde(rename = "$schema", default, deserialize_with = "nullable")]
    pub schema: String,
    /// Name, version, timeout and so on.
    pub metadata: Metadata,
    /// The one argument; `None` when the provider takes none.
    #[serde(default)]
    pub query: Option<Input>,
    /// What a lookup returns, by name.
    #[serde(default, deserialize_with = "nullable")]
    pub output: BTreeMap<String, Output>,
}

/// What an agent or data provider is. Also the form in which hosts report their agents (spec 03a §1.5).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Metadata {
    /// Licence, for example `Apache-2.0`.
    #[serde(default, deserialize_with = "nullable")]
    pub license: String,
    /// Who wrote it, with an address.
    #[serde(default, deserialize_with = "nullable")]
    pub author: String,
    /// Seconds one action may take; 0 means ten, see [`Metadata::timeout`].
    #[serde(default, deserialize_with = "whole_number")]
    pub timeout: u64,
    /// The name used in requests.
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    /// One to three numbers with dots.
    #[serde(default, deserialize_with = "nullable")]
    pub version: String,
    /// Where to read more.
    #[serde(default, deserialize_with = "nullable")]
    pub url: String,
    /// One sentence.
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    /// `ruby`, `external` or `golang`; empty when not said.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Whether requests are shared between hosts: one of them answers, without discovery and filters.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "is_false")]
    pub service: bool,
}

/// One action of an agent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Action {
    /// The name used in requests.
    #[serde(rename = "action", default, deserialize_with = "nullable")]
    pub name: String,
    /// What the caller gives, by name.
    #[serde(rename = "input", default, deserialize_with = "nullable")]
    pub inputs: BTreeMap<String, Input>,
    /// What nodes answer, by name.
    #[serde(rename = "output", default, deserialize_with = "nullable")]
    pub outputs: BTreeMap<String, Output>,
    /// Which replies are shown by default.
    #[serde(default, deserialize_with = "nullable")]
    pub display: Display,
    /// One sentence.
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    /// Summaries over all replies, see [`crate::aggregate`].
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub aggregate: Vec<AggregateItem>,
}

/// Which replies are shown unless the user says otherwise (spec 03a §9.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Display {
    /// Only successful ones.
    Ok,
    /// Only failed ones; also the meaning of an empty or unknown word.
    #[default]
    Failed,
    /// All.
    Always,
}

/// One input of an action, or the query of a data provider.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Input {
    /// A label for forms.
    #[serde(default, deserialize_with = "nullable")]
    pub prompt: String,
    /// One sentence.
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    /// The type's name as written; compared in any case, see [`crate::ddl::InputType`].
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    pub kind: String,
    /// The value used when the caller gives none; `None` when there is no default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the caller may leave it out.
    #[serde(default, deserialize_with = "nullable")]
    pub optional: bool,
    /// Name of a validator or a regular expression; texts only.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub validation: String,
    /// Longest text in bytes; 0 means no limit.
    #[serde(default, rename = "maxlength", deserialize_with = "whole_number", skip_serializing_if = "is_zero")]
    pub max_length: u64,
    /// The allowed texts of type `list`.
    #[serde(rename = "list", default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
}

/// One output of an action or data provider.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Output {
    /// One sentence.
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    /// The label shown to people; empty means the output's name.
    #[serde(default, deserialize_with = "nullable")]
    pub display_as: String,
    /// The value shown when a node did not send one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The type's name as written; empty when not said.
    #[serde(rename = "type", default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// A summary over all replies: a function and its arguments, the first of which names an output (spec 03a §4).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct AggregateItem {
    /// `summary`, `boolean_summary`, `average` or `chart`.
    #[serde(default, deserialize_with = "nullable")]
    pub function: String,
    /// The output's name, then an optional object of options.
    #[serde(default, deserialize_with = "nullable")]
    pub args: Vec<Value>,
}

/// An action that the agent does not have.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown action {agent}#{action}{suggestion}")]
pub struct UnknownAction {
    /// The agent asked for.
    pub agent: String,
    /// The action asked for.
    pub action: String,
    /// An action of that agent with a similar name.
    pub suggestion: Suggestion,
}

impl AgentDdl {
    /// The action called `name`, compared exactly.
    ///
    /// # Errors
    /// When the agent has no such action; the error suggests one with a similar name.
    pub fn action(&self, name: &str) -> Result<&Action, UnknownAction> {
        self.actions.iter().find(|action| action.name == name).ok_or_else(|| UnknownAction {
            agent: self.metadata.name.clone(),
            action: name.to_owned(),
            suggestion: Suggestion::among(name, self.actions.iter().map(|action| action.name.as_str())),
        })
    }

    /// The document as JSON, indented by two spaces, fields in the order of the existing tools (spec 03a §2.1).
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Metadata {
    /// How long one action may take: the documented timeout, or ten seconds when it is 0.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        match self.timeout {
            0 => Duration::from_secs(10),
            seconds => Duration::from_secs(seconds),
        }
    }
}

impl Output {
    /// The label shown to people: `display_as`, or `name` when it is empty.
    #[must_use]
    pub fn label<'a>(&'a self, name: &'a str) -> &'a str {
        if self.display_as.is_empty() { name } else { &self.display_as }
    }
}

impl<'de> Deserialize<'de> for Display {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.as_str() {
            "ok" => Self::Ok,
            "always" => Self::Always,
            _ => Self::Failed,
        })
    }
}

/// Documents made by other tools write `null` for a value left out.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A count that some tools write as `10.0`; negative ones and fractions are refused.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(0);
    };
    let from_float = || number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..1e15).contains(float));
    let whole = number.as_u64().or_else(|| from_float().map(|float| float as u64));
    whole.ok_or_else(|| serde::de::Error::custom(format!("{number} is not a whole number of 0 or more")))
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_with_nulls_and_gaps_are_read() {
        let ddl: AgentDdl = serde_json::from_value(json!({
            "metadata": {"name": "x", "timeout": 2.0, "provider": null},
            "actions": [{"action": "a", "input": null, "display": "", "aggregate": null,
                         "output": {"o": {"description": "d", "display_as": "", "default": null}}}]
        }))
        .expect("a document");
        assert_eq!(ddl.metadata.timeout(), Duration::from_secs(2));
        let action = ddl.action("a").expect("action a");
        assert_eq!(action.display, Display::Failed);
        assert_eq!(action.outputs["o"].label("o"), "o");
        assert_eq!(action.outputs["o"].default, None);
    }

    #[test]
    fn encoding_keeps_the_order_of_the_existing_tools() {
        let input =
            Input { kind: "list".into(), default: Some(json!("a")), allowed: vec!["a".into()], ..Input::default() };
        let ddl = AgentDdl {
            schema: AGENT_SCHEMA.into(),
            metadata: Metadata { name: "x".into(), service: true, ..Metadata::default() },
            actions: vec![Action { name: "a".into(), inputs: [("i".into(), input)].into(), ..Action::default() }],
        };
        assert_eq!(
            serde_json::to_string(&ddl).expect("JSON"),
            concat!(
                r#"{"$schema":"https://choria.io/schemas/mcorpc/ddl/v1/agent.json","metadata":{"license":"","author":"","#,
                r#""timeout":0,"name":"x","version":"","url":"","description":"","service":true},"actions":[{"action":"a","#,
                r#""input":{"i":{"prompt":"","description":"","type":"list","default":"a","optional":false,"list":["a"]}},"#,
                r#""output":{},"display":"failed","description":""}]}"#
            )
        );
    }

    #[test]
    fn counts_must_be_whole() {
        for (timeout, expected) in [("5", Some(5)), ("5.0", Some(5)), ("5.5", None), ("-1", None), ("\"5\"", None)] {
            let text = format!(r#"{{"timeout":{timeout}}}"#);
            let got = serde_json::from_str::<Metadata>(&text).ok().map(|metadata| metadata.timeout);
            assert_eq!(got, expected, "{timeout}");
        }
    }
}
