//! nats-server as a child process.
//!
//! | module | holds |
//! |---|---|
//! | `program` | finding the program and judging its version |
//! | `process` | running it: it dies with this process, and is stopped with a time limit |
//! | `output` | what it prints, as log records without secrets and floods |

mod output;
mod process;
mod program;

pub(crate) use output::Sampler;
pub(crate) use process::{Exit, Process, check};
pub use program::{Program, ProgramError, Version};
