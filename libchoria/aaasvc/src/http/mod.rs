//! Logins and signatures over HTTP (spec 07 §3).
//!
//! | module | holds |
//! |---|---|
//! | `protocol` | which request gets which status and body, pure |
//! | `api` | from a request to its answer |
//! | `encryption` | HTTPS, with files that may be replaced |
//! | `serve` | connections and their limits |
//!
//! HTTP/1.1, kept alive. The original also speaks HTTP/2, which no client of this API asks for.

mod api;
mod encryption;
mod protocol;
mod serve;

pub(crate) use api::Api;
pub(crate) use encryption::{Encryption, check as check_encryption};
pub(crate) use serve::{Server, open};

pub use encryption::EncryptionError;

#[cfg(test)]
mod tests;
