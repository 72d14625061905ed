//! Remote procedure calls: bodies, DDL documents, discovery, and the client that asks a fleet and gathers its answers.
//!
//! The signed envelopes belong to *protocol* and *security*, the connection to *network*, agents to *agents*.

pub mod body;
pub mod ddl;
mod status;

pub use body::{InvalidBody, ReplyBody, RequestBody};
pub use status::StatusCode;
