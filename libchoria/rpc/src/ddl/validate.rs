//! Judging values by what a document says of an input (spec 03a §3.2, §3.3).
//!
//! Stricter than the existing tools in one place, on purpose: the `validation` of a text is applied even when no
//! `maxlength` is set, since its author meant it to be.

use super::model::{Action, Input};
use super::pattern;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// The types an input can have; names are matched in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InputType {
    /// `integer` or `int`: a whole number, also one written as `10.0`.
    Integer,
    /// `number`: any number.
    Number,
    /// `float`: any number.
    Float,
    /// `string`: text.
    Text,
    /// `boolean`.
    Boolean,
    /// `list`: one of some texts.
    List,
    /// `hash`: a JSON object.
    Hash,
    /// `array`: a JSON array.
    Array,
}

/// Why a value does not fit an input. The words are those of the existing tools.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// The JSON type is another one.
    #[error("{0}")]
    Type(&'static str),
    /// A text has more bytes than `maxlength`.
    #[error("is longer than {0} characters")]
    TooLong(u64),
    /// A text does not match the regular expression in `validation`.
    #[error("input does not match '{0}'")]
    NoMatch(String),
    /// The expression in `validation` cannot be compiled: a fault of the document.
    #[error("invalid regex '{0}'")]
    InvalidPattern(String),
    /// A text holds something a shell would act on.
    #[error("may not contain '{0}'")]
    Shell(&'static str),
    /// A text is no address of the wanted family.
    #[error("{value} is not an {family} address")]
    Address {
        /// The text given.
        value: String,
        /// `IPv4`, `IPv6` or `IP`.
        family: &'static str,
    },
    /// A text is not among those of a `list` input.
    #[error("should be one of {}", .0.join(", "))]
    NotListed(Vec<String>),
    /// A `list` input without a list: a fault of the document.
    #[error("input type of list without a valid list of items in DDL")]
    EmptyList,
    /// The document names a type that does not exist.
    #[error("unsupported input type '{0}'")]
    UnknownType(String),
}

/// Why a whole request does not fit an action (spec 03a §3.3).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnfitRequest {
    /// A required input is missing; defaults do not count.
    #[error("input '{0}' is required")]
    Required(String),
    /// One value does not fit.
    #[error("validation failed for input '{name}': {source}")]
    Value {
        /// The input.
        name: String,
        /// What is wrong with its value.
        source: Unfit,
    },
    /// The action takes no inputs.
    #[error("request contains inputs while none are declared in the DDL")]
    NoneDeclared,
    /// An input that the action does not have.
    #[error("request contains an input '{name}' that is not declared in the DDL. Valid inputs are: {}", .valid.join(", "))]
    Undeclared {
        /// The input given.
        name: String,
        /// Those that exist, sorted.
        valid: Vec<String>,
    },
}

/// Something a user should hear although the value passes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Warning {
    /// `validation` starts with a lower-case letter and so names a validator, which does not exist here.
    #[error("Unsupported validator '{0}'")]
    UnknownValidator(String),
}

impl Input {
    /// The type of this input.
    ///
    /// # Errors
    /// [`Unfit::UnknownType`] when the document names none of the known ones.
    pub fn input_type(&self) -> Result<InputType, Unfit> {
        Ok(match self.kind.to_ascii_lowercase().as_str() {
            "integer" | "int" => InputType::Integer,
            "number" => InputType::Number,
            "float" => InputType::Float,
            "string" => InputType::Text,
            "boolean" => InputType::Boolean,
            "list" => InputType::List,
            "hash" => InputType::Hash,
            "array" => InputType::Array,
            _ => return Err(Unfit::UnknownType(self.kind.clone())),
        })
    }

    /// Judges a value of the right JSON type or not (spec 03a §3.2).
    ///
    /// # Errors
    /// What is wrong with the value, or with the document.
    pub fn validate(&self, value: &Value) -> Result<Option<Warning>, Unfit> {
        match self.input_type()? {
            InputType::Integer => require(is_whole(value), "is not an integer"),
            InputType::Number => require(value.is_number(), "is not a number"),
            InputType::Float => require(value.is_number(), "is not a float"),
            InputType::Boolean => require(value.is_boolean(), "is not a boolean"),
            InputType::Hash => require(value.is_object(), "is not a hash map"),
            InputType::Array => require(value.is_array(), "is not an array"),
            InputType::Text => self.validate_text(value.as_str().ok_or(Unfit::Type("is not a string"))?),
            InputType::List if self.allowed.is_empty() => Err(Unfit::EmptyList),
            InputType::List => {
                let text = value.as_str().ok_or(Unfit::Type("should be a string"))?;
                let listed = self.allowed.iter().any(|allowed| allowed == text);
                if listed { Ok(None) } else { Err(Unfit::NotListed(self.allowed.clone())) }
            }
        }
    }

    fn validate_text(&self, text: &str) -> Result<Option<Warning>, Unfit> {
        if self.max_length > 0 && text.len() as u64 > self.max_length {
            return Err(Unfit::TooLong(self.max_length));
        }
        match self.validation.as_str() {
            "" => Ok(None),
            "shellsafe" => shell_safe(text),
            "ipv4address" => address(text, "IPv4", |address| to_v4(address).is_some()),
            "ipv6address" => address(text, "IPv6", |address| to_v4(address).is_none()),
            "ipaddress" => address(text, "IP", |_| true),
            named if named.starts_with(|first: char| first.is_ascii_lowercase()) => {
                Ok(Some(Warning::UnknownValidator(named.to_owned())))
            }
            pattern => match pattern::compile(pattern) {
                Err(_) => Err(Unfit::InvalidPattern(pattern.to_owned())),
                Ok(compiled) if compiled.is_match(text) => Ok(None),
                Ok(_) => Err(Unfit::NoMatch(pattern.to_owned())),
            },
        }
    }
}

impl Action {
    /// Judges the inputs of a whole request as a host does for agents that cannot do it themselves (spec 03a §3.3).
    /// The key `process_results` of old clients is overlooked; defaults are neither considered nor filled in.
    ///
    /// # Errors
    /// The first thing wrong, inputs taken in order of name.
    pub fn validate_request(&self, data: &Map<String, Value>) -> Result<Vec<Warning>, UnfitRequest> {
        let mut warnings = Vec::new();
        for (name, input) in &self.inputs {
            match data.get(name) {
                None if !input.optional => return Err(UnfitRequest::Required(name.clone())),
                None => {}
                Some(value) => {
                    let unfit = |source| UnfitRequest::Value { name: name.clone(), source };
                    warnings.extend(input.validate(value).map_err(unfit)?);
                }
            }
        }
        let unknown = data.keys().find(|name| *name != LEGACY_KEY && !self.inputs.contains_key(*name));
        match unknown {
            None => Ok(warnings),
            Some(_) if self.inputs.is_empty() => Err(UnfitRequest::NoneDeclared),
            Some(name) => {
                Err(UnfitRequest::Undeclared { name: name.clone(), valid: self.inputs.keys().cloned().collect() })
            }
        }
    }

    /// Adds the documented default of every output that `data` lacks (spec 03a §3.4).
    pub fn fill_outputs(&self, data: &mut Map<String, Value>) {
        for (name, output) in &self.outputs {
            if let (Some(default), false) = (&output.default, data.contains_key(name)) {
                data.insert(name.clone(), default.clone());
            }
        }
    }
}

/// Sent by clients of the Ruby era; means nothing here.
const LEGACY_KEY: &str = "process_results";

/// What a shell would act on. A single `&`, quotes and newlines pass (spec 03a §1.6).
const SHELL: [&str; 7] = ["`", "$", ";", "|", "&&", ">", "<"];

fn require(holds: bool, otherwise: &'static str) -> Result<Option<Warning>, Unfit> {
    if holds { Ok(None) } else { Err(Unfit::Type(otherwise)) }
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn shell_safe(text: &str) -> Result<Option<Warning>, Unfit> {
    match SHELL.into_iter().find(|unsafe_text| text.contains(unsafe_text)) {
        Some(found) => Err(Unfit::Shell(found)),
        None => Ok(None),
    }
}

fn address(text: &str, family: &'static str, fits: fn(IpAddr) -> bool) -> Result<Option<Warning>, Unfit> {
    match text.parse::<IpAddr>() {
        Ok(address) if fits(address) => Ok(None),
        _ => Err(Unfit::Address { value: text.to_owned(), family }),
    }
}

/// The IPv4 form of an address, which IPv4-mapped IPv6 addresses have too.
fn to_v4(address: IpAddr) -> Option<std::net::Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text_input(validation: &str, max_length: u64) -> Input {
        Input { kind: "string".into(), validation: validation.into(), max_length, ..Input::default() }
    }

    #[test]
    fn values_are_judged_by_type() {
        let listed = Input { kind: "List".into(), allowed: vec!["a".into(), "b".into()], ..Input::default() };
        let of = |kind: &str| Input { kind: kind.into(), ..Input::default() };
        let rows = [
            (of("integer"), json!(10), None),
            (of("int"), json!(10.0), None),
            (of("integer"), json!(10.5), Some("is not an integer")),
            (of("integer"), json!("10"), Some("is not an integer")),
            (of("number"), json!(1.5), None),
            (of("number"), json!("x"), Some("is not a number")),
            (of("float"), json!(1), None),
            (of("float"), json!(true), Some("is not a float")),
            (of("boolean"), json!(true), None),
            (of("boolean"), json!("true"), Some("is not a boolean")),
            (of("Hash"), json!({}), None),
            (of("hash"), json!([]), Some("is not a hash map")),
            (of("Array"), json!([]), None),
            (of("array"), json!({}), Some("is not an array")),
            (of("string"), json!(1), Some("is not a string")),
            (listed.clone(), json!("b"), None),
            (listed.clone(), json!("c"), Some("should be one of a, b")),
            (listed, json!(1), Some("should be a string")),
            (of("list"), json!("a"), Some("input type of list without a valid list of items in DDL")),
            (of(""), json!(1), Some("unsupported input type ''")),
        ];
        for (input, value, expected) in rows {
            let got = input.validate(&value).err().map(|unfit| unfit.to_string());
            assert_eq!(got.as_deref(), expected, "{} {value}", input.kind);
        }
    }

    #[test]
    fn texts_are_judged_by_length_and_validation() {
        let rows = [
            ("", 3, "abc", None),
            ("", 3, "abcd", Some("is longer than 3 characters")),
            ("", 3, "ää", Some("is longer than 3 characters")),
            ("shellsafe", 0, "a & b 'c' \"d\"\n", None),
            ("shellsafe", 0, "a && b", Some("may not contain '&&'")),
            ("shellsafe", 0, "`id`", Some("may not contain '`'")),
            ("shellsafe", 9, "a > b", Some("may not contain '>'")),
            ("ipv4address", 0, "10.1.2.3", None),
            ("ipv4address", 0, "::ffff:10.1.2.3", None),
            ("ipv4address", 0, "2001:db8::1", Some("2001:db8::1 is not an IPv4 address")),
            ("ipv6address", 0, "2001:db8::1", None),
            ("ipv6address", 0, "10.1.2.3", Some("10.1.2.3 is not an IPv6 address")),
            ("ipaddress", 0, "10.1.2", Some("10.1.2 is not an IP address")),
            ("^a+$", 0, "aaa", None),
            ("^a+$", 0, "aab", Some("input does not match '^a+$'")),
            ("^a(", 9, "a", Some("invalid regex '^a('")),
        ];
        for (validation, max_length, text, expected) in rows {
            let got = text_input(validation, max_length).validate(&json!(text)).err().map(|unfit| unfit.to_string());
            assert_eq!(got.as_deref(), expected, "{validation} {text:?}");
        }
    }

    #[test]
    fn an_unknown_validator_only_warns() {
        let warning = text_input("puppet_variable", 9).validate(&json!("x")).expect("passes").expect("warns");
        assert_eq!(warning.to_string(), "Unsupported validator 'puppet_variable'");
    }

    #[test]
    fn whole_requests() {
        let required = Input { kind: "integer".into(), default: Some(json!(1)), ..Input::default() };
        let optional = Input { optional: true, ..text_input("^x", 5) };
        let action = Action { inputs: [("b".into(), optional), ("a".into(), required)].into(), ..Action::default() };
        let empty = Action::default();
        let rows = [
            (&action, json!({"a": 1}), None),
            (&action, json!({"a": 1, "b": "x", "process_results": true}), None),
            (&action, json!({}), Some("input 'a' is required")),
            (&action, json!({"a": 1, "b": "y"}), Some("validation failed for input 'b': input does not match '^x'")),
            (
                &action,
                json!({"a": 1, "c": 1}),
                Some("request contains an input 'c' that is not declared in the DDL. Valid inputs are: a, b"),
            ),
            (&empty, json!({"c": 1}), Some("request contains inputs while none are declared in the DDL")),
            (&empty, json!({"process_results": true}), None),
        ];
        for (action, data, expected) in rows {
            let data = data.as_object().expect("an object");
            let got = action.validate_request(data).err().map(|unfit| unfit.to_string());
            assert_eq!(got.as_deref(), expected, "{data:?}");
        }
    }

    #[test]
    fn missing_outputs_get_their_defaults() {
        let output = |default| super::super::Output { default, ..Default::default() };
        let outputs =
            [("a".into(), output(Some(json!(7)))), ("b".into(), output(None)), ("c".into(), output(Some(json!(1))))];
        let action = Action { outputs: outputs.into(), ..Action::default() };
        let mut data = json!({"c": null}).as_object().expect("an object").clone();
        action.fill_outputs(&mut data);
        assert_eq!(Value::Object(data), json!({"a": 7, "c": null}));
    }
}
