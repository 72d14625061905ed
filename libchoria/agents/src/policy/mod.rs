//! Decisions about calls as administrators write them: no files, no clock, no network.
//!
//! | module | holds |
//! |---|---|
//! | [`rego`] | [`rego::Policy`]: Rego of either dialect, prepared once |
//! | [`action_policy`] | policy files, line by line, and their groups |
//! | [`action_list`] | the claim `agents` of tokens |
//! | `input` | the documents that Rego policies judge |
//! | `outline` | what is looked at in a Rego text before it is parsed: limits, cycles |
//! | `functions` | what policies in tokens may ask about a request's filter |
//! | `times` | what policies may ask about the time, in UTC |
//! | `cache` | [`Policies`]: prepared policies by their text |
//! | `evaluator` | [`Evaluator`]: evaluation on threads of its own, within a time |

pub mod action_list;
pub mod action_policy;
mod cache;
mod evaluator;
mod functions;
mod input;
mod outline;
pub mod rego;
mod times;

pub use cache::Policies;
pub use evaluator::{Evaluator, Undecided};
pub use input::{AaaInput, NodeInput};

/// What a stranger wrote, as a log may show it: 256 characters of it, none that a terminal obeys.
pub(crate) fn shown(text: &str) -> String {
    let printable = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().take(256).map(printable).collect()
}
