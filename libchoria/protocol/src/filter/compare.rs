//! How one fact is compared with the value of a filter, by the JSON type of the fact (spec 02 §6, 03a §7.3).
//!
//! Three comparisons differ on purpose from the original, which answers them wrongly: `>` with a decimal value is
//! really greater, and `!=` on a `false` fact is the opposite of `==`.

use super::needle::{self, Case, same_ignoring_case};
use super::{FactFilter, Operator};
use regex::Regex;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A comparison that has no answer; the whole fact filter then does not match.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotComparable {
    /// Greater and less on true, false, null, lists and maps.
    #[error("fact {fact} is not a text or number, {operator} cannot order it", fact = shown(fact))]
    Unordered {
        /// Path of the fact.
        fact: String,
        /// The operator asked for.
        operator: Operator,
    },
    /// A number is compared with a text that is no number.
    #[error("fact {fact} is a number, the value {value} it should be compared with is not", fact = shown(fact), value = shown(value))]
    NotANumber {
        /// Path of the fact.
        fact: String,
        /// The value of the filter.
        value: String,
    },
}

/// What a stranger wrote, as a log may show it: 256 characters of it, none that a terminal obeys.
pub(super) fn shown(text: &str) -> String {
    let printable = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().take(256).map(printable).collect()
}

/// A fact filter with its expression compiled.
#[derive(Debug)]
pub(super) struct FactTest<'f> {
    filter: Cow<'f, FactFilter>,
    /// Set for `=~`; `None` inside means the expression is not valid and matches nothing.
    expression: Option<Option<Regex>>,
}

impl<'f> FactTest<'f> {
    /// Prepares `filter`.
    pub(super) fn new(filter: Cow<'f, FactFilter>) -> Self {
        let expression = (filter.operator == Operator::Matches)
            .then(|| needle::expression(filter.value.trim_matches('/'), Case::Ignored));
        Self { filter, expression }
    }

    /// Whether `facts` hold what the filter asks for; an absent fact never does, whatever the operator.
    pub(super) fn matches(&self, facts: &crate::facts::Facts) -> Result<bool, NotComparable> {
        let Some(fact) = facts.find(&self.filter.fact) else { return Ok(false) };
        match fact.kind() {
            gjson::Kind::String => Ok(self.text(fact.str())),
            gjson::Kind::Number => self.number(&fact),
            gjson::Kind::True => self.truth(true),
            gjson::Kind::False => self.truth(false),
            gjson::Kind::Null | gjson::Kind::Array | gjson::Kind::Object => self.structure(),
        }
    }

    fn text(&self, fact: &str) -> bool {
        let value = self.filter.value.as_str();
        match self.filter.operator {
            Operator::Equal => same_ignoring_case(fact, value),
            Operator::NotEqual => !same_ignoring_case(fact, value),
            Operator::Matches => self.found_in(fact),
            ordering => holds(ordering, fact.to_lowercase().cmp(&value.to_lowercase())),
        }
    }

    /// Numbers are compared as decimals when the value has a decimal point, else the fact is cut to an integer.
    fn number(&self, fact: &gjson::Value<'_>) -> Result<bool, NotComparable> {
        let value = self.filter.value.as_str();
        let decimal = value.contains('.');
        let no_number = || NotComparable::NotANumber { fact: self.filter.fact.clone(), value: value.to_owned() };
        match self.filter.operator {
            Operator::Matches if decimal => Ok(self.found_in(&format!("{:.4}", fact.f64()))),
            Operator::Matches => Ok(self.found_in(&fact.i64().to_string())),
            Operator::Equal if !decimal => Ok(fact.i64().to_string() == value),
            Operator::NotEqual if !decimal => Ok(fact.i64().to_string() != value),
            operator if decimal => {
                let value: f64 = value.parse().map_err(|_| no_number())?;
                Ok(fact.f64().partial_cmp(&value).is_some_and(|order| holds(operator, order)))
            }
            operator => {
                let value: i64 = value.parse().map_err(|_| no_number())?;
                Ok(holds(operator, fact.i64().cmp(&value)))
            }
        }
    }

    fn truth(&self, fact: bool) -> Result<bool, NotComparable> {
        let value = self.filter.value.as_str();
        match self.filter.operator {
            Operator::Equal | Operator::Matches => Ok(is_truthy(value.trim_matches('/')) == fact),
            Operator::NotEqual => Ok(is_truthy(&value.to_lowercase()) != fact),
            _ => Err(self.unordered()),
        }
    }

    fn structure(&self) -> Result<bool, NotComparable> {
        match self.filter.operator {
            Operator::Equal | Operator::NotEqual | Operator::Matches => Ok(false),
            _ => Err(self.unordered()),
        }
    }

    fn found_in(&self, fact: &str) -> bool {
        self.expression.as_ref().and_then(Option::as_ref).is_some_and(|regex| regex.is_match(fact))
    }

    fn unordered(&self) -> NotComparable {
        NotComparable::Unordered { fact: self.filter.fact.clone(), operator: self.filter.operator }
    }
}

/// Whether an `order` of fact to value satisfies `operator`.
fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Equal | Operator::Matches => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

/// The words existing clients take for true; all others are not.
fn is_truthy(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactFile, Facts};

    const FACTS: &str = r#"{"s":"Hello World","i":7,"f":1.9,"big":9007199254740993,"t":true,"n":false,"null":null,
        "list":[1,"two"],"os":{"family":"RedHat"},"neg":-3}"#;

    fn check(text: &str) -> Result<bool, String> {
        let (facts, _) = Facts::merge(&[FactFile { name: "f.json", text: FACTS }]);
        let filter: FactFilter = text.parse().map_err(|error: super::super::InvalidFact| error.to_string())?;
        FactTest::new(Cow::Owned(filter)).matches(&facts).map_err(|error| error.to_string())
    }

    #[test]
    fn each_type_is_compared_by_its_rule() {
        let rows: &[(&str, Option<bool>)] = &[
            // texts, without regard to case
            ("s=hello world", Some(true)),
            ("s!=HELLO WORLD", Some(false)),
            ("s!=bye", Some(true)),
            ("s=~/^HELLO/", Some(true)),
            ("s=~world$", Some(true)),
            ("s=~/(/", Some(false)),
            ("s>H", Some(true)),
            ("s<i", Some(true)),
            ("os.family==redhat", Some(true)),
            // whole numbers: the fact is cut
            ("i=7", Some(true)),
            ("i=7.0", Some(true)),
            ("i=07", Some(false)),
            ("i!=8", Some(true)),
            ("i=seven", Some(false)),
            ("i>=7", Some(true)),
            ("i<7", Some(false)),
            ("i<x", None),
            ("f=1", Some(true)),
            ("f>1", Some(false)),
            ("big=9007199254740993", Some(true)),
            ("neg<-2", Some(true)),
            ("i=~/^7$/", Some(true)),
            // decimals
            ("f=1.9", Some(true)),
            ("f!=1.9", Some(false)),
            ("f>1.9", Some(false)),
            ("f>=1.9", Some(true)),
            ("f>1.8", Some(true)),
            ("f<1.95", Some(true)),
            ("f>1.2.3", None),
            ("f=~/1\\.9000/", Some(true)),
            // truth
            ("t=true", Some(true)),
            ("t=1", Some(true)),
            ("t=yes", Some(false)),
            ("t!=TRUE", Some(false)),
            ("t!=no", Some(true)),
            ("t=~/true/", Some(true)),
            ("n=false", Some(true)),
            ("n=no", Some(true)),
            ("n=true", Some(false)),
            ("n!=false", Some(false)),
            ("n!=true", Some(true)),
            ("t>1", None),
            // the rest never matches
            ("null=null", Some(false)),
            ("null!=x", Some(false)),
            ("list=1", Some(false)),
            ("list<1", None),
            ("os=~/./", Some(false)),
            ("list.1=two", Some(true)),
            // absent
            ("nope=1", Some(false)),
            ("nope!=1", Some(false)),
        ];
        for (text, expected) in rows {
            assert_eq!(check(text).ok(), *expected, "{text}: {:?}", check(text));
        }
    }

    #[test]
    fn refusals_name_fact_and_value() {
        assert_eq!(check("t>1"), Err("fact t is not a text or number, > cannot order it".to_owned()));
        assert_eq!(check("i<x"), Err("fact i is a number, the value x it should be compared with is not".to_owned()));
    }
}
