//! The documents that Rego policies judge (spec 03b §9.2, §9.3; 07 §9.2).

use serde_json::{Map, Value, json};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a policy in a token sees, package `io.choria.aaasvc`.
#[derive(Clone, Debug)]
pub struct AaaInput<'a> {
    /// The agent that is called.
    pub agent: &'a str,
    /// Its action.
    pub action: &'a str,
    /// The inputs of the action; anything but an object is shown as an empty one.
    pub data: &'a Value,
    /// The node the request came from.
    pub sender: &'a str,
    /// The collective it is for.
    pub collective: &'a str,
    /// How long it counts, in seconds.
    pub ttl: u64,
    /// When it was made.
    pub time: SystemTime,
    /// `server` on nodes, the configured site in the AAA service.
    pub site: &'a str,
    /// Every claim of the caller's token.
    pub claims: Value,
}

/// What a policy file of a node sees, package `io.choria.mcorpc.authpolicy`.
#[derive(Clone, Debug)]
pub struct NodeInput<'a> {
    /// The agent that is called.
    pub agent: &'a str,
    /// Its action.
    pub action: &'a str,
    /// Who calls.
    pub caller: &'a str,
    /// The collective the request is for.
    pub collective: &'a str,
    /// The inputs of the action; anything but an object is shown as an empty one.
    pub data: &'a Value,
    /// How long the request counts, in seconds.
    pub ttl: u64,
    /// When it was made.
    pub time: SystemTime,
    /// The node's facts.
    pub facts: Value,
    /// Its classes, sorted.
    pub classes: &'a [String],
    /// The agents it hosts, sorted.
    pub agents: Vec<&'a str>,
    /// Whether it waits to be provisioned.
    pub provision_mode: bool,
}

impl AaaInput<'_> {
    /// As `input` of a policy.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "agent": self.agent,
            "action": self.action,
            "data": object(self.data),
            "sender": self.sender,
            "collective": self.collective,
            "ttl": self.ttl,
            "time": written(self.time),
            "site": self.site,
            "claims": self.claims,
        })
    }
}

impl NodeInput<'_> {
    /// As `input` of a policy.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "agent": self.agent,
            "action": self.action,
            "callerid": self.caller,
            "collective": self.collective,
            "data": object(self.data),
            "ttl": self.ttl,
            "time": written(self.time),
            "facts": self.facts,
            "classes": self.classes,
            "agents": self.agents,
            "provision_mode": self.provision_mode,
        })
    }
}

/// A request without inputs has none, rather than the null that some clients send.
fn object(data: &Value) -> Value {
    if data.is_object() { data.clone() } else { Value::Object(Map::new()) }
}

/// RFC 3339, UTC, with as many digits of the second as it has.
fn written(time: SystemTime) -> String {
    // Only years beyond 9999 cannot be written, and no request that is still in time has such a one.
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn documents_have_the_keys_of_the_original() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_714_558_830, 500_000_000);
        let aaa = AaaInput {
            agent: "puppet",
            action: "status",
            data: &Value::Null,
            sender: "n1",
            collective: "choria",
            ttl: 60,
            time,
            site: "server",
            claims: json!({"callerid": "up=jo"}),
        };
        let expected = json!({
            "agent": "puppet", "action": "status", "data": {}, "sender": "n1", "collective": "choria", "ttl": 60,
            "time": "2024-05-01T10:20:30.5Z", "site": "server", "claims": {"callerid": "up=jo"},
        });
        assert_eq!(aaa.to_value(), expected);
        let node = NodeInput {
            agent: "puppet",
            action: "status",
            caller: "up=jo",
            collective: "choria",
            data: &json!({"a": 1}),
            ttl: 60,
            time,
            facts: json!({"os": "x"}),
            classes: &["apache".to_owned()],
            agents: vec!["discovery", "puppet"],
            provision_mode: false,
        };
        let expected = json!({
            "agent": "puppet", "action": "status", "callerid": "up=jo", "collective": "choria", "data": {"a": 1},
            "ttl": 60, "time": "2024-05-01T10:20:30.5Z", "facts": {"os": "x"}, "classes": ["apache"],
            "agents": ["discovery", "puppet"], "provision_mode": false,
        });
        assert_eq!(node.to_value(), expected);
    }
}
