//! Judges the text of a compound filter before it is compiled.
//!
//! Filters arrive before anything is authorized and the expression engine has no budget of its own, so texts that
//! could grow values or loops without bound are refused here. The limits are far above what a filter needs.

use super::DataNeed;
use std::collections::BTreeSet;

/// What the text of an expression tells without running it.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Names that are called as functions.
    pub(super) calls: BTreeSet<String>,
    /// Names used as variables; those nothing defines are nil.
    pub(super) variables: BTreeSet<String>,
    /// Texts given to `with()` literally.
    pub(super) with: BTreeSet<String>,
    /// Calls of one literal text, or none, to functions that are not part of the language: data providers.
    pub(super) needs: BTreeSet<DataNeed>,
    /// The text with `.field` at the start of a predicate written out as `#.field`, which the engine needs.
    pub(super) text: String,
}

/// Reads the outline of `text`, or says in words why it is refused. `is_builtin` tells the language's own functions.
pub(super) fn outline(text: &str, is_builtin: &dyn Fn(&str) -> bool) -> Result<Outline, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it is {} bytes long, at most {MAX_TEXT} are accepted", text.len()));
    }
    let placed = tokens(text)?;
    let tokens: Vec<Token<'_>> = placed.iter().map(|(_, token)| *token).collect();
    if tokens.len() > MAX_TOKENS {
        return Err(format!("it has {} words and operators, at most {MAX_TOKENS} are accepted", tokens.len()));
    }
    check_counts(&tokens)?;
    check_nesting(&tokens)?;
    check_operators(&tokens)?;
    Ok(Outline { text: written_out(text, &placed), ..summarize(&tokens, is_builtin) })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'t> {
    Word(&'t str),
    /// The content of a string without its quotes; `None` when it holds escapes.
    Text(Option<&'t str>),
    Number(&'t str),
    Symbol(&'t str),
}

/// Splits the text into tokens with their offsets; comments and spaces are dropped.
fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (None, rest.find("*/").ok_or_else(|| "a comment is not closed".to_owned())? + 2)
            }
            '"' | '\'' | '`' => {
                let length = quoted(rest, first).ok_or_else(|| format!("a text is not closed with {first}"))?;
                let inner = &rest[1..length - 1];
                (Some(Token::Text((first == '`' || !inner.contains('\\')).then_some(inner))), length)
            }
            _ if first.is_ascii_digit() => {
                let length = span(rest, |c| c.is_ascii_alphanumeric() || c == '_');
                (Some(Token::Number(&rest[..length])), length)
            }
            _ if is_word(first) || first == '#' => {
                let length = 1 + span(&rest[1..], |c| is_word(c) || c.is_ascii_digit());
                (Some(Token::Word(&rest[..length])), length)
            }
            _ => {
                let length = if PAIRS.iter().any(|pair| rest.starts_with(pair)) { 2 } else { first.len_utf8() };
                (Some(Token::Symbol(&rest[..length])), length)
            }
        };
        found.extend(token.map(|token| (text.len() - rest.len(), token)));
        rest = rest[length..].trim_start();
    }
    Ok(found)
}

/// Length of the quoted text at the start of `rest`, quotes included.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '$'
}

/// Constructs that may stand only so often.
fn check_counts(tokens: &[Token<'_>]) -> Result<(), String> {
    for (word, most) in [("let", 2), ("if", 4), ("reduce", 0), ("repeat", 0)] {
        let times = tokens.iter().filter(|token| **token == Token::Word(word)).count();
        if times > most {
            return Err(format!("`{word}` stands {times} times in it, at most {most} are accepted in a filter"));
        }
    }
    for (symbol, most) in [("+", 8), ("?", 8)] {
        let times = tokens.iter().filter(|token| **token == Token::Symbol(symbol)).count();
        if times > most {
            return Err(format!("`{symbol}` stands {times} times in it, at most {most} are accepted in a filter"));
        }
    }
    let loops = tokens.iter().filter(|token| matches!(token, Token::Word(word) if LOOPS.contains(word))).count();
    if loops > MAX_LOOPS {
        return Err(format!("it loops {loops} times, at most {MAX_LOOPS} are accepted in a filter"));
    }
    Ok(())
}

fn check_nesting(tokens: &[Token<'_>]) -> Result<(), String> {
    let (mut depth, mut indexes, mut loops) = (0_usize, 0_usize, 0_usize);
    let mut open = Vec::new();
    let mut previous = None;
    for token in tokens {
        match token {
            Token::Symbol("(" | "{") => {
                let is_loop = matches!(previous, Some(Token::Word(word)) if LOOPS.contains(&word));
                open.push(is_loop);
                loops += usize::from(is_loop);
                depth += 1;
            }
            Token::Symbol("[") => {
                open.push(false);
                indexes += 1;
                depth += 1;
            }
            Token::Symbol(")" | "}" | "]") => {
                loops -= usize::from(open.pop().unwrap_or(false) && loops > 0);
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        if depth > MAX_DEPTH || loops > MAX_NESTED_LOOPS {
            return Err(format!("it nests deeper than {MAX_DEPTH} brackets or {MAX_NESTED_LOOPS} loops"));
        }
        previous = Some(*token);
    }
    if indexes > MAX_INDEXES {
        return Err(format!("it has {indexes} `[`, at most {MAX_INDEXES} are accepted in a filter"));
    }
    Ok(())
}

/// Ranges stand between small numbers, and expressions to match are literal and compile within the limits.
fn check_operators(tokens: &[Token<'_>]) -> Result<(), String> {
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        match token {
            Token::Symbol("..") => {
                let bound = |token: Option<&Token<'_>>| match token {
                    Some(Token::Number(number)) => number.parse::<u16>().ok(),
                    _ => None,
                };
                let before = at.checked_sub(1).and_then(|at| tokens.get(at));
                match (bound(before), bound(next)) {
                    (Some(from), Some(to)) if to.saturating_sub(from) < MAX_RANGE => {}
                    _ => return Err(format!("`..` must stand between two numbers less than {MAX_RANGE} apart")),
                }
            }
            Token::Word("matches") => match next {
                Some(Token::Text(Some(text)))
                    if super::needle::expression(text, super::needle::Case::Significant).is_none() =>
                {
                    return Err(format!("`matches {text}`: not a valid expression, or too large"));
                }
                Some(Token::Text(_)) => {}
                _ => return Err("`matches` must be followed by a literal text".to_owned()),
            },
            _ => {}
        }
    }
    Ok(())
}

/// Puts `#` before each `.field` that follows no value.
fn written_out(text: &str, placed: &[(usize, Token<'_>)]) -> String {
    let mut written = String::with_capacity(text.len());
    let mut copied = 0;
    let mut follows_value = false;
    for (index, (at, token)) in placed.iter().enumerate() {
        let names_field = matches!(placed.get(index + 1), Some((_, Token::Word(_))));
        if *token == Token::Symbol(".") && names_field && !follows_value {
            written.push_str(&text[copied..*at]);
            written.push('#');
            copied = *at;
        }
        follows_value = match token {
            Token::Symbol(symbol) => [")", "]", "}"].contains(symbol),
            Token::Word(word) => !WORD_OPERATORS.contains(word),
            Token::Text(_) | Token::Number(_) => true,
        };
    }
    written.push_str(&text[copied..]);
    written
}

fn summarize(tokens: &[Token<'_>], is_builtin: &dyn Fn(&str) -> bool) -> Outline {
    let mut outline = Outline::default();
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = *token else { continue };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        if matches!(before, Some(Token::Symbol("." | "?."))) {
            continue;
        }
        match tokens[at + 1..] {
            [Token::Symbol("("), Token::Text(Some(text)), Token::Symbol(")"), ..] => {
                outline.calls.insert(word.to_owned());
                if word == "with" {
                    outline.with.insert(text.to_owned());
                } else if !is_builtin(word) {
                    outline.needs.insert(DataNeed { provider: word.to_owned(), query: Some(text.to_owned()) });
                }
            }
            [Token::Symbol("("), Token::Symbol(")"), ..] => {
                outline.calls.insert(word.to_owned());
                if !is_builtin(word) {
                    outline.needs.insert(DataNeed { provider: word.to_owned(), query: None });
                }
            }
            [Token::Symbol("("), ..] => drop(outline.calls.insert(word.to_owned())),
            _ => drop(outline.variables.insert(word.to_owned())),
        }
    }
    outline
}

const MAX_TEXT: usize = 4096;
const MAX_TOKENS: usize = 384;
const MAX_DEPTH: usize = 16;
/// Each `[` may make the parser read what follows twice, so nested ones double its work.
const MAX_INDEXES: usize = 10;
const MAX_LOOPS: usize = 4;
const MAX_NESTED_LOOPS: usize = 3;
const MAX_RANGE: u16 = 256;

/// Operators of two characters that must not be read as two.
const PAIRS: [&str; 10] = ["..", "?.", "??", "**", "&&", "||", "==", "!=", "<=", ">="];

/// Words after which a value begins.
const WORD_OPERATORS: [&str; 8] = ["and", "or", "not", "in", "contains", "startsWith", "endsWith", "matches"];

/// The functions of the language that run a piece of expression for each element.
const LOOPS: [&str; 16] = [
    "all",
    "any",
    "one",
    "none",
    "map",
    "filter",
    "find",
    "findIndex",
    "findLast",
    "findLastIndex",
    "count",
    "sum",
    "groupBy",
    "sortBy",
    "reduce",
    "uniq",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> bool {
        ["with", "fact", "any", "map", "len"].contains(&name)
    }

    #[test]
    fn the_outline_tells_calls_and_needs() {
        let text = "with('apache') && scout(\"check\").state == foo.bar // with('no')\n or choria().x in [1] and len(config_item(fact(`a\\b`)))";
        let outline = outline(text, &known).expect("accepted");
        let need =
            |provider: &str, query: Option<&str>| DataNeed { provider: provider.into(), query: query.map(Into::into) };
        assert_eq!(outline.needs, BTreeSet::from([need("scout", Some("check")), need("choria", None)]));
        assert_eq!(outline.with, BTreeSet::from(["apache".to_owned()]));
        assert!(outline.calls.contains("config_item") && outline.variables.contains("foo"), "{outline:?}");
        assert!(!outline.variables.contains("bar") && !outline.variables.contains("state"), "{outline:?}");
    }

    #[test]
    fn fields_of_the_element_are_written_out() {
        let rows = [
            ("any(fact('a'), .b > .c.d)", "any(fact('a'), #.b > #.c.d)"),
            ("any(a, {not .b and .c})", "any(a, {not #.b and #.c})"),
            ("a.b == choria().version and x[0].y", "a.b == choria().version and x[0].y"),
            ("'.b' == .5", "'.b' == .5"),
        ];
        for (text, expected) in rows {
            assert_eq!(outline(text, &known).expect("accepted").text, expected);
        }
    }

    #[test]
    fn what_could_grow_without_bound_is_refused() {
        let rows: &[(&str, &str)] = &[
            ("1..9999999999", "`..` must stand between"),
            ("1..len(agents)", "`..` must stand between"),
            ("0..1000", "`..` must stand between"),
            ("reduce(agents, #acc + #)", "`reduce` stands 1 times"),
            ("repeat('a', 100000000)", "`repeat` stands 1 times"),
            ("'a' matches fact('x')", "`matches` must be followed by a literal text"),
            ("'a' matches '\\\\w{900}'", ""),
            ("'a' matches `\\w{999}{999}`", "not a valid expression"),
            ("any(a, any(a, any(a, any(a, true))))", "loops"),
            ("let a=1;let b=2;let c=3; a", "`let` stands 3 times"),
            ("'abc", "a text is not closed with '"),
            ("/* a", "a comment is not closed"),
        ];
        for (text, expected) in rows {
            match outline(text, &known) {
                Ok(_) => assert!(expected.is_empty(), "{text} was accepted"),
                Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{text}: {why}"),
            }
        }
        for (part, times) in [("(", 17), ("[", 11), ("1+", 9), ("-1 ", 400), (" ", 5000), ("a?", 9), ("if ", 5)] {
            assert!(outline(&part.repeat(times), &known).is_err(), "{times} times {part}");
        }
        for text in ["any(1..3, # == 2)", "a ?? b", "all(fact('x'), {.y > 1})", "agents[-1] == 'x'", "'ä' == \"ö\\\"\""]
        {
            assert!(outline(text, &known).is_ok(), "{text}");
        }
    }
}
