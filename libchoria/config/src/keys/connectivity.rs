//! Connectivity, DNS, Puppet, federation and monitoring: whom to connect to and how to find them (spec 04b §7).

use super::PORT;
use crate::key::{Boolean, CommaList, Integer, Text, Time};
use crate::rule::Rule;
use std::time::Duration;

keys! {
    "Connectivity, DNS, Puppet, federation and monitoring";

    MIDDLEWARE_HOSTS: CommaList = key("plugin.choria.middleware_hosts",
        "Brokers to connect to, as `host:port` or `scheme://host:port`; the scheme is `nats` unless \
         given, `wss` uses web sockets. When unset they are looked up in DNS.")
        .rule(Rule::Servers);

    USE_SRV: Boolean = key("plugin.choria.use_srv",
        "Whether brokers, peers, Puppet and others are looked up in DNS SRV records.")
        .default("true").url("https://choria.io/docs/deployment/dns/");

    SRV_DOMAIN: Text = key("plugin.choria.srv_domain",
        "Domain in which SRV records are looked up. When unset facter's `networking.domain`.")
        .environment("CHORIA_SRV_DOMAIN").url("https://choria.io/docs/deployment/dns/");

    NATS_USER: Text = key("plugin.nats.user",
        "User name for brokers that are not Choria's own; used only with a password.")
        .environment("MCOLLECTIVE_NATS_USERNAME");

    NATS_PASS: Text = key("plugin.nats.pass",
        "Password for brokers that are not Choria's own.")
        .environment("MCOLLECTIVE_NATS_PASSWORD").secret();

    NATS_CREDENTIALS: Text = key("plugin.nats.credentials",
        "NATS credentials file for brokers that are not Choria's own.")
        .environment("MCOLLECTIVE_NATS_CREDENTIALS");

    NETWORK_CONNECT_TIMEOUT: Time = key("plugin.choria.network.connect_timeout",
        "Time that servers and clients allow for connecting to a broker: TCP, TLS and authentication \
         together.")
        .default("2s").rule(Rule::UpTo(Duration::from_secs(120)));

    NETWORK_PING_INTERVAL: Time = key("plugin.choria.network.ping_interval",
        "Time between the pings that servers and clients send to their broker. A broker that falls silent is noticed \
         within three of them. When unset 2 minutes for servers and 30 seconds for clients.")
        .rule(Rule::UpTo(Duration::from_secs(3600))).own();

    PUPPETSERVER_HOST: Text = key("plugin.choria.puppetserver_host",
        "Accepted for compatibility; nothing reads it.")
        .default("puppet");

    PUPPETSERVER_PORT: Integer = key("plugin.choria.puppetserver_port",
        "Accepted for compatibility; nothing reads it.")
        .default("8140").rule(PORT);

    PUPPETCA_HOST: Text = key("plugin.choria.puppetca_host",
        "Host of the Puppet CA. Setting it or the port turns off the SRV lookup of the CA.")
        .default("puppet");

    PUPPETCA_PORT: Integer = key("plugin.choria.puppetca_port",
        "Port of the Puppet CA.")
        .default("8140").rule(PORT);

    PUPPETDB_HOST: Text = key("plugin.choria.puppetdb_host",
        "Host of PuppetDB. When unset the SRV records `_x-puppet-db._tcp` and `_x-puppet._tcp` name it, \
         else it is `puppet`.");

    PUPPETDB_PORT: Integer = key("plugin.choria.puppetdb_port",
        "Port of PuppetDB.")
        .default("8081").rule(PORT);

    FEDERATION_COLLECTIVES: CommaList = key("plugin.choria.federation.collectives",
        "Remote collectives that are reached through federation brokers; any makes a client federated.")
        .environment("CHORIA_FED_COLLECTIVE").url("https://choria.io/docs/federation/");

    FEDERATION_MIDDLEWARE_HOSTS: CommaList = key("plugin.choria.federation_middleware_hosts",
        "Federation brokers that a federated client connects to. When unset they are looked up in DNS.")
        .rule(Rule::Servers).url("https://choria.io/docs/federation/");

    FEDERATION_CLUSTER: Text = key("plugin.choria.federation.cluster",
        "Name of the cluster that a federation broker serves.")
        .default("mcollective").url("https://choria.io/docs/federation/");

    STATS_ADDRESS: Text = key("plugin.choria.stats_address",
        "Address on which broker and server serve statistics and Prometheus metrics, without access control.")
        .default("127.0.0.1");

    STATS_PORT: Integer = key("plugin.choria.stats_port",
        "Port on which broker and server serve statistics and Prometheus metrics; 0 is off.")
        .default("0").rule(PORT);

}
