//! The groups of callers that rules may name.

use super::{Fault, shown};
use std::collections::BTreeMap;

/// The groups file, read.
#[derive(Debug, Default)]
pub struct Groups(BTreeMap<String, Vec<String>>);

impl Groups {
    /// Reads `text`, a name and its members on each line with one space between them, and says what is wrong with it.
    /// Of two groups of one name the later counts.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<Fault>) {
        let (mut groups, mut faults) = (BTreeMap::new(), Vec::new());
        for (line, text) in (1..).zip(text.lines()) {
            if text.starts_with('#') || text.bytes().all(|byte| byte.is_ascii_whitespace()) {
                continue;
            }
            let mut fault = |what: &str| faults.push(Fault { line, what: format!("{:?} {what}", shown(text)) });
            let Some((name, members)) = text.split_once(' ') else {
                fault("is left out: a group is a name and its members with a space between them");
                continue;
            };
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if name.is_empty() || !name.bytes().all(valid) {
                fault("is left out: the name of a group is made of letters, digits and _ . -");
                continue;
            }
            groups.insert(name.to_owned(), members.split(' ').map(str::to_owned).collect());
        }
        (Self(groups), faults)
    }

    /// Whether `caller` is one of the group `name`, by its exact id.
    #[must_use]
    pub fn contains(&self, name: &str, caller: &str) -> bool {
        self.0.get(name).is_some_and(|members| members.iter().any(|member| member == caller))
    }
}
