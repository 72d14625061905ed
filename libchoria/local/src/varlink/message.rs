//! Calls and replies as JSON.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A call as it stands in a message.
#[derive(Debug, Deserialize)]
pub(crate) struct CallText<'a> {
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) parameters: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) oneway: Option<bool>,
    #[serde(default)]
    pub(crate) more: Option<bool>,
    #[serde(default)]
    pub(crate) upgrade: Option<bool>,
}

/// A call to be sent.
#[derive(Debug, Serialize)]
pub(crate) struct CallOut<'a, P> {
    pub(crate) method: &'a str,
    pub(crate) parameters: &'a P,
}

/// A reply as it stands in a message.
#[derive(Debug, Deserialize)]
pub(crate) struct ReplyText<'a> {
    #[serde(borrow, default)]
    pub(crate) error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) parameters: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) continues: Option<bool>,
}

/// Parameters of a call, not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a>(pub(crate) Option<&'a RawValue>);

impl<'a> Parameters<'a> {
    /// Parameters as `T`; none are an empty object. Unknown ones are `T`'s business.
    ///
    /// # Errors
    /// [`Failure::InvalidParameter`] with what is wrong and where.
    pub fn parse<T: Deserialize<'a>>(self) -> Result<T, Failure> {
        let text = self.0.map_or("{}", RawValue::get);
        serde_json::from_str(if text == "null" { "{}" } else { text })
            .map_err(|error| Failure::InvalidParameter(error.to_string()))
    }
}

/// Why a call is answered by an error.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// An error of the service's own interface: its name without the interface, and its parameters, an object.
    Own(&'static str, Value),
    /// `org.varlink.service.InterfaceNotFound`.
    InterfaceNotFound(String),
    /// `org.varlink.service.MethodNotFound`, with the whole name of the method.
    MethodNotFound(String),
    /// `org.varlink.service.MethodNotImplemented`, with the whole name of the method.
    MethodNotImplemented(String),
    /// `org.varlink.service.InvalidParameter`, with the parameter or what is wrong.
    InvalidParameter(String),
}

impl Failure {
    /// An error of the service's own interface whose one parameter is the reason.
    #[must_use]
    pub fn because(name: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Own(name, serde_json::json!({ "reason": reason.to_string() }))
    }

    /// The reply, without its NUL. `interface` is the service's own.
    pub(crate) fn to_json(&self, interface: &str) -> Vec<u8> {
        let common = |name: &str, key: &str, value: &str| {
            (format!("org.varlink.service.{name}"), serde_json::json!({ key: value }))
        };
        let (error, parameters) = match self {
            Self::Own(name, parameters) => (format!("{interface}.{name}"), parameters.clone()),
            Self::InterfaceNotFound(name) => common("InterfaceNotFound", "interface", name),
            Self::MethodNotFound(name) => common("MethodNotFound", "method", name),
            Self::MethodNotImplemented(name) => common("MethodNotImplemented", "method", name),
            Self::InvalidParameter(name) => common("InvalidParameter", "parameter", name),
        };
        serde_json::json!({ "error": error, "parameters": parameters }).to_string().into_bytes()
    }
}

/// A reply that is an error, as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorReply {
    /// The whole name, such as `io.choria.Submission.Refused`.
    pub name: String,
    /// Its parameters; null when there are none.
    pub parameters: Value,
}

impl ErrorReply {
    /// The parameter `reason`, else the error as it is.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.parameters.get("reason").and_then(Value::as_str) {
            Some(reason) => reason.to_owned(),
            None => self.to_string(),
        }
    }
}

impl std::fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.parameters {
            Value::Null => f.write_str(&self.name),
            parameters => write!(f, "{} {parameters}", self.name),
        }
    }
}

/// A reply read from `message`: parameters, or an error.
pub(crate) fn parse_reply<T: DeserializeOwned>(message: &[u8]) -> Result<Result<T, ErrorReply>, serde_json::Error> {
    let reply: ReplyText<'_> = serde_json::from_slice(message)?;
    let parameters = reply.parameters.map_or("{}", RawValue::get);
    match reply.error {
        Some(name) => {
            let parameters = reply.parameters.map_or(Ok(Value::Null), |text| serde_json::from_str(text.get()))?;
            Ok(Err(ErrorReply { name: name.into_owned(), parameters }))
        }
        None if reply.continues == Some(true) => {
            Err(serde::de::Error::custom("the service announces more replies than the one that was asked for"))
        }
        None => serde_json::from_str(parameters).map(Ok),
    }
}
