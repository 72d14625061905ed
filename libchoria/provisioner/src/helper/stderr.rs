//! What a helper writes on standard error, for the log: bounded, on lines of their own, without secrets.

use daemon::redact_tokens;

/// The lines of `text` that are worth logging, at most 20 of at most 300 characters. Tokens, private keys and `secrets` are
/// replaced.
pub(crate) fn lines(text: &str, secrets: &[&str]) -> Vec<String> {
    let mut shown = Vec::new();
    let mut in_key = false;
    for line in text.lines() {
        if line.contains("PRIVATE KEY-----") {
            let begins = line.contains("BEGIN");
            if begins {
                shown.push("[private key]".to_owned());
            }
            in_key = begins && !line.contains("-----END");
            continue;
        }
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if in_key || line.trim().is_empty() {
            continue;
        }
        let mut line = redact_tokens(line.trim_end()).into_owned();
        for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
            line = line.replace(*secret, "[secret]");
        }
        shown.push(line.chars().take(LONGEST_LINE).collect());
    }
    if shown.len() > MOST_LINES {
        let more = shown.len() - MOST_LINES;
        shown.truncate(MOST_LINES);
        shown.push(format!("… and {more} more lines"));
    }
    shown
}

/// Replacing shorter texts would make the log unreadable and hide nothing that cannot be guessed.
const SHORTEST_SECRET: usize = 4;
const MOST_LINES: usize = 20;
const LONGEST_LINE: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_the_log() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\nMIIdef\n-----END RSA PRIVATE KEY-----";
        let rows = [
            ("a\nb\n", &["a", "b"][..]),
            ("", &[]),
            ("\n \n", &[]),
            ("the token is eyJhbGciOi.J9.x and s3cret", &["the token is [token] and [secret]"]),
            ("x\u{1b}[31mred\u{7}", &["x [31mred "]),
            ("a b c", &["a b c"]),
        ];
        for (text, expected) in rows {
            let expected: Vec<String> = expected.iter().map(|line| line.trim_end().to_owned()).collect();
            let got: Vec<String> =
                lines(text, &["s3cret", "b"]).iter().map(|line| line.trim_end().to_owned()).collect();
            assert_eq!(got, expected, "{text:?}");
        }
        assert_eq!(lines(&format!("before\n{key}\nafter"), &[]), ["before", "[private key]", "after"]);
        let cut = key.lines().take(2).collect::<Vec<_>>().join("\n");
        assert_eq!(lines(&cut, &[]), ["[private key]"]);
    }

    #[test]
    fn a_flood_is_cut() {
        let flood = lines(&format!("{}\n{}", "x".repeat(1000), "y\n".repeat(100)), &[]);
        assert_eq!(flood.len(), MOST_LINES + 1);
        assert_eq!(flood[0].len(), LONGEST_LINE);
        assert_eq!(flood[MOST_LINES], "… and 81 more lines");
    }
}
