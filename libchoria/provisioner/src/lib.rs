//! The role of a Choria provisioner: finds servers that have no configuration, asks the site's helper what they shall be, and
//! makes them that (spec 06 §4-§10).
//!
//! | module | holds |
//! |---|---|
//! | `settings` | [`Settings`], the provisioner's own configuration file |
//! | `program` | [`run`], from arguments to exit code |
//! | `provisioner` | [`Provisioner`] → [`Running`], and the [`Parts`] it is made of |
//! | `work` | the one task: connects, hears of nodes, gives them to workers, stops in time |
//! | `intake` | startup events of nodes |
//! | [`queue`] | which node is next; no clock, no tasks |
//! | `election` | one of several provisioners leads |
//! | `calls` | asking nodes over the one connection |
//! | `node` | the steps for one node, and judging what it says |
//! | `helper` | the site's program that decides, and judging what it answers |
//! | `audit`, `counts`, `live`, `exporter` | what happened, for people and machines |
//!
//! One connection carries everything; each worker is a task that asks, waits, decides. What a node or the helper says is data:
//! a node can neither answer for another one nor make the provisioner fail, the helper can choose neither whose token is
//! signed nor who issues it.

mod audit;
mod calls;
mod counts;
mod election;
mod exporter;
mod helper;
mod intake;
mod live;
mod node;
mod program;
mod provisioner;
pub mod queue;
mod settings;
mod work;

pub use calls::CallError;
pub use counts::{Ask, Counter, Counts};
pub use helper::{Bundle, Decision, Helper, HelperError, LARGEST_OUTPUT, Refused, ServerWishes};
pub use live::Live;
pub use node::{DenyList, Failure, Fault, Features, InvalidCsr, Malformed, Outcome, Pace, TokenError};
pub use program::{Arguments, run};
pub use provisioner::{Error, Parts, PartsError, Provisioner, Running, STOP_LIMIT};
pub use settings::{Credentials, Problem, Problems, Secret, Settings, Signing, Upgrades};
