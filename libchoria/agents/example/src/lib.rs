//! The agent `load`: how busy a node is. An example of an agent that an organisation compiles in.
//!
//! It holds what such a crate needs: its metadata, one action, and [`agents()`], which the build asks for. Clients read
//! `ddl/load.json`.

use agents::{Actions, Agent, Authorized, Metadata, Node, Rpc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use names::InvalidName;
use rpc::ReplyBody;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What is compiled in.
///
/// # Errors
/// Never: the name is valid; it is said by type rather than by a panic.
pub fn agents() -> Result<Vec<Arc<dyn Agent>>, InvalidName> {
    Ok(vec![Arc::new(Rpc(Load::new()?))])
}

/// The agent; it keeps nothing, so one serves all servers of a process.
#[derive(Debug)]
struct Load(Metadata);

impl Load {
    fn new() -> Result<Self, InvalidName> {
        Ok(Self(Metadata {
            license: "Apache-2.0".into(),
            author: "The Choria Project".into(),
            timeout: Duration::from_secs(5),
            name: "load".parse()?,
            version: env!("CARGO_PKG_VERSION").into(),
            url: "https://choria.io".into(),
            description: "How busy a node is".into(),
            provider: "".into(),
            service: false,
        }))
    }
}

impl Actions for Load {
    fn metadata(&self) -> &Metadata {
        &self.0
    }

    fn knows(&self, action: &str) -> bool {
        action == "read"
    }

    fn run(&self, call: Authorized, _node: Arc<Node>) -> BoxFuture<'_, ReplyBody> {
        async move {
            let text = match tokio::fs::read_to_string(LOAD).await {
                Ok(text) => text,
                Err(error) => return call.aborted(format!("{LOAD} cannot be read: {error}")),
            };
            match Averages::parse(&text) {
                Some(averages) => call.ok(&averages),
                None => call.aborted(format!("{LOAD} does not begin with three numbers")),
            }
        }
        .boxed()
    }
}

/// The reply of `read`: processes that ran or waited to run, on average over so many minutes.
#[derive(Debug, PartialEq, Serialize)]
struct Averages {
    one: f64,
    five: f64,
    fifteen: f64,
}

impl Averages {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self { one: next()?, five: next()?, fifteen: next()? })
    }
}

const LOAD: &str = "/proc/loadavg";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read() {
        let wanted = Averages { one: 0.5, five: 1.25, fifteen: 2.0 };
        assert_eq!(Averages::parse("0.50 1.25 2.00 1/123 4567\n"), Some(wanted));
        assert_eq!(Averages::parse("0.50 x"), None);
    }

    #[test]
    fn there_is_one_agent() {
        let all = agents().expect("agents");
        assert_eq!(all.iter().map(|agent| agent.metadata().name.as_str()).collect::<Vec<_>>(), ["load"]);
    }
}
