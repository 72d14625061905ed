//! What people and programs read: pure renderers, each writing to anything that takes bytes (spec 09 §2).

pub(crate) mod colour;
pub(crate) mod columns;
pub(crate) mod footer;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod progress;
pub(crate) mod senders;
pub(crate) mod sink;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod value;

#[cfg(test)]
mod recorded;

use names::Identity;
use rpc::ReplyBody;
use std::borrow::Cow;
use std::time::SystemTime;

/// One node's answer, as renderers take it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// The node that answered.
    pub(crate) sender: &'a Identity,
    /// What it answered.
    pub(crate) body: &'a ReplyBody,
    /// When, by its clock.
    pub(crate) time: SystemTime,
}

/// The columns of the terminal that standard output is; nothing when it is none.
pub(crate) fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0)
}

/// `text` with control characters written out, so that a node cannot steer the terminal of who reads its answer.
/// Newlines and tabs stay.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let clean = |character: char| match character {
        control if steers(control) => control.escape_default().to_string(),
        other => other.to_string(),
    };
    Cow::Owned(text.chars().map(clean).collect())
}
