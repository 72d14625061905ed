//! PEM blocks with headers, which the encryption of private keys on their way needs (RFC 1421).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// One block; its label is not kept, for nothing is decided by it.
pub(crate) struct Block {
    headers: Vec<(String, String)>,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

impl Block {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The first block of `text`, which may have anything around it; `None` when there is none or it is damaged.
pub(crate) fn first(text: &str) -> Option<Block> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| label_of(line, "BEGIN").is_none());
    let label = label_of(lines.next()?, "BEGIN")?;
    let mut headers = Vec::new();
    let mut body = Zeroizing::new(String::new());
    for line in lines {
        if let Some(end) = label_of(line, "END") {
            let bytes = Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?);
            return (end == label).then_some(Block { headers, bytes });
        }
        match line.split_once(':') {
            Some((name, value)) if body.is_empty() => headers.push((name.trim().to_owned(), value.trim().to_owned())),
            Some(_) => return None,
            None => body.push_str(line),
        }
    }
    None
}

/// A block as text, 64 characters per line.
pub(crate) fn encode(label: &str, headers: &[(String, String)], bytes: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(bytes));
    // Enough from the start: a text that grows would leave copies of the key behind.
    let mut text = String::with_capacity(256 + body.len() + body.len() / 32 + headers.len() * 128);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if !headers.is_empty() {
        text.push('\n');
    }
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn label_of<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_prefix(kind)?.strip_prefix(' ')?.strip_suffix("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let headers = [("Proc-Type".to_owned(), "4,ENCRYPTED".to_owned())];
        for size in [0, 1, 47, 48, 49, 200] {
            let bytes = vec![7; size];
            let text = encode("X KEY", &headers, &bytes);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            let block = first(&format!("some words\n{text}more")).expect("a block");
            assert_eq!((block.header("Proc-Type"), &*block.bytes), (Some("4,ENCRYPTED"), &bytes));
            assert_eq!(block.header("DEK-Info"), None);
        }
    }

    #[test]
    fn refuses_damaged_blocks() {
        let rows = [
            ("no end", "-----BEGIN X-----\nAAAA\n"),
            ("other end", "-----BEGIN X-----\nAAAA\n-----END Y-----\n"),
            ("no base64", "-----BEGIN X-----\n####\n-----END X-----\n"),
            ("header after the body", "-----BEGIN X-----\nAAAA\na: b\n-----END X-----\n"),
        ];
        for (name, text) in rows {
            assert!(first(text).is_none(), "{name}");
        }
    }
}
