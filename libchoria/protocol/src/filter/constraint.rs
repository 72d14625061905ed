//! Version constraints as the `semver()` function of expressions takes them (spec 02 §7).
//!
//! `, ` and spaces mean *and*, `||` means *or*; `^ ~ ~> = != < > <= >= => =<`, `x`/`*` parts, missing parts and hyphen
//! ranges are known. A version with a pre-release only satisfies constraints that name one, too.

use semver::{BuildMetadata, Prerelease, Version};

/// A text that is not a version or not a constraint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidVersion {
    /// Neither `1.2.3`, `v1.2`, `1` nor one of them with `-pre` or `+build`.
    #[error("{0:?} is not a semantic version such as 1.2.3")]
    Version(String),
    /// Not a list of comparisons.
    #[error("{0:?} is not a version constraint such as `>= 1.2, < 3` or `^1.2 || ~2.0`")]
    Constraint(String),
}

/// Whether `version` satisfies `constraint`.
///
/// # Errors
/// [`InvalidVersion`] names the text that could not be read.
pub fn satisfies(version: &str, constraint: &str) -> Result<bool, InvalidVersion> {
    let refused = || InvalidVersion::Constraint(constraint.to_owned());
    let alternatives: Vec<Vec<Comparison>> =
        constraint.split("||").map(comparisons).collect::<Option<_>>().ok_or_else(refused)?;
    let version = Partial::parse(version.trim())
        .filter(|partial| !partial.wildcard)
        .ok_or_else(|| InvalidVersion::Version(version.to_owned()))?
        .version;
    Ok(alternatives.iter().any(|all| all.iter().all(|comparison| comparison.holds(&version))))
}

/// A version of which parts may be missing or `x`.
#[derive(Debug)]
struct Partial {
    /// Missing parts are 0.
    version: Version,
    /// How many parts were given as numbers: 0 to 3.
    given: u8,
    /// Whether a part was `x`, `X` or `*`.
    wildcard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
    Tilde,
    Caret,
}

#[derive(Debug)]
struct Comparison {
    relation: Relation,
    with: Partial,
}

impl Comparison {
    fn holds(&self, version: &Version) -> bool {
        let bound = &self.with.version;
        if !version.pre.is_empty() && bound.pre.is_empty() {
            return false;
        }
        let order = version.cmp_precedence(bound);
        let same_major = version.major == bound.major;
        let same_minor = same_major && version.minor == bound.minor;
        match (self.relation, self.with.given) {
            (Relation::Equal, 3) => order.is_eq(),
            (Relation::Equal | Relation::Tilde, _) => order.is_ge() && self.within(version),
            (Relation::NotEqual, 3) => order.is_ne(),
            (Relation::NotEqual, _) => !self.within(version),
            (Relation::Greater, 3) => order.is_gt(),
            (Relation::Greater, _) => order.is_gt() && !self.within(version),
            (Relation::LessOrEqual, 3) => order.is_le(),
            (Relation::LessOrEqual, _) => order.is_lt() || self.within(version),
            (Relation::Less, _) => order.is_lt(),
            (Relation::GreaterOrEqual, _) => order.is_ge(),
            (Relation::Caret, 0) => true,
            (Relation::Caret, 1) => order.is_ge() && same_major,
            (Relation::Caret, given) => {
                order.is_ge()
                    && if bound.major > 0 {
                        same_major
                    } else if bound.minor > 0 || given == 2 {
                        same_minor
                    } else {
                        same_minor && version.patch == bound.patch
                    }
            }
        }
    }

    /// Whether the given parts agree; of a full version only major and minor, which is what `~` asks.
    fn within(&self, version: &Version) -> bool {
        let bound = &self.with.version;
        let accepts_all = self.with.given == 3 && *bound == Version::new(0, 0, 0);
        match self.with.given {
            _ if accepts_all => true,
            0 => true,
            1 => version.major == bound.major,
            _ => version.major == bound.major && version.minor == bound.minor,
        }
    }
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        BuildMetadata::new(build.unwrap_or_default()).ok()?;
        let (numbers, pre) = text.split_once('-').map_or((text, ""), |(numbers, pre)| (numbers, pre));
        let mut parsed = [0_u64; 3];
        let (mut given, mut wildcard) = (0, false);
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() > 3 {
            return None;
        }
        for (slot, part) in parsed.iter_mut().zip(parts) {
            if matches!(part, "x" | "X" | "*") {
                wildcard = true;
            } else if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
                let number = part.parse().ok()?;
                if !wildcard {
                    *slot = number;
                    given += 1;
                }
            } else {
                return None;
            }
        }
        let [major, minor, patch] = parsed;
        let pre = Prerelease::new(pre).ok()?;
        Some(Self { version: Version { major, minor, patch, pre, build: BuildMetadata::EMPTY }, given, wildcard })
    }
}

/// The comparisons of one alternative, all of which must hold.
fn comparisons(text: &str) -> Option<Vec<Comparison>> {
    let words: Vec<&str> = text.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words.get(at + 1) == Some(&"-") {
            found.push(Comparison { relation: Relation::GreaterOrEqual, with: Partial::parse(words[at])? });
            found.push(Comparison { relation: Relation::LessOrEqual, with: Partial::parse(words.get(at + 2)?)? });
            at += 3;
            continue;
        }
        let (relation, rest) = relation(words[at]);
        // The operator may be followed by spaces: `>= 1.2`.
        let version = if rest.is_empty() {
            at += 1;
            words.get(at)?
        } else {
            rest
        };
        found.push(Comparison { relation, with: Partial::parse(version)? });
        at += 1;
    }
    (!found.is_empty()).then_some(found)
}

fn relation(word: &str) -> (Relation, &str) {
    const SPELLINGS: [(&str, Relation); 11] = [
        ("!=", Relation::NotEqual),
        (">=", Relation::GreaterOrEqual),
        ("=>", Relation::GreaterOrEqual),
        ("<=", Relation::LessOrEqual),
        ("=<", Relation::LessOrEqual),
        ("~>", Relation::Tilde),
        ("=", Relation::Equal),
        (">", Relation::Greater),
        ("<", Relation::Less),
        ("~", Relation::Tilde),
        ("^", Relation::Caret),
    ];
    SPELLINGS
        .iter()
        .find_map(|(spelling, relation)| word.strip_prefix(spelling).map(|rest| (*relation, rest)))
        .unwrap_or((Relation::Equal, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_hold_as_documented() {
        let rows: &[(&str, &str, Option<bool>)] = &[
            ("1.2.3", "= 1.2.3", Some(true)),
            ("1.2.3", "1.2.3", Some(true)),
            ("v1.2.3", "=1.2.3", Some(true)),
            ("1.2.3", "!=1.2.3", Some(false)),
            ("1.2.3", "!=1.2", Some(false)),
            ("1.3.0", "!=1.2", Some(true)),
            ("1.2.3", ">1.2.2", Some(true)),
            ("11.1.0", ">11", Some(false)),
            ("12.0.0", ">11", Some(true)),
            ("11.1.1", ">11.1", Some(false)),
            ("11.2.0", ">11.1", Some(true)),
            ("1.2.3", ">=1.2.3", Some(true)),
            ("1.2.3", "=>1.2.3", Some(true)),
            ("1.2.3", "<1.2.3", Some(false)),
            ("11.9.0", "<=11", Some(true)),
            ("12.0.0", "<=11", Some(false)),
            ("1.2.3", "=<1.2.3", Some(true)),
            ("1.2.3", ">= 1.0, < 2", Some(true)),
            ("1.2.3", ">=1.0 <1.2", Some(false)),
            ("2.5.0", "^1 || ^2.4", Some(true)),
            ("3.0.0", "^1 || ^2.4", Some(false)),
            ("1.9.9", "^1.2.3", Some(true)),
            ("0.2.9", "^0.2.3", Some(true)),
            ("0.3.0", "^0.2.3", Some(false)),
            ("0.0.3", "^0.0.3", Some(true)),
            ("0.0.4", "^0.0.3", Some(false)),
            ("0.0.9", "^0.0", Some(true)),
            ("0.9.0", "^0", Some(true)),
            ("1.2.9", "~1.2.3", Some(true)),
            ("1.3.0", "~1.2.3", Some(false)),
            ("1.9.0", "~1", Some(true)),
            ("1.2.9", "~>1.2", Some(true)),
            ("5.0.0", "~0.0.0", Some(true)),
            ("1.2.9", "1.2.x", Some(true)),
            ("1.3.0", "1.2.*", Some(false)),
            ("7.8.9", "*", Some(true)),
            ("2.1.0", "1.2 - 2.0.5", Some(false)),
            ("2.0.5", "1.2 - 2.0.5", Some(true)),
            ("2.0.9", "1.2 - 2.0", Some(true)),
            ("1.2.3-beta", ">=1.0", Some(false)),
            ("1.2.3-beta.2", ">=1.2.3-beta.1", Some(true)),
            ("1.2.3+build", "=1.2.3", Some(true)),
            ("1.2", "=1.2.0", Some(true)),
            ("one", "=1", None),
            ("1.2.3", "newer", None),
            ("1.2.3", "", None),
            ("1.2.3", ">=", None),
            ("1.x", "=1", None),
            ("1.2.3.4", "=1", None),
        ];
        for (version, constraint, expected) in rows {
            let got = satisfies(version, constraint);
            assert_eq!(got.clone().ok(), *expected, "{version} {constraint}: {got:?}");
        }
    }
}
