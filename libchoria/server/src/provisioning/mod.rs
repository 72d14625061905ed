//! Provisioning: whether a server waits to be configured, and how it connects while it does (spec 06 §1, §2).
//!
//! | module | holds |
//! |---|---|
//! | `token` | [`ProvisioningToken`], the node's `provisioning.jwt`, or what is compiled in |
//! | `credentials` | the test of the server's own token and seed |
//! | `decision` | [`decide`]: pure, once per process |
//! | `preparation` | [`prepare`]: reads the files, decides, gives the settings to start with |
//! | `defaults` | the settings and the connection of a server that is being provisioned |
//! | `targets` | [`targets()`]: where it would connect |
//!
//! Nothing here changes a file: credentials are replaced by the agent `choria_provision` only, when new ones have come.

mod credentials;
mod decision;
mod defaults;
mod preparation;
mod targets;
mod token;

pub use credentials::CredentialFault;
pub use decision::{Configured, Decision, Found, Reason, Refusal, TokenFound, decide};
pub use preparation::{PrepareError, Prepared, prepare};
pub use targets::{TargetsError, targets};
pub use token::{InvalidToken, ProvisioningToken, SYSTEM_TOKEN, in_force};

pub(crate) use credentials::judge;
pub(crate) use defaults::network;
