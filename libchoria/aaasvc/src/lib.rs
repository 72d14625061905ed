//! The Choria AAA service: logins over HTTPS, signatures over HTTPS and RPC, authorization and audit (spec 07).
//!
//! | module | holds |
//! |---|---|
//! | `program` | [`run`], from arguments to exit code |
//! | `crypt` | [`crypt`], hashes for the user list |
//! | `settings` | the configuration file, judged; every problem at once |
//! | `http` | the listener, its limits, statuses and bodies |
//! | `login` | names and passwords become tokens |
//! | `sign` | requests of token holders become signed requests; the agent `aaa_signer` |
//! | `audit` | who learns of it |
//! | `live` | what a reload replaces |
//! | `metrics` | what is counted |
//! | `beat` | signs of life for the watchdog |

mod audit;
mod beat;
mod crypt;
mod http;
mod json;
mod live;
mod login;
mod metrics;
mod program;
mod settings;
mod sign;
#[cfg(test)]
mod testing;

pub use crypt::crypt;
pub use daemon::parse_idle;
pub use http::EncryptionError;
pub use program::{Arguments, run};
pub use settings::{InvalidDuration, Problem, Problems};
