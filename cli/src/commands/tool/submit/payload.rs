//! The payload of a message: a file or standard input, and never more of it than a message may have.

use anyhow::{Context, bail};
use std::fs::File;
use std::io::{self, ErrorKind, Read};

/// The word for standard input. Users of the existing command write `-- -`.
const STANDARD_INPUT: &str = "-";

/// Reads the payload from `source`, a file or `-`.
///
/// # Errors
/// When it cannot be read, is empty, or has more than `most` bytes, of which no more are read then.
pub(super) fn read(source: &str, most: u64) -> anyhow::Result<Vec<u8>> {
    if source == STANDARD_INPUT {
        return bounded(io::stdin().lock(), most).context("standard input");
    }
    let file = match File::open(source) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("payload {source} does not exist: it is a file, or - for standard input")
        }
        Err(error) => return Err(error).with_context(|| format!("payload {source} cannot be read")),
    };
    let kind = file.metadata().with_context(|| format!("payload {source} cannot be read"))?;
    if kind.is_dir() {
        bail!("payload {source} is a directory: give a file, or - for standard input");
    }
    if kind.is_file() && kind.len() > most {
        bail!("payload {source} has {} bytes: {}", kind.len(), limit(most));
    }
    bounded(file, most).with_context(|| format!("payload {source}"))
}

fn bounded(input: impl Read, most: u64) -> anyhow::Result<Vec<u8>> {
    let mut payload = Vec::new();
    input.take(most.saturating_add(1)).read_to_end(&mut payload).context("cannot be read")?;
    if payload.len() as u64 > most {
        bail!("it has more than {most} bytes: {}", limit(most));
    }
    if payload.is_empty() {
        bail!("payload is empty");
    }
    Ok(payload)
}

/// Where the limit stands.
fn limit(most: u64) -> String {
    format!("plugin.choria.submission.max_message_size allows {most}; send a reference to the data instead")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_bounds() {
        let endless = || io::repeat(b'x');
        assert_eq!(bounded(&b"12345"[..], 5).expect("as many as allowed"), b"12345");
        let error = format!("{:#}", bounded(endless(), 5).expect_err("one too many"));
        assert!(error.contains("max_message_size allows 5"), "{error}");
        assert_eq!(bounded(&b""[..], 5).expect_err("empty").to_string(), "payload is empty");
    }

    #[test]
    fn files_are_refused_before_they_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("small"), "Hello").expect("written");
        // Takes no room on the disk.
        File::create(path("huge")).and_then(|file| file.set_len(1 << 40)).expect("made");
        assert_eq!(read(&path("small"), 5).expect("read"), b"Hello");
        let rows = [
            (path("huge"), "has 1099511627776 bytes"),
            (path("none"), "does not exist"),
            (folder.path().display().to_string(), "is a directory"),
        ];
        for (source, expected) in rows {
            let error = format!("{:#}", read(&source, 5).expect_err(expected));
            assert!(error.contains(expected), "{error}");
        }
    }
}
