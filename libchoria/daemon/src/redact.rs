//! Hides tokens in text of others before it reaches a log.

use std::borrow::Cow;

/// `text` with everything that looks like a JWT replaced by `[token]`: a word that starts with `eyJ` (the encoded `{"`),
/// and all that hangs on it. A broker's log may quote the start of a CONNECT line, so a token that is cut off is hidden
/// as well.
#[must_use]
pub fn redact_tokens(text: &str) -> Cow<'_, str> {
    if !text.contains(START) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find(START) {
        let (before, found) = rest.split_at(position);
        let length = found.find(|c: char| !is_token_character(c)).unwrap_or(found.len());
        let within_word = before.chars().next_back().is_some_and(is_token_character);
        shown.push_str(before);
        shown.push_str(if within_word || length <= START.len() { &found[..length] } else { "[token]" });
        rest = &found[length..];
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

const START: &str = "eyJ";

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_tokens_and_nothing_else() {
        let rows = [
            ("nothing here", "nothing here"),
            ("", ""),
            ("token eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2ln done", "token [token] done"),
            (r#"CONNECT {"auth_token":"eyJhbGciOi"#, r#"CONNECT {"auth_token":"[token]"#),
            (r#"{"jwt":"eyJh.b","auth_token":"eyJh.c"}"#, r#"{"jwt":"[token]","auth_token":"[token]"}"#),
            ("monkeyJam", "monkeyJam"),
            ("eyJ", "eyJ"),
            ("user='eyJhé'", "user='[token]é'"),
        ];
        for (text, expected) in rows {
            assert_eq!(redact_tokens(text), expected, "{text:?}");
        }
    }
}
