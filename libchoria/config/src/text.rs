//! Reads the lines of one configuration file (spec 04b §1.1).

/// One line of a file that says something, with its number counted from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Line<'a> {
    /// `key = value`, both trimmed, both not empty.
    Setting { number: u32, key: &'a str, value: &'a str },
    /// A line that sets nothing, because it has no `=` or nothing before or after it.
    Ignored { number: u32, text: &'a str },
    /// A line longer than [`LONGEST_LINE`]. The original silently stops reading the file there.
    TooLong { number: u32 },
}

/// The lines of `text` that are not empty and not comments. There is no quoting, escaping or continuation, and a `#`
/// later in a line belongs to the value. A byte order mark at the start is dropped.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').zip(1..).filter_map(|(line, number)| {
        if line.len() > LONGEST_LINE {
            return Some(Line::TooLong { number });
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            return Some(Line::Ignored { number, text: line });
        }
        Some(Line::Setting { number, key, value })
    })
}

/// Bytes of the longest line that is read, without its newline.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_line_is_told_apart() {
        let setting = |key, value| Some(Line::Setting { number: 1, key, value });
        let ignored = |text| Some(Line::Ignored { number: 1, text });
        let rows = [
            ("", None),
            ("   ", None),
            ("# a = b", None),
            ("  # a = b", None),
            ("a=b", setting("a", "b")),
            ("  a  =  b c  ", setting("a", "b c")),
            ("a = b = c", setting("a", "b = c")),
            ("a = \"b\" # c", setting("a", "\"b\" # c")),
            ("a b = c\r", setting("a b", "c")),
            ("\u{feff}a = b", setting("a", "b")),
            ("a =", ignored("a =")),
            ("= b", ignored("= b")),
            ("a", ignored("a")),
        ];
        for (text, wanted) in rows {
            assert_eq!(lines(text).next(), wanted, "{text:?}");
        }
    }

    #[test]
    fn lines_are_numbered_and_bounded() {
        let text =
            format!("# first\n\na = b\nx = {}\nc = d\ny={}", "y".repeat(LONGEST_LINE), "z".repeat(LONGEST_LINE - 2));
        let numbers: Vec<(u32, bool)> = lines(&text)
            .map(|line| match line {
                Line::Setting { number, .. } => (number, true),
                Line::Ignored { number, .. } | Line::TooLong { number } => (number, false),
            })
            .collect();
        assert_eq!(numbers, [(3, true), (4, false), (5, true), (6, true)]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*|([a-z.]{0,5}[ =#\n\r~,:]{0,3}){0,20}") {
            for line in lines(&text) {
                if let Line::Setting { key, value, .. } = line {
                    prop_assert!(!key.is_empty() && !value.is_empty() && !key.contains('='));
                }
            }
        }
    }
}
