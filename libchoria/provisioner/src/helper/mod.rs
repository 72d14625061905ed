//! The site's own program that decides about nodes (spec 06 §7).
//!
//! | module | holds |
//! |---|---|
//! | `input` | what it is told: one JSON object on standard input |
//! | `program` | running it, bounded in time and output |
//! | `stderr` | what of its standard error goes to the log |
//! | `decision` | what it answered, judged before any of it goes to a node |

mod decision;
mod input;
mod program;
mod stderr;

pub use decision::{Bundle, Decision, Refused, ServerWishes};
pub use program::{Helper, HelperError, LARGEST_OUTPUT};

pub(crate) use input::Input;
