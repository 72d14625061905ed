//! The command line as bash hands it over: one text, the place of the cursor, and the characters at which bash's line
//! editor thinks that a word begins.

/// A line up to the cursor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    /// The words behind the name of the program; the last one is being written and may be empty.
    pub(super) words: Vec<String>,
    /// How many characters of the last word the line editor leaves alone, because it sees a word of its own behind them.
    kept: usize,
    /// Whether the last word is inside quotes.
    quoted: bool,
}

impl Line {
    /// Takes `text` apart up to the byte `point` as a shell does: spaces, both kinds of quotes, backslashes, and what
    /// stands behind the last `;`, `|` or `&`.
    pub(super) fn parse(text: &str, point: usize, breaks: &str) -> Self {
        let point = (0..=point.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        let mut words = vec![String::new()];
        let (mut quote, mut escaped, mut begun, mut kept) = (None, false, false, 0);
        for character in text[..point].chars() {
            let last = words.len() - 1;
            let word = &mut words[last];
            match (quote, character) {
                _ if escaped => {
                    word.push(character);
                    escaped = false;
                }
                (None | Some('"'), '\\') => {
                    escaped = true;
                    begun = true;
                }
                (Some(open), _) if open == character => quote = None,
                (Some(_), _) => word.push(character),
                (None, '\'' | '"') => {
                    quote = Some(character);
                    begun = true;
                }
                (None, ' ' | '\t' | '\n') => {
                    if begun {
                        words.push(String::new());
                        (begun, kept) = (false, 0);
                    }
                }
                (None, ';' | '|' | '&' | '(') => {
                    words = vec![String::new()];
                    (begun, kept) = (false, 0);
                }
                (None, _) => {
                    word.push(character);
                    begun = true;
                    if breaks.contains(character) {
                        kept = word.chars().count();
                    }
                }
            }
        }
        words.remove(0);
        if words.is_empty() {
            words.push(String::new());
        }
        Self { words, kept, quoted: quote.is_some() }
    }

    /// What the line editor shall put in place of its own last word for the whole word `value`.
    pub(super) fn replacement(&self, value: &str) -> String {
        let rest: String = value.chars().skip(self.kept).collect();
        if self.quoted { rest } else { escaped(&rest) }
    }
}

/// `text` with a backslash before what a shell would read as something else.
fn escaped(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.,:/=@%+".contains(c);
    text.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'><=;|&(:";

    #[test]
    fn lines_are_taken_apart_as_a_shell_does() {
        let rows: [(&str, &[&str]); 12] = [
            ("choria", &[""]),
            ("choria ", &[""]),
            ("choria re", &["re"]),
            ("choria req ", &["req", ""]),
            ("choria  req  'a b' c\\ d", &["req", "a b", "c d"]),
            ("choria req \"a \\\" b", &["req", "a \" b"]),
            ("choria req '' ", &["req", "", ""]),
            ("echo x; choria pi", &["pi"]),
            ("echo $(choria pi", &["pi"]),
            ("choria req x y fact=o", &["req", "x", "y", "fact=o"]),
            ("choria req -S 'a && b' rp", &["req", "-S", "a && b", "rp"]),
            ("choria --display=o", &["--display=o"]),
        ];
        for (text, expected) in rows {
            assert_eq!(Line::parse(text, text.len(), BREAKS).words, expected, "{text}");
        }
        assert_eq!(Line::parse("choria req rpcutil", 9, BREAKS).words, ["re"], "up to the cursor");
        assert_eq!(Line::parse("choria é", 8, BREAKS).words, [""], "in the middle of a character");
    }

    #[test]
    fn words_are_replaced_behind_the_last_break() {
        let rows = [
            ("choria req rp", "rpcutil", "rpcutil"),
            ("choria req x y mode=f", "mode=fast", "fast"),
            ("choria req x y mode=", "mode=fast", "fast"),
            ("choria req --display=o", "--display=ok", "ok"),
            ("choria req x y mode=", "mode=a b", "a\\ b"),
            ("choria req x y 'mode=", "mode=a b", "mode=a b"),
        ];
        for (text, value, expected) in rows {
            assert_eq!(Line::parse(text, text.len(), BREAKS).replacement(value), expected, "{text}");
        }
        let line = Line::parse("choria req x y mode=f", 21, " \t");
        assert_eq!(line.replacement("mode=fast"), "mode=fast", "where = is no break");
    }
}
