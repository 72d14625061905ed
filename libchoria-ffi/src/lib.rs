//! `libchoria`: the C interface to submission, token verification and RPC (`include/choria.h` is generated from here).
//!
//! | module | holds |
//! |---|---|
//! | `library` | version, errors of this thread, freeing texts |
//! | `draft`, `submitter` | handing messages to this machine |
//! | `server_status` | this machine's server |
//! | `trust`, `token`, `seed` | whom to believe, tokens, keys |
//! | `received`, `consumer` | submissions on their way out of a stream |
//! | `client`, `request`, `replies`, `event` | asking the fleet |
//! | `runtime`, `forked`, `queue` | the thread for the network, what `fork()` does to it, what it hands over |
//! | `boundary` | the one door: panics and errors become numbered results |
//! | `result`, `failure`, `network_failure` | the numbers, and what becomes which |
//! | `handle`, `text` | pointers in and out |
//!
//! This is the only crate with `unsafe`, and only where a pointer crosses the boundary. What a pointer must be is said once,
//! at the top of the header; every function goes through `boundary` or its sisters.

#![allow(non_camel_case_types, reason = "these are the names of the C interface")]
#![allow(
    clippy::missing_safety_doc,
    reason = "the rules for pointers are the same for all functions and head the header"
)]
#![warn(unsafe_op_in_unsafe_fn)]

mod boundary;
mod client;
mod consumer;
mod draft;
mod event;
mod failure;
mod forked;
mod handle;
mod library;
mod network_failure;
mod queue;
mod received;
mod replies;
mod request;
mod result;
mod runtime;
mod seed;
mod server_status;
mod submitter;
mod text;
mod token;
mod trust;

pub use client::*;
pub use consumer::*;
pub use draft::*;
pub use event::*;
pub use library::*;
pub use received::*;
pub use replies::*;
pub use request::*;
pub use result::*;
pub use seed::*;
pub use server_status::*;
pub use submitter::*;
pub use token::*;
pub use trust::*;

#[cfg(test)]
mod tests;
