//! The words of a Rego text.

/// One word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) kind: Kind,
    /// Counted from 1.
    pub(super) line: u32,
    /// Whether no other word stands before it on its line.
    pub(super) first_on_line: bool,
    /// Whether there is room between the word before and this one.
    pub(super) spaced: bool,
}

/// What a word is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Name,
    /// A text with its quotes, or a number.
    Literal,
    /// An opening bracket of any kind.
    Open,
    /// A closing bracket of any kind.
    Close,
    /// What parts expressions.
    Separator,
    /// Anything else: operators, assignments, dots.
    Operator,
}

/// Splits `text`; comments are dropped. An open text ends with its line, a raw one with the file.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let mut found: Vec<Word<'_>> = Vec::new();
    let (mut line, mut first_on_line, mut spaced) = (1, true, true);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\n' {
            (line, first_on_line, spaced) = (line + 1, true, true);
            rest = &rest[1..];
            continue;
        }
        if c.is_whitespace() {
            spaced = true;
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if c == '#' {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
            continue;
        }
        let (kind, length) = word(rest, c);
        let (text, after) = rest.split_at(length);
        found.push(Word { text, kind, line, first_on_line, spaced });
        line += u32::try_from(text.matches('\n').count()).unwrap_or_default();
        (first_on_line, spaced) = (false, false);
        rest = after;
    }
    found
}

/// What stands at the start of `rest`, which begins with `c`, and how many bytes it has.
fn word(rest: &str, c: char) -> (Kind, usize) {
    let span = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    match c {
        '"' => (Kind::Literal, quoted(rest)),
        '`' => (Kind::Literal, rest[1..].find('`').map_or(rest.len(), |end| end + 2)),
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        ',' | ';' => (Kind::Separator, 1),
        _ if c.is_ascii_digit() => (Kind::Literal, span(|c| c.is_ascii_alphanumeric() || c == '.')),
        _ if c.is_alphabetic() || c == '_' => (Kind::Name, span(|c| c.is_alphanumeric() || c == '_')),
        _ => {
            let pair = ["==", "!=", "<=", ">=", ":="].iter().any(|pair| rest.starts_with(pair));
            (Kind::Operator, if pair { 2 } else { c.len_utf8() })
        }
    }
}

/// Length of the text in quotes at the start of `rest`.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
