//! Expressions over the claims of a token.

use super::report::Report;
use expr::{Context, ContextProvider, Value};
use serde::Serialize;

/// Runs each query over `claims`, which are named as in the token's JSON, and reports those that are not true.
pub(super) fn check(queries: &[String], claims: &impl Serialize, report: &mut Report) {
    if queries.is_empty() {
        return;
    }
    let claims = match Claims::new(claims) {
        Ok(claims) => claims,
        Err(error) => return report.critical(format!("claims cannot be queried: {error}")),
    };
    for query in queries {
        match expr::compile(query).and_then(|program| expr::run(&program, &claims)) {
            Ok(Value::Bool(true)) => {}
            Ok(Value::Bool(false)) => report.critical(query),
            Ok(_) => return report.critical(format!("invalid query: {query}: its result is neither true nor false")),
            Err(error) => return report.critical(format!("invalid query: {query}: {}", one_line(&error.to_string()))),
        }
    }
}

/// The claims by name; one that the token does not carry is `nil` and no mistake in the query.
struct Claims(Context);

impl Claims {
    fn new(claims: &impl Serialize) -> serde_json::Result<Self> {
        let mut context = Context::default();
        if let serde_json::Value::Object(claims) = serde_json::to_value(claims)? {
            for (name, claim) in claims {
                context.insert(name, value(claim));
            }
        }
        Ok(Self(context))
    }
}

impl ContextProvider for Claims {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).or(Some(&Value::Nil))
    }

    fn to_context(&self) -> Context {
        self.0.clone()
    }
}

/// A JSON value as the expression language has it.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(list) => Value::Array(list.into_iter().map(value).collect()),
        serde_json::Value::Object(members) => members.into_iter().map(|(name, member)| (name, value(member))).collect(),
    }
}

/// Monitoring systems read one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
