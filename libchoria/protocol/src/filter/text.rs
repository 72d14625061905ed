//! Fact filters as people type them: `os.family=RedHat`, `cpus>=4`, `name=/^web/` (spec 03a §7.2).

use super::{FactFilter, Operator};
use std::fmt;
use std::str::FromStr;

/// A text that is not a fact filter.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "could not parse fact {text} it does not appear to be in a valid format: expected a fact, one of \
     <= >= => =< < > != =~ == = and a value, for example os.family=RedHat"
)]
pub struct InvalidFact {
    /// The refused text.
    pub text: String,
}

impl FromStr for FactFilter {
    type Err = InvalidFact;

    /// The right-most operator splits the text, so that gjson queries may stand on the left. A value between slashes
    /// is an expression whatever the operator is.
    fn from_str(text: &str) -> Result<Self, InvalidFact> {
        parse(text).ok_or_else(|| InvalidFact { text: text.to_owned() })
    }
}

impl fmt::Display for FactFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.fact, self.operator, self.value)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

fn parse(text: &str) -> Option<FactFilter> {
    let (start, end, operator) = last_operator(text)?;
    let fact = text[..start].trim();
    let value = text[end..].trim();
    let is_operator = |c: char| "<>=".contains(c);
    if fact.is_empty() || value.is_empty() || fact.starts_with(is_operator) || value.ends_with(is_operator) {
        return None;
    }
    let expression = value.starts_with('/') && value.ends_with('/');
    let operator = if expression { Operator::Matches } else { operator };
    Some(FactFilter { fact: fact.to_owned(), operator, value: value.to_owned() })
}

/// Start, end and meaning of the last operator; at each place the longer spelling wins.
fn last_operator(text: &str) -> Option<(usize, usize, Operator)> {
    let mut found = None;
    let mut at = 0;
    while at < text.len() {
        match OPERATORS.iter().find(|(spelling, _)| text.as_bytes()[at..].starts_with(spelling.as_bytes())) {
            Some((spelling, operator)) => {
                found = Some((at, at + spelling.len(), *operator));
                at += spelling.len();
            }
            None => at += 1,
        }
    }
    found
}

/// Every spelling, longer before shorter.
const OPERATORS: [(&str, Operator); 10] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=>", Operator::GreaterOrEqual),
    ("=<", Operator::LessOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("!=", Operator::NotEqual),
    ("=~", Operator::Matches),
    ("==", Operator::Equal),
    ("=", Operator::Equal),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_split_at_their_last_operator() {
        let rows: &[(&str, Option<&str>)] = &[
            ("country=mt", Some("country|==|mt")),
            ("country==mt", Some("country|==|mt")),
            ("country = mt", Some("country|==|mt")),
            ("cpus>=4", Some("cpus|>=|4")),
            ("cpus=>4", Some("cpus|>=|4")),
            ("cpus=<4", Some("cpus|<=|4")),
            ("cpus<4", Some("cpus|<|4")),
            ("a!=b", Some("a|!=|b")),
            ("a=~^web", Some("a|=~|^web")),
            ("a=/x/", Some("a|=~|/x/")),
            ("a!=/x/", Some("a|=~|/x/")),
            ("friends.#(age>45).first=Roger", Some("friends.#(age>45).first|==|Roger")),
            ("ä=ö", Some("ä|==|ö")),
            ("country", None),
            ("=mt", None),
            ("country=", None),
            (" = ", None),
            ("<a=b", None),
            ("a=b>", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let got = text.parse::<FactFilter>().ok().map(|f| format!("{}|{}|{}", f.fact, f.operator, f.value));
            assert_eq!(got.as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn a_refusal_starts_with_the_known_words() {
        let error = "country".parse::<FactFilter>().expect_err("no operator").to_string();
        assert!(
            error.starts_with("could not parse fact country it does not appear to be in a valid format"),
            "{error}"
        );
    }
}
