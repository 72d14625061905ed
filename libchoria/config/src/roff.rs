//! Text as roff, the language of manual pages.

/// Text that may start a line: nothing in it is taken for a command, a special character or a hyphenation point.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for (position, character) in text.chars().enumerate() {
        match character {
            '\\' => escaped.push_str("\\(rs"),
            '-' => escaped.push_str("\\-"),
            '~' => escaped.push_str("\\(ti"),
            '^' => escaped.push_str("\\(ha"),
            '`' => escaped.push_str("\\(ga"),
            '"' => escaped.push_str("\\(dq"),
            '.' if position == 0 => escaped.push_str("\\&."),
            '\'' if position == 0 => escaped.push_str("\\&\\(aq"),
            '\'' => escaped.push_str("\\(aq"),
            '…' => escaped.push_str("..."),
            '\n' => escaped.push(' '),
            other if other.is_ascii() => escaped.push(other),
            other => escaped.push_str(&format!("\\[u{:04X}]", u32::from(other))),
        }
    }
    escaped
}

/// A sentence in which words in backquotes are bold.
#[must_use]
pub fn sentence(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let marked = parts.map(|(number, part)| if number % 2 == 1 { bold(part) } else { plain(part) });
    let line: String = marked.collect();
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

/// Bold text.
#[must_use]
pub fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

/// Text inside a line: a hyphen between words stays one.
fn plain(text: &str) -> String {
    let escaped = escaped(text).replace("\\-", "-");
    escaped.strip_prefix("\\&.").map_or(escaped.clone(), |rest| format!(".{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_command() {
        let rows = [
            (".so /etc/shadow", "\\&.so /etc/shadow"),
            ("'x", "\\&\\(aqx"),
            ("a\\fBb", "a\\(rsfBb"),
            ("a-b~^`\"", "a\\-b\\(ti\\(ha\\(ga\\(dq"),
            ("a\n.b", "a .b"),
            ("é…", "\\[u00E9]..."),
        ];
        for (text, wanted) in rows {
            assert_eq!(escaped(text), wanted, "{text:?}");
        }
        assert_eq!(sentence("key-value `a-b`. `.c`"), "key-value \\fBa\\-b\\fR. \\fB\\&.c\\fR");
        assert_eq!(sentence(".x"), "\\&.x");
    }
}
