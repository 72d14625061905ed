//! Hosts agents: takes messages from the network, decides which are for this node and allowed, runs them, answers.
//!
//! | module | holds |
//! |---|---|
//! | `admit` | [`Candidate`] → [`Admitted`] or a [`Refusal`]: pure, with the node and the time as arguments (spec 02 §9) |
//! | `replay` | [`Replays`]: a request is served once |
//! | [`authorize`] | [`Authorized`], the only thing an action accepts (spec 03b §9) |
//! | [`policy`] | what an administrator's rules say: pure, shared with the AAA service (spec 03b §9, 07 §9) |
//! | `audit` | [`Audit`], the RPC audit log (spec 03b §10) |
//! | `agent`, `action` | [`Agent`], and [`Rpc`] for agents that speak RPC |
//! | `roster` | [`Roster`]: which agents a server hosts and where it listens for them |
//! | `node` | [`Node`]: what agents may know about the server they run in |
//! | `stamp` | files that are read again when they changed |
//! | `sources` | facts and classes, read again only when their files changed |
//! | `stats` | the counters of spec 02 §9 |
//! | `data` | data providers for filters and `rpcutil#get_data` |
//! | `pipeline` | bytes of a message → bytes of the reply, without the network |
//! | `times` | how long requests take |
//! | `announcer` | [`Announcer`], lifecycle events of a host |
//! | `status` | [`Status`], the status file of a host |
//! | `host` | [`Host`], the only loop |
//! | [`builtin`] | `discovery`, `rpcutil`, `choria_util` |
//!
//! It knows no configuration of a role and no systemd: service hosts, provisioning mode and the signer of the AAA
//! service host agents, too.

mod action;
mod admit;
mod agent;
mod announcer;
mod audit;
pub mod authorize;
pub mod builtin;
mod data;
mod host;
mod node;
mod pipeline;
pub mod policy;
mod replay;
mod roster;
mod sources;
mod stamp;
mod stats;
mod status;
mod times;

pub use action::{Actions, Rpc};
pub use admit::{Admitted, Candidate, Refusal};
pub use agent::{Agent, Metadata, Unanswered};
pub use announcer::Announcer;
pub use audit::{Audit, AuditError};
pub use authorize::{Authorization, Authorized, Call, Denied};
pub use host::{Drained, Host, Pulse};
pub use node::{Broker, Node};
pub use pipeline::Response;
pub use replay::{Remembered, Replay, Replays};
pub use roster::{InvalidAgent, Roster};
pub use sources::{ClassSource, FactSource};
pub use stamp::Stamp;
pub use stats::{Counter, Counts, Stats};
pub use status::Status;
pub use times::HandlingTimes;

/// Version of this software, as agents and events report it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
