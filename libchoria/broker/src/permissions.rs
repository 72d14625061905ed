//! The exact subjects each kind of connection may use (spec 01 §8), and the check that keeps one bad subject in a
//! token from refusing the whole connection.
//!
//! Pure: claims go in, lists come out.

use names::{Collective, Identity, NetworkId};
use sha2::{Digest, Sha256};
use tokens::{ClientClaims, ServerClaims};

/// What a connection may publish and subscribe to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Permissions {
    /// Limits on publishing.
    pub publish: Side,
    /// Limits on subscribing.
    pub subscribe: Side,
}

/// The subjects of one direction. Both lists empty: no limit. An allow list refuses everything else; a denied subject
/// is refused although it is allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Side {
    /// Subjects allowed, wildcards included.
    pub allow: Vec<String>,
    /// Subjects refused, wildcards included.
    pub deny: Vec<String>,
}

/// Permissions from a token together with the parts of it that were left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Derived {
    /// The lists to register.
    pub permissions: Permissions,
    /// One sentence for each claim that gives no permission because it is not a valid subject.
    pub skipped: Vec<String>,
}

impl Permissions {
    /// No limit in either direction: the provisioner and the system user, each inside its own account.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::allowing(Vec::new(), Vec::new())
    }

    /// Nothing at all, in either direction.
    #[must_use]
    pub fn nothing() -> Self {
        let side = Side { allow: Vec::new(), deny: texts(&[">"]) };
        Self { publish: side.clone(), subscribe: side }
    }

    /// The node `identity`, which waits to be provisioned: its own requests, and what every node is asked.
    ///
    /// Narrower than spec 01 §8.3, which lets such a node read and answer the requests of all others (spec 06 §10.1).
    /// Requests carry their reply subject inside (spec 02 §5) and not as NATS does, so nats-server cannot open it for
    /// one answer: every reply subject stays open, and what protects an answer is its last part, the random id of a
    /// request that only the node it was sent to has seen.
    #[must_use]
    pub fn provisioning_server(identity: &Identity) -> Self {
        let mut subscribe = vec![format!("provisioning.node.{identity}")];
        subscribe.extend(texts(PROVISIONING_SUBSCRIBE));
        Self::allowing(texts(PROVISIONING_PUBLISH), subscribe)
    }

    /// A connection with a verified certificate and no token while `client_hosts` is set (spec 01 §8.3, row e).
    #[must_use]
    pub fn default_server() -> Self {
        Self {
            publish: Side { allow: texts(&[">"]), deny: texts(DEFAULT_SERVER_PUBLISH_DENY) },
            subscribe: Side { allow: Vec::new(), deny: texts(DEFAULT_SERVER_SUBSCRIBE_DENY) },
        }
    }

    /// A connection with a verified certificate on a network of organization issuers: free messaging beside the
    /// subjects of the fleet (spec 01 §8.3, row g).
    #[must_use]
    pub fn messaging_only() -> Self {
        let side = Side { allow: texts(&[">"]), deny: texts(MESSAGING_DENY) };
        Self { publish: side.clone(), subscribe: side }
    }

    /// The same for a broker whose clients only watch: a connection with a certificate and no token may be a client or a
    /// server, so it may publish what servers must and nothing that reaches a node or a stream of others.
    #[must_use]
    pub fn without_requests(self) -> Self {
        let answers = Side { allow: texts(UNKNOWN_SERVER_PUBLISH), deny: Vec::new() };
        if self == Self::nothing() { self } else { Self { publish: answers, ..self } }
    }

    fn allowing(publish: Vec<String>, subscribe: Vec<String>) -> Self {
        Self {
            publish: Side { allow: publish, deny: Vec::new() },
            subscribe: Side { allow: subscribe, deny: Vec::new() },
        }
    }
}

/// The permissions of a client token in the account `choria` (spec 01 §8.1).
#[must_use]
pub fn client(claims: &ClientClaims) -> Derived {
    let granted = claims.granted();
    if granted.org_admin {
        return Derived { permissions: Permissions::allowing(texts(&[">"]), texts(&[">"])), skipped: Vec::new() };
    }

    let mut lists = Lists::default();
    lists.subscribe(&format!("*.reply.{}.>", claims.network_id()));
    lists.subscribe(&format!("*.reply.{}.>", long_network_id(&claims.caller_id)));
    lists.publish("$SYS.REQ.USER.INFO");
    lists.additional(&claims.additional_publish_subjects, &claims.additional_subscribe_subjects);

    if granted.streams_admin {
        lists.subscribe("$JS.EVENT.>");
        lists.publish("$JS.>");
    }
    if granted.streams_user {
        lists.subscribe(&format!("{}.republish.>", claims.organization_unit));
        lists.publish_all(STREAMS_USER_PUBLISH);
    }
    if granted.events_viewer {
        lists.subscribe_all(EVENTS_VIEWER_SUBSCRIBE);
    }
    if granted.election_user {
        lists.publish_all(ELECTION_USER_PUBLISH);
    }
    if granted.governor && (granted.streams_user || granted.streams_admin) {
        lists.publish_all(CLIENT_GOVERNOR_PUBLISH);
    }
    if granted.fleet_management || granted.signed_fleet_management {
        lists.publish_all(FLEET_MANAGEMENT_PUBLISH);
    }
    lists.derived()
}

/// The permissions of a client token on a broker that is read-only: it subscribes to what its token gives, and
/// publishes nothing but questions that change nothing. Reading a stream through a consumer is a change (consumers are
/// made, and acknowledging can delete), so messages are read one by one.
#[must_use]
pub fn watching_client(claims: &ClientClaims) -> Derived {
    let granted = claims.granted();
    let Derived { permissions, skipped } = client(claims);
    let mut publish = texts(&["$SYS.REQ.USER.INFO"]);
    if granted.org_admin || granted.streams_admin || granted.streams_user {
        publish.extend(texts(STREAMS_WATCHER_PUBLISH));
    }
    let publish = Side { allow: publish, deny: Vec::new() };
    Derived { permissions: Permissions { publish, subscribe: permissions.subscribe }, skipped }
}

/// The permissions of a server token in the account `choria` (spec 01 §8.2). `identity` is the token's identity.
///
/// A collective that is not a valid name gives nothing: `*` or `a.>` would reach into other collectives. Without any
/// valid collective the node may do nothing.
#[must_use]
pub fn server(claims: &ServerClaims, identity: &Identity) -> Derived {
    let mut lists = Lists::default();
    let mut collectives: Vec<Collective> = Vec::new();
    for name in &claims.collectives {
        match name.parse() {
            Ok(collective) => collectives.push(collective),
            Err(error) => lists.skipped.push(error.to_string()),
        }
    }
    if collectives.is_empty() {
        return Derived { permissions: Permissions::nothing(), skipped: lists.skipped };
    }

    lists.publish_all(SERVER_PUBLISH);
    lists.additional(&claims.additional_publish_subjects, &[]);
    for collective in &collectives {
        lists.server_collective(claims, collective, identity);
    }
    if claims.granted().streams {
        let api = if claims.organization_unit == "choria" { "$JS.API" } else { "choria.streams" };
        lists.subscribe(&format!("{}.republish.>", claims.organization_unit));
        for subject in SERVER_STREAMS_API {
            lists.publish(&format!("{api}.{subject}"));
        }
        lists.publish_all(&["$JS.ACK.>", "$JS.FC.>"]);
    }
    lists.derived()
}

impl Derived {
    /// The same for a broker that renames messages from `source` to `destination`, both wildcards included: nats-server
    /// judges a message by its new subject, so whoever may publish all of the old ones may publish the new ones.
    #[must_use]
    pub fn renamed(mut self, source: &str, destination: &str) -> Self {
        let publish = &mut self.permissions.publish.allow;
        if publish.iter().any(|allowed| covers(allowed, source)) {
            publish.push(destination.to_owned());
        }
        self
    }
}

/// Whether every subject that matches `narrow` matches `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some("*"), Some(part)) if part != ">" => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// Whether nats-server accepts `subject` in a permission list; one bad subject makes it refuse the connection
/// (spec 01 §14.3). The form `subject queue` is refused here too: it would narrow, not widen, what a token says.
fn is_permission_subject(subject: &str) -> bool {
    let printable = |c: char| !c.is_whitespace() && !c.is_control();
    subject.chars().all(printable) && subject.split('.').all(|part| !part.is_empty())
}

/// SHA-256 of `owner` in lower-case hexadecimal: the longer form of [`NetworkId`] that is granted beside it.
fn long_network_id(owner: &str) -> String {
    hex::encode(Sha256::digest(owner.as_bytes()))
}

fn texts(subjects: &[&str]) -> Vec<String> {
    subjects.iter().map(|subject| (*subject).to_owned()).collect()
}

/// The two allow lists while they are built.
#[derive(Default)]
struct Lists {
    publish: Vec<String>,
    subscribe: Vec<String>,
    skipped: Vec<String>,
}

impl Lists {
    fn publish(&mut self, subject: &str) {
        add(&mut self.publish, &mut self.skipped, subject);
    }

    fn subscribe(&mut self, subject: &str) {
        add(&mut self.subscribe, &mut self.skipped, subject);
    }

    fn publish_all(&mut self, subjects: &[&str]) {
        subjects.iter().for_each(|subject| self.publish(subject));
    }

    fn subscribe_all(&mut self, subjects: &[&str]) {
        subjects.iter().for_each(|subject| self.subscribe(subject));
    }

    fn additional(&mut self, publish: &[String], subscribe: &[String]) {
        publish.iter().for_each(|subject| self.publish(subject));
        subscribe.iter().for_each(|subject| self.subscribe(subject));
    }

    fn server_collective(&mut self, claims: &ServerClaims, collective: &Collective, identity: &Identity) {
        self.publish(&format!("{collective}.reply.>"));
        self.publish(&format!("{collective}.broadcast.agent.registration"));
        self.publish(&format!("choria.federation.{collective}.collective"));
        self.subscribe(&format!("{collective}.broadcast.agent.>"));
        self.subscribe(&format!("{collective}.node.{identity}"));
        self.subscribe(&format!("{collective}.reply.{}.>", NetworkId::of(identity.as_str())));
        self.subscribe(&format!("{collective}.reply.{}.>", long_network_id(identity.as_str())));
        if claims.granted().service_host {
            self.subscribe(&format!("{collective}.broadcast.service.>"));
        }
        if claims.granted().submission {
            self.publish(&format!("{collective}.submission.in.>"));
        }
        if claims.granted().governor && claims.granted().streams {
            self.publish(&format!("{collective}.governor.*"));
        }
    }

    fn derived(self) -> Derived {
        Derived { permissions: Permissions::allowing(self.publish, self.subscribe), skipped: self.skipped }
    }
}

fn add(list: &mut Vec<String>, skipped: &mut Vec<String>, subject: &str) {
    if is_permission_subject(subject) {
        list.push(subject.to_owned());
    } else {
        let shown: String = subject.chars().take(128).collect();
        skipped.push(format!("{shown:?} is not a subject: no space, no empty part between dots, not empty"));
    }
}

/// What a node in provisioning mode says: the events of its life, answers (`<hash of the caller>.<request id>`), and
/// registration data, which has this one subject (spec 06 §2.3, §2.4).
const PROVISIONING_PUBLISH: &[&str] = &[
    "choria.lifecycle.event.startup.provision_mode_server",
    "choria.lifecycle.event.alive.provision_mode_server",
    "choria.lifecycle.event.provisioned.provision_mode_server",
    "choria.lifecycle.event.upgraded.provision_mode_server",
    "choria.lifecycle.event.shutdown.provision_mode_server",
    "provisioning.reply.*.*",
    "provisioning.registration.data",
];

const PROVISIONING_SUBSCRIBE: &[&str] = &[
    "provisioning.broadcast.agent.discovery",
    "provisioning.broadcast.agent.rpcutil",
    "provisioning.broadcast.agent.choria_util",
    "provisioning.broadcast.agent.choria_provision",
];

const DEFAULT_SERVER_PUBLISH_DENY: &[&str] =
    &["*.broadcast.agent.>", "*.broadcast.service.>", "*.node.>", "choria.federation.*.federation"];

const DEFAULT_SERVER_SUBSCRIBE_DENY: &[&str] = &["*.reply.>", "choria.federation.>", "choria.lifecycle.>"];

const MESSAGING_DENY: &[&str] =
    &["*.broadcast.>", "*.node.>", "*.reply.>", "choria.federation.>", "choria.lifecycle.>", "choria.machine.>"];

const STREAMS_USER_PUBLISH: &[&str] = &[
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.STREAM.MSG.DELETE.*",
    "$JS.API.DIRECT.GET.*",
    "$JS.API.DIRECT.GET.*.>",
    "$JS.API.CONSUMER.CREATE.*",
    "$JS.API.CONSUMER.CREATE.*.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.*.*",
    "$JS.API.CONSUMER.DELETE.*.*",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.API.CONSUMER.LIST.*",
    "$JS.API.CONSUMER.INFO.*.*",
    "$JS.API.CONSUMER.MSG.NEXT.*.*",
    "$JS.ACK.>",
    "$JS.FC.>",
    "$KV.>",
    "$O.>",
];

const STREAMS_WATCHER_PUBLISH: &[&str] = &[
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.MSG.GET.*",
    "$JS.API.DIRECT.GET.*",
    "$JS.API.DIRECT.GET.*.>",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.API.CONSUMER.LIST.*",
    "$JS.API.CONSUMER.INFO.*.*",
];

const UNKNOWN_SERVER_PUBLISH: &[&str] = &[
    "*.reply.>",
    "*.broadcast.agent.registration",
    "choria.federation.*.collective",
    "choria.lifecycle.>",
    "choria.machine.transition",
    "choria.machine.watcher.>",
];

const EVENTS_VIEWER_SUBSCRIBE: &[&str] =
    &["choria.lifecycle.event.>", "choria.machine.watcher.>", "choria.machine.transition"];

const ELECTION_USER_PUBLISH: &[&str] =
    &["$JS.API.STREAM.INFO.KV_CHORIA_LEADER_ELECTION", "$KV.CHORIA_LEADER_ELECTION.>"];

const CLIENT_GOVERNOR_PUBLISH: &[&str] = &["*.governor.*", "choria.lifecycle.event.governor.>"];

const FLEET_MANAGEMENT_PUBLISH: &[&str] =
    &["*.broadcast.agent.>", "*.broadcast.service.>", "*.node.>", "choria.federation.*.federation"];

const SERVER_PUBLISH: &[&str] = &["choria.lifecycle.>", "choria.machine.transition", "choria.machine.watcher.>"];

const SERVER_STREAMS_API: &[&str] = &[
    "STREAM.INFO.*",
    "STREAM.MSG.GET.*",
    "STREAM.MSG.DELETE.*",
    "DIRECT.GET.*",
    "DIRECT.GET.*.>",
    "CONSUMER.CREATE.*",
    "CONSUMER.CREATE.*.>",
    "CONSUMER.DURABLE.CREATE.*.*",
    "CONSUMER.INFO.*.*",
    "CONSUMER.MSG.NEXT.*.*",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_subjects_follow_those_that_cover_all_old_ones() {
        let rows = [
            ("choria.submission.in.>", true),
            (">", true),
            ("*.submission.*.choria.executor.>", true),
            ("choria.submission.in.choria.executor.>", true),
            ("choria.submission.in.*", false),
            ("choria.submission.in.choria.executor.*", false),
            ("choria.submission.in.choria.executor.r1.>", false),
            ("other.submission.in.>", false),
            ("choria.submission.in", false),
        ];
        for (allowed, expected) in rows {
            let permissions = Permissions::allowing(vec![allowed.to_owned()], Vec::new());
            let derived = Derived { permissions, skipped: Vec::new() };
            let renamed = derived.renamed("choria.submission.in.choria.executor.>", "choria.executor.>");
            let opened = renamed.permissions.publish.allow.iter().any(|subject| subject == "choria.executor.>");
            assert_eq!(opened, expected, "{allowed}");
        }
    }
}
