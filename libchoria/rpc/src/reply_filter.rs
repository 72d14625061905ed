//! Keeping only some replies: the expressions of `--filter-replies` (spec 03a §10).

use crate::ReplyBody;
use expr::{Context, Environment, Program, Value};
use names::Identity;
use protocol::facts;
use protocol::filter::{add_time_functions, constraint};
use std::sync::LazyLock;
use std::time::SystemTime;

/// A compiled expression over replies. Cheap to run on every reply; whoever filters keeps one.
#[derive(Debug)]
pub struct ReplyFilter {
    program: Program,
    text: String,
}

/// An expression that cannot decide.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReplyFilterError {
    /// Not an expression.
    #[error("the reply filter {text:?} is not a valid expression: {reason}")]
    Invalid {
        /// The text given.
        text: String,
        /// Where it is wrong, on one line.
        reason: String,
    },
    /// It fails on a reply.
    #[error("the reply filter {text:?} failed on the reply of {sender}: {reason}")]
    Failed {
        /// The text given.
        text: String,
        /// Whose reply it was.
        sender: Identity,
        /// Why, on one line.
        reason: String,
    },
}

impl ReplyFilter {
    /// Compiles `text`.
    ///
    /// # Errors
    /// [`ReplyFilterError::Invalid`].
    pub fn new(text: &str) -> Result<Self, ReplyFilterError> {
        let invalid =
            |error: expr::Error| ReplyFilterError::Invalid { text: text.to_owned(), reason: one_line(&error) };
        Ok(Self { program: expr::compile(text).map_err(invalid)?, text: text.to_owned() })
    }

    /// Whether the reply of `sender`, made at `time`, is wanted.
    ///
    /// # Errors
    /// When the expression fails on this reply or is neither true nor false; the reply is then to be left out.
    pub fn matches(&self, sender: &Identity, body: &ReplyBody, time: SystemTime) -> Result<bool, ReplyFilterError> {
        let failed = |reason| ReplyFilterError::Failed { text: self.text.clone(), sender: sender.clone(), reason };
        match ENVIRONMENT.run(&self.program, &context(sender, body, time)) {
            Ok(Value::Bool(wanted)) => Ok(wanted),
            Ok(_) => Err(failed("match expressions should return boolean".to_owned())),
            Err(error) => Err(failed(one_line(&error))),
        }
    }
}

/// What functions look up; no expression can spell these names.
const DATA: &str = "\0data";
const SENDER: &str = "\0sender";
const TIME: &str = "\0time";

/// The status tests, by status number.
const STATUS_TESTS: [&str; 6] = ["ok", "aborted", "unknown_action", "missing_data", "invalid_data", "unknown_error"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

fn context(sender: &Identity, body: &ReplyBody, time: SystemTime) -> Context {
    let mut context = Context::default();
    context.insert("msg", body.message.as_str());
    context.insert("code", i64::from(body.status.number()));
    context.insert(DATA, body.data.get());
    context.insert(SENDER, sender.as_str());
    context.insert(TIME, crate::stats::utc_text(time));
    context
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    add_time_functions(&mut environment);
    for (number, name) in (0_i64..).zip(STATUS_TESTS) {
        environment
            .add_function(name, move |call| Ok(Value::Bool(call.ctx.get("code") == Some(&Value::Integer(number)))));
    }
    environment.add_function("sender", |call| Ok(call.ctx.get(SENDER).cloned().unwrap_or_default()));
    environment.add_function("time", |call| {
        let text = call.ctx.get(TIME).cloned().unwrap_or_default();
        call.env.eval_func(call.ctx, "date", vec![text], None)
    });
    environment.add_function("data", |call| match (call.args.as_slice(), call.ctx.get(DATA)) {
        ([Value::String(path)], Some(Value::String(json))) => {
            Ok(facts::lookup(json, path).as_ref().map_or(Value::Nil, looked_up))
        }
        _ => Err(refusal("data() takes one path")),
    });
    environment.add_function("include", |call| match call.args.as_slice() {
        [Value::Array(items), needle] => Ok(Value::Bool(items.contains(&as_looked_up(needle)))),
        [Value::Nil, _] => Ok(Value::Bool(false)),
        _ => Err(refusal("include() takes a list and a value")),
    });
    environment.add_function("semver", |call| match call.args.as_slice() {
        [Value::String(version), Value::String(wanted)] => {
            constraint::satisfies(version, wanted).map(Value::Bool).map_err(|error| refusal(&error.to_string()))
        }
        _ => Err(refusal("semver() takes a version and a constraint, both text")),
    });
    environment
}

/// JSON as `data()` gives it: every number is a float.
fn looked_up(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Nil, Value::Float),
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(looked_up).collect()),
        serde_json::Value::Object(fields) => {
            Value::Map(fields.iter().map(|(name, value)| (name.clone(), looked_up(value))).collect())
        }
    }
}

/// A value to be found in a list that `data()` gave.
fn as_looked_up(value: &Value) -> Value {
    match value {
        Value::Integer(number) => Value::Float(*number as f64),
        other => other.clone(),
    }
}

fn refusal(reason: &str) -> expr::Error {
    expr::Error::ExprError(reason.to_owned())
}

/// The engine draws its errors over several lines.
fn one_line(error: &expr::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = r#"{"action":"info","statuscode":0,"statusmsg":"OK","data":
        {"version":"1.4.2","count":3,"idling":false,"tags":["web","db",2],"nested":{"name":"x"}}}"#;

    fn decide(text: &str, reply: &str) -> Result<bool, String> {
        let sender = "n1.example.net".parse().expect("an identity");
        let body = ReplyBody::parse(reply.as_bytes()).expect("a reply");
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_252_998);
        let filter = ReplyFilter::new(text).map_err(|error| error.to_string())?;
        filter.matches(&sender, &body, time).map_err(|error| error.to_string())
    }

    #[test]
    fn expressions_decide() {
        let rows = [
            ("ok()", true),
            ("!ok() || aborted()", false),
            ("code == 0 && msg == 'OK'", true),
            ("ok() && !data(\"idling\")", true),
            ("data('count') == 3", true),
            ("data('count') > 2.5", true),
            ("data('nested.name') startsWith 'x'", true),
            ("data('absent') == nil", true),
            ("include(data('tags'), 'web')", true),
            ("include(data('tags'), 2)", true),
            ("include(data('tags'), 'mail')", false),
            ("include(data('absent'), 'x')", false),
            ("semver(data('version'), '>= 1.4')", true),
            ("semver(data('version'), '^2')", false),
            ("sender() matches '^n1'", true),
            ("time() > date('2026-11-21') && time() < date('2026-11-22')", true),
        ];
        for (text, expected) in rows {
            assert_eq!(decide(text, REPLY), Ok(expected), "{text}");
        }
    }

    #[test]
    fn each_status_has_its_test() {
        for (number, test) in STATUS_TESTS.iter().enumerate() {
            let reply = format!(r#"{{"statuscode":{number}}}"#);
            for (other, name) in STATUS_TESTS.iter().enumerate() {
                assert_eq!(decide(&format!("{name}()"), &reply), Ok(number == other), "{test} {name}");
            }
        }
    }

    #[test]
    fn failures_name_the_expression_and_the_node() {
        let rows = [
            ("ok(", "the reply filter \"ok(\" is not a valid expression: "),
            (
                "code",
                "the reply filter \"code\" failed on the reply of n1.example.net: match expressions should return boolean",
            ),
            ("nosuch()", "the reply filter \"nosuch()\" failed on the reply of n1.example.net: "),
            ("data(1) == 1", "the reply filter \"data(1) == 1\" failed on the reply of n1.example.net: "),
            ("semver('x', '1')", "the reply filter \"semver('x', '1')\" failed on the reply of n1.example.net: "),
        ];
        for (text, start) in rows {
            let error = decide(text, REPLY).expect_err(text);
            assert!(error.starts_with(start) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
