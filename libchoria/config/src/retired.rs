//! Names that old files and documentation hold and that do nothing (spec 04b §13): accepted without a word.

use crate::spelling::matches_pattern;

/// Whether `key` did something once, or was said to.
pub(crate) fn is_retired(key: &str) -> bool {
    RETIRED.iter().any(|pattern| matches_pattern(pattern, key))
}

const RETIRED: &[&str] = &[
    "plugin.choria.network.monitor_port",
    "plugin.choria.network.system_account",
    "plugin.choria.network.operator_account",
    "plugin.choria.federation.instance",
    "plugin.choria.adapter.<name>.stream.clusterid",
    "plugin.security.file.cache",
    "plugin.security.always_overwrite_cache",
    "plugin.choria.security.request_signing_certificate",
    "plugin.choria.security.request_signer.token_environment",
    "plugin.choria.security.request_signer.force",
    "plugin.choria.network.client_anon_tls",
    "plugin.choria.security.serializer",
    "plugin.choria.use_srv_records",
    "plugin.choria.ssl_dir",
    "plugin.choria.discovery_host",
    "plugin.choria.discovery_port",
    "connector",
    "securityprovider",
    "connection_timeout",
    "logger_type",
    "randomize_middleware_hosts",
    "factsource",
    "daemonize",
    "rpcauditprovider",
];
