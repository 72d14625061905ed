//! Values as nats-server's configuration language writes them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// `text` as a string of nats-server's configuration language.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => write_hex(&mut out, c),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn write_hex(out: &mut String, c: char) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\x{:02X}", u32::from(c));
}

/// Configuration files are UTF-8; in any other path a replacement character only makes a path that does not exist.
pub(super) fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

pub(super) fn quoted_list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

/// Seconds with a fraction, as nats-server reads its time limits.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let rows = [
            ("plain", "\"plain\""),
            ("a\"}\nport: 1", "\"a\\\"}\\nport: 1\""),
            ("back\\slash", "\"back\\\\slash\""),
            ("$HOME", "\"$HOME\""),
            ("bell\u{7}", "\"bell\\x07\""),
            ("für", "\"für\""),
            ("", "\"\""),
        ];
        for (text, expected) in rows {
            assert_eq!(quoted(text), expected, "{text:?}");
        }
    }
}
