//! `io.choria.Submission`: messages are handed in, to the socket of `choria-submit` or straight to the spool.
//!
//! | module | holds |
//! |---|---|
//! | `parameters` | what a call of `Submit` says |
//! | `status` | [`Status`], the answer to `Status` |
//! | `client` | [`Client`], blocking; [`SubmitError`] |
//! | `hand_in` | [`submit`], [`submit_many`], [`status`](fn@status): by socket or spool, whichever there is |

mod client;
mod hand_in;
mod parameters;
mod status;

pub use client::{Client, SubmitError};
pub use hand_in::{status, submit, submit_many};
pub use parameters::{Submission, Submitted};
pub use status::{Counters, Limits, Status, Waiting};

use crate::varlink::Interface;

/// The interface.
pub const INTERFACE: Interface =
    Interface { name: "io.choria.Submission", text: include_str!("../../interfaces/io.choria.Submission.varlink") };
