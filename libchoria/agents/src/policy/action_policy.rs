//! Action policies: who may call what, line by line (spec 03b §9.1).
//!
//! A text is read once: what can be known to be wrong with a line is known then, and what a line decides is asked for
//! each call. As in the original a line that is no policy is left out, and one that cannot be evaluated denies all that
//! reaches it.

mod columns;
mod groups;

pub use groups::Groups;

use super::shown;
use columns::{Callers, Classes, Facts, Unusable};
use protocol::facts::Facts as NodeFacts;
use regex::Regex;

/// A policy file, read.
#[derive(Debug)]
pub struct ActionPolicy {
    lines: Vec<Line>,
}

/// What a call looks like to a policy.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who calls.
    pub caller: &'a str,
    /// What.
    pub action: &'a str,
    /// The node's facts.
    pub facts: &'a NodeFacts,
    /// The node's classes; `None` when no `classesfile` is configured.
    pub classes: Option<&'a [String]>,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    /// Whether the call may be carried out.
    pub allowed: bool,
    /// The line that says so, counted from 1; `None` when no rule fits and the default decides.
    pub line: Option<u32>,
}

/// A line that fits a call and cannot be evaluated, which denies.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line} cannot be evaluated: {why}")]
pub struct Undecidable {
    /// Counted from 1.
    pub line: u32,
    /// What is wrong with it.
    pub why: String,
}

/// Something an administrator should mend.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// Counted from 1.
    pub line: u32,
    /// What is wrong and what comes of it.
    pub what: String,
}

/// Largest text, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;

#[derive(Debug)]
struct Line {
    number: u32,
    says: Says,
}

#[derive(Debug)]
enum Says {
    /// What holds when no later rule fits.
    Default(bool),
    Rule(Box<Rule>),
}

#[derive(Debug)]
struct Rule {
    allow: bool,
    callers: Callers,
    /// `None` for every action.
    actions: Option<Vec<String>>,
    facts: Result<Facts, Unusable>,
    classes: Result<Classes, Unusable>,
}

impl ActionPolicy {
    /// Reads `text`, and says what is wrong with it. [`MAX_TEXT`] is for the caller to keep.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<Fault>) {
        let (mut lines, mut faults) = (Vec::new(), Vec::new());
        let Some(shapes) = Shapes::new() else {
            // The expressions are constants and compile; without them there would be no rules, which denies.
            return (Self { lines }, faults);
        };
        for (number, line) in (1..).zip(text.lines()) {
            let mut fault = |what| faults.push(Fault { line: number, what });
            if line.starts_with('#') || line.bytes().all(|byte| byte.is_ascii_whitespace()) {
                continue;
            }
            if let Some(found) = shapes.default.captures(line) {
                let allow = found.get(1).is_some_and(|word| word.as_str() == "allow");
                lines.push(Line { number, says: Says::Default(allow) });
            } else if let Some(found) = shapes.rule.captures(line) {
                let column = |at| found.get(at).map_or("", |column| column.as_str());
                // Which group holds the last column is a matter of how often the one around it repeats.
                let (facts, classes) = (column(4), column(6));
                if columns::is_compound(facts) || columns::is_compound(classes) {
                    fault("the rule is left out: compound statements are not supported".to_owned());
                    continue;
                }
                let rule = Rule {
                    allow: column(1) == "allow",
                    callers: Callers::read(column(2), &mut fault),
                    actions: (column(3) != "*").then(|| column(3).split(' ').map(str::to_owned).collect()),
                    facts: Facts::read(facts),
                    classes: Classes::read(classes),
                };
                let unusable = [rule.facts.as_ref().err(), rule.classes.as_ref().err()];
                for why in unusable.into_iter().flatten() {
                    fault(format!("what reaches this rule is denied: {why}"));
                }
                lines.push(Line { number, says: Says::Rule(Box::new(rule)) });
            } else {
                fault(format!(
                    "{:?} is left out: a rule is allow or deny, callers, actions, facts and classes with tabs between \
                     them, a default is `policy default deny`",
                    shown(line)
                ));
            }
        }
        (Self { lines }, faults)
    }

    /// What the policy says about a call: the first rule that fits, else the last default, else `default_allow`.
    ///
    /// # Errors
    /// [`Undecidable`], which means no.
    pub fn decide(
        &self,
        default_allow: bool,
        groups: &Groups,
        question: Question<'_>,
    ) -> Result<Decision, Undecidable> {
        let mut allowed = default_allow;
        for Line { number, says } in &self.lines {
            match says {
                Says::Default(allow) => allowed = *allow,
                Says::Rule(rule) => {
                    let undecidable = |why: Unusable| Undecidable { line: *number, why: why.to_string() };
                    if rule.fits(groups, question).map_err(undecidable)? {
                        return Ok(Decision { allowed: rule.allow, line: Some(*number) });
                    }
                }
            }
        }
        Ok(Decision { allowed, line: None })
    }
}

impl Rule {
    /// Whether all four columns fit. Facts and classes are asked only about calls that fit the others, and both of them
    /// then, so that a wrong column denies whatever the other says.
    fn fits(&self, groups: &Groups, question: Question<'_>) -> Result<bool, Unusable> {
        let action = |actions: &Vec<String>| actions.iter().any(|action| action == question.action);
        if !self.callers.fit(groups, question.caller) || !self.actions.as_ref().is_none_or(action) {
            return Ok(false);
        }
        let facts = self.facts.as_ref().map_err(Clone::clone)?.fit(question.facts);
        let classes = self.classes.as_ref().map_err(Clone::clone)?.fit(question.classes)?;
        Ok(facts && classes)
    }
}

/// The shapes of lines, with the same expressions as in the original: what a line with odd tabs means hangs on them.
struct Shapes {
    default: Regex,
    rule: Regex,
}

impl Shapes {
    fn new() -> Option<Self> {
        let default = Regex::new(r"^policy(?-u:\s)+default(?-u:\s)+((?-u:\w)+)").ok()?;
        let rule = Regex::new(r"^(allow|deny)\t+(.+?)\t+(.+?)\t+(.+?)(\t+(.+?))*$").ok()?;
        Some(Self { default, rule })
    }
}

#[cfg(test)]
mod tests;
