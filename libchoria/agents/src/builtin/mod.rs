//! The agents every server has (spec 03b §1 to §3).
//!
//! None holds state of a server, so one value of each serves all servers of a process.

mod choria_util;
mod discovery;
mod rpcutil;

use crate::VERSION;
use crate::action::Rpc;
use crate::agent::{Agent, Metadata};
use names::InvalidName;
use std::sync::Arc;
use std::time::Duration;

/// `choria_util`, `discovery` and `rpcutil`.
///
/// # Errors
/// Never: the names are valid; it is said by type rather than by a panic.
pub fn agents() -> Result<Vec<Arc<dyn Agent>>, InvalidName> {
    Ok(vec![
        Arc::new(Rpc(choria_util::ChoriaUtil::new()?)),
        Arc::new(discovery::Discovery::new()?),
        Arc::new(Rpc(rpcutil::RpcUtil::new()?)),
    ])
}

/// Metadata of a compiled agent.
fn metadata(name: &str, description: &'static str, url: &'static str, seconds: u64) -> Result<Metadata, InvalidName> {
    Ok(Metadata {
        license: "Apache-2.0".into(),
        author: "R.I.Pienaar <rip@devco.net>".into(),
        timeout: Duration::from_secs(seconds),
        name: name.parse()?,
        version: VERSION.into(),
        url: url.into(),
        description: description.into(),
        provider: "".into(),
        service: false,
    })
}
