//! A filter made ready once and asked about nodes: `needs()` first, then pure `matches(&view)` (spec 02 §6, §7).

use super::compare::{FactTest, NotComparable};
use super::expression::Expression;
use super::needle::{Case, Needle, between_slashes};
use super::{Compound, Filter};
use crate::facts::Facts;
use names::AgentName;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a filter can ask about one node.
#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    /// The node's name.
    pub identity: &'a str,
    /// The agents it hosts.
    pub agents: &'a [AgentName],
    /// Its configuration classes.
    pub classes: &'a [String],
    /// Its facts.
    pub facts: &'a Facts,
    /// What data providers answered to [`CompiledFilter::needs`].
    pub data: &'a DataAnswers,
}

/// One question to a data provider: the call `provider()` or `provider("query")` of a compound filter.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct DataNeed {
    /// Name of the data provider.
    pub provider: String,
    /// Its argument, when one is given.
    pub query: Option<String>,
}

/// The answers of data providers; questions without an entry went to a provider that does not exist.
#[derive(Clone, Debug, Default)]
pub struct DataAnswers(BTreeMap<DataNeed, Value>);

/// Why a filter could not be evaluated. The node is then treated as not matching.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A fact cannot be compared as asked.
    #[error("fact filter cannot be evaluated: {0}")]
    Fact(#[from] NotComparable),
    /// A compound filter does not compile or run.
    #[error("compound filter {text:?} cannot be evaluated: {why}")]
    Expression {
        /// The expression, cut to 256 characters.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A [`Filter`] whose expressions are compiled, for any number of nodes.
#[derive(Debug)]
pub struct CompiledFilter<'f> {
    identities: Vec<Needle<'f>>,
    agents: Vec<Needle<'f>>,
    classes: Vec<Needle<'f>>,
    facts: Vec<FactTest<'f>>,
    compound: Compounds<'f>,
}

/// The compound list.
#[derive(Debug)]
enum Compounds<'f> {
    /// Each text with what became of it.
    Expressions(Vec<(&'f str, Result<Expression, String>)>),
    /// One entry is not an expression, so nothing matches.
    Unsupported,
}

impl DataAnswers {
    /// Records what a provider answered; `Value::Null` when it failed.
    pub fn insert(&mut self, need: DataNeed, answer: Value) {
        self.0.insert(need, answer);
    }

    pub(super) fn answer(&self, need: &DataNeed) -> Option<&Value> {
        self.0.get(need)
    }
}

impl Filter {
    /// Whether all five lists are empty: every node matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.is_agents_only()
    }

    /// Whether nothing but the agent list is used.
    #[must_use]
    pub fn is_agents_only(&self) -> bool {
        self.facts.is_empty() && self.classes.is_empty() && self.identities.is_empty() && self.compound.is_empty()
    }

    /// Makes the filter ready. Parts that are not valid are kept as such: they match no node, or fail when asked.
    ///
    /// Filters come from the network: more than 64 expressions in one list, or more than 8 compound entries, are not
    /// compiled and match nothing.
    #[must_use]
    pub fn compile(&self) -> CompiledFilter<'_> {
        CompiledFilter {
            identities: needles(&self.identities, Case::Significant),
            agents: needles(&self.agents, Case::Significant),
            classes: needles(&self.classes, Case::Ignored),
            facts: self.facts.iter().map(|filter| FactTest::new(Cow::Borrowed(filter))).collect(),
            compound: compounds(&self.compound),
        }
    }
}

impl CompiledFilter<'_> {
    /// What data providers must be asked before [`matches`](Self::matches): calls with a literal text or none.
    #[must_use]
    pub fn needs(&self) -> Vec<DataNeed> {
        match &self.compound {
            Compounds::Unsupported => Vec::new(),
            Compounds::Expressions(expressions) => {
                let compiled = expressions.iter().filter_map(|(_, expression)| expression.as_ref().ok());
                compiled.flat_map(Expression::needs).cloned().collect::<BTreeSet<_>>().into_iter().collect()
            }
        }
    }

    /// Whether every compound filter is an expression, for who makes a filter: nodes only fall silent over one that is
    /// none.
    ///
    /// # Errors
    /// The first one that is none.
    pub fn check(&self) -> Result<(), FilterError> {
        let Compounds::Expressions(expressions) = &self.compound else { return Ok(()) };
        let wrong = expressions.iter().find_map(|(text, expression)| Some((text, expression.as_ref().err()?)));
        wrong.map_or(Ok(()), |(text, why)| Err(FilterError::expression(text, why)))
    }

    /// Whether the node matches: one identity, and all agents, classes, facts, and the compound score; in this order,
    /// each only when the filter names any.
    ///
    /// # Errors
    /// When a fact cannot be compared or a compound filter cannot be run; the node is to be treated as not matching.
    pub fn matches(&self, view: &NodeView<'_>) -> Result<bool, FilterError> {
        let identity = |needle: &Needle<'_>| needle.matches(view.identity, Case::Significant);
        let agent =
            |needle: &Needle<'_>| view.agents.iter().any(|name| needle.matches(name.as_str(), Case::Significant));
        let class = |needle: &Needle<'_>| view.classes.iter().any(|name| needle.matches(name, Case::Ignored));
        if !(self.identities.is_empty() || self.identities.iter().any(identity)) {
            return Ok(false);
        }
        if !(self.agents.iter().all(agent) && self.classes.iter().all(class)) {
            return Ok(false);
        }
        for fact in &self.facts {
            if !fact.matches(view.facts)? {
                return Ok(false);
            }
        }
        self.compound.matches(view)
    }
}

impl FilterError {
    fn expression(text: &str, why: &str) -> Self {
        // The engine quotes the text as it is, and that came from a stranger and goes to a log.
        let printable = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        Self::Expression { text: text.chars().take(256).collect(), why: why.chars().map(printable).collect() }
    }
}

impl Compounds<'_> {
    /// Each true adds one, each false takes one away: more must be true than false. So two true and one false match,
    /// which existing servers decide the same way.
    fn matches(&self, view: &NodeView<'_>) -> Result<bool, FilterError> {
        let expressions = match self {
            Self::Unsupported => return Ok(false),
            Self::Expressions(expressions) if expressions.is_empty() => return Ok(true),
            Self::Expressions(expressions) => expressions,
        };
        let mut score = 0;
        for (text, expression) in expressions {
            let expression = expression.as_ref().map_err(|why| FilterError::expression(text, why))?;
            let matched = expression.matches(view).map_err(|why| FilterError::expression(text, &why))?;
            score += if matched { 1 } else { -1 };
        }
        Ok(score > 0)
    }
}

fn needles(list: &[String], case: Case) -> Vec<Needle<'_>> {
    let mut expressions = 0;
    let needle = |text| {
        expressions += usize::from(between_slashes(text).is_some());
        if expressions > MAX_EXPRESSIONS { Needle::Never } else { Needle::new(text, case) }
    };
    list.iter().map(String::as_str).map(needle).collect()
}

fn compounds(list: &[Compound]) -> Compounds<'_> {
    let texts: Option<Vec<&str>> = list
        .iter()
        .map(|entry| match entry {
            Compound::Expression(text) => Some(text.as_str()),
            Compound::Unsupported(_) => None,
        })
        .collect();
    match texts {
        Some(texts) if texts.len() <= MAX_COMPOUND => {
            Compounds::Expressions(texts.into_iter().map(|text| (text, Expression::compile(text))).collect())
        }
        _ => Compounds::Unsupported,
    }
}

/// Expressions that one list may hold.
const MAX_EXPRESSIONS: usize = 64;
/// Entries that the compound list may hold.
const MAX_COMPOUND: usize = 8;

#[cfg(test)]
mod tests;
