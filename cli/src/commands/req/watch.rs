//! The progress bar of a request, on standard error while that is a terminal.

use crate::output::progress::Bar;
use crate::session::Session;
use rpc::client::Call;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

/// What a person sees while answers come in.
#[derive(Debug)]
pub(super) struct Watch {
    bar: Option<Bar>,
}

impl Watch {
    /// Draws a bar at zero. A terminal too narrow for it gets one line instead, and anything else nothing.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn start(session: &Session, call: &Call, count: usize) -> io::Result<Self> {
        let mut stream = io::stderr();
        if !stream.is_terminal() {
            return Ok(Self { bar: None });
        }
        let columns = terminal_size::terminal_size_of(&stream).map_or(80, |(width, _)| width.0);
        let mut bar = Bar::new(count, columns, session.palette(&stream));
        match &mut bar {
            Some(bar) => bar.draw(&mut stream, Instant::now())?,
            None => writeln!(stream, "Invoking {}#{} action\n", call.agent, call.action)?,
        }
        Ok(Self { bar })
    }

    /// Whether something is drawn that other output would break.
    pub(super) fn is_drawn(&self) -> bool {
        self.bar.is_some()
    }

    /// Counts one answer.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        self.bar.as_mut().map_or(Ok(()), |bar| bar.advance(&mut io::stderr(), Instant::now()))
    }

    /// Leaves the bar as it is.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) fn finish(self) -> io::Result<()> {
        self.bar.map_or(Ok(()), |bar| bar.finish(&mut io::stderr(), Instant::now()))
    }
}
