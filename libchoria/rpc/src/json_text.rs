//! Laying out JSON text that came from elsewhere, without parsing it: key order and numbers stay as they were written.

/// `json` with one value or element a line, each level `indent` deeper, every line but the first after `prefix`. Empty
/// objects and arrays stay `{}` and `[]`. Text that is not JSON comes out in some form.
#[must_use]
pub fn indented(json: &str, prefix: &str, indent: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(prefix);
        out.push_str(&indent.repeat(depth.min(MAX_DEPTH)));
    };
    let mut tokens = Tokens(json).peekable();
    while let Some(token) = tokens.next() {
        match token {
            "{" | "[" => {
                out.push_str(token);
                let closing = if token == "{" { "}" } else { "]" };
                if tokens.next_if_eq(&closing).is_some() {
                    out.push_str(closing);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push_str(token);
            }
            "," => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ":" => out.push_str(": "),
            other => out.push_str(other),
        }
    }
    out
}

/// `json` without white space between its parts, on one line.
#[must_use]
pub fn compact(json: &str) -> String {
    Tokens(json).collect()
}

/// Deeper levels are not indented further.
const MAX_DEPTH: usize = 128;

/// The parts of a JSON text: single punctuation characters, strings, and words.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches([' ', '\t', '\r', '\n']);
        let first = text.chars().next()?;
        let end = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '"' => string_end(text),
            _ => text.find(['{', '}', '[', ']', ',', ':', '"', ' ', '\t', '\r', '\n']).unwrap_or(text.len()),
        };
        let (token, rest) = text.split_at(end);
        self.0 = rest;
        Some(token)
    }
}

/// Where the string that starts `text` ends, behind its closing quote.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return position + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let rows = [
            ("{}", "{}", "{}"),
            (" [ ] ", "[]", "[]"),
            ("1.0", "1.0", "1.0"),
            (
                "{\"b\":1.0, \"a\":[ 1,\n {\"x\":\"a\\\", b\"}],\"e\":{ }}",
                "{\"b\":1.0,\"a\":[1,{\"x\":\"a\\\", b\"}],\"e\":{}}",
                "{\n>  \"b\": 1.0,\n>  \"a\": [\n>    1,\n>    {\n>      \"x\": \"a\\\", b\"\n>    }\n>  ],\n>  \"e\": {}\n>}",
            ),
        ];
        for (json, short, long) in rows {
            assert_eq!(compact(json), short);
            assert_eq!(indented(json, ">", "  "), long);
            assert_eq!(compact(&long.replace('>', "")), short);
        }
    }

    #[test]
    fn anything_passes_without_a_fault() {
        for text in ["", "\"", "\"\\", "}}}", "[[[", "{\"a\":", "é,\u{1}"] {
            let _ = (compact(text), indented(text, "", " "));
        }
    }
}
