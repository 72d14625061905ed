//! The NATS subjects that messages travel on (spec 02 §5, §8).

use names::{AgentName, CallerId, Collective, Identity, NetworkId, RequestId};

/// The reply subject of messages that want no reply, such as registration data.
pub const NO_REPLY: &str = "dev.null";

/// The agent that receives registration data, see [`broadcast_agent`].
pub const REGISTRATION_AGENT: &str = "registration";

/// Most nodes that one federated message may name as targets; larger sets are sent in groups.
pub const FEDERATION_GROUP: usize = 200;

/// Where every node of `collective` listens for requests to `agent`.
#[must_use]
pub fn broadcast_agent(collective: &Collective, agent: &AgentName) -> String {
    format!("{collective}.broadcast.agent.{agent}")
}

/// Where the hosts of the service `agent` listen, sharing the work in the queue group named after the agent.
#[must_use]
pub fn broadcast_service(collective: &Collective, agent: &AgentName) -> String {
    format!("{collective}.broadcast.service.{agent}")
}

/// Where one node listens for requests to it alone.
#[must_use]
pub fn node(collective: &Collective, identity: &Identity) -> String {
    format!("{collective}.node.{identity}")
}

/// Where `caller` listens for the replies to the request `id`.
#[must_use]
pub fn reply(collective: &Collective, caller: &CallerId, id: &RequestId) -> String {
    format!("{}.{id}", inbox_prefix(collective, caller.as_str()))
}

/// The beginning of all reply subjects of `owner`, a caller id or the identity of a server.
#[must_use]
pub fn inbox_prefix(collective: &Collective, owner: &str) -> String {
    format!("{collective}.reply.{}", NetworkId::of(owner))
}

/// Where the federation broker of `cluster` takes requests from clients.
#[must_use]
pub fn federation_requests(cluster: &str) -> String {
    format!("choria.federation.{cluster}.federation")
}

/// Where the federation broker of `cluster` takes replies from the fleet.
#[must_use]
pub fn federation_replies(cluster: &str) -> String {
    format!("choria.federation.{cluster}.collective")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_the_documented_ones() {
        let collective: Collective = "choria".parse().unwrap();
        let agent: AgentName = "rpcutil".parse().unwrap();
        let rows = [
            (broadcast_agent(&collective, &agent), "choria.broadcast.agent.rpcutil"),
            (broadcast_service(&collective, &agent), "choria.broadcast.service.rpcutil"),
            (node(&collective, &"n1.example.net".parse().unwrap()), "choria.node.n1.example.net"),
            (
                reply(&collective, &"up=bob".parse().unwrap(), &"2Q3".parse().unwrap()),
                "choria.reply.72dc525f8fe0064c0372c1fb3d729560.2Q3",
            ),
            (inbox_prefix(&collective, "up=bob"), "choria.reply.72dc525f8fe0064c0372c1fb3d729560"),
            (federation_requests("fed1"), "choria.federation.fed1.federation"),
            (federation_replies("fed1"), "choria.federation.fed1.collective"),
        ];
        for (subject, expected) in rows {
            assert_eq!(subject, expected);
        }
    }
}
