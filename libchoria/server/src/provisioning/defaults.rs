//! A server that is being provisioned: its settings, of which nothing but a few local ones come from the configuration
//! file, and its connection (spec 06 §2.1, §2.3, §2.4).

use super::token::ProvisioningToken;
use config::build;
use config::{Environment, Inputs, Kind, Problems, Protection, Settings, keys};
use network::{Login, Options, Role, Servers, Tls, TlsFiles, Trust, UserPassword};
use std::path::Path;
use std::sync::Arc;

/// The collective of all servers that are being provisioned.
pub(crate) const COLLECTIVE: &str = "provisioning";

/// Settings of the server whose configuration file would be `path`. Of `kept`, what is in that file, only the node's name
/// and what concerns this machine alone stays: log, status file, statistics. `name` is used when the file gives none.
///
/// # Errors
/// [`Problems`], for example a host without a usable name.
pub(crate) fn settings(
    path: &Path,
    kept: Option<&Inputs>,
    name: Option<&str>,
    token: &ProvisioningToken,
    environment: &dyn Environment,
) -> Result<Settings, Problems> {
    let mut inputs = Inputs::empty(Some(path), Kind::Server, environment);
    if let Some(kept) = kept {
        KEPT.iter().filter(|key| kept.text(key).is_some()).for_each(|key| inputs.adopt(key, kept));
    }
    if let (Some(name), None) = (name, inputs.text(keys::IDENTITY.name())) {
        inputs.set(keys::IDENTITY.name(), name);
    }
    let status_file = build::PROVISIONING.status_file;
    if inputs.text(keys::STATUS_FILE_PATH.name()).is_none() && !status_file.is_empty() {
        inputs.set(keys::STATUS_FILE_PATH.name(), status_file);
    }
    if inputs.text(keys::STATUS_UPDATE_INTERVAL.name()).is_none() {
        inputs.set(keys::STATUS_UPDATE_INTERVAL.name(), STATUS_INTERVAL);
    }
    let claims = token.claims();
    let ssl_dir = path.with_file_name("ssl").display().to_string();
    let word = |on: bool| if on { "true" } else { "false" };
    let forced = [
        (keys::COLLECTIVES.name(), COLLECTIVE),
        (keys::MAIN_COLLECTIVE.name(), COLLECTIVE),
        (keys::REGISTRATION_COLLECTIVE.name(), COLLECTIVE),
        (keys::RPCAUTHORIZATION.name(), "0"),
        (keys::SECURITY_PROVIDER.name(), "choria"),
        (keys::SERVER_PROVISION_ALLOW_UPDATE.name(), word(claims.allow_update)),
        (keys::SSLDIR.name(), &ssl_dir),
        (keys::YAML.name(), &claims.facts),
        (keys::MIDDLEWARE_HOSTS.name(), &claims.urls),
        (keys::USE_SRV.name(), word(!claims.srv_domain.is_empty())),
        (keys::SRV_DOMAIN.name(), &claims.srv_domain),
    ];
    forced.into_iter().filter(|(_, text)| !text.is_empty()).for_each(|(key, text)| inputs.set(key, text));
    inputs.protect(Protection { tls: true, verify_tls: false, validate_security: false, signed_messages: false });
    inputs.check()
}

/// How such a server connects: encrypted whatever is configured, to a broker that it cannot verify, with the token as it
/// is in its file at the time, so that a renewed one is used without a restart. It tries for ever.
///
/// # Errors
/// [`network::TlsError`], when the cryptography library refuses to work.
pub(crate) fn network(settings: &Settings, token: &ProvisioningToken) -> Result<Options, network::TlsError> {
    let tls = Tls::new(&TlsFiles {
        trust: Trust::Anyone,
        identity: None,
        cipher_suites: settings.get(keys::SECURITY_CIPHER_SUITES).to_vec(),
        curves: settings.get(keys::SECURITY_ECC_CURVES).to_vec(),
    })?;
    let servers = Servers::Search(Arc::new(token.search()));
    let claims = token.claims();
    let with_user = !claims.username.is_empty() && !claims.password.is_empty();
    // A build that says everything itself has user and password at most.
    let login = match token.path() {
        Some(file) => Login::Token { token_file: file.to_owned(), seed_file: None },
        None => Login::Anonymous,
    };
    Ok(Options {
        login,
        user: with_user.then(|| UserPassword { user: claims.username.clone(), password: claims.password.clone() }),
        inbox_prefix: format!("{COLLECTIVE}.reply"),
        ..Options::new(Role::Server, settings.identity().as_str(), servers, tls)
    })
}

/// What of a configuration file stays while the node is being provisioned. The original keeps nothing.
const KEPT: [&str; 7] = [
    keys::IDENTITY.name(),
    keys::LOGFILE.name(),
    keys::LOGLEVEL.name(),
    keys::STATUS_FILE_PATH.name(),
    keys::STATUS_UPDATE_INTERVAL.name(),
    keys::STATS_ADDRESS.name(),
    keys::STATS_PORT.name(),
];

/// Seconds between two writings of the status file, unless the configuration says another number.
const STATUS_INTERVAL: &str = "10";
