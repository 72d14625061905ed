//! Messages in a stream of bytes: JSON texts, each ended by a NUL byte. Pure.

/// Collects bytes and gives whole messages. Holds at most the limit and what was pushed last.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    /// So far there is no NUL.
    searched: usize,
    limit: usize,
}

/// A message is longer than is taken. Nothing more can be read from this stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message of more than {limit} bytes: this is the most that is taken")]
pub struct TooLong {
    /// The most bytes of a message, without its NUL.
    pub limit: usize,
}

impl Frames {
    /// Takes messages of at most `limit` bytes, without their NUL.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), searched: 0, limit }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, without its NUL; `None` when more must be read.
    ///
    /// # Errors
    /// [`TooLong`], also for a message whose end was not seen yet.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let end = self.buffer[self.searched..].iter().position(|byte| *byte == 0).map(|at| at + self.searched);
        if end.unwrap_or(self.buffer.len()) > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let rest = self.buffer.split_off(end + 1);
        let mut message = std::mem::replace(&mut self.buffer, rest);
        message.truncate(end);
        self.searched = 0;
        Ok(Some(message))
    }

    /// Bytes of a message whose end was not read yet; after [`next_message`](Self::next_message) gave `None`.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

/// `message` with the byte that ends it.
#[must_use]
pub fn framed(mut message: Vec<u8>) -> Vec<u8> {
    message.push(0);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_however_the_bytes_arrive() {
        let stream = b"{}\0{\"a\":1}\0\0x\0";
        for step in 1..=stream.len() {
            let mut frames = Frames::new(7);
            let mut got = Vec::new();
            for bytes in stream.chunks(step) {
                frames.push(bytes);
                while let Some(message) = frames.next_message().expect("none is too long") {
                    got.push(message);
                }
            }
            assert_eq!(got, [&b"{}"[..], b"{\"a\":1}", b"", b"x"], "{step} bytes at a time");
            assert_eq!(frames.pending(), 0);
        }
    }

    #[test]
    fn a_long_message_is_refused_before_its_end_is_seen() {
        let rows: [(&str, &[u8], bool); 5] = [
            ("at the limit", b"1234\0", true),
            ("one more", b"12345\0", false),
            ("at the limit, unended", b"1234", true),
            ("one more, unended", b"12345", false),
            ("after a short one", b"1\x0012345", false),
        ];
        for (name, bytes, taken) in rows {
            let mut frames = Frames::new(4);
            frames.push(bytes);
            let mut result = frames.next_message();
            if let Ok(Some(_)) = result {
                result = frames.next_message();
            }
            assert_eq!(result.is_ok(), taken, "{name}");
        }
    }
}
