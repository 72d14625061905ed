//! The submission service: takes messages from local programs into the spool, whatever the server is doing.
//!
//! It needs a spool and nothing else: no configuration, no network, no server, and it starts none of them.
//!
//! | module | holds |
//! |---|---|
//! | `program` | [`run`]: from arguments to exit code; systemd's socket, or one of our own |
//! | `settings` | what the configuration says, and what holds without one |
//! | `service` | `io.choria.Submission` |
//! | `accounts` | names and groups of callers, remembered for a while |
//! | `committer` | many messages, one round of waiting for the disk |
//! | `shelf` | the spool as it is now, opened anew when it was replaced |
//! | `counters` | what is counted |

mod accounts;
mod committer;
mod counters;
mod program;
mod service;
mod settings;
mod shelf;

pub use daemon::parse_idle;
pub use program::{Arguments, run};
