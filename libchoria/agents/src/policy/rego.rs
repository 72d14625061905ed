//! Rego policies, of the older dialect and of the newer one, in which their authors may write as they like.
//!
//! A text is parsed and analysed once; an evaluation works on a copy that shares what was analysed. Evaluation is not
//! bounded in time: what comes from a request goes through an [`Evaluator`](super::Evaluator).

use super::outline::{Outline, outline};
use super::{functions, shown, times};
use protocol::Filter;
use regorus::{Engine, Value};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A text that was understood, ready to be evaluated any number of times.
pub struct Policy {
    name: String,
    package: Package,
    dialect: Dialect,
    engine: Engine,
    /// Whether it calls one of the functions about the filter.
    asks_filter: bool,
}

/// Who wrote a policy for what.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Package {
    /// `io.choria.aaasvc`: policies in tokens, judged by the AAA service and by nodes.
    Aaasvc,
    /// `io.choria.mcorpc.authpolicy`: policy files of nodes.
    McorpcAuthPolicy,
}

/// Which Rego a text is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// `allow { … }`
    V0,
    /// `allow if { … }`
    V1,
}

/// A text that is no policy. It denies whatever it would have judged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("policy {name}{} is not valid: {why}", at(*line))]
pub struct InvalidPolicy {
    name: String,
    line: Option<u32>,
    why: String,
}

/// A policy that gave no answer, which denies.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("policy {name} gave no answer: {why}")]
pub struct NoAnswer {
    name: String,
    why: String,
}

/// What a policy said, and what it printed meanwhile.
#[derive(Debug)]
pub struct Traced {
    /// The answer.
    pub answer: Result<bool, NoAnswer>,
    /// A line for each `print`, at most [`MAX_PRINTS`].
    pub prints: Vec<String>,
}

/// Largest text, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;
/// Lines of [`Traced::prints`].
pub const MAX_PRINTS: usize = 64;

impl Package {
    /// The package as it must stand in the text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aaasvc => "io.choria.aaasvc",
            Self::McorpcAuthPolicy => "io.choria.mcorpc.authpolicy",
        }
    }

    fn rule(self) -> String {
        format!("data.{}.allow", self.as_str())
    }
}

impl Policy {
    /// Understands `text`, which messages call `name`.
    ///
    /// It is Rego v1 when it is valid as such, else v0: no text is valid as both and means another thing, because a text
    /// with words that only v1 knows is not tried as v0.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: larger than [`MAX_TEXT`]; neither dialect; another package; no rule `allow`; rules that build
    /// on themselves; nested or chained so deep that its evaluation could not be bounded.
    pub fn parse(name: &str, text: &str, package: Package) -> Result<Self, InvalidPolicy> {
        let invalid = |line, why: String| InvalidPolicy { name: shown(name), line, why };
        if text.len() > MAX_TEXT {
            return Err(invalid(None, format!("it has {} bytes, at most {MAX_TEXT} are accepted", text.len())));
        }
        let outline = outline(text, package.as_str()).map_err(|refused| invalid(Some(refused.line), refused.why))?;
        // The parser and the analysis are others' work: a panic of theirs must refuse this text and nothing else.
        let prepared = catch_unwind(AssertUnwindSafe(|| prepare(text, &outline, package)));
        let prepared = prepared.unwrap_or_else(|_panic| Err((None, "the parser broke down over it".to_owned())));
        let (dialect, engine) = prepared.map_err(|(line, why)| invalid(line, why))?;
        let asks_filter = package == Package::Aaasvc && text.contains(functions::PREFIX);
        Ok(Self { name: shown(name), package, dialect, engine, asks_filter })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The dialect it was understood as.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What the policy says to `input`; `filter` is that of the request being judged.
    ///
    /// # Errors
    /// [`NoAnswer`] for anything but one truth value: undefined, another type, a fault; it means no.
    pub fn allows(&self, input: &serde_json::Value, filter: &Filter) -> Result<bool, NoAnswer> {
        self.evaluate(input, filter, false).answer
    }

    /// The same, with what the policy printed.
    #[must_use]
    pub fn traced(&self, input: &serde_json::Value, filter: &Filter) -> Traced {
        self.evaluate(input, filter, true)
    }

    fn evaluate(&self, input: &serde_json::Value, filter: &Filter, traced: bool) -> Traced {
        let mut engine = self.engine.clone();
        let answer = self.answer(&mut engine, input, filter).map_err(|why| NoAnswer { name: self.name.clone(), why });
        let prints = if traced { engine.take_prints().unwrap_or_default() } else { Vec::new() };
        let prints = prints.iter().take(MAX_PRINTS).map(|line| shown(line)).collect();
        Traced { answer, prints }
    }

    fn answer(&self, engine: &mut Engine, input: &serde_json::Value, filter: &Filter) -> Result<bool, String> {
        if self.asks_filter {
            functions::add(engine, &Arc::new(filter.clone())).map_err(|error| error.to_string())?;
        }
        engine.set_input(Value::from(input.clone()));
        match engine.eval_rule(self.package.rule()) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(Value::Undefined) => Err("allow is undefined; write `default allow = false`".to_owned()),
            Ok(_) => Err("allow is neither true nor false".to_owned()),
            Err(error) => {
                let (line, why) = brief(&error.to_string());
                Err(format!("it failed{}: {why}", at(line)))
            }
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("package", &self.package)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

impl InvalidPolicy {
    /// Where it is wrong, counted from 1, if that is known.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// What is wrong, without the name.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// Line and reason.
type Problem = (Option<u32>, String);

/// An engine that is ready to be copied and asked.
fn prepare(text: &str, outline: &Outline, package: Package) -> Result<(Dialect, Engine), Problem> {
    let (dialect, mut engine, found) = in_either_dialect(text, outline)?;
    let found = found.strip_prefix("data.").unwrap_or(&found);
    if found != package.as_str() {
        return Err((None, format!("its package is {}, here only {} is asked", shown(found), package.as_str())));
    }
    // As in the original, a function that fails is undefined rather than an end to everything.
    engine.set_strict_builtin_errors(false);
    engine.set_gather_prints(true);
    functions::bound(&mut engine).map_err(|error| (None, error.to_string()))?;
    times::add(&mut engine).map_err(|error| (None, error.to_string()))?;
    engine.compile_with_entrypoint(&package.rule().into()).map_err(|error| match brief(&error.to_string()) {
        (None, why) if why == "not a valid rule path" => {
            (None, "it has no rule allow; write at least `default allow = false`".to_owned())
        }
        problem => problem,
    })?;
    Ok((dialect, engine))
}

/// The dialect, an engine that holds the text, and its package.
fn in_either_dialect(text: &str, outline: &Outline) -> Result<(Dialect, Engine, String), Problem> {
    let add = |dialect| {
        let mut engine = Engine::new();
        engine.set_rego_v0(dialect == Dialect::V0);
        let package =
            engine.add_policy("policy".to_owned(), text.to_owned()).map_err(|error| brief(&error.to_string()))?;
        Ok((dialect, engine, package))
    };
    let newer: Result<_, Problem> = add(Dialect::V1);
    let Err((line, why)) = newer else { return newer };
    // The older parser reads such a text as something else, which would allow everything.
    if outline.new_word.is_some() || text.contains("rego.v1") {
        return Err((line, why));
    }
    // What is neither is told as the older dialect sees it: without a word of the newer one, that is what it was to be.
    let older = add(Dialect::V0)?;
    match outline.bare_rule {
        Some(line) => Err((Some(line), "a rule has neither a body nor a value".to_owned())),
        None => Ok(older),
    }
}

/// Line and message of an error of the engine, which draws a picture of several lines around them.
fn brief(error: &str) -> Problem {
    let line = error.lines().find_map(|line| {
        let place = line.trim_start().strip_prefix("--> ")?;
        place.rsplit(':').nth(1)?.parse().ok()
    });
    let told = error.lines().rev().find_map(|line| line.trim_start().strip_prefix("error: "));
    (line, shown(told.unwrap_or_else(|| error.lines().next().unwrap_or_default())))
}

fn at(line: Option<u32>) -> String {
    line.map_or_else(String::new, |line| format!(" in line {line}"))
}

#[cfg(test)]
mod tests;
