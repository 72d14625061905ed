//! Asking the fleet: from flags to nodes, from nodes to answers.

use crate::filters::{Reach, Selection};
use crate::session::Session;
use crate::standard_input;
use anyhow::Context;
use futures_util::FutureExt;
use names::{AgentName, Collective, Identity};
use protocol::Filter;
use rpc::client::{Call, Client, Event, NodeReply, Recipients};
use rpc::ddl::{Action, AgentDdl};
use rpc::discovery::{Discovery, DiscoveryArguments};
use rpc::plan::Plan;
use rpc::stats::Stats;
use serde_json::{Map, Value};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Some nodes answered with a failure.
const NODES_FAILED: u8 = 2;

/// No node failed, and some did not answer.
pub(crate) const NODES_SILENT: u8 = 3;

/// The exit codes of commands that ask the fleet, for their help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  every node succeeded
  1  the command could not be carried out
  2  some nodes failed
  3  none failed, but some did not answer";

/// Which nodes are meant and how they will be found.
#[derive(Debug)]
pub(crate) struct Search {
    filter: Filter,
    discovery: Discovery,
    collective: Option<Collective>,
}

/// The nodes that were found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Each once, in the order in which they were found.
    pub(crate) nodes: Vec<Identity>,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Search {
    /// What the flags mean for a request to `agent`. A list of nodes is taken from standard input when there is one and
    /// neither `--dm` nor `--nodes` was given.
    ///
    /// # Errors
    /// When a filter, the collective or the discovery method cannot be used.
    pub(crate) fn new(
        session: &Session,
        agent: &AgentName,
        reach: &Reach,
        selection: &Selection,
    ) -> anyhow::Result<Self> {
        let filter = reach.filter(Some(agent)).context("could not parse filters")?;
        let collective = reach.collective()?;
        let from_input = selection.method.is_none() && selection.nodes.is_none();
        let arguments = DiscoveryArguments {
            method: selection.method.map(|method| method.name().to_owned()),
            nodes: selection.nodes.clone(),
            options: reach.discovery_options.iter().cloned().collect(),
            collective: collective.clone(),
            timeout: selection.discovery_timeout.map(|seconds| Duration::from_secs(seconds.into())),
            windowed: selection.discovery_window,
            piped: if from_input { standard_input::document()? } else { None },
        };
        let discovery = arguments.choose(&filter, session.settings())?;
        Ok(Self { filter, discovery, collective })
    }

    /// The method's word, as shown to users.
    pub(crate) fn word(&self) -> &str {
        self.discovery.word()
    }

    /// The nodes, when they can be told without a connection.
    ///
    /// # Errors
    /// When a list of nodes cannot be used.
    pub(crate) fn offline(&self) -> anyhow::Result<Option<Found>> {
        let began = Instant::now();
        let nodes = self.discovery.offline(&self.filter).context("could not discover nodes")?;
        Ok(nodes.map(|nodes| Found { nodes, took: began.elapsed() }))
    }

    /// The nodes. None is no error.
    ///
    /// # Errors
    /// When the fleet cannot be asked, or a list of nodes cannot be used.
    pub(crate) async fn nodes(&self, client: &Client) -> anyhow::Result<Found> {
        let began = Instant::now();
        let nodes = self.discovery.nodes(client, &self.filter).await.context("could not discover nodes")?;
        Ok(Found { nodes, took: began.elapsed() })
    }

    /// The part of the fleet that is asked; the main collective unless given.
    pub(crate) fn collective(&self) -> Option<&Collective> {
        self.collective.as_ref()
    }
}

/// Asks all `found` nodes for `action` at once, hands each answer to `take`, and tells how it went.
///
/// # Errors
/// When no node was found, the request cannot be sent, or `take` fails.
pub(crate) async fn ask(
    client: &Client,
    (ddl, action): (&AgentDdl, &Action),
    inputs: Map<String, Value>,
    found: Found,
    collective: Option<&Collective>,
    mut take: impl FnMut(&NodeReply),
) -> anyhow::Result<Stats> {
    anyhow::ensure!(
        !found.nodes.is_empty(),
        "did not discover any nodes; choria doctor tells whether any can be reached"
    );
    let recipients = Recipients::Nodes(Plan::new(found.nodes, None, None)?);
    let mut call = Call::new(ddl, action, inputs, recipients)?;
    call.collective = collective.cloned();
    call.discovery_time = found.took;
    let mut replies = client.request(call).await.context("could not perform request")?;
    while let Some(event) = replies.next().await {
        match event.context("could not perform request")? {
            Event::Reply(reply) if reply.body.status.is_ok() => take(&reply),
            Event::Reply(reply) => tracing::error!("{} failed: {}", reply.sender(), reply.body.message),
            Event::Unexpected(reply) => tracing::debug!("an answer of {} was not expected", reply.sender()),
            Event::Invalid(invalid) => tracing::warn!("{invalid}"),
            Event::Done(stats) => return Ok(stats),
        }
    }
    Ok(replies.stats())
}

/// What `next` resolves to; when it is not ready at once, `idle` runs before it is waited for.
///
/// # Errors
/// Those of `idle`.
pub(crate) async fn or_idle<Output>(
    mut next: impl Future<Output = Output> + Unpin,
    idle: impl FnOnce() -> std::io::Result<()>,
) -> std::io::Result<Output> {
    if let Some(ready) = (&mut next).now_or_never() {
        return Ok(ready);
    }
    idle()?;
    Ok(next.await)
}

/// The exit code that tells how the nodes fared.
pub(crate) fn exit_code(stats: &Stats) -> ExitCode {
    if stats.failed > 0 {
        ExitCode::from(NODES_FAILED)
    } else if stats.responses == 0 || !stats.silent.is_empty() {
        ExitCode::from(NODES_SILENT)
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn stats(responses: usize, failed: usize, silent: &[&str]) -> Stats {
        Stats {
            request: "3MPX6Dc3omI5tWJx7tpNWUtkvJi".parse().expect("an id"),
            agent: "rpcutil".parse().expect("an agent"),
            action: "ping".to_owned(),
            discovered: responses + silent.len(),
            responses,
            ok: responses - failed,
            failed,
            silent: silent.iter().map(|name| name.parse().expect("an identity")).collect(),
            unexpected: Vec::new(),
            signed: 0,
            lost: 0,
            started: SystemTime::UNIX_EPOCH,
            request_time: Duration::ZERO,
            publish_time: Duration::ZERO,
            discovery_time: Duration::ZERO,
        }
    }

    #[test]
    fn exit_codes_tell_how_the_nodes_fared() {
        let rows = [
            ("all succeeded", stats(2, 0, &[]), ExitCode::SUCCESS),
            ("one failed", stats(2, 1, &[]), ExitCode::from(2)),
            ("one failed, one is silent", stats(1, 1, &["n2"]), ExitCode::from(2)),
            ("one is silent", stats(1, 0, &["n2"]), ExitCode::from(3)),
            ("a service did not answer", stats(0, 0, &[]), ExitCode::from(3)),
        ];
        for (name, stats, expected) in rows {
            assert_eq!(format!("{:?}", exit_code(&stats)), format!("{expected:?}"), "{name}");
        }
    }

    #[test]
    fn idling_happens_only_before_a_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut idled = 0;
            let mut idle = || {
                idled += 1;
                Ok(())
            };
            or_idle(std::future::ready(()), &mut idle).await.expect("ready");
            or_idle(std::pin::pin!(tokio::task::yield_now()), &mut idle).await.expect("later");
            assert_eq!(idled, 1);
        });
    }
}
