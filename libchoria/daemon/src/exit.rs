//! How a daemon ends.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | stopped because it was asked to |
//! | 1 | failed to start, failed, or did not stop in time |
//! | 2 | wrong arguments |
//! | 75 | wants to be started again and could not do it by itself; units list it in `RestartForceExitStatus=` |

use std::process::ExitCode;

/// What the work of a daemon asks for when it ends without an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// End.
    Clean,
    /// Start the program anew with the same arguments, for example after provisioning wrote its configuration: the
    /// process replaces itself and keeps its number, with a service manager as without one, so that nothing depends on
    /// what a unit says about restarts.
    Restart,
}

/// Exit code that asks systemd for a restart.
pub const RESTART_EXIT_CODE: u8 = 75;

/// Reports an error that came before [`run`](crate::run()) could start the log: the whole chain on standard error, code 1.
#[must_use]
pub fn fail(name: &str, error: &anyhow::Error) -> ExitCode {
    eprintln!("{name}: {}", config::branded(&format!("{error:#}")));
    ExitCode::FAILURE
}
