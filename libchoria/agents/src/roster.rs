//! Which agents a server hosts, and where it listens for them (spec 03a §1.5, 02 §5).

use crate::agent::{Agent, Metadata};
use names::{AgentName, Collective, Identity};
use protocol::subjects;
use std::sync::Arc;
use std::time::Duration;

/// The agents of a server, sorted by name. Servers of one process may share it.
#[derive(Debug, Default)]
pub struct Roster {
    names: Vec<AgentName>,
    agents: Vec<Arc<dyn Agent>>,
}

/// An agent that cannot be hosted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAgent {
    /// Two agents have one name.
    #[error("agent {0} is there twice; each agent can be hosted once")]
    Duplicate(AgentName),
    /// Its requests could never end in time.
    #[error("agent {0} has a timeout below one second")]
    Timeout(AgentName),
}

/// A subject to listen on, as a member of a queue group if there is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listening {
    pub(crate) subject: String,
    pub(crate) queue: Option<String>,
}

impl Roster {
    /// Hosts `agents`; of a host of `services_only`, those that are services.
    ///
    /// # Errors
    /// [`InvalidAgent`].
    pub fn new(agents: Vec<Arc<dyn Agent>>, services_only: bool) -> Result<Self, InvalidAgent> {
        let mut agents = agents;
        agents.retain(|agent| agent.metadata().service || !services_only);
        agents.sort_by(|left, right| left.metadata().name.cmp(&right.metadata().name));
        let names: Vec<AgentName> = agents.iter().map(|agent| agent.metadata().name.clone()).collect();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(InvalidAgent::Duplicate(pair[0].clone()));
        }
        if let Some(agent) = agents.iter().find(|agent| agent.metadata().timeout < Duration::from_secs(1)) {
            return Err(InvalidAgent::Timeout(agent.metadata().name.clone()));
        }
        Ok(Self { names, agents })
    }

    /// The names of the agents, sorted.
    #[must_use]
    pub fn names(&self) -> &[AgentName] {
        &self.names
    }

    /// What the agents say about themselves, sorted by name.
    pub fn metadata(&self) -> impl Iterator<Item = &Metadata> {
        self.agents.iter().map(|agent| agent.metadata())
    }

    /// The agent of this name.
    pub(crate) fn find(&self, name: &AgentName) -> Option<&Arc<dyn Agent>> {
        self.names.binary_search(name).ok().and_then(|at| self.agents.get(at))
    }

    /// Every subject to listen on: each agent in each collective, and the node itself where direct requests arrive.
    /// There is no wildcard for all agents, so that requests for agents that are not here are not even sent here.
    pub(crate) fn listen(&self, collectives: &[Collective], node: Option<&Identity>) -> Vec<Listening> {
        let mut all = Vec::new();
        for collective in collectives {
            for metadata in self.metadata() {
                let name = &metadata.name;
                all.push(if metadata.service {
                    let subject = subjects::broadcast_service(collective, name);
                    Listening { subject, queue: Some(name.to_string()) }
                } else {
                    Listening { subject: subjects::broadcast_agent(collective, name), queue: None }
                });
            }
            all.extend(node.map(|identity| Listening { subject: subjects::node(collective, identity), queue: None }));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn a_server_listens_for_each_agent_and_for_itself() {
        let roster = Roster::new(builtin::agents().expect("agents"), false).expect("a roster");
        let collectives: Vec<Collective> = ["choria", "uk"].map(|name| name.parse().expect("a collective")).into();
        let identity = "n1.example.net".parse().expect("a name");
        let subjects: Vec<String> =
            roster.listen(&collectives, Some(&identity)).into_iter().map(|listening| listening.subject).collect();
        assert_eq!(
            subjects,
            [
                "choria.broadcast.agent.choria_util",
                "choria.broadcast.agent.discovery",
                "choria.broadcast.agent.rpcutil",
                "choria.node.n1.example.net",
                "uk.broadcast.agent.choria_util",
                "uk.broadcast.agent.discovery",
                "uk.broadcast.agent.rpcutil",
                "uk.node.n1.example.net",
            ]
        );
    }

    #[test]
    fn a_service_host_hosts_services_only() {
        let roster = Roster::new(builtin::agents().expect("agents"), true).expect("a roster");
        assert!(roster.names().is_empty());
        assert_eq!(roster.listen(&["choria".parse().expect("a collective")], None), []);
    }

    #[test]
    fn twins_are_refused() {
        let twins = [builtin::agents().expect("agents"), builtin::agents().expect("agents")].concat();
        let error = Roster::new(twins, false).expect_err("twice the same").to_string();
        assert_eq!(error, "agent choria_util is there twice; each agent can be hosted once");
    }
}
