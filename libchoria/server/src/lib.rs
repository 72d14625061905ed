//! The role of a Choria Server: stays connected, hosts agents, tells the network and the system that it lives.
//!
//! | module | holds |
//! |---|---|
//! | `settings` | [`Settings`] of one server, and [`Parts`]: what it shares with others of the process |
//! | `server` | [`Server`] → [`Running`]: who starts a server owns its end |
//! | `work` | the one task of a server: connect, serve, say so, stop in time |
//! | `live`, `reload` | [`Live`]: what SIGHUP changes without a restart |
//! | `report` | the status line, and when to write the status file |
//! | `token` | how near the end of the token is |
//! | `exporter` | the metrics of a server (spec 04 §2.4) |
//! | `socket` | what local tools ask, `io.choria.Server` |
//! | `certificate` | when the client certificate expires |
//! | [`provisioning`] | whether a server waits to be provisioned, and how it connects (spec 06 §1, §2) |
//! | `provision_agent` | the agent `choria_provision` (spec 06 §3) |
//! | `control` | what that agent asks of its server |
//! | `program` | [`run`], what `choria-server` and `choria server run` have in common |
//!
//! A server is one task on whatever runtime starts it and holds no global state, so thousands fit in one process.

mod certificate;
mod control;
mod exporter;
mod live;
mod problems;
mod program;
mod provision_agent;
pub mod provisioning;
mod reload;
mod report;
mod server;
mod settings;
mod socket;
mod token;
mod work;

pub use agents::Status;
pub use control::{Control, Orders, Outcome, control};
pub use live::{Handle, Live};
pub use problems::{Problem, Problems};
pub use program::{Arguments, run};
pub use provision_agent::{ProvisionSetup, provision_agent};
pub use server::{Error, Running, Server};
pub use settings::{Parts, Settings, compiled_agents};
