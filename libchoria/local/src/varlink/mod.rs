//! Varlink (varlink.org): calls and replies in JSON over Unix sockets, each message ended by a NUL byte.
//!
//! | module | holds |
//! |---|---|
//! | `frame` | [`Frames`]: messages in a stream of bytes, pure |
//! | `message` | calls and replies as JSON; [`Parameters`], [`Failure`] |
//! | `service` | [`Service`]: what a daemon implements; `org.varlink.service` is answered here |
//! | `listener` | [`Listener`]: a socket of our own in place of a dead one, or a given one |
//! | `admission` | who may be connected: [`Bounds`] in all and for each user |
//! | `serve` | [`Server`]: the accept loop and one task for each connection; connections that outlive the process |
//! | `client` | [`Client`]: blocking, without a runtime |
//!
//! Not done: `upgrade` is refused, `more` gets the one reply there is.

mod admission;
mod client;
mod frame;
mod listener;
mod message;
mod serve;
mod service;

pub use admission::{Bounds, ROOT_RESERVE, SMALL};
pub use client::{CallError, Client, ConnectError, MOST_AHEAD};
pub use frame::{Frames, TooLong, framed};
pub use listener::{BindError, Listener};
pub use message::{ErrorReply, Failure, Parameters};
pub use serve::{Counts, Ended, REST, Server};
pub use service::{About, Answer, Call, Interface, Peer, Service, Turn, answer};
