//! The part of C-like format strings that DDL documents use in summaries, for example `%s Tests on %d node(s)`.

use crate::number;

/// One value for a format string.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    Count(u64),
    Float(f64),
}

/// Fills `arguments` into `format`: `%`, then optionally `-` or `0`, a width, `.` and a precision, then one of
/// `s v d f F g e q` (a verb that does not suit its value prints the value as it is). `%%` is a percent sign. Verbs without
/// a value print nothing, and values without a verb are left out. A width or precision counts up to 255.
pub(super) fn fill(format: &str, arguments: &[Argument<'_>]) -> String {
    let mut out = String::with_capacity(format.len() + 16);
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        let (verb, after) = Verb::read(&rest[start + 1..]);
        match (verb.letter, after) {
            ('%', _) => out.push('%'),
            _ => {
                if let Some(argument) = arguments.next() {
                    out.push_str(&verb.show(*argument));
                }
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[derive(Debug)]
struct Verb {
    left: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    letter: char,
}

impl Verb {
    /// Reads what follows a percent sign; a format that ends there reads as a percent sign.
    fn read(text: &str) -> (Self, &str) {
        let flags = text.len() - text.trim_start_matches(['-', '0', '+', ' ', '#']).len();
        let (width, rest) = read_number(&text[flags..]);
        let (precision, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (precision, rest) = read_number(rest);
                (Some(precision), rest)
            }
            None => (None, rest),
        };
        let letter = rest.chars().next();
        let flags = &text[..flags];
        let verb = Self {
            left: flags.contains('-'),
            zeros: flags.contains('0') && !flags.contains('-'),
            width,
            precision,
            letter: letter.unwrap_or('%'),
        };
        (verb, &rest[letter.map_or(0, char::len_utf8)..])
    }

    fn show(&self, argument: Argument<'_>) -> String {
        let text = match (argument, self.letter) {
            (Argument::Text(text), 'q') => format!("{text:?}"),
            (Argument::Text(text), _) => text.chars().take(self.precision.unwrap_or(usize::MAX)).collect(),
            (Argument::Count(count), _) => count.to_string(),
            (Argument::Float(float), 'f' | 'F') => format!("{float:.*}", self.precision.unwrap_or(6)),
            (Argument::Float(float), 'e') => format!("{float:.*e}", self.precision.unwrap_or(6)),
            (Argument::Float(float), 'd') => format!("{float:.0}"),
            (Argument::Float(float), _) => number::float_text(float),
        };
        let missing = self.width.saturating_sub(text.chars().count());
        let is_number = !matches!(argument, Argument::Text(_));
        match (self.left, self.zeros && is_number) {
            (true, _) => text + &" ".repeat(missing),
            (false, false) => " ".repeat(missing) + &text,
            (false, true) => match text.strip_prefix('-') {
                Some(digits) => format!("-{}{digits}", "0".repeat(missing)),
                None => "0".repeat(missing) + &text,
            },
        }
    }
}

/// A number up to 255 and what follows it; no digits mean 0.
fn read_number(text: &str) -> (usize, &str) {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = text[..digits].parse().unwrap_or(if digits == 0 { 0 } else { u8::MAX });
    (usize::from(number), &text[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_like_the_existing_tools() {
        use Argument::{Count, Float, Text};
        let rows: &[(&str, &[Argument<'_>], &str)] = &[
            ("%s Tests on %d node(s)", &[Text("4"), Count(2)], "4 Tests on 2 node(s)"),
            ("%s=%v", &[Text("a"), Count(2)], "a=2"),
            ("%5s|%-5s|%03d", &[Text("ab"), Text("cd"), Count(7)], "   ab|cd   |007"),
            ("%.3f %% %d", &[Float(25.775)], "25.775 % "),
            ("%f", &[Float(-1.5)], "-1.500000"),
            ("%08.2f", &[Float(-1.5)], "-0001.50"),
            ("%q %v", &[Text("a\"b"), Float(3.0)], "\"a\\\"b\" 3"),
            ("%.1s", &[Text("äöü")], "ä"),
            ("no verb", &[Text("a")], "no verb"),
            ("100%", &[Text("a")], "100%"),
            ("%99999999999s", &[Text("a")], &(" ".repeat(254) + "a")),
            ("%é %s", &[Text("a"), Text("b")], "a b"),
        ];
        for (format, arguments, expected) in rows {
            assert_eq!(fill(format, arguments), *expected, "{format}");
        }
    }
}
