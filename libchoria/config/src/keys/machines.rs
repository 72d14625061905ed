//! Autonomous agents and Scout: autonomous agents and Scout checks (spec 04b §6).

use super::PORT;
use crate::key::{Boolean, CommaList, Integer, PathText, Text};
use crate::rule::Rule;

keys! {
    "Autonomous agents and Scout";

    MACHINE_STORE: Text = key("plugin.choria.machine.store",
        "Directory of autonomous agents; setting it enables running them. A leading `~` is not replaced.")
        .url("https://choria.io/docs/autoagents/");

    MACHINE_SIGNING_KEY: Text = key("plugin.choria.machine.signing_key",
        "Public key that verifies signed plugin data in place of the one compiled in or named by \
         watchers.")
        .rule(Rule::PublicKey);

    MACHINE_HTTP_PORT: Integer = key("plugin.choria.machine.http_port",
        "Port on which watchers can be switched by HTTP, on all addresses; 0 is off.")
        .rule(PORT);

    MACHINES_DOWNLOAD: Boolean = key("plugin.machines.download",
        "Whether autonomous agents are installed from a key-value bucket; needs the machine store.");

    MACHINES_BUCKET: Text = key("plugin.machines.bucket",
        "Key-value bucket with the list of autonomous agents to install.")
        .default("CHORIA_PLUGINS");

    MACHINES_KEY: Text = key("plugin.machines.key",
        "Key of that list in its bucket.")
        .default("plugins");

    MACHINES_PURGE: Boolean = key("plugin.machines.purge",
        "Whether autonomous agents that are not in the list are removed.")
        .default("true");

    MACHINES_POLL_INTERVAL: Text = key("plugin.machines.poll_interval",
        "Time between two looks into the bucket.")
        .default("1m").rule(Rule::Interval);

    MACHINES_CHECK_INTERVAL: Text = key("plugin.machines.check_interval",
        "Time between two checks that installed files are intact.")
        .default("30s").rule(Rule::Interval);

    MACHINES_SIGNING_KEY: Text = key("plugin.machines.signing_key",
        "Public key that must verify the list; without it an unsigned list is accepted.")
        .rule(Rule::PublicKey);

    SCOUT_OVERRIDES: PathText = key("plugin.scout.overrides",
        "JSON file with values that override those of Scout checks on this node.");

    SCOUT_TAGS: PathText = key("plugin.scout.tags",
        "Accepted for compatibility; nothing reads it.");

    SCOUT_AGENT_DISABLED: Boolean = key("plugin.scout.agent_disabled",
        "Whether the agent `scout` is not started.");

    SCOUT_GOSS_DENIED_LOCAL_RESOURCES: CommaList = key("plugin.scout.goss.denied_local_resources",
        "Kinds of Goss resources that manifests on this node may not use.");

    SCOUT_GOSS_DENIED_REMOTE_RESOURCES: CommaList = key("plugin.scout.goss.denied_remote_resources",
        "Kinds of Goss resources that manifests or variables sent in requests may not use.")
        .default("command");

}
