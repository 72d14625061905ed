//! Settings that this broker cannot honour. They are refused: a part of the broker that silently is missing is worse
//! than a broker that says what to change.

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

    if config.get(keys::NETWORK_PPROF_PORT) != 0 {
        refuse(reader, keys::NETWORK_PPROF_PORT.name(), "profiling is");
    }
    if config.get(keys::BROKER_FEDERATION) {
        refuse(reader, keys::BROKER_FEDERATION.name(), "federation is");
    } else if !config.get(keys::BROKER_NETWORK) && config.get(keys::ADAPTERS).is_empty() {
        reader.problem(keys::BROKER_NETWORK.name(), "every part of the broker is off; set it to 1");
    } else if !config.get(keys::BROKER_NETWORK) {
        reader.problem(keys::BROKER_NETWORK.name(), "adapters run in a broker that runs its network; set it to 1");
    }
}

fn refuse(reader: &mut Reader<'_>, key: &str, what: &str) {
    let advice = "remove the setting, or run this broker with the existing implementation";
    reader.problem(key, format!("{what} not supported by this broker; {advice}"));
}
