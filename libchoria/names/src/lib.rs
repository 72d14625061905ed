//! Validated words: the names that appear in subjects, messages and tokens.
//!
//! A string becomes one of these types at the edge or is refused there; nothing inside checks again.
//! Holds no messages, no files and no clock.

mod network_id;
mod word;

pub use network_id::NetworkId;
pub use word::{AgentName, CallerId, Collective, Identity, InvalidName, RequestId};
