//! Names that no certificate of a node may have (`cert_deny_list`, spec 06 §4.1).

use regex::Regex;

/// Patterns that are searched for anywhere in a name.
#[derive(Clone, Debug)]
pub struct DenyList(Vec<Regex>);

impl DenyList {
    /// The patterns of the configuration, each perhaps between `/` and `/`, or the usual ones. Those that are no regular
    /// expressions come back beside the list.
    #[must_use]
    pub fn new(patterns: Option<&[String]>) -> (Self, Vec<String>) {
        let usual: Vec<String> = USUAL.map(str::to_owned).to_vec();
        let (mut list, mut bad) = (Vec::new(), Vec::new());
        for text in patterns.unwrap_or(&usual) {
            let inner = text.strip_prefix('/').and_then(|text| text.strip_suffix('/')).unwrap_or(text);
            match Regex::new(inner) {
                Ok(pattern) => list.push(pattern),
                Err(_) => bad.push(text.clone()),
            }
        }
        (Self(list), bad)
    }

    /// The pattern that `name` must not match and does, if any.
    #[must_use]
    pub fn denies(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|pattern| pattern.is_match(name)).map(Regex::as_str)
    }
}

/// Names of people: certificates of such names may manage the fleet.
const USUAL: [&str; 4] = [r"\.privileged.mcollective$", r"\.privileged.choria$", r"\.mcollective$", r"\.choria$"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_are_denied_unless_told_otherwise() {
        let own = ["/^admin/".to_owned(), "(".to_owned(), "x$".to_owned()];
        let rows = [
            (None, "bob.privileged.choria", true),
            (None, "bob.privileged.mcollective", true),
            (None, "bob.choria", true),
            (None, "bob.mcollective", true),
            (None, "n1.example.net", false),
            (None, "choria.example.net", false),
            (Some(&own[..]), "admin.example.net", true),
            (Some(&own[..]), "n.admin.example.net", false),
            (Some(&own[..]), "linux", true),
            (Some(&own[..]), "bob.choria", false),
            (Some(&[][..]), "bob.choria", false),
        ];
        for (patterns, name, denied) in rows {
            assert_eq!(DenyList::new(patterns).0.denies(name).is_some(), denied, "{patterns:?} {name}");
        }
        assert_eq!(DenyList::new(Some(&own)).1, ["("]);
    }
}
