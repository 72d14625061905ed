//! Which nodes a request is for: the wire form of filters here, their text form and their evaluation below
//! (spec 02 §6, §7; 03a §7).
//!
//! Evaluation is pure: [`Filter::compile`], then [`CompiledFilter::needs`] for the caller to fetch, then
//! [`CompiledFilter::matches`]. Filters come from the network before anything is authorized, so every text in them has
//! a limit of length, size and nesting.
//!
//! Three things differ on purpose from the original, where they are mistakes: `>` with a decimal value is really
//! greater, `!=` on a `false` fact is the opposite of `==`, and a class filter finds a class written with capitals.

mod compare;
mod compiled;
pub mod constraint;
mod expression;
mod guard;
mod moments;
mod needle;
mod text;
mod wire;

pub use compare::NotComparable;
pub use compiled::{CompiledFilter, DataAnswers, DataNeed, FilterError, NodeView};
pub use moments::add_time_functions;
pub use text::InvalidFact;

use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;

/// The `filter` of a request, equal in both protocol versions; the five lists are always written.
///
/// A filter whose five lists are empty matches every node.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Filter {
    /// Facts of the node; all must match.
    #[serde(rename = "fact")]
    pub facts: Vec<FactFilter>,
    /// Names of configuration classes or `/expression/`; all must match.
    #[serde(rename = "cf_class")]
    pub classes: Vec<String>,
    /// Names of agents or `/expression/`; all must match.
    #[serde(rename = "agent")]
    pub agents: Vec<String>,
    /// Names of nodes or `/expression/`; one must match.
    #[serde(rename = "identity")]
    pub identities: Vec<String>,
    /// Compound filters, combined by the score of spec 02 §7.
    pub compound: Vec<Compound>,
}

/// One condition on a fact.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct FactFilter {
    /// Path of the fact in gjson syntax; not empty.
    pub fact: String,
    /// How the fact is compared with `value`.
    pub operator: Operator,
    /// What the fact is compared with; not empty.
    pub value: String,
}

/// The comparisons that may stand in a [`FactFilter`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Operator {
    /// `==`
    #[serde(rename = "==")]
    Equal,
    /// `!=`
    #[serde(rename = "!=")]
    NotEqual,
    /// `=~`
    #[serde(rename = "=~")]
    Matches,
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    LessOrEqual,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `>=`
    #[serde(rename = ">=")]
    GreaterOrEqual,
}

impl Operator {
    /// The operator as written in messages and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// One entry of the `compound` list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Compound {
    /// An expression, on the wire `[{"expr": …}]`.
    Expression(String),
    /// Any other entry, such as the `statement` lists of old clients. It is kept as it came and matches no node.
    Unsupported(Vec<BTreeMap<String, String>>),
}

impl Serialize for Compound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Expression(text) => [[("expr", text)].into_iter().collect::<BTreeMap<_, _>>()].serialize(serializer),
            Self::Unsupported(entry) => entry.serialize(serializer),
        }
    }
}
