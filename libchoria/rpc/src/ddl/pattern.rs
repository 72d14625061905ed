//! Regular expressions as the existing peers mean them: unanchored, and `\w`, `\d`, `\s`, `\b` know ASCII only.

use regex::{Error, Regex, RegexBuilder};

/// Compiles `pattern`; compiled it may take up to a megabyte.
///
/// # Errors
/// When it is not a regular expression, or a too large one.
pub(super) fn compile(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&translate(pattern)).size_limit(1 << 20).build()
}

/// Rewrites what the engine used here reads otherwise: Perl classes would be wider (a `validation` of `^\w+$` keeps `é`
/// out), and `[`, `&`, `~` would be operators inside `[…]`.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => rest = escape(rest, in_class, &mut out),
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                rest = class_start(rest, &mut out);
            }
            '[' => rest = named_class(rest, &mut out),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', c]),
            other => out.push(other),
        }
    }
    out
}

/// The character after a backslash.
fn escape<'a>(rest: &'a str, in_class: bool, out: &mut String) -> &'a str {
    let Some(c) = rest.chars().next() else {
        out.push('\\');
        return rest;
    };
    match (c, in_class) {
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('d', true) => out.push_str("0-9"),
        ('d', false) => out.push_str("[0-9]"),
        ('s', true) => out.push_str(r"\t\n\f\r\x20"),
        ('s', false) => out.push_str(r"[\t\n\f\r\x20]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('S', _) => out.push_str(r"[^\t\n\f\r\x20]"),
        ('b', false) => out.push_str(r"(?-u:\b)"),
        _ => out.extend(['\\', c]),
    }
    &rest[c.len_utf8()..]
}

/// After the `[` of a class: `^` negates it, and a `]` in first place is an ordinary character.
fn class_start<'a>(rest: &'a str, out: &mut String) -> &'a str {
    let rest = match rest.strip_prefix('^') {
        Some(rest) => {
            out.push('^');
            rest
        }
        None => rest,
    };
    match rest.strip_prefix(']') {
        Some(rest) => {
            out.push_str(r"\]");
            rest
        }
        None => rest,
    }
}

/// After a `[` inside a class: the start of `[:name:]`, or an ordinary character.
fn named_class<'a>(rest: &'a str, out: &mut String) -> &'a str {
    match rest.find(":]").filter(|_| rest.starts_with(':')) {
        Some(end) => {
            out.push('[');
            out.push_str(&rest[..end + 2]);
            &rest[end + 2..]
        }
        None => {
            out.push_str(r"\[");
            rest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_to_the_peers() {
        let rows = [
            (r"^\w+$", "a_1", true),
            (r"^\w+$", "é", false),
            (r"^[\w\.\-]+$", "a.b-c", true),
            (r"^[\w\.\-]+$", "é", false),
            (r"^\d$", "٣", false),
            (r"^\s*[\w\.\-]+(\s*,\s*[\w\.\-]+)*$", "a.b , c", true),
            (r"^\W$", "é", true),
            (r"^[\W]$", "é", true),
            (r"^.$", "é", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[[a]+$", "[a", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]a]+$", "bc", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"\bx\b", "a x b", true),
            (r"^\[\]$", "[]", true),
            ("b", "abc", true),
        ];
        for (pattern, text, expected) in rows {
            let compiled = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_match(text), expected, "{pattern} {text}");
        }
        for pattern in ["(", "[", r"\", "a{1001}{1001}", "[[:"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
