//! Expressions over replies: those of `--filter-replies`, which keep some (spec 03a §10), and those of reports, which make
//! a value of each.

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

/// A compiled expression over the replies of `rpcutil#inventory`, for reports: as [`ReplyFilter`], and `fact("a.b")` looks
/// up a fact, `class("x")` and `agent("x")` tell whether a node has it.
#[derive(Debug)]
pub struct ReplyValue(ReplyFilter);

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

impl ReplyValue {
    /// Compiles `text`.
    ///
    /// # Errors
    /// [`ReplyFilterError::Invalid`].
    pub fn new(text: &str) -> Result<Self, ReplyFilterError> {
        ReplyFilter::new(text).map(Self)
    }

    /// The value for the reply of `sender`, made at `time`; whole numbers stay whole.
    ///
    /// # Errors
    /// When the expression fails on this reply.
    pub fn of(
        &self,
        sender: &Identity,
        body: &ReplyBody,
        time: SystemTime,
    ) -> Result<serde_json::Value, ReplyFilterError> {
        let Self(expression) = self;
        let value = REPORT_ENVIRONMENT.run(&expression.program, &context(sender, body, time));
        value.map(|value| to_json(&value)).map_err(|error| ReplyFilterError::Failed {
            text: expression.text.clone(),
            sender: sender.clone(),
            reason: one_line(&error),
        })
    }
}

/// What functions look up; no expression can spell these names.
const DATA: &str = "\0data";
const SENDER: &str = "\0sender";
const TIME: &str = "\0time";

/// The status tests, by status number.
const STATUS_TESTS: [&str; 6] = ["ok", "aborted", "unknown_action", "missing_data", "invalid_data", "unknown_error"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

static REPORT_ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(report_environment);

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

/// As [`environment`], with short ways to what an inventory holds.
fn report_environment() -> Environment<'static> {
    let mut environment = environment();
    environment.add_function("fact", |call| match (call.args.as_slice(), call.ctx.get(DATA)) {
        ([Value::String(path)], Some(Value::String(json))) => {
            Ok(facts::lookup(json, &format!("facts.{path}")).as_ref().map_or(Value::Nil, looked_up))
        }
        _ => Err(refusal("fact() takes one path")),
    });
    for (function, list) in [("class", "classes"), ("agent", "agents")] {
        environment.add_function(function, move |call| match (call.args.as_slice(), call.ctx.get(DATA)) {
            ([Value::String(name)], Some(Value::String(json))) => {
                let names = facts::lookup(json, list);
                let names = names.as_ref().and_then(serde_json::Value::as_array);
                Ok(Value::Bool(names.is_some_and(|names| names.iter().any(|known| known == name.as_str()))))
            }
            _ => Err(refusal("class() and agent() take one name")),
        });
    }
    environment
}

/// A result as JSON; floats without a fraction, which is what lookups give for all numbers, are whole numbers.
fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(flag) => (*flag).into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => (*number as i64).into(),
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(fields) => fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect(),
        Value::Nil => serde_json::Value::Null,
        other => other.to_string().into(),
    }
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

    #[test]
    fn reports_make_values() {
        let reply = r#"{"statuscode":0,"data":{"version":"1.4","agents":["rpcutil"],"classes":["web"],
            "facts":{"os":{"family":"Debian"},"cpus":4,"load":0.5,"tags":["a",1]}}}"#;
        let sender = "n1.example.net".parse().expect("an identity");
        let body = ReplyBody::parse(reply.as_bytes()).expect("a reply");
        let rows = [
            ("sender()", serde_json::json!("n1.example.net")),
            ("fact('os.family') + ' on ' + sender()", serde_json::json!("Debian on n1.example.net")),
            ("fact('cpus')", serde_json::json!(4)),
            ("fact('cpus') * 2 > 7", serde_json::json!(true)),
            ("fact('load')", serde_json::json!(0.5)),
            ("fact('tags')", serde_json::json!(["a", 1])),
            ("fact('absent')", serde_json::json!(null)),
            ("class('web') && agent('rpcutil') && !class('db')", serde_json::json!(true)),
            ("data('version')", serde_json::json!("1.4")),
        ];
        for (text, expected) in rows {
            let value = ReplyValue::new(text).expect(text).of(&sender, &body, SystemTime::UNIX_EPOCH);
            assert_eq!(value, Ok(expected), "{text}");
        }
        assert!(ReplyValue::new("fact(1)").expect("valid").of(&sender, &body, SystemTime::UNIX_EPOCH).is_err());
    }
}
