//! Prometheus' text format 0.0.4, read strictly: what its own parser would refuse or silently mend fails a test.

use std::collections::{BTreeMap, BTreeSet};

/// The metrics of one scrape, by name.
pub type Families = BTreeMap<String, Family>;

/// All values of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge`, `summary`, …
    pub kind: String,
    /// What it says of itself.
    pub help: String,
    /// Each value with its labels; those of a summary have their ending in the first place.
    pub samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads `text`.
///
/// # Errors
/// The first line that breaks a rule: help and type once and before the values, all lines of a name together, known
/// types, names of letters, escapes that exist, no value twice, counters not below zero.
pub fn parse(text: &str) -> Result<Families, String> {
    let mut families = Families::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    if !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    for line in text.lines() {
        let fail = |why: &str| Err(format!("{why}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, help)) = rest.split_once(' ') else { return fail("help without text") };
            if !is_name(name) || families.contains_key(name) {
                return fail("help of a name that is none or was there before");
            }
            current = name.to_owned();
            families.insert(current.clone(), Family { help: help.to_owned(), ..Family::default() });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return fail("type without text") };
            let Some(family) = families.get_mut(name).filter(|family| family.kind.is_empty() && name == current) else {
                return fail("type without help before it, or twice");
            };
            if !["counter", "gauge", "summary", "histogram"].contains(&kind) {
                return fail("no such type");
            }
            family.kind = kind.to_owned();
        } else {
            let (name, labels, value) = sample(line).map_err(|why| format!("{why}: {line}"))?;
            let family = families.get_mut(&current).filter(|family| !family.kind.is_empty());
            let Some(family) = family else { return fail("value without a type") };
            let ending = name.strip_prefix(&current);
            let endings: &[&str] = if family.kind == "summary" { &["_sum", "_count"] } else { &[""] };
            if !ending.is_some_and(|ending| endings.contains(&ending)) {
                return fail("value of another name");
            }
            if family.kind == "counter" && (value.is_nan() || value < 0.0) {
                return fail("a counter below zero");
            }
            if !seen.insert((name.clone(), labels.clone())) {
                return fail("the same value twice");
            }
            family.samples.push((name, labels, value));
        }
    }
    match families.iter().find(|(_, family)| family.samples.is_empty()) {
        Some((name, _)) => Err(format!("{name} has no value")),
        None => Ok(families),
    }
}

type Sample = (String, BTreeMap<String, String>, f64);

fn sample(line: &str) -> Result<Sample, &'static str> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err("no name");
    }
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("label without value")?;
            if !is_name(label) || label.contains(':') {
                return Err("no label name");
            }
            let (value, after) = quoted(after)?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err("the same label twice");
            }
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').ok_or("labels without end")?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    let value = value.parse().map_err(|_| "no number")?;
    Ok((name.to_owned(), labels, value))
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((position, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[position + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("no such escape"),
            },
            other => value.push(other),
        }
    }
    Err("label value without end")
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_right_and_nothing_else() {
        let good = "# HELP a A\n# TYPE a counter\na{b=\"c\\\"\\\\\\n\",d=\"\"} 1\na{b=\"e\"} 2\n\
            # HELP s S\n# TYPE s summary\ns_sum 0.5\ns_count 2\n";
        let families = parse(good).expect("good");
        assert_eq!(families["a"].samples[0].1["b"], "c\"\\\n");
        assert_eq!(families["s"].samples.len(), 2);
        for (name, bad) in [
            ("no type", "# HELP a A\na 1\n"),
            ("no help", "# TYPE a counter\na 1\n"),
            ("help twice", "# HELP a A\n# TYPE a gauge\na 1\n# HELP a A\n"),
            ("apart", "# HELP a A\n# TYPE a gauge\na 1\n# HELP b B\n# TYPE b gauge\nb 1\na{x=\"y\"} 2\n"),
            ("value twice", "# HELP a A\n# TYPE a gauge\na 1\na 1\n"),
            ("escape", "# HELP a A\n# TYPE a gauge\na{b=\"\\t\"} 1\n"),
            ("open label", "# HELP a A\n# TYPE a gauge\na{b=\"c} 1\n"),
            ("negative counter", "# HELP a A\n# TYPE a counter\na -1\n"),
            ("no number", "# HELP a A\n# TYPE a gauge\na one\n"),
            ("no value", "# HELP a A\n# TYPE a gauge\n"),
            ("no end", "# HELP a A\n# TYPE a gauge\na 1"),
            ("summary without ending", "# HELP a A\n# TYPE a summary\na 1\n"),
        ] {
            assert!(parse(bad).is_err(), "{name}");
        }
    }
}
