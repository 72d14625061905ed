//! The Varlink interfaces under `/run/choria`: what local programs ask the daemons of this machine, both halves.
//!
//! | module | holds |
//! |---|---|
//! | [`varlink`] | the protocol: messages, a server's accept loop, a blocking client |
//! | [`submission`] | `io.choria.Submission`: messages are handed in, to the socket or straight to the spool |
//! | [`daemon`] | `io.choria.Daemon`: how any other daemon does |
//! | [`server`] | `io.choria.Server`: the server's status, facts, and judgement of tokens |

pub mod daemon;
pub mod server;
pub mod submission;
pub mod varlink;
