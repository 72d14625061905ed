//! Broker: services, listeners and cluster: the broker and its ports (spec 04b §9).

use super::PORT;
use crate::key::{Boolean, CommaList, Integer, PathText, Text, Time};
use crate::rule::Rule;
use std::time::Duration;

keys! {
    "Broker: services, listeners and cluster";

    BROKER_NETWORK: Boolean = key("plugin.choria.broker_network",
        "Whether the broker runs the network of servers and clients.")
        .default("false").url("https://choria.io/docs/deployment/broker/");

    BROKER_FEDERATION: Boolean = key("plugin.choria.broker_federation",
        "Whether the broker connects collectives as a federation broker.")
        .default("false").url("https://choria.io/docs/federation/");

    ADAPTERS: CommaList = key("plugin.choria.adapters",
        "Names of the adapters that the broker runs; each is described by \
         `plugin.choria.adapter.<name>.…`.")
        .url("https://choria.io/docs/adapters/");

    NETWORK_LISTEN_ADDRESS: Text = key("plugin.choria.network.listen_address",
        "Address of all ports of the broker.")
        .default("::").url("https://choria.io/docs/deployment/broker/");

    NETWORK_CLIENT_PORT: Integer = key("plugin.choria.network.client_port",
        "Port for servers and clients.")
        .default("4222").rule(PORT).url("https://choria.io/docs/deployment/broker/");

    NETWORK_PUBLIC_URL: Text = key("plugin.choria.network.public_url",
        "Name and port that the broker advertises; also a name in its certificate.");

    NETWORK_CLIENT_HOSTS: CommaList = key("plugin.choria.network.client_hosts",
        "Addresses and networks from which clients may connect, such as `192.0.2.7, 2001:db8::/32`; empty allows \
         all. Servers may connect from anywhere; connections with a certificate and no token become servers.")
        .rule(Rule::Networks);

    NETWORK_READ_ONLY: Boolean = key("plugin.choria.network.read_only",
        "Whether clients may only watch: whatever their tokens say, they publish nothing that reaches a node or \
         changes a stream. Servers, the provisioner and the system user are not affected.")
        .own();

    NETWORK_ENFORCE_TOKEN_EXPIRY: Boolean = key("plugin.choria.network.enforce_token_expiry",
        "Whether a connection is closed when its token expires. Otherwise it lives on until it is lost, as on the \
         existing broker.")
        .own();

    NETWORK_MAX_CONNECTIONS: Integer = key("plugin.choria.network.max_connections",
        "Most connections that the broker has at a time, its own four included; more are turned away and come back \
         later.")
        .default(crate::build::MOST_CLIENTS_TEXT).rule(Rule::Between(10, crate::build::MOST_CLIENTS as i64)).own();

    NETWORK_TLS_FRONT: Boolean = key("plugin.choria.network.tls_front",
        "Whether the broker itself encrypts the client port and hands connections to nats-server on a loopback port. \
         It then verifies a client certificate where one is given, if `plugin.security.choria.ca` is set; admits \
         connections at the rate at which it can serve them; and takes a renewed certificate without disconnecting \
         anybody.")
        .default("false").own();

    NETWORK_DENY_SERVER_CONNECTIONS: Boolean = key("plugin.choria.network.deny_server_connections",
        "Whether servers are denied every subject.");

    NETWORK_CLIENT_TLS_FORCE_REQUIRED: Boolean = key("plugin.choria.network.client_tls_force_required",
        "Whether connections must use TLS even where TLS is disabled otherwise.");

    NETWORK_CLIENT_SIGNER_CERT: CommaList = key("plugin.choria.network.client_signer_cert",
        "Public keys, or paths of certificates, that sign the tokens of clients. Not with organization \
         issuers.");

    NETWORK_SERVER_SIGNER_CERT: CommaList = key("plugin.choria.network.server_signer_cert",
        "Public keys, or paths of certificates, that sign the tokens of servers. Not with organization \
         issuers.");

    NETWORK_TLS_TIMEOUT: Time = key("plugin.choria.network.tls_timeout",
        "Time that the broker allows for the TLS handshake.")
        .default("2s").rule(Rule::UpTo(Duration::from_secs(60)));

    NETWORK_AUTH_TIMEOUT: Time = key("plugin.choria.network.auth_timeout",
        "Time that the broker allows for authentication.")
        .default("2s").rule(Rule::UpTo(Duration::from_secs(60)));

    NETWORK_WRITE_DEADLINE: Time = key("plugin.choria.network.write_deadline",
        "Time that a connection may take to read what it is sent before it is closed as too slow.")
        .default("10s").rule(Rule::UpTo(Duration::MAX));

    NETWORK_SOFT_SHUTDOWN_TIMEOUT: Integer = key("plugin.choria.network.soft_shutdown_timeout",
        "Seconds that the broker is given to stop; replaces `soft_shutdown_timeout`.")
        .default("60");

    NETWORK_PPROF_PORT: Integer = key("plugin.choria.network.pprof_port",
        "Port for profiling; 0 is off.")
        .default("0").rule(PORT);

    NETWORK_PEERS: CommaList = key("plugin.choria.network.peers",
        "Other brokers of the cluster; the SRV records `_mcollective-broker._tcp` are tried first.")
        .rule(Rule::Servers).url("https://choria.io/docs/deployment/broker/");

    NETWORK_PEER_PORT: Integer = key("plugin.choria.network.peer_port",
        "Port for other brokers of the cluster. When unset 5222 once there are peers.")
        .rule(PORT).url("https://choria.io/docs/deployment/broker/");

    NETWORK_PEER_USER: Text = key("plugin.choria.network.peer_user",
        "User name in the cluster.");

    NETWORK_PEER_PASSWORD: Text = key("plugin.choria.network.peer_password",
        "Password in the cluster.")
        .secret();

    NETWORK_PEER_TLS: Boolean = key("plugin.choria.network.peer_tls",
        "Whether brokers encrypt the connections between them, in the cluster and between clusters, and prove \
         themselves there with `plugin.security.choria.certificate`, signed by `plugin.security.choria.ca`. The same on \
         all of them; the existing broker cannot.")
        .default("false").own();

    NETWORK_GATEWAY_NAME: Text = key("plugin.choria.network.gateway_name",
        "Name of this cluster in a super cluster, and of the cluster itself.")
        .default("CHORIA");

    NETWORK_GATEWAY_PORT: Integer = key("plugin.choria.network.gateway_port",
        "Port for other clusters; 0 is off.")
        .default("0").rule(PORT);

    NETWORK_GATEWAY_REMOTES: CommaList = key("plugin.choria.network.gateway_remotes",
        "Names of other clusters; each is described by `plugin.choria.network.gateway_remote.<name>.…`.");

    NETWORK_LEAFNODE_PORT: Integer = key("plugin.choria.network.leafnode_port",
        "Port for leaf nodes; 0 is off.")
        .default("0").rule(PORT);

    NETWORK_LEAFNODE_REMOTES: CommaList = key("plugin.choria.network.leafnode_remotes",
        "Names of brokers to join as a leaf node; each is described by \
         `plugin.choria.network.leafnode_remote.<name>.…`.");

    NETWORK_LEAFNODE_USER: Text = key("plugin.choria.network.leafnode_user",
        "User name with which leaf nodes join the account `choria`, given by them as \
         `leafnode://user:password@host:port`. Without it they need a certificate signed by \
         `plugin.security.choria.ca`.")
        .own();

    NETWORK_LEAFNODE_PASSWORD: Text = key("plugin.choria.network.leafnode_password",
        "Password that belongs to `plugin.choria.network.leafnode_user`.")
        .secret().own();

    NETWORK_CLIENT_CERTIFICATES: Text = key("plugin.choria.network.client_certificates",
        "Which ports demand a client certificate signed by `plugin.security.choria.ca`: `none`, only the `websocket` \
         port, so that nodes with a certificate and no token use `wss://` beside those with a token on the other port, or \
         all (`required`).")
        .default("none").one_of(&["none", "websocket", "required"]).own();

    NETWORK_WEBSOCKET_PORT: Integer = key("plugin.choria.network.websocket_port",
        "Port for web sockets; 0 is off.")
        .rule(PORT).url("https://choria.io/docs/deployment/broker/");

    NETWORK_WEBSOCKET_ADVERTISE: Text = key("plugin.choria.network.websocket_advertise",
        "Address of the web socket port that the broker advertises.")
        .url("https://choria.io/docs/deployment/broker/");

    NETWORK_MAPPING_NAMES: CommaList = key("plugin.choria.network.mapping.names",
        "Names of subject mappings; each is described by `plugin.choria.network.mapping.<name>.…`.");

    NETWORK_SYSTEM_USER: Text = key("plugin.choria.network.system.user",
        "User name of the system account; clients set it too, for the broker commands.");

    NETWORK_SYSTEM_PASSWORD: Text = key("plugin.choria.network.system.password",
        "Password of the system account.")
        .secret();

    NETWORK_PROVISIONING_SIGNER_CERT: PathText = key("plugin.choria.network.provisioning.signer_cert",
        "Public key or certificate that signs provisioning tokens; admits unprovisioned servers.");

    NETWORK_PROVISIONING_CLIENT_PASSWORD: Text = key("plugin.choria.network.provisioning.client_password",
        "Password of the provisioner; setting it creates the provisioning account.")
        .secret();

    NETWORK_PROVISIONING_PROVISIONER_WITHOUT_TOKEN: Boolean = key("plugin.choria.network.provisioning.provisioner_without_token",
        "Whether a provisioner may connect with user name and password alone on a network of organization \
         issuers. Such a connection is accepted without proof by certificate.");

}
