//! Turning what a user typed, `name=text`, into the typed inputs of an action (spec 03a §3.1).
//!
//! More forgiving than the existing tools about names: they match in any case, so that inputs whose names have capital
//! letters can be given at all.

use super::model::{Action, Input};
use super::validate::{InputType, Unfit, Warning};
use crate::number;
use crate::suggest::Suggestion;
use serde_json::{Map, Value};

/// The inputs of one request, ready to be sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Typed values by the names of the document, defaults included.
    pub values: Map<String, Value>,
    /// What the user should hear although everything passed.
    pub warnings: Vec<Warning>,
}

/// What is given for one input.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// Text that means a value of the input's type.
    Text(&'a str),
    /// The value.
    Value(&'a Value),
}

/// Why the inputs a user gave cannot be sent. The words are those of the existing tools, with a suggestion added.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidInput {
    /// The action has no such input.
    #[error("input '{name}' has not been declared{suggestion}")]
    Undeclared {
        /// The name given.
        name: String,
        /// A declared name like it.
        suggestion: Suggestion,
    },
    /// The text cannot be read as the input's type.
    #[error("invalid value for '{name}': '{text}' is not a valid {expected}")]
    Unreadable {
        /// The input.
        name: String,
        /// The text given.
        text: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// The value breaks a rule of the input.
    #[error("invalid value for '{name}': {source}")]
    Unfit {
        /// The input.
        name: String,
        /// The rule.
        source: Unfit,
    },
    /// A required input without a default was not given.
    #[error("input '{0}' is required")]
    Required(String),
}

impl Action {
    /// Converts and judges `name=text` pairs, then adds the defaults of inputs not given. When a name is given twice, the
    /// last one counts.
    ///
    /// # Errors
    /// The first argument that cannot be sent, or the first required input that is missing.
    pub fn inputs_from<'a>(
        &self,
        arguments: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Inputs, InvalidInput> {
        self.inputs_given(arguments.into_iter().map(|(name, text)| (name, Given::Text(text))))
    }

    /// As [`Action::inputs_from`], for programs: some inputs are values already, which are judged and not converted.
    ///
    /// # Errors
    /// The first argument that cannot be sent, or the first required input that is missing.
    pub fn inputs_given<'a>(
        &self,
        arguments: impl IntoIterator<Item = (&'a str, Given<'a>)>,
    ) -> Result<Inputs, InvalidInput> {
        let mut inputs = Inputs::default();
        for (given, argument) in arguments {
            let (name, input) = self.declared(given)?;
            let value = match argument {
                Given::Text(text) => read(name, input, text)?,
                Given::Value(value) => value.clone(),
            };
            let unfit = |source| InvalidInput::Unfit { name: name.to_owned(), source };
            inputs.warnings.extend(input.validate(&value).map_err(unfit)?);
            inputs.values.insert(name.to_owned(), value);
        }
        for (name, input) in self.inputs.iter().filter(|(_, input)| !input.optional || input.default.is_some()) {
            match &input.default {
                _ if inputs.values.contains_key(name) => {}
                Some(default) => drop(inputs.values.insert(name.clone(), default.clone())),
                None => return Err(InvalidInput::Required(name.clone())),
            }
        }
        Ok(inputs)
    }

    /// The input called `given`: exactly so, else in any case.
    fn declared(&self, given: &str) -> Result<(&str, &Input), InvalidInput> {
        let exact = self.inputs.get_key_value(given);
        let any_case = || self.inputs.iter().find(|(name, _)| name.eq_ignore_ascii_case(given));
        let found = exact.or_else(any_case).map(|(name, input)| (name.as_str(), input));
        found.ok_or_else(|| InvalidInput::Undeclared {
            name: given.to_owned(),
            suggestion: Suggestion::among(given, self.inputs.keys().map(String::as_str)),
        })
    }
}

/// The value that `text` means for `input`.
fn read(name: &str, input: &Input, text: &str) -> Result<Value, InvalidInput> {
    let kind = input.input_type().map_err(|source| InvalidInput::Unfit { name: name.to_owned(), source })?;
    let (value, expected) = match kind {
        InputType::Text | InputType::List => (Some(Value::String(text.to_owned())), "string"),
        InputType::Integer => (text.parse::<i64>().ok().map(Value::from), "integer"),
        InputType::Number | InputType::Float => (read_float(text), "float"),
        InputType::Boolean => (read_boolean(text), "boolean"),
        InputType::Hash => (read_json(text, Value::is_object), "JSON string with a hash inside"),
        InputType::Array => (read_json(text, Value::is_array), "JSON string with an array inside"),
    };
    value.ok_or_else(|| InvalidInput::Unreadable { name: name.to_owned(), text: text.to_owned(), expected })
}

/// A finite number. A whole one is sent without a fraction, since typed agents read it into an integer.
fn read_float(text: &str) -> Option<Value> {
    number::to_json(text.parse().ok()?)
}

fn read_boolean(text: &str) -> Option<Value> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(Value::Bool(true)),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn read_json(text: &str, fits: fn(&Value) -> bool) -> Option<Value> {
    serde_json::from_str(text).ok().filter(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn action(inputs: Value) -> Action {
        Action { inputs: serde_json::from_value(inputs).expect("inputs"), ..Action::default() }
    }

    #[test]
    fn texts_become_typed_values() {
        let rows = [
            ("integer", "-10", Ok(json!(-10))),
            ("int", "+10", Ok(json!(10))),
            ("integer", "1.0", Err("invalid value for 'i': '1.0' is not a valid integer")),
            ("integer", "", Err("invalid value for 'i': '' is not a valid integer")),
            ("number", "10", Ok(json!(10))),
            ("float", "1e3", Ok(json!(1000))),
            ("float", "1.5", Ok(json!(1.5))),
            ("float", "inf", Err("invalid value for 'i': 'inf' is not a valid float")),
            ("number", "x", Err("invalid value for 'i': 'x' is not a valid float")),
            ("string", "", Ok(json!(""))),
            ("boolean", "True", Ok(json!(true))),
            ("boolean", "0", Ok(json!(false))),
            ("boolean", "yes", Err("invalid value for 'i': 'yes' is not a valid boolean")),
            ("hash", "{\"a\": 1}", Ok(json!({"a": 1}))),
            ("Hash", "[]", Err("invalid value for 'i': '[]' is not a valid JSON string with a hash inside")),
            ("array", "[1]", Ok(json!([1]))),
            ("array", "1,2", Err("invalid value for 'i': '1,2' is not a valid JSON string with an array inside")),
            ("date", "1", Err("invalid value for 'i': unsupported input type 'date'")),
        ];
        for (kind, text, expected) in rows {
            let got = action(json!({"i": {"type": kind, "optional": false}})).inputs_from([("i", text)]);
            let got = got.map(|inputs| inputs.values["i"].clone()).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned), "{kind} {text:?}");
        }
    }

    #[test]
    fn values_are_judged_and_not_converted() {
        let action = action(json!({"i": {"type": "integer", "optional": false}}));
        let rows = [
            (Given::Value(&json!(5)), Ok(json!({"i": 5}))),
            (Given::Text("5"), Ok(json!({"i": 5}))),
            (Given::Value(&json!("5")), Err("invalid value for 'i': is not an integer")),
            (Given::Value(&json!(null)), Err("invalid value for 'i': is not an integer")),
        ];
        for (given, expected) in rows {
            let got = action.inputs_given([("I", given)]);
            let got = got.map(|inputs| Value::Object(inputs.values)).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned), "{given:?}");
        }
    }

    #[test]
    fn names_defaults_and_requirements() {
        let action = action(json!({
            "C": {"type": "string", "optional": true, "validation": "^[A-Z]{2}$", "maxlength": 2},
            "token": {"type": "string", "optional": false, "default": ""},
            "fact": {"type": "string", "optional": false},
        }));
        type Row<'a> = (&'a [(&'a str, &'a str)], Result<Value, &'a str>);
        let rows: &[Row<'_>] = &[
            (&[("fact", "x")], Ok(json!({"fact": "x", "token": ""}))),
            (&[("FACT", "x"), ("c", "MT")], Ok(json!({"fact": "x", "token": "", "C": "MT"}))),
            (&[("fact", "x"), ("fact", "y"), ("token", "t")], Ok(json!({"fact": "y", "token": "t"}))),
            (&[], Err("input 'fact' is required")),
            (&[("fatc", "x")], Err("input 'fatc' has not been declared, did you mean 'fact'?")),
            (&[("other", "x")], Err("input 'other' has not been declared")),
            (&[("fact", "x"), ("C", "mt")], Err("invalid value for 'C': input does not match '^[A-Z]{2}$'")),
        ];
        for (arguments, expected) in rows {
            let got = action.inputs_from(arguments.iter().copied());
            let got = got.map(|inputs| Value::Object(inputs.values)).map_err(|error| error.to_string());
            assert_eq!(got, expected.clone().map_err(str::to_owned), "{arguments:?}");
        }
    }
}
