//! Remote procedure calls: bodies, DDL documents, discovery, and the client that asks a fleet and gathers its answers.
//!
//! | module | holds |
//! |---|---|
//! | [`body`], `status` | what is asked and answered: [`RequestBody`], [`ReplyBody`], [`StatusCode`] |
//! | [`ddl`] | what agents can do: documents, finding them, inputs from text, validation |
//! | `filter_arguments`, [`discovery`] | from flags to filters, from filters to nodes |
//! | [`plan`], [`progress`] | who is asked, and who has answered; no clock, no sockets |
//! | [`client`] | requests, services and pings over one connection |
//! | [`stats`], [`aggregate`], [`reply_filter`] | what the answers come to |
//! | [`document`], [`json_text`], [`chart`], [`number`] | results as JSON and text |
//! | [`suggest`] | "did you mean" |
//! | `service`, `signer` | services the client itself asks: signatures, documents |
//!
//! The signed envelopes belong to *protocol* and *security*, the connection to *network*, agents to *agents*.

pub mod aggregate;
pub mod body;
pub mod chart;
pub mod client;
pub mod ddl;
pub mod discovery;
pub mod document;
mod filter_arguments;
pub mod json_text;
pub mod number;
pub mod plan;
pub mod progress;
pub mod reply_filter;
mod service;
mod signer;
pub mod stats;
mod status;
pub mod suggest;

pub use body::{InvalidBody, ReplyBody, RequestBody};
pub use filter_arguments::FilterArguments;
pub use service::ServiceError;
pub use signer::{HttpSigner, HttpSignerError, ServiceSigner, SignerError};
pub use status::StatusCode;
