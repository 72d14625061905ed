//! Compound filters: expressions over a node, compiled once and run against its view (spec 02 §7).

use super::compare::FactTest;
use super::constraint;
use super::guard::{self, Outline};
use super::moments::add_time_functions;
use super::needle::{Case, Needle};
use super::{DataNeed, NodeView};
use crate::facts;
use expr::{Context, ContextProvider, Environment, Program, Value};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

/// One compiled compound filter.
#[derive(Debug)]
pub(super) struct Expression {
    program: Program,
    /// What `with()` is asked literally, ready to be answered.
    with: BTreeMap<String, With>,
    needs: BTreeSet<DataNeed>,
    variables: BTreeSet<String>,
    /// Set when data providers are called that are not built in.
    environment: Option<Environment<'static>>,
}

impl Expression {
    /// Compiles `text`; the error says in words why it is refused.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let Outline { calls, variables, with, needs, text } = guard::outline(text, &is_builtin)?;
        let program = contained(|| expr::compile(&text).map_err(|error| one_line(&error)))?;
        let others: Vec<String> =
            calls.into_iter().filter(|name| !is_builtin(name) && !DATA_PROVIDERS.contains(&name.as_str())).collect();
        let environment = (!others.is_empty()).then(|| environment(others.iter().map(String::as_str)));
        let with = with.into_iter().map(|text| (text.clone(), With::new(text))).collect();
        Ok(Self { program, with, needs, variables, environment })
    }

    /// The data this expression asks providers for.
    pub(super) fn needs(&self) -> &BTreeSet<DataNeed> {
        &self.needs
    }

    /// Runs the expression; the error says in words what failed.
    pub(super) fn matches(&self, view: &NodeView<'_>) -> Result<bool, String> {
        let node = Node::new(self, view);
        let environment = self.environment.as_ref().unwrap_or(&STANDARD);
        contained(|| match environment.run(&self.program, &node) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(_) => Err("the result is neither true nor false".to_owned()),
            Err(error) => Err(one_line(&error)),
        })
    }
}

/// What `with(text)` asks: a fact, or else a class or an agent.
#[derive(Debug)]
enum With {
    Fact(FactTest<'static>),
    Name(String),
}

impl With {
    fn new(text: String) -> Self {
        match text.parse() {
            Ok(filter) => Self::Fact(FactTest::new(Cow::Owned(filter))),
            Err(_) => Self::Name(text),
        }
    }

    /// A fact that cannot be compared is no match, as in the original.
    fn matches(&self, view: &NodeView<'_>) -> bool {
        match self {
            Self::Fact(test) => test.matches(view.facts).unwrap_or(false),
            Self::Name(text) => {
                let class = Needle::new(text, Case::Ignored);
                let agent = Needle::new(text, Case::Significant);
                view.classes.iter().any(|name| class.matches(name, Case::Ignored))
                    || view.agents.iter().any(|name| agent.matches(name.as_str(), Case::Significant))
            }
        }
    }
}

/// A node as expressions see it: variables, and under keys no expression can spell, what the functions need.
struct Node<'a> {
    expression: &'a Expression,
    view: &'a NodeView<'a>,
    agents: OnceCell<Value>,
    classes: OnceCell<Value>,
    facts_bytes: OnceCell<Value>,
    facts_text: OnceCell<Value>,
    data: BTreeMap<String, Value>,
    yes: Value,
    no: Value,
    nil: Value,
}

impl<'a> Node<'a> {
    fn new(expression: &'a Expression, view: &'a NodeView<'a>) -> Self {
        let answers = expression.needs.iter().filter_map(|need| Some((need, view.data.answer(need)?)));
        Self {
            expression,
            view,
            agents: OnceCell::new(),
            classes: OnceCell::new(),
            facts_bytes: OnceCell::new(),
            facts_text: OnceCell::new(),
            data: answers
                .map(|(need, value)| (data_key(&need.provider, need.query.as_deref()), value_of(value)))
                .collect(),
            yes: Value::Bool(true),
            no: Value::Bool(false),
            nil: Value::Nil,
        }
    }

    fn with(&self, text: &str) -> &Value {
        let matched = match self.expression.with.get(text) {
            Some(prepared) => prepared.matches(self.view),
            None => With::new(text.to_owned()).matches(self.view),
        };
        if matched { &self.yes } else { &self.no }
    }

    fn texts<'t>(names: impl Iterator<Item = &'t str>) -> Value {
        Value::Array(names.map(|name| Value::String(name.to_owned())).collect())
    }
}

impl ContextProvider for Node<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        if let Some(text) = key.strip_prefix(WITH) {
            return Some(self.with(text));
        }
        match key {
            "agents" => {
                Some(self.agents.get_or_init(|| Self::texts(self.view.agents.iter().map(names::AgentName::as_str))))
            }
            "classes" => Some(self.classes.get_or_init(|| Self::texts(self.view.classes.iter().map(String::as_str)))),
            "facts" => Some(self.facts_bytes.get_or_init(|| Value::Bytes(self.view.facts.json().as_bytes().to_vec()))),
            FACTS => Some(self.facts_text.get_or_init(|| Value::String(self.view.facts.json().to_owned()))),
            _ if key.starts_with(DATA) => self.data.get(key),
            _ => self.expression.variables.contains(key).then_some(&self.nil),
        }
    }

    fn to_context(&self) -> Context {
        ["agents", "classes", "facts"].into_iter().filter_map(|key| Some((key, self.get(key)?.clone()))).collect()
    }
}

/// Prefixes of hidden keys; the NUL keeps them out of reach of expressions.
const WITH: &str = "\0with ";
const DATA: &str = "\0data ";
const FACTS: &str = "\0facts";

/// The data providers every server has (spec 03b §6.4).
const DATA_PROVIDERS: [&str; 4] = ["choria", "config_item", "machine_state", "scout"];

/// The functions this crate adds to the language.
const OWN: [&str; 4] = ["with", "fact", "include", "semver"];

/// Functions whose result can be larger than what goes in; their results are bounded.
const GROWING: [&str; 8] = ["concat", "flatten", "fromJSON", "join", "replace", "split", "splitAfter", "toJSON"];

const MAX_TEXT: usize = 16 * 1024;
const MAX_ITEMS: usize = 1024;

/// The language alone.
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(Environment::new);

/// The language with our functions and the built-in data providers.
static STANDARD: LazyLock<Environment<'static>> = LazyLock::new(|| environment([].into_iter()));

/// Whether `name` belongs to the language or to [`OWN`]; all others are data providers.
fn is_builtin(name: &str) -> bool {
    OWN.contains(&name) || LANGUAGE.contains(&name)
}

/// The language, our functions, the built-in data providers and those named.
fn environment<'n>(providers: impl Iterator<Item = &'n str>) -> Environment<'static> {
    let mut environment = Environment::new();
    add_time_functions(&mut environment);
    environment.add_function("with", |call| {
        let text = only_text("with", &call.args)?;
        match call.ctx.get(&format!("{WITH}{text}")) {
            Some(answer) => Ok(answer.clone()),
            None => Err(expr::Error::ExprError("with() has no node to ask".to_owned())),
        }
    });
    environment.add_function("fact", |call| {
        let path = only_text("fact", &call.args)?;
        let found = match call.ctx.get(FACTS) {
            Some(Value::String(json)) => facts::lookup(json, path),
            _ => None,
        };
        Ok(found.as_ref().map_or(Value::Nil, fact_value))
    });
    environment.add_function("include", |call| match call.args.as_slice() {
        [Value::Array(items), needle] => Ok(Value::Bool(items.iter().any(|item| same(item, needle)))),
        [Value::Nil, _] => Ok(Value::Bool(false)),
        _ => Err(expr::Error::ExprError("include() takes a list and a value".to_owned())),
    });
    environment.add_function("semver", |call| match call.args.as_slice() {
        [Value::String(version), Value::String(constraint)] => constraint::satisfies(version, constraint)
            .map(Value::Bool)
            .map_err(|error| expr::Error::ExprError(error.to_string())),
        _ => Err(expr::Error::ExprError("semver() takes a version and a constraint, both text".to_owned())),
    });
    for name in GROWING {
        environment.add_function(name, |call| {
            if call.args.iter().map(weight).product::<usize>() > MAX_TEXT * MAX_ITEMS {
                return Err(too_large(&call.ident));
            }
            let result = PLAIN.eval_func(call.ctx, &call.ident, call.args, None)?;
            if weight(&result) > MAX_TEXT { Err(too_large(&call.ident)) } else { Ok(result) }
        });
    }
    for name in DATA_PROVIDERS.into_iter().chain(providers) {
        environment.add_function(name, |call| {
            let query = match call.args.as_slice() {
                [] => None,
                [Value::String(query)] => Some(query.as_str()),
                _ => return Err(expr::Error::ExprError(format!("{}() takes one text or nothing", call.ident))),
            };
            call.ctx.get(&data_key(&call.ident, query)).cloned().ok_or_else(|| {
                expr::Error::ExprError(format!(
                    "there is no data for {}(): either no such data provider exists here, or its query is not a literal text",
                    call.ident
                ))
            })
        });
    }
    environment
}

/// Runs the engine. It is not ours and the texts come from strangers: where it panics, the filter fails and not the
/// server. Nothing that `work` touches is used afterwards.
fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_panic| Err("the expression engine fails on it".to_owned()))
}

/// The engine draws its errors over several lines.
fn one_line(error: &expr::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn only_text<'v>(function: &str, args: &'v [Value]) -> Result<&'v str, expr::Error> {
    match args {
        [Value::String(text)] => Ok(text),
        _ => Err(expr::Error::ExprError(format!("{function}() takes one text"))),
    }
}

fn too_large(function: &str) -> expr::Error {
    expr::Error::ExprError(format!("the result of {function}() is too large for a filter"))
}

/// Roughly the bytes a value holds, at least 1.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len().max(1),
        Value::Bytes(bytes) => bytes.len().max(1),
        Value::Array(items) => items.iter().map(|item| weight(item) + 1).sum::<usize>().max(1),
        Value::Map(entries) => entries.values().map(|item| weight(item) + 1).sum::<usize>().max(1),
        _ => 1,
    }
}

fn data_key(provider: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{DATA}{provider} {query}"),
        None => format!("{DATA}{provider}"),
    }
}

/// Deep equality where 1 and 1.0 are the same.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Integer(_) | Value::Float(_), Value::Integer(_) | Value::Float(_)) => as_float(left) == as_float(right),
        _ => left == right,
    }
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// A fact as expressions see it: every number is a float.
fn fact_value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Nil, Value::Float),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(fact_value).collect()),
        serde_json::Value::Object(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), fact_value(value))).collect())
        }
        other => value_of(other),
    }
}

/// JSON as a value of the language; whole numbers stay whole.
fn value_of(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| number.as_f64().map_or(Value::Nil, Value::Float), Value::Integer)
        }
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(value_of).collect()),
        serde_json::Value::Object(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), value_of(value))).collect())
        }
    }
}

/// The functions of the language itself (spec 02 §7).
const LANGUAGE: [&str; 78] = [
    "abs",
    "all",
    "any",
    "bitand",
    "bitnand",
    "bitnot",
    "bitor",
    "bitshl",
    "bitshr",
    "bitushr",
    "bitxor",
    "ceil",
    "concat",
    "count",
    "date",
    "duration",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "first",
    "flatten",
    "float",
    "floor",
    "fromBase64",
    "fromJSON",
    "fromPairs",
    "get",
    "groupBy",
    "hasPrefix",
    "hasSuffix",
    "if",
    "indexOf",
    "int",
    "join",
    "keys",
    "last",
    "lastIndexOf",
    "len",
    "lower",
    "map",
    "max",
    "mean",
    "median",
    "min",
    "none",
    "not",
    "now",
    "one",
    "reduce",
    "repeat",
    "replace",
    "reverse",
    "round",
    "sort",
    "sortBy",
    "split",
    "splitAfter",
    "string",
    "sum",
    "take",
    "timezone",
    "toBase64",
    "toJSON",
    "toPairs",
    "trim",
    "trimPrefix",
    "trimSuffix",
    "type",
    "uniq",
    "upper",
    "values",
    "and",
    "or",
    "in",
    "matches",
    "contains",
];
