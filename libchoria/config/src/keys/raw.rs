//! Raw options: keys with a name in the middle, described and checked here, read as texts (spec 04b §12).

use crate::key::{KeyInfo, Type};
use crate::rule::Rule;

/// A `<name>` part stands for one or more characters without a dot.
pub(super) const PATTERNS: &[KeyInfo] = &[
    text("plugin.security.issuer.<name>.public", "Public key of the organization issuer `<name>`.")
        .rule(Rule::PublicKey),
    flag("plugin.<agent>.activate_agent", "Whether the Ruby agent `<agent>` is started.").default("true"),
    flag("plugin.actionpolicy.allow_unconfigured", "Whether requests are allowed where no policy file exists.")
        .default("n"),
    flag("plugin.actionpolicy.enable_default", "Whether the default policy file stands in for missing ones.")
        .default("n"),
    text(
        "plugin.actionpolicy.default_name",
        "Name of the default policy file; policies are `policies/<name>.policy` beside the configuration file.",
    )
    .default("default"),
    flag("plugin.regopolicy.tracing", "Whether the evaluation of Rego policies is logged.").default("n"),
    text("plugin.choria.adapter.<name>.type", "Kind of the adapter `<name>`; required.")
        .one_of(&["choria_streams", "jetstream"]),
    number("plugin.choria.adapter.<name>.queue_len", "Messages that wait at most; more are discarded.").default("1000"),
    text("plugin.choria.adapter.<name>.ingest.topic", "Subject that the adapter reads; required."),
    text("plugin.choria.adapter.<name>.ingest.protocol", "Kind of messages that the adapter reads.")
        .default("reply")
        .one_of(&["request", "reply"]),
    number("plugin.choria.adapter.<name>.ingest.workers", "Connections that read.").default("10"),
    list(
        "plugin.choria.adapter.<name>.stream.servers",
        "Brokers that the adapter writes to. When unset the ones of this broker.",
    )
    .rule(Rule::Servers),
    text(
        "plugin.choria.adapter.<name>.stream.topic",
        "Subject that the adapter writes to, each `%s` is replaced by the sender. When unset the adapter's name.",
    ),
    number("plugin.choria.adapter.<name>.stream.workers", "Connections that write.").default("10"),
    list("plugin.choria.network.gateway_remote.<name>.urls", "Addresses of the cluster `<name>`; required."),
    list("plugin.choria.network.leafnode_remote.<name>.url", "Addresses of the broker `<name>`; required."),
    text("plugin.choria.network.leafnode_remote.<name>.account", "Local account that is joined.").default("choria"),
    text("plugin.choria.network.leafnode_remote.<name>.credentials", "NATS credentials file for the remote broker."),
    text("plugin.choria.network.gateway_remote.<name>.tls.cert", "Certificate for this cluster alone."),
    text("plugin.choria.network.gateway_remote.<name>.tls.key", "Private key for this cluster alone."),
    text("plugin.choria.network.gateway_remote.<name>.tls.ca", "Certificate authority for this cluster alone."),
    text("plugin.choria.network.gateway_remote.<name>.tls.verify", "Whether the cluster is verified.")
        .default("yes")
        .one_of(SWITCH),
    text("plugin.choria.network.gateway_remote.<name>.tls.disable", "Whether TLS is off towards the cluster.")
        .default("no")
        .one_of(SWITCH),
    text("plugin.choria.network.leafnode_remote.<name>.tls.cert", "Certificate for this broker alone."),
    text("plugin.choria.network.leafnode_remote.<name>.tls.key", "Private key for this broker alone."),
    text("plugin.choria.network.leafnode_remote.<name>.tls.ca", "Certificate authority for this broker alone."),
    text("plugin.choria.network.leafnode_remote.<name>.tls.verify", "Whether the broker is verified.")
        .default("yes")
        .one_of(SWITCH),
    text("plugin.choria.network.leafnode_remote.<name>.tls.disable", "Whether TLS is off towards the broker.")
        .default("no")
        .one_of(SWITCH),
    text("plugin.choria.network.mapping.<name>.source", "Subject that the mapping `<name>` replaces; required."),
    text("plugin.choria.network.mapping.<name>.destination", "Subject that it is replaced by; required."),
    text("machine_room.role", "Role of this site, for programs that embed the server.")
        .default("follower")
        .one_of(&["leader", "follower"]),
    text("machine_room.site", "Name of this site, for programs that embed the server."),
    text("machine_room.source.host", "Broker that data is replicated to, for programs that embed the server."),
    text("machine_room.source.nats_jwt", "Token for that broker.").secret(),
];

/// The words with which remotes switch TLS. The original knows `false no off 0` and reads every other word as yes.
const SWITCH: &[&str] = &["true", "yes", "on", "1", "false", "no", "off", "0"];

const fn text(name: &'static str, description: &'static str) -> KeyInfo {
    KeyInfo::new(name, Type::Text, description)
}

const fn flag(name: &'static str, description: &'static str) -> KeyInfo {
    KeyInfo::new(name, Type::Boolean, description)
}

const fn list(name: &'static str, description: &'static str) -> KeyInfo {
    KeyInfo::new(name, Type::CommaList, description)
}

const fn number(name: &'static str, description: &'static str) -> KeyInfo {
    KeyInfo::new(name, Type::Integer, description).rule(Rule::Between(1, i64::MAX))
}
