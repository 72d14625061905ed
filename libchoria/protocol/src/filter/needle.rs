//! What identity, agent and class filters look for: a name, or an expression between slashes (spec 02 §6).

use regex::{Regex, RegexBuilder};

/// One entry of an identity, agent or class list, ready to compare.
#[derive(Debug)]
pub(super) enum Needle<'f> {
    /// A name, to be equal.
    Exact(&'f str),
    /// `/expression/`, found anywhere in the name. Its text without slashes also matches by being equal.
    Expression(&'f str, Regex),
    /// An expression that cannot be compiled within the limits: matches nothing.
    Never,
}

/// Whether upper and lower case are the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Case {
    /// As for identities and agents.
    Significant,
    /// As for classes, by name and by expression.
    Ignored,
}

impl<'f> Needle<'f> {
    /// Prepares one entry of a list.
    pub(super) fn new(text: &'f str, case: Case) -> Self {
        match between_slashes(text) {
            None => Self::Exact(text),
            Some(inner) => expression(inner, case).map_or(Self::Never, |regex| Self::Expression(inner, regex)),
        }
    }

    /// Whether `name` is what this looks for.
    pub(super) fn matches(&self, name: &str, case: Case) -> bool {
        let equal = |text: &str| match case {
            Case::Significant => text == name,
            Case::Ignored => same_ignoring_case(text, name),
        };
        match self {
            Self::Exact(text) => equal(text),
            Self::Expression(text, regex) => regex.is_match(name) || equal(text),
            Self::Never => false,
        }
    }
}

/// Compiles an expression of a filter: unanchored, at most 1024 bytes long and 512 KiB compiled, since it comes from
/// the network. `None` when it is not valid or too large; it then matches nothing.
pub(super) fn expression(text: &str, case: Case) -> Option<Regex> {
    if text.len() > MAX_EXPRESSION {
        return None;
    }
    RegexBuilder::new(text)
        .case_insensitive(case == Case::Ignored)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(32)
        .build()
        .ok()
}

/// Equality without regard to case, for any script.
pub(super) fn same_ignoring_case(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    let lower = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<String>();
    lower(left) == lower(right)
}

/// The text of `/text/`; of a lone slash the empty text, which matches everything.
pub(super) fn between_slashes(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('/')?;
    if inner.is_empty() { Some(inner) } else { inner.strip_suffix('/') }
}

const MAX_EXPRESSION: usize = 1024;
const MAX_COMPILED: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_expressions() {
        use Case::{Ignored, Significant};
        let rows: &[(&str, Case, &str, bool)] = &[
            ("n1.example.net", Significant, "n1.example.net", true),
            ("n1", Significant, "n1.example.net", false),
            ("N1", Significant, "n1", false),
            ("/^n[12]/", Significant, "n2.example.net", true),
            ("/^N/", Significant, "n2.example.net", false),
            ("/a.b/", Significant, "a.b", true),
            ("/(/", Significant, "(", false),
            ("/", Significant, "anything", true),
            ("//", Significant, "anything", true),
            ("Apache", Ignored, "apache", true),
            ("apache", Ignored, "Apache", true),
            ("/^ROLE::/", Ignored, "role::web", true),
            ("ÄPFEL", Ignored, "äpfel", true),
            ("/\\w{1000}{1000}/", Significant, "a", false),
        ];
        for (needle, case, name, expected) in rows {
            assert_eq!(Needle::new(needle, *case).matches(name, *case), *expected, "{needle} {case:?} {name}");
        }
        assert!(expression(&"a".repeat(MAX_EXPRESSION + 1), Significant).is_none());
    }
}
