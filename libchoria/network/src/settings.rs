//! From configuration to [`Options`]: which keys decide a connection (spec 01 §6, 02 §14, 04b §7 and §8).

use crate::address::InvalidAddress;
use crate::login::{Login, UserPassword};
use crate::options::{Options, Role};
use crate::search::{Search, Servers, parse_addresses};
use crate::tls::{Tls, TlsError, TlsFiles, Trust};
use config::{CommaList, Key, PathText, Settings, keys};
use std::path::PathBuf;
use std::sync::Arc;

/// The configuration does not say how to connect. Each names the key.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A broker address is none.
    #[error("{key}: {source}")]
    Address {
        /// The key.
        key: &'static str,
        /// What is wrong.
        source: InvalidAddress,
    },
    /// A certificate or key file cannot be used.
    #[error("{0}; plugin.security.*.ca, certificate and key name these files")]
    Tls(#[from] TlsError),
    /// A key that the provider needs is missing.
    #[error("{key} is not set; security provider {provider:?} needs it to connect")]
    Missing {
        /// The key.
        key: &'static str,
        /// The provider.
        provider: String,
    },
    /// No connection can be made with this provider.
    #[error("security provider {0:?} is not supported here; set plugin.security.provider to choria or file")]
    Provider(String),
}

impl Options {
    /// What `settings` say about the connection of `owner`, the caller id or identity in the login's token, which decides
    /// where its replies go. `name` is shown by the broker's monitoring. Reads certificate files; token and seed are read
    /// when connecting.
    ///
    /// # Errors
    /// [`SettingsError`] names the key or file.
    pub fn from_settings(settings: &Settings, role: Role, name: &str, owner: &str) -> Result<Self, SettingsError> {
        let servers = Servers::Search(Arc::new(Search::from_settings(settings)?));
        let mut options = Self::new(role, name, servers, Tls::from_settings(settings, role)?);
        options.login = Login::from_settings(settings, role)?;
        options.user = user_password(settings);
        options.inbox_prefix = match options.login {
            Login::Token { .. } => protocol::subjects::inbox_prefix(settings.main_collective(), owner),
            _ => format!("{}.reply", settings.main_collective()),
        };
        options.connect_timeout = settings.get(keys::NETWORK_CONNECT_TIMEOUT);
        if settings.is_set(keys::NETWORK_PING_INTERVAL) {
            options.ping_interval = settings.get(keys::NETWORK_PING_INTERVAL);
        }
        Ok(options)
    }
}

impl Search {
    /// Where the brokers of `settings` are: federation brokers when remote collectives are configured, else the
    /// collective's own.
    ///
    /// # Errors
    /// [`SettingsError::Address`].
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let use_srv = settings.get(keys::USE_SRV);
        let domain = settings.get(keys::SRV_DOMAIN).map(str::to_owned);
        let hosts = |key: Key<CommaList>| {
            parse_addresses(settings.get(key)).map_err(|source| SettingsError::Address { key: key.name(), source })
        };
        Ok(if settings.get(keys::FEDERATION_COLLECTIVES).is_empty() {
            Self::brokers(hosts(keys::MIDDLEWARE_HOSTS)?, use_srv, domain)
        } else {
            Self::federation(hosts(keys::FEDERATION_MIDDLEWARE_HOSTS)?, use_srv, domain)
        })
    }
}

impl Login {
    /// The credentials `settings` name for a `role`.
    ///
    /// # Errors
    /// [`SettingsError::Missing`]: tokens are used but none is named.
    pub fn from_settings(settings: &Settings, role: Role) -> Result<Self, SettingsError> {
        let provider = settings.provider();
        if provider == "choria" || is_anonymous(settings, role) {
            let token_file =
                settings.token_file().ok_or_else(|| missing(keys::SECURITY_CHORIA_TOKEN_FILE, provider))?;
            return Ok(Self::Token { token_file, seed_file: settings.seed_file() });
        }
        let credentials = settings.get(keys::NATS_CREDENTIALS).map(PathBuf::from);
        Ok(credentials.map_or(Self::Anonymous, Self::Credentials))
    }
}

impl Tls {
    /// Encryption and trust as `settings` say for a `role`: the `choria` provider without a CA, anonymous TLS and switched
    /// off verification accept any broker (spec 02 §13).
    ///
    /// # Errors
    /// [`SettingsError`] names the key or file.
    pub fn from_settings(settings: &Settings, role: Role) -> Result<Self, SettingsError> {
        if !settings.protection().tls {
            return Ok(Self::disabled()?);
        }
        let mut files = TlsFiles {
            cipher_suites: settings.get(keys::SECURITY_CIPHER_SUITES).to_vec(),
            curves: settings.get(keys::SECURITY_ECC_CURVES).to_vec(),
            ..TlsFiles::default()
        };
        if !is_anonymous(settings, role) {
            let provider = settings.provider();
            let keys = ProviderKeys::of(provider)?;
            files.identity = keys.identity(settings, provider)?;
            files.trust = keys.trust(settings, provider)?;
        }
        Ok(Self::new(&files)?)
    }
}

impl Tls {
    /// TLS towards services that are reached by https, as a client: certificates and CA are those of connections to brokers.
    /// Where TLS to brokers is switched off, https stays encrypted and nobody is identified.
    ///
    /// # Errors
    /// [`SettingsError`] names the key or file.
    pub fn for_services(settings: &Settings) -> Result<Self, SettingsError> {
        if settings.protection().tls { Self::from_settings(settings, Role::Client) } else { Ok(Self::unverified()?) }
    }
}

/// The keys that name a provider's files.
struct ProviderKeys {
    certificate: Key<PathText>,
    key: Key<PathText>,
    authority: Key<PathText>,
    /// Whether a connection can be made without the files.
    optional: bool,
}

impl ProviderKeys {
    fn of(provider: &str) -> Result<Self, SettingsError> {
        match provider {
            "choria" => Ok(Self {
                certificate: keys::SECURITY_CHORIA_CERTIFICATE,
                key: keys::SECURITY_CHORIA_KEY,
                authority: keys::SECURITY_CHORIA_CA,
                optional: true,
            }),
            "file" => Ok(Self {
                certificate: keys::SECURITY_FILE_CERTIFICATE,
                key: keys::SECURITY_FILE_KEY,
                authority: keys::SECURITY_FILE_CA,
                optional: false,
            }),
            other => Err(SettingsError::Provider(other.to_owned())),
        }
    }

    fn identity(&self, settings: &Settings, provider: &str) -> Result<Option<(PathBuf, PathBuf)>, SettingsError> {
        match (settings.get(self.certificate), settings.get(self.key)) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) if self.optional => Ok(None),
            (None, _) => Err(missing(self.certificate, provider)),
            (_, None) => Err(missing(self.key, provider)),
        }
    }

    fn trust(&self, settings: &Settings, provider: &str) -> Result<Trust, SettingsError> {
        if !settings.protection().verify_tls {
            return Ok(Trust::Anyone);
        }
        match settings.get(self.authority) {
            Some(file) => {
                let common_names = settings.get(keys::SECURITY_SUPPORT_LEGACY_CERTIFICATES);
                Ok(Trust::Authorities { file, common_names })
            }
            None if self.optional => Ok(Trust::Anyone),
            None => Err(missing(self.authority, provider)),
        }
    }
}

fn is_anonymous(settings: &Settings, role: Role) -> bool {
    settings.get(match role {
        Role::Server => keys::SECURITY_SERVER_ANON_TLS,
        Role::Client => keys::SECURITY_CLIENT_ANON_TLS,
    })
}

/// Both or nothing, as the key descriptions say.
fn user_password(settings: &Settings) -> Option<UserPassword> {
    let (user, password) = settings.get(keys::NATS_USER).zip(settings.get(keys::NATS_PASS))?;
    Some(UserPassword { user: user.to_owned(), password: password.to_owned() })
}

fn missing(key: Key<PathText>, provider: &str) -> SettingsError {
    SettingsError::Missing { key: key.name(), provider: provider.to_owned() }
}

#[cfg(test)]
mod tests;
