//! Many real servers in one process, to load a network and to see what a node costs (spec 04 §12).
//!
//! | module | holds |
//! |---|---|
//! | `plan` | [`Plan`]: how many, who issues their tokens, where they connect |
//! | `fleet` | [`Fleet`]: the servers, started a few at a time |
//! | `candidates` | [`run_candidates`]: servers that wait to be provisioned, each with files of its own |
//! | `report` | [`Report`]: counters, memory, handling times |
//!
//! Each server is a `server::Server` with its own key, token and connection; TLS configuration, verified tokens, facts,
//! classes, agents and settings are shared. Tokens are issued in memory: nothing is written.

mod candidates;
mod fleet;
mod plan;
mod report;

pub use candidates::{CandidateError, CandidatePlan, Progress, run_candidates};
pub use fleet::{Error, Fleet, run};
pub use plan::Plan;
pub use report::Report;
