//! The agents of a custom build, which the server hosts beside this project's. Usually there are none.

use agents::Agent;
use names::InvalidName;
use std::sync::Arc;

/// Every agent whose feature is on.
///
/// # Errors
/// An agent whose name is none.
pub fn agents() -> Result<Vec<Arc<dyn Agent>>, InvalidName> {
    let all: &[Vec<Arc<dyn Agent>>] = &[
        #[cfg(feature = "load")]
        choria_agent_load::agents()?,
    ];
    Ok(all.concat())
}
