//! A list of nodes piped in: the JSON document of another request (spec 09 §3.4).
//!
//! Unlike the existing client, which reads whatever standard input is to its end, this one looks only at files and
//! pipes, stops at the first byte that cannot begin a document, and gives up when nothing comes: a scheduler or a
//! remote shell may hold the other end open for ever.

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

/// The first byte of a piped document comes as soon as the other request has found its nodes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest document: ten thousand nodes with replies of several KiB.
const LONGEST: u64 = 256 * 1024 * 1024;

/// The document on standard input, or `None` when there is none.
///
/// # Errors
/// When a pipe stays silent for half a minute, cannot be read, or brings something that only begins like a document.
pub(crate) fn document() -> anyhow::Result<Option<String>> {
    let input = File::from(io::stdin().as_fd().try_clone_to_owned().context("could not open standard input")?);
    let kind = input.metadata().context("could not look at standard input")?.file_type();
    if kind.is_fifo() {
        let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, timeout).context("could not wait for standard input")? == 0 {
            bail!(
                "standard input is a pipe, and no list of nodes came through it within {} s: redirect it from \
                 /dev/null, or name a discovery method with --dm",
                PATIENCE.as_secs()
            );
        }
    } else if !kind.is_file() {
        return Ok(None);
    }
    read(input).context("could not read a list of nodes from standard input")
}

/// The whole of `input` when it begins and ends like a JSON object. Anything else is none of our business and is read no
/// further than the first byte that shows it.
fn read(mut input: impl Read) -> io::Result<Option<String>> {
    let mut first = [0];
    loop {
        match input.read(&mut first) {
            Ok(0) => return Ok(None),
            Ok(_) if first[0].is_ascii_whitespace() => {}
            Ok(_) if first[0] == b'{' => break,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut text = String::from("{");
    input.take(LONGEST).read_to_string(&mut text)?;
    if text.trim_end().ends_with('}') {
        Ok(Some(text))
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "it begins like a JSON document and ends in the middle"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documents_are_taken() {
        let rows: [(&str, Option<Option<&str>>); 5] = [
            ("", Some(None)),
            ("n1.example.net\n", Some(None)),
            (" \n\t", Some(None)),
            (" \n{\"replies\": []}\n", Some(Some("{\"replies\": []}\n"))),
            ("{\"replies\": [", None),
        ];
        for (text, expected) in rows {
            let got = read(text.as_bytes()).ok();
            assert_eq!(got, expected.map(|document| document.map(str::to_owned)), "{text:?}");
        }
    }

    #[test]
    fn other_input_is_not_consumed() {
        let mut input = "n1\nn2\n".as_bytes();
        assert_eq!(read(&mut input).expect("read"), None);
        assert_eq!(input, b"1\nn2\n");
    }
}
