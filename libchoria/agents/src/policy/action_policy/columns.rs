//! The columns of a rule. Each holds a list with one space between its entries; a lone `*` fits everything.

use super::groups::Groups;
use protocol::Filter;
use protocol::facts::Facts as NodeFacts;
use protocol::filter::{CompiledFilter, DataAnswers, FactFilter, NodeView};
use regex::{Regex, RegexBuilder};

/// A column that cannot be evaluated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("a fact is wanted: {0}")]
    Fact(String),
    #[error("a class is wanted where a comparison of a fact stands")]
    Comparison,
    #[error("there is no column for classes; write * for any")]
    NoClasses,
    #[error("classes are wanted, but classesfile is not set")]
    NoClassesFile,
}

/// The callers of a rule.
#[derive(Debug)]
pub(super) enum Callers {
    All,
    /// The names of groups and callers as they stand, and what the entries mean in their order.
    These {
        names: Vec<String>,
        entries: Vec<Caller>,
    },
}

#[derive(Debug)]
pub(super) enum Caller {
    /// The caller's id, or one that no caller has.
    Exact(String),
    /// `/expression/`, found anywhere in the id.
    Matching(Regex),
    /// No expression: nothing after it fits either.
    Broken,
}

/// The facts of a rule.
#[derive(Debug)]
pub(super) enum Facts {
    Any,
    /// Each must hold.
    All(Filter),
}

/// The classes of a rule.
#[derive(Debug)]
pub(super) enum Classes {
    Any,
    /// Each must be there.
    All(Filter),
}

impl Callers {
    pub(super) fn read(column: &str, fault: &mut impl FnMut(String)) -> Self {
        if column == "*" {
            return Self::All;
        }
        let names: Vec<String> = column.split(' ').map(str::to_owned).collect();
        let entries = names.iter().map(|entry| {
            let caller = Caller::read(entry);
            if matches!(caller, Caller::Broken) {
                fault(format!(
                    "{:?} is no expression between slashes, or one too large: it and what follows it fit no caller",
                    super::shown(entry)
                ));
            }
            caller
        });
        let entries = entries.collect();
        Self::These { names, entries }
    }

    pub(super) fn fit(&self, groups: &Groups, caller: &str) -> bool {
        let Self::These { names, entries } = self else { return true };
        if names.iter().any(|name| groups.contains(name, caller)) {
            return true;
        }
        for entry in entries {
            match entry {
                Caller::Exact(id) if id == caller => return true,
                Caller::Matching(expression) if expression.is_match(caller) => return true,
                Caller::Broken => return false,
                Caller::Exact(_) | Caller::Matching(_) => {}
            }
        }
        false
    }
}

impl Caller {
    fn read(entry: &str) -> Self {
        let Some(rest) = entry.strip_prefix('/') else { return Self::Exact(entry.to_owned()) };
        let inner = rest.strip_suffix('/').filter(|inner| !inner.is_empty());
        inner.and_then(expression).map_or(Self::Broken, Self::Matching)
    }
}

impl Facts {
    pub(super) fn read(column: &str) -> Result<Self, Unusable> {
        if column == "*" {
            return Ok(Self::Any);
        }
        let facts: Result<Vec<FactFilter>, _> = column.split(' ').map(str::parse).collect();
        let facts = facts.map_err(|error| Unusable::Fact(super::shown(&error.to_string())))?;
        Ok(Self::All(Filter { facts, ..Filter::default() }))
    }

    /// A fact that cannot be compared does not fit, as in the original.
    pub(super) fn fit(&self, facts: &NodeFacts) -> bool {
        match self {
            Self::Any => true,
            Self::All(filter) => matches(&filter.compile(), facts, &[]),
        }
    }
}

impl Classes {
    pub(super) fn read(column: &str) -> Result<Self, Unusable> {
        match column {
            "*" => Ok(Self::Any),
            "" => Err(Unusable::NoClasses),
            _ if column.split(' ').any(is_comparison) => Err(Unusable::Comparison),
            _ => {
                let classes = column.split(' ').map(str::to_owned).collect();
                Ok(Self::All(Filter { classes, ..Filter::default() }))
            }
        }
    }

    pub(super) fn fit(&self, classes: Option<&[String]>) -> Result<bool, Unusable> {
        match self {
            Self::Any => Ok(true),
            Self::All(filter) => {
                let classes = classes.ok_or(Unusable::NoClassesFile)?;
                Ok(matches(&filter.compile(), &NodeFacts::default(), classes))
            }
        }
    }
}

/// Whether a column holds an old compound statement: `!x`, `not`, `and`, `or`, `(x)`.
pub(super) fn is_compound(column: &str) -> bool {
    column.split(' ').any(|word| {
        let bracketed = word.find('(').is_some_and(|open| word.rfind(')').is_some_and(|close| close > open + 1));
        word.starts_with('!') || ["not", "or", "and"].contains(&word) || bracketed
    })
}

/// Something, then `<`, `>` or `=`, then something.
fn is_comparison(word: &str) -> bool {
    let first = word.chars().next().map_or(0, char::len_utf8);
    let inner = word.get(first..).unwrap_or_default();
    inner.find(['<', '>', '=']).is_some_and(|at| at + 1 < inner.len())
}

fn matches(filter: &CompiledFilter<'_>, facts: &NodeFacts, classes: &[String]) -> bool {
    let view = NodeView { identity: "", agents: &[], classes, facts, data: &DataAnswers::default() };
    filter.matches(&view).unwrap_or(false)
}

/// The limits of the expressions of filters: a policy needs no more.
fn expression(text: &str) -> Option<Regex> {
    if text.len() > MAX_EXPRESSION {
        return None;
    }
    RegexBuilder::new(text).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(32).build().ok()
}

const MAX_EXPRESSION: usize = 1024;
const MAX_COMPILED: usize = 512 * 1024;
