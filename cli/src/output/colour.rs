//! Colours, only where somebody sees them.

use std::fmt::{self, Display};

/// The colours of this program (spec 09 §2.5).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Colour {
    /// Nothing worked.
    Red,
    /// Everything worked.
    Green,
    /// Something needs a look.
    Yellow,
    /// A heading.
    White,
}

/// Whether a stream takes colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    enabled: bool,
}

/// What decides about colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes<'a> {
    /// Whether the stream is a terminal.
    pub(crate) terminal: bool,
    /// The setting `color`.
    pub(crate) setting: bool,
    /// `NO_COLOR`; any text but the empty one turns colours off.
    pub(crate) no_color: Option<&'a str>,
    /// `TERM`; `dumb` turns colours off.
    pub(crate) term: Option<&'a str>,
}

impl Palette {
    /// No colours.
    pub(crate) const PLAIN: Self = Self { enabled: false };

    /// Colours when everybody agrees.
    pub(crate) fn new(wishes: Wishes<'_>) -> Self {
        let refused = wishes.no_color.is_some_and(|text| !text.is_empty()) || wishes.term == Some("dumb");
        Self { enabled: wishes.terminal && wishes.setting && !refused }
    }

    /// `text` in `colour`, or as it is.
    pub(crate) fn paint<Text: Display>(self, colour: Colour, text: Text) -> Painted<Text> {
        Painted { code: self.enabled.then(|| colour.code()), text }
    }
}

/// A text that prints itself in its colour.
#[derive(Debug)]
pub(crate) struct Painted<Text> {
    code: Option<u8>,
    text: Text,
}

impl<Text: Display> Display for Painted<Text> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.text),
            None => self.text.fmt(f),
        }
    }
}

impl Colour {
    /// The SGR code of the foreground.
    fn code(self) -> u8 {
        match self {
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::White => 97,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_need_a_terminal_and_nobody_against() {
        let yes = Wishes { terminal: true, setting: true, no_color: None, term: Some("xterm") };
        let cases = [
            ("all agree", yes, true),
            ("an empty NO_COLOR is no wish", Wishes { no_color: Some(""), ..yes }, true),
            ("NO_COLOR", Wishes { no_color: Some("1"), ..yes }, false),
            ("a dumb terminal", Wishes { term: Some("dumb"), ..yes }, false),
            ("a pipe", Wishes { terminal: false, ..yes }, false),
            ("color = false", Wishes { setting: false, ..yes }, false),
        ];
        for (name, wishes, expected) in cases {
            let painted = Palette::new(wishes).paint(Colour::Red, "x").to_string();
            assert_eq!(painted, if expected { "\x1b[31mx\x1b[0m" } else { "x" }, "{name}");
        }
    }
}
