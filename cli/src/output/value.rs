//! Values that nodes sent, as people read them: numbers and texts as the nodes wrote them, keys sorted.
//!
//! The input is JSON text already checked by a parser. Levels below [`DEEPEST`] are left as they came, so that a node
//! cannot make megabytes of indentation out of nested brackets.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Levels of nesting that are indented.
const DEEPEST: usize = 64;

/// The members of an object by decoded name, or nothing when `text` is no object.
pub(crate) fn members(text: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(text).unwrap_or_default()
}

/// One value as a person reads it in a line: texts without quotes, `null` as nothing, whole numbers as written and
/// others as the shortest decimal without exponent, arrays and objects as they came (spec 09 §2.8).
pub(crate) fn plain(text: &str) -> String {
    match text.bytes().next() {
        Some(b'"') => serde_json::from_str(text).unwrap_or_default(),
        Some(b'n') => String::new(),
        Some(b'-' | b'0'..=b'9') if !text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) => {
            text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string())
        }
        _ => text.to_owned(),
    }
}

/// Whether the value is an array or an object.
pub(crate) fn is_nested(text: &str) -> bool {
    matches!(text.bytes().next(), Some(b'[' | b'{'))
}

/// How [`sorted`] lays out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Spaces at the start of every line but the first.
    pub(crate) prefix: usize,
    /// Arrays that hold no object and fit this width in bytes stay on one line; 0 puts every element on its own line.
    pub(crate) width: usize,
}

/// Objects with their keys in order and two spaces of indentation.
pub(crate) fn sorted(text: &str, layout: Layout) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut writer = Sorted { out: &mut out, layout, line_start: 0 };
    writer.value(text, 0);
    out
}

struct Sorted<'a> {
    out: &'a mut String,
    layout: Layout,
    /// Where the current line starts in `out`. The first line is shown after the prefix.
    line_start: usize,
}

impl Sorted<'_> {
    fn value(&mut self, text: &str, depth: usize) {
        if depth >= DEEPEST {
            self.out.push_str(text);
        } else if text.starts_with('{') {
            self.object(&members(text), depth);
        } else if text.starts_with('[') {
            self.array(&elements(text), text, depth);
        } else {
            self.out.push_str(text);
        }
    }

    fn object(&mut self, members: &BTreeMap<String, &RawValue>, depth: usize) {
        self.out.push('{');
        for (number, (key, value)) in members.iter().enumerate() {
            if number > 0 {
                self.out.push(',');
            }
            self.line(depth + 1);
            self.out.push_str(&serde_json::Value::from(key.as_str()).to_string());
            self.out.push_str(": ");
            self.value(value.get(), depth + 1);
        }
        if !members.is_empty() {
            self.line(depth);
        }
        self.out.push('}');
    }

    fn array(&mut self, elements: &[&RawValue], text: &str, depth: usize) {
        if self.layout.width > 0 {
            let start = if self.line_start == 0 { self.layout.prefix } else { 1 };
            let taken = start + self.out.len() - self.line_start;
            if let Some(line) = one_line(text, self.layout.width.saturating_sub(taken)) {
                self.out.push_str(&line);
                return;
            }
        }
        self.out.push('[');
        for (number, value) in elements.iter().enumerate() {
            if number > 0 {
                self.out.push(',');
            }
            self.line(depth + 1);
            self.value(value.get(), depth + 1);
        }
        if !elements.is_empty() {
            self.line(depth);
        }
        self.out.push(']');
    }

    fn line(&mut self, depth: usize) {
        self.out.push('\n');
        self.line_start = self.out.len();
        spaces(self.out, self.layout.prefix + 2 * depth);
    }
}

/// The elements of an array, or nothing when `text` is no array.
fn elements(text: &str) -> Vec<&RawValue> {
    serde_json::from_str(text).unwrap_or_default()
}

/// An array on one line, unless it holds an object or is longer than `room` bytes.
fn one_line(text: &str, room: usize) -> Option<String> {
    let mut out = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((start, character)) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' => return None,
            '"' => out.push_str(quoted(text, start, &mut characters)),
            ',' => out.push_str(", "),
            other => out.push(other),
        }
        if out.len() > room {
            return None;
        }
    }
    Some(out)
}

/// The string literal that starts at `start`; `rest` stands behind its first quote and is moved behind its last.
fn quoted<'a>(text: &'a str, start: usize, rest: &mut impl Iterator<Item = (usize, char)>) -> &'a str {
    let mut escaped = false;
    for (position, character) in rest {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return text.get(start..=position).unwrap_or_default(),
            _ => {}
        }
    }
    text.get(start..).unwrap_or_default()
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let cases = [
            (r#""a \"b\" é""#, "a \"b\" é"),
            ("null", ""),
            ("true", "true"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("-7", "-7"),
            ("1.50", "1.5"),
            ("1e3", "1000"),
            ("0.013370742", "0.013370742"),
            ("[1, 2]", "[1, 2]"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn deep_nesting_costs_no_more_than_its_depth() {
        let text = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(sorted(&text, Layout { prefix: 0, width: 0 }).len() < text.len() * 4);
    }

    #[test]
    fn sorted_keeps_short_arrays_on_a_line() {
        let long = format!("[{}]", ["\"0123456789\""; 9].join(","));
        let text = format!(r#"{{"b":[1,[2,3]],"a":{{"z":[{{"k":1}}]}},"l":{long},"e":[],"o":{{}}}}"#);
        let lines = sorted(&text, Layout { prefix: 4, width: 80 });
        let expected = [
            "{",
            r#"      "a": {"#,
            r#"        "z": ["#,
            "          {",
            r#"            "k": 1"#,
            "          }",
            "        ]",
            "      },",
            r#"      "b": [1, [2, 3]],"#,
            r#"      "e": [],"#,
            r#"      "l": ["#,
        ];
        assert_eq!(lines.lines().take(expected.len()).collect::<Vec<_>>(), expected);
        assert!(lines.ends_with("\"o\": {}\n    }"), "{lines}");
        assert!(sorted(&text, Layout { prefix: 0, width: 0 }).contains("\"b\": [\n    1,\n    [\n      2,"));
    }
}
