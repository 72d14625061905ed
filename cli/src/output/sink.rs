//! Where results go: gathered in memory while they come fast, handed on as soon as there is a pause.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Bytes gathered before they are handed on without waiting for a pause.
const ENOUGH: usize = 64 * 1024;

/// Standard output or a file.
pub(crate) struct Sink {
    gathered: Vec<u8>,
    held: bool,
    behind: Box<dyn Write>,
}

impl Sink {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self::new(Box::new(io::stdout()))
    }

    /// A file, emptied first.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Box::new(File::create(path)?)))
    }

    /// Keeps everything until [`Sink::settle`], because something else is drawn on the same terminal.
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    /// Nothing more is to be written at the moment: hands on what was gathered.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn idle(&mut self) -> io::Result<()> {
        if self.held { Ok(()) } else { self.settle() }
    }

    /// Hands on everything.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        self.held = false;
        self.behind.write_all(&self.gathered)?;
        self.gathered.clear();
        self.behind.flush()
    }

    fn new(behind: Box<dyn Write>) -> Self {
        Self { gathered: Vec::new(), held: false, behind }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= ENOUGH {
            self.idle()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.idle()
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("gathered", &self.gathered.len()).field("held", &self.held).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Behind(Arc<Mutex<Vec<u8>>>);

    impl Write for Behind {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn results_are_handed_on_in_a_pause_unless_held() {
        let behind = Behind::default();
        let seen = || behind.0.lock().expect("not poisoned").len();
        let mut sink = Sink::new(Box::new(behind.clone()));
        writeln!(sink, "one").expect("written");
        assert_eq!(seen(), 0);
        sink.idle().expect("written");
        assert_eq!(seen(), 4);
        sink.hold();
        sink.write_all(&[b'x'; ENOUGH + 1]).expect("written");
        sink.idle().expect("nothing");
        assert_eq!(seen(), 4);
        sink.settle().expect("written");
        assert_eq!(seen(), 4 + ENOUGH + 1);
    }
}
