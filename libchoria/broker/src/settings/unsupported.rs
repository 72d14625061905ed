//! Settings that this broker cannot honour. They are refused: a cluster that silently is none, or a listener that
//! silently is missing, is worse than a broker that says what to change.

use super::Reader;
use config::keys;

/// Adds a problem for every setting in use that has no effect here, and for a broker that would do nothing.
pub(super) fn check(reader: &mut Reader<'_>) {
    let config = reader.config;
    if config.provider() != "choria" {
        let rule = format!(
            "this broker serves networks of tokens only, so the provider is \"choria\" and not {:?}",
            config.provider()
        );
        reader.problem(keys::SECURITY_PROVIDER.name(), rule);
    }
    if !config.protection().tls {
        reader.problems.push("TLS cannot be turned off: tokens would cross the network unprotected".to_owned());
    }

    let lists = [
        (keys::ADAPTERS, "adapters are"),
        (keys::NETWORK_PEERS, "clusters are"),
        (keys::NETWORK_GATEWAY_REMOTES, "gateways are"),
        (keys::NETWORK_LEAFNODE_REMOTES, "leafnodes are"),
    ];
    for (key, what) in lists {
        if !config.get(key).is_empty() {
            refuse(reader, key.name(), what);
        }
    }
    let ports = [
        (keys::NETWORK_PEER_PORT, "clusters are"),
        (keys::NETWORK_GATEWAY_PORT, "gateways are"),
        (keys::NETWORK_LEAFNODE_PORT, "leafnodes are"),
        (keys::NETWORK_WEBSOCKET_PORT, "a websocket listener is"),
        (keys::NETWORK_PPROF_PORT, "profiling is"),
    ];
    for (key, what) in ports {
        if config.get(key) != 0 {
            refuse(reader, key.name(), what);
        }
    }
    if config.get(keys::BROKER_FEDERATION) {
        refuse(reader, keys::BROKER_FEDERATION.name(), "federation is");
    } else if !config.get(keys::BROKER_NETWORK) && config.get(keys::ADAPTERS).is_empty() {
        reader.problem(keys::BROKER_NETWORK.name(), "every part of the broker is off; set it to 1");
    }
    if config.get(keys::SECURITY_CHORIA_CA).is_some() && !config.get(keys::NETWORK_TLS_FRONT) {
        reader.warnings.push(
            "plugin.security.choria.ca has no effect on the listener: client certificates are not asked for, so \
             connections without a token are denied; set plugin.choria.network.tls_front = true to have them verified"
                .to_owned(),
        );
    }
}

fn refuse(reader: &mut Reader<'_>, key: &str, what: &str) {
    let advice = "remove the setting, or run this broker with the existing implementation";
    reader.problem(key, format!("{what} not supported by this broker; {advice}"));
}
