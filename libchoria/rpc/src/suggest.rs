//! "Did you mean": the closest of the words that would have been right.

use std::fmt;

/// A word close to a wrong one, or nothing; prints as `, did you mean 'x'?` or as nothing, to end an error with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Suggestion(Option<String>);

impl Suggestion {
    /// The candidate closest to `wrong` in any case, when it is close enough to be a slip of the fingers: at most one
    /// edit in three characters.
    #[must_use]
    pub fn among<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let wrong = wrong.to_lowercase();
        let limit = (wrong.chars().count() / 3).max(1);
        let distance = |candidate: &str| strsim::osa_distance(&wrong, &candidate.to_lowercase());
        let close = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
        Self(close.filter(|(edits, _)| *edits <= limit).min().map(|(_, candidate)| candidate.to_owned()))
    }

    /// The suggested word.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(word) => write!(f, ", did you mean '{word}'?"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_close() {
        let known = ["rpcutil", "choria_util", "scout", "get_fact", "get_facts"];
        let rows = [
            ("rcputil", Some("rpcutil")),
            ("RPCUTIL", Some("rpcutil")),
            ("choriautil", Some("choria_util")),
            ("get_fatc", Some("get_fact")),
            ("x", None),
            ("", None),
            ("package", None),
        ];
        for (wrong, expected) in rows {
            assert_eq!(Suggestion::among(wrong, known).word(), expected, "{wrong}");
        }
        assert_eq!(Suggestion::among("scot", known).to_string(), ", did you mean 'scout'?");
        assert_eq!(Suggestion::default().to_string(), "");
    }
}
