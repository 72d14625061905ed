//! The options of a connection as the configuration says (spec 01 §6, 02 §14).

use crate::address::InvalidAddress;
use crate::login::{Login, UserPassword};
use crate::options::{Options, Role};
use crate::search::{Search, Servers, parse_addresses};
use crate::tls::{Tls, TlsError, TlsFiles, Trust};
use config::{Settings, keys};
use std::sync::Arc;

/// The configuration holds something that no connection can be made with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An address of a broker is not one.
    #[error("{key}: {source}")]
    Address {
        /// The configuration key.
        key: &'static str,
        /// The text and the rule.
        source: InvalidAddress,
    },
    /// The files for TLS cannot be used.
    #[error("plugin.security.choria: {0}")]
    Tls(#[from] TlsError),
}

impl Options {
    /// The connection of `owner`, the caller id or identity that the login's token names: it decides the private inbox.
    /// `name` is what the broker's monitoring shows.
    ///
    /// # Errors
    /// [`SettingsError`] names the configuration key or the file.
    pub fn from_settings(settings: &Settings, role: Role, name: &str, owner: &str) -> Result<Self, SettingsError> {
        let inbox = protocol::subjects::inbox_prefix(settings.main_collective(), owner);
        let user = settings.get(keys::NATS_USER).zip(settings.get(keys::NATS_PASS));
        let mut options = Self::new(role, name, servers(settings)?, tls(settings)?);
        options.login = login(settings);
        options.user = user.map(|(user, password)| UserPassword { user: user.into(), password: password.into() });
        options.inbox_prefix = inbox;
        options.connect_timeout = settings.get(keys::NETWORK_CONNECT_TIMEOUT);
        Ok(options)
    }
}

/// Configured brokers, else a search; federated clients use the brokers of the federation.
fn servers(settings: &Settings) -> Result<Servers, SettingsError> {
    let federated = !settings.get(keys::FEDERATION_COLLECTIVES).is_empty();
    let key = if federated { keys::FEDERATION_MIDDLEWARE_HOSTS } else { keys::MIDDLEWARE_HOSTS };
    let configured =
        parse_addresses(settings.get(key)).map_err(|source| SettingsError::Address { key: key.name(), source })?;
    let use_srv = settings.get(keys::USE_SRV);
    let domain = settings.get(keys::SRV_DOMAIN).map(str::to_owned);
    let search = if federated { Search::federation } else { Search::brokers };
    Ok(Servers::Search(Arc::new(search(configured, use_srv, domain))))
}

/// TLS of the `choria` provider: without a CA the broker's certificate is not checked, as existing sites rely on.
fn tls(settings: &Settings) -> Result<Tls, TlsError> {
    let protection = settings.protection();
    if !protection.tls {
        return Tls::disabled();
    }
    let authorities = settings.get(keys::SECURITY_CHORIA_CA).filter(|_| protection.verify_tls);
    let trust = authorities.map_or(Trust::Anyone, |file| Trust::Authorities { file, common_names: false });
    let identity = settings.get(keys::SECURITY_CHORIA_CERTIFICATE).zip(settings.get(keys::SECURITY_CHORIA_KEY));
    Tls::new(&TlsFiles {
        trust,
        identity,
        cipher_suites: settings.get(keys::SECURITY_CIPHER_SUITES).to_vec(),
        curves: settings.get(keys::SECURITY_ECC_CURVES).to_vec(),
    })
}

fn login(settings: &Settings) -> Login {
    match settings.token_file() {
        Some(token_file) => Login::Token { token_file, seed_file: settings.seed_file() },
        None => settings.get(keys::NATS_CREDENTIALS).map_or(Login::Anonymous, |file| Login::Credentials(file.into())),
    }
}
