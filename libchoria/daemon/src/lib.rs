//! What every daemon of Choria does alike: start, say so, log, obey signals, stop in time (spec 04 §2.2, §2.3).
//!
//! A daemon's `main` reads its arguments and configuration, fills [`Options`] and calls [`run()`] with the role's work:
//!
//! ```no_run
//! # use choria_daemon as daemon;
//! # use std::process::ExitCode;
//! fn main() -> ExitCode {
//!     let options = daemon::Options::new("choria-example");
//!     daemon::run(options, |context| async move {
//!         context.ready();
//!         context.stop().cancelled().await;
//!         Ok(daemon::Exit::Clean)
//!     })
//! }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `run` | [`run()`] and [`Options`]: runtime, signals, forced exit |
//! | `context` | [`Context`], what the work may ask for |
//! | `exit` | [`Exit`] and the exit codes |
//! | `notify`, `watchdog` | systemd's notifications, and signs of life |
//! | `status_socket` | [`answer_status`]: `io.choria.Daemon`, what local tools may ask |
//! | `beat` | [`Beat`]: a sign of life that comes from a loop which is not the daemon's own |
//! | `store` | [`Context::keep`]: descriptors that outlive a restart |
//! | [`logging`] | journal, standard error or JSON file |
//! | `redact` | [`redact_tokens`], for text of others that is passed on to the log |
//! | [`metrics`] | the statistics endpoint: Prometheus metrics over HTTP |
//! | [`sockets`] | descriptors of the service manager, by name |
//! | `credentials`, `pid_file` | [`credential`] files of the unit; the PID file |
//!
//! Works the same without systemd: then nothing is notified and the log goes to standard error.

mod beat;
mod context;
mod credentials;
mod exit;
pub mod logging;
pub mod metrics;
mod notify;
mod pid_file;
mod redact;
mod run;
pub mod sockets;
mod status_socket;
mod store;
mod watchdog;

pub use beat::Beat;
pub use context::{Context, Reloads};
pub use credentials::{credential, tell_of_credentials};
pub use exit::{Exit, RESTART_EXIT_CODE, fail};
pub use redact::redact_tokens;
pub use run::{Options, Threads, parse_idle, run};
pub use sockets::{SocketError, Sockets};
pub use status_socket::answer_status;
