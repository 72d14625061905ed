//! Every refusal of a configuration, and what the accepted ones mean.

use super::*;
use crate::streams::StreamConfig;
use tokens::Seed;

/// A complete configuration with `changes`; an empty value removes a key.
fn read(changes: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let issuer = Seed::from_bytes([1; 32]).public().to_string();
    let mut values = vec![
        ("identity", "b1.example.net"),
        ("plugin.security.provider", "choria"),
        ("plugin.choria.broker_network", "1"),
        ("plugin.security.issuer.names", "choria"),
        ("plugin.security.issuer.choria.public", &issuer),
        ("plugin.security.choria.token_file", "/etc/choria/broker.jwt"),
        ("plugin.security.choria.seed_file", "/etc/choria/broker.seed"),
    ];
    values.retain(|(key, _)| !changes.iter().any(|(changed, _)| changed == key));
    values.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    let builder = values.into_iter().fold(config::Settings::builder(), |builder, (key, value)| builder.set(key, value));
    Settings::try_from(&builder.build().unwrap())
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let key = Seed::from_bytes([2; 32]).public().to_string();
    let weak = "0".repeat(64);
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("plugin.choria.broker_network", "0")], "plugin.choria.broker_network: every part of the broker is off"),
        (&[("plugin.choria.broker_federation", "1")], "plugin.choria.broker_federation: federation is not supported"),
        (
            &[("plugin.choria.broker_network", "0"), ("plugin.choria.adapters", "x")],
            "plugin.choria.broker_network: adapters run in a broker that runs its network",
        ),
        (&[("plugin.choria.adapters", "x")], "plugin.choria.adapter.x.type: could not determine type for adapter x"),
        (&[("plugin.choria.adapters", "x")], "plugin.choria.adapter.x.ingest.topic: no ingest topic configured"),
        (
            &[("plugin.choria.adapters", "x"), ("plugin.choria.adapter.x.stream.topic", "a.*")],
            "plugin.choria.adapter.x.stream.topic: the subject to write to has no space, no wildcard",
        ),
        (
            &[("plugin.choria.adapters", "x"), ("plugin.choria.adapter.x.queue_len", "2000000")],
            "plugin.choria.adapter.x.queue_len: should be a integer number, from 1 to",
        ),
        (&[("plugin.choria.network.peer_user", "u")], "a user needs plugin.choria.network.peer_password too"),
        (&[("plugin.choria.network.peer_password", "p")], "a password needs plugin.choria.network.peer_user too"),
        (&[("plugin.choria.network.peer_tls", "1")], "peer_tls: brokers that prove themselves need"),
        (&[("plugin.choria.network.gateway_name", "A B")], "the name of a cluster is a word without spaces"),
        (
            &[("plugin.choria.network.gateway_port", "7222"), ("plugin.choria.network.gateway_remotes", "x")],
            "plugin.choria.network.gateway_remote.x.urls: the addresses of this remote are needed here",
        ),
        (
            &[("plugin.choria.network.leafnode_remotes", "x")],
            "plugin.choria.network.leafnode_remote.x.url: the addresses",
        ),
        (
            &[
                ("plugin.choria.network.leafnode_remotes", "x"),
                ("plugin.choria.network.leafnode_remote.x.url", "http://h:1"),
            ],
            "leafnode_remote.x.url: \"http\" is not a way to reach another broker here",
        ),
        (
            &[
                ("plugin.choria.network.leafnode_remotes", "x"),
                ("plugin.choria.network.leafnode_remote.x.url", "h:1"),
                ("plugin.choria.network.leafnode_remote.x.tls.cert", "/c"),
            ],
            "leafnode_remote.x.tls.key: certificate and key are set together or not at all",
        ),
        (
            &[
                ("plugin.choria.network.leafnode_remotes", "x"),
                ("plugin.choria.network.leafnode_remote.x.url", "h:1"),
                ("plugin.choria.network.leafnode_remote.x.account", "AUTH"),
            ],
            "leafnode_remote.x.account: a leaf node joins one of the accounts",
        ),
        (&[("plugin.choria.network.leafnode_user", "u")], "a user needs plugin.choria.network.leafnode_password too"),
        (
            &[("plugin.choria.network.websocket_advertise", "b1")],
            "websocket_advertise: what clients are told is name:port",
        ),
        (
            &[("plugin.choria.network.client_certificates", "required")],
            "client_certificates: certificates are verified with plugin.security.choria.ca, which is not set",
        ),
        (
            &[("plugin.choria.network.client_certificates", "websocket"), ("plugin.security.choria.ca", "/ca.pem")],
            "client_certificates: there is no such port: plugin.choria.network.websocket_port is not set",
        ),
        (&[("plugin.choria.network.pprof_port", "4333")], "profiling is not supported"),
        (&[("plugin.security.provider", "file")], "plugin.security.provider: this broker serves networks of tokens"),
        (&[("plugin.security.issuer.names", "")], "plugin.security.issuer.names: no token could be trusted"),
        (&[("plugin.security.issuer.choria.public", "")], "plugin.security.issuer.choria.public: plugin.security"),
        (&[("plugin.security.issuer.choria.public", &weak)], "plugin.security.issuer.choria.public: these 64 digits"),
        (&[("plugin.choria.network.client_signer_cert", &key)], "signers cannot be set together with"),
        (&[("plugin.choria.network.server_signer_cert", &key)], "signers cannot be set together with"),
        (&[("plugin.security.choria.trusted_signers", &key)], "signers cannot be set together with"),
        (&[("plugin.security.choria.token_file", "")], "plugin.security.choria.token_file: the broker needs a token"),
        (&[("plugin.security.choria.seed_file", "")], "plugin.security.choria.seed_file: the broker needs a token"),
        (&[("plugin.security.choria.certificate", "/c")], "a certificate needs its key"),
        (&[("plugin.security.choria.key", "/k")], "a key needs its certificate"),
        (&[("plugin.choria.network.system.user", "s")], "a user needs plugin.choria.network.system.password"),
        (&[("plugin.choria.network.system.password", "s")], "a password needs plugin.choria.network.system.user"),
        (&[("plugin.choria.network.client_port", "0")], "a port is a number from 1 to 65535"),
        (&[("plugin.choria.network.public_url", "b1")], "what clients are told is name:port"),
        (&[("plugin.choria.network.listen_address", "a b")], "the address to listen on"),
        (
            &[("plugin.choria.network.client_hosts", "::ffff:0.0.0.0/8")],
            "plugin.choria.network.client_hosts: \"::ffff:0.0.0.0/8\" is neither an IP address nor a network",
        ),
        (
            &[("plugin.choria.network.mapping.names", "x")],
            "plugin.choria.network.mapping.x.source: the mapping x needs",
        ),
        (
            &[
                ("plugin.choria.network.mapping.names", "x"),
                ("plugin.choria.network.mapping.x.source", "a\"b"),
                ("plugin.choria.network.mapping.x.destination", "c"),
            ],
            "plugin.choria.network.mapping.x.source: the mapping x needs",
        ),
    ];
    for (changes, expected) in rows {
        let error = read(changes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{changes:?}: {error}");
    }
}

#[test]
fn every_problem_is_named_at_once() {
    let error = read(&[
        ("plugin.choria.network.pprof_port", "6060"),
        ("plugin.security.choria.token_file", ""),
        ("plugin.choria.network.peer_user", "u"),
    ]);
    assert_eq!(error.expect_err("three problems").0.len(), 3);
}

/// Settings that work and may surprise are told once, and no sentence repeats a password.
#[test]
fn surprises_are_warned_of() {
    let leaf = ("plugin.choria.network.leafnode_remotes", "x");
    let url = ("plugin.choria.network.leafnode_remote.x.url", "leafnode://u:s3cret@hub:7422");
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("plugin.choria.network.gateway_port", "7222")], "gateway_port: no effect without"),
        (&[("plugin.choria.network.gateway_remotes", "x")], "gateway_remotes: no effect without"),
        (
            &[
                ("plugin.choria.network.gateway_port", "7222"),
                ("plugin.choria.network.gateway_remotes", "x"),
                ("plugin.choria.network.gateway_remote.x.urls", "h:7222"),
            ],
            "gateway_port: whoever reaches this port",
        ),
        (&[("plugin.choria.network.leafnode_port", "7422")], "leafnode_port: every leaf node is refused"),
        (&[leaf, url], "leafnode_remotes: the other broker is not verified"),
        (&[leaf, url, ("plugin.choria.network.leafnode_remote.x.tls.disable", "yes")], "is not encrypted"),
        (&[("plugin.security.choria.ca", "/ca.pem")], "choria.ca: clients are not asked for a certificate"),
    ];
    for (changes, expected) in rows {
        let warnings = read(changes).unwrap().warnings.join("\n");
        assert!(warnings.contains(expected) && !warnings.contains("s3cret"), "{changes:?}: {warnings}");
    }
}

#[test]
fn each_way_to_other_brokers_reaches_its_place() {
    let settings = read(&[
        ("plugin.choria.network.peers", "b2:5222, nats://user:ignored@b3:5223"),
        ("plugin.choria.network.peer_user", "peer"),
        ("plugin.choria.network.peer_password", "pw"),
        ("plugin.choria.network.gateway_name", "EAST"),
        ("plugin.choria.network.gateway_port", "7222"),
        ("plugin.choria.network.gateway_remotes", "WEST"),
        ("plugin.choria.network.gateway_remote.WEST.urls", "w1:7222,tls://w2:7222"),
        ("plugin.choria.network.gateway_remote.WEST.tls.ca", "/west.pem"),
        ("plugin.choria.network.leafnode_port", "7422"),
        ("plugin.choria.network.leafnode_remotes", "hub"),
        ("plugin.choria.network.leafnode_remote.hub.url", "hub:7422"),
        ("plugin.choria.network.leafnode_remote.hub.tls.verify", "no"),
        ("plugin.choria.network.public_url", "public.example.net:4333"),
        ("plugin.choria.network.websocket_port", "8443"),
        ("plugin.choria.network.client_certificates", "websocket"),
        ("plugin.security.choria.ca", "/ca.pem"),
    ])
    .unwrap();
    let topology = settings.topology;
    let peers: Vec<_> = topology.peers.configured.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["nats://b2:5222", "nats://b3:5223"]);
    assert_eq!((topology.peers.port, topology.peers.cluster_name.as_str()), (5222, "EAST"));
    let gateway = topology.gateway.unwrap();
    assert_eq!(format!("{:?}", gateway.remotes[0].urls), "[nats://w1:7222, tls://w2:7222]");
    assert_eq!(gateway.remotes[0].tls.as_ref().unwrap().authority.as_deref(), Some("/west.pem".as_ref()));
    let leafnodes = topology.leafnodes.unwrap();
    assert_eq!(leafnodes.advertise, "public.example.net:7422");
    assert!(matches!(leafnodes.proof, crate::nats_config::LeafProof::Certificate(_)));
    let hub = &topology.leaf_remotes[0];
    assert!(hub.account == "choria" && hub.tls.as_ref().unwrap().unverified, "{hub:?}");
    assert_eq!(topology.websocket.unwrap().port, 8443);
    assert_eq!(topology.certificates, ClientCertificates::WebSocket);
}

#[test]
fn copies_follow_the_members_unless_they_are_counted() {
    let settings =
        read(&[("plugin.choria.network.stream.store", "/s"), ("plugin.choria.network.stream.event_replicas", "2")])
            .unwrap();
    let streams = settings.streams.unwrap().streams;
    for (members, expected) in [(0, [2, 1]), (1, [2, 1]), (3, [2, 3]), (9, [2, 5])] {
        let copies: Vec<u64> = streams[..2]
            .iter()
            .map(|stream| {
                serde_json::to_value(stream.clone().among(members)).unwrap()["num_replicas"].as_u64().unwrap()
            })
            .collect();
        assert_eq!(copies, expected, "{members} members");
    }
}

#[test]
fn defaults_are_those_of_the_original_where_a_callout_allows() {
    let settings = read(&[]).unwrap();
    assert_eq!((settings.listen_address.as_str(), settings.client_port), ("::", 4222));
    assert_eq!(settings.client_advertise, "b1.example.net:4222");
    assert_eq!(settings.tls_timeout, Duration::from_secs(2));
    assert_eq!(settings.authentication_timeout, Duration::from_secs(4));
    assert_eq!(settings.write_deadline, Duration::from_secs(10));
    assert_eq!(settings.stop_patience, Duration::from_secs(58));
    assert_eq!(settings.max_connections, 50_000);
    assert!(!settings.policy.read_only && !settings.policy.enforce_expiry && settings.policy.client_hosts.is_empty());
    assert!(settings.streams.is_none() && settings.statistics.is_none() && settings.curves.is_empty());
    assert!(settings.policy.provisioning.is_none() && settings.policy.system.is_none());
}

#[test]
fn values_reach_their_place() {
    let settings = read(&[
        ("plugin.choria.network.public_url", "nats://broker.example.net:4333"),
        ("plugin.choria.network.auth_timeout", "3s"),
        ("plugin.choria.network.listen_address", "[::1]"),
        ("plugin.choria.stats_port", "8222"),
        ("plugin.choria.stats_address", "0.0.0.0"),
        ("plugin.choria.network.stream.store", "/var/lib/streams"),
        ("plugin.choria.network.provisioning.client_password", "s3cret"),
        ("plugin.choria.network.client_hosts", "10.0.0.0/8"),
        ("plugin.choria.network.mapping.names", "x"),
        ("plugin.choria.network.mapping.x.source", "old.*"),
        ("plugin.choria.network.mapping.x.destination", "new.$1"),
    ])
    .unwrap();
    assert_eq!(settings.client_advertise, "broker.example.net:4333");
    assert_eq!(settings.authentication_timeout, Duration::from_secs(3));
    assert_eq!(settings.listen_address, "::1");
    assert_eq!(settings.statistics, Some(("0.0.0.0".to_owned(), 8222)));
    let mappings = [("old.*", "new.$1"), EXECUTOR].map(|(source, to)| (source.to_owned(), to.to_owned()));
    assert_eq!(settings.mappings, mappings);
    assert!(settings.policy.provisioning.is_some() && !settings.policy.client_hosts.is_empty());
    let names: Vec<_> = settings.streams.unwrap().streams.iter().map(StreamConfig::name).collect();
    let expected =
        ["CHORIA_EVENTS", "CHORIA_MACHINE", "CHORIA_STREAM_ADVISORIES", "CHORIA_EXECUTOR", "KV_CHORIA_LEADER_ELECTION"];
    assert_eq!(names, expected);
}

#[test]
fn streams_are_left_out_when_they_are_kept_for_no_time_or_managed_elsewhere() {
    let names = |changes: &[(&str, &str)]| -> Vec<&str> {
        let store = [("plugin.choria.network.stream.store", "/s")];
        let settings = read(&[&store[..], changes].concat()).unwrap();
        settings.streams.unwrap().streams.iter().map(StreamConfig::name).collect()
    };
    assert_eq!(names(&[("plugin.choria.network.stream.manage_streams", "0")]).len(), 0);
    let none = [
        ("plugin.choria.network.stream.event_retention", "0"),
        ("plugin.choria.network.stream.machine_retention", "0"),
        ("plugin.choria.network.stream.advisory_retention", "0"),
        ("plugin.choria.network.stream.executor_retention", "0"),
    ];
    assert_eq!(names(&none), ["KV_CHORIA_LEADER_ELECTION"]);
}

#[test]
fn executor_events_are_mapped_where_their_stream_is_wanted() {
    let mapped_by = |name: &str, value: &str| {
        let own = [
            ("plugin.choria.network.mapping.names", "x"),
            ("plugin.choria.network.mapping.x.source", EXECUTOR.0),
            ("plugin.choria.network.mapping.x.destination", "elsewhere.>"),
        ];
        let changes = [(name, value)];
        read(if name.is_empty() { &own } else { &changes }).unwrap().mappings
    };
    let rows = [
        ("plugin.choria.network.stream.store", "/s", Some(EXECUTOR.1)),
        // Members of a cluster that store nothing.
        ("plugin.choria.network.stream.store", "", Some(EXECUTOR.1)),
        ("plugin.choria.network.stream.manage_streams", "0", None),
        ("plugin.choria.network.stream.executor_retention", "0", None),
        ("", "", Some("elsewhere.>")),
    ];
    for (name, value, expected) in rows {
        let mappings = mapped_by(name, value);
        let expected = expected.map(|to| (EXECUTOR.0.to_owned(), to.to_owned()));
        assert_eq!(mappings, Vec::from_iter(expected), "{name} = {value:?}");
    }
}

#[test]
fn single_signers_are_trusted_by_kind() {
    let key = Seed::from_bytes([2; 32]).public().to_string();
    let without_issuers = ("plugin.security.issuer.names", "");
    let rows = [
        ("plugin.choria.network.client_signer_cert", (true, false)),
        ("plugin.choria.network.server_signer_cert", (false, true)),
    ];
    for (name, expected) in rows {
        let policy = read(&[without_issuers, (name, &key)]).unwrap().policy;
        assert_eq!((policy.trust.clients().is_some(), policy.trust.servers().is_some()), expected, "{name}");
    }
    let missing = read(&[without_issuers, ("plugin.choria.network.client_signer_cert", "/none/key.pem")]);
    let error = missing.expect_err("the file does not exist").to_string();
    assert!(error.contains("plugin.choria.network.client_signer_cert: cannot read /none/key.pem"), "{error}");
}

/// How the executor's events are renamed before streams see them.
const EXECUTOR: (&str, &str) = ("choria.submission.in.choria.executor.>", "choria.executor.>");
