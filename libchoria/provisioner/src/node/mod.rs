//! What is done with one node (spec 06 §6).
//!
//! | module | holds |
//! |---|---|
//! | `steps` | which step comes next: a function over what is known of the node |
//! | `round` | the loop that performs the steps |
//! | `answers` | what nodes answer, judged |
//! | `csr`, `deny_list` | signing requests of nodes, and names they must not have |
//! | `server_token` | the token a node is given (spec 06 §8) |
//! | `versions` | comparing versions of packages |

mod answers;
mod csr;
mod deny_list;
mod failure;
mod round;
mod server_token;
mod steps;
mod versions;

pub use answers::Malformed;
pub use csr::InvalidCsr;
pub use deny_list::DenyList;
pub use failure::{Failure, Fault};
pub use round::{Outcome, Pace};
pub use server_token::TokenError;
pub use steps::Features;

pub(crate) use answers::{NodeKey, SigningRequest};
pub(crate) use round::{Bench, Round};
