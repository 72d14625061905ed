//! Broker: Choria Streams: the streams that a broker keeps (spec 04b §10).

use super::REPLICAS;
use crate::key::{Boolean, Integer, PathText, Time};
use crate::rule::Rule;
use std::time::Duration;

keys! {
    "Broker: Choria Streams";

    NETWORK_STREAM_STORE: PathText = key("plugin.choria.network.stream.store",
        "Directory of the streams; setting it enables Choria Streams.");

    NETWORK_STREAM_MANAGE_STREAMS: Boolean = key("plugin.choria.network.stream.manage_streams",
        "Whether the broker creates and updates the standard streams.")
        .default("1");

    NETWORK_STREAM_EVENT_RETENTION: Time = key("plugin.choria.network.stream.event_retention",
        "How long lifecycle events are kept in `CHORIA_EVENTS`; 0 does not keep them.")
        .default("24h");

    NETWORK_STREAM_EVENT_REPLICAS: Integer = key("plugin.choria.network.stream.event_replicas",
        "Copies of `CHORIA_EVENTS`; -1 makes as many as there are peers.")
        .default("-1").rule(REPLICAS);

    NETWORK_STREAM_MACHINE_RETENTION: Time = key("plugin.choria.network.stream.machine_retention",
        "How long events of autonomous agents are kept in `CHORIA_MACHINE`; 0 does not keep them.")
        .default("24h");

    NETWORK_STREAM_MACHINE_REPLICAS: Integer = key("plugin.choria.network.stream.machine_replicas",
        "Copies of `CHORIA_MACHINE`; -1 makes as many as there are peers.")
        .default("-1").rule(REPLICAS);

    NETWORK_STREAM_ADVISORY_RETENTION: Time = key("plugin.choria.network.stream.advisory_retention",
        "How long advisories are kept in `CHORIA_STREAM_ADVISORIES`; 0 does not keep them.")
        .default("168h");

    NETWORK_STREAM_ADVISORY_REPLICAS: Integer = key("plugin.choria.network.stream.advisory_replicas",
        "Copies of `CHORIA_STREAM_ADVISORIES`; -1 makes as many as there are peers.")
        .default("-1").rule(REPLICAS);

    NETWORK_STREAM_EXECUTOR_RETENTION: Time = key("plugin.choria.network.stream.executor_retention",
        "How long output of long running jobs is kept in `CHORIA_EXECUTOR`; 0 does not keep it.")
        .default("24h");

    NETWORK_STREAM_EXECUTOR_REPLICAS: Integer = key("plugin.choria.network.stream.executor_replicas",
        "Copies of `CHORIA_EXECUTOR`; -1 makes as many as there are peers.")
        .default("-1").rule(REPLICAS);

    NETWORK_STREAM_LEADER_ELECTION_TTL: Time = key("plugin.choria.network.stream.leader_election_ttl",
        "How long a leadership in `CHORIA_LEADER_ELECTION` lasts without being renewed.")
        .default("1m").rule(Rule::UpTo(Duration::MAX));

    NETWORK_STREAM_LEADER_ELECTION_REPLICAS: Integer = key("plugin.choria.network.stream.leader_election_replicas",
        "Copies of `CHORIA_LEADER_ELECTION`; -1 makes as many as there are peers.")
        .default("-1").rule(REPLICAS);

}
