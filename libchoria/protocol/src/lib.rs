//! Messages of the Choria network, versions 1 and 2, the filters they carry and the subjects they travel on.
//!
//! A message has three layers (spec 02 §2, §3): [`Transport`] holds the bytes of a [`SecureRequest`] or [`SecureReply`],
//! which holds the bytes of a [`Request`] or [`Reply`], which holds what an agent reads. Both generations are read into
//! the same types; `v1` and `v2` know how each is written. Everything here is a function over values: no sockets, no
//! clock, and no judgement about who may sign what.

pub mod facts;
pub mod filter;
mod ids;
mod invalid;
mod read;
mod reply;
mod request;
mod secure;
pub mod subjects;
pub mod transport;
mod v1;
mod v2;
mod version;
mod write;

pub use filter::Filter;
pub use ids::new_request_id;
pub use invalid::{Counter, Invalid};
pub use reply::Reply;
pub use request::{Expired, Request};
pub use secure::{INSECURE, SecureReply, SecureRequest};
pub use transport::{Federation, Headers, Transport};
pub use version::{Layer, Version};

/// Largest layer that is read, in bytes. NATS brokers cap messages at 1 MiB unless told otherwise and advise against
/// more than 8 MiB.
pub const MAX_SIZE: usize = 8 * 1024 * 1024;
