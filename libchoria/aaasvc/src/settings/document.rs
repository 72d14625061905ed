//! The configuration file as it is written (spec 07 §2): every key, nothing judged.
//!
//! Keys of our own, which the original ignores: `listen_address`, `monitor_address`, `max_connections`, `login_limits`,
//! `okta_authenticator.tls_ca` and `okta_authenticator.organization`.

use config::{Environment, find_credential};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The whole file. `null` is the same as leaving a key out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    #[serde(deserialize_with = "or_default")]
    pub(crate) logfile: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) loglevel: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) choria_config: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(crate) authenticator: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) auditors: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) authorizer: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) signer: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) port: Port,
    #[serde(deserialize_with = "or_default")]
    pub(crate) monitor_port: Port,
    #[serde(deserialize_with = "or_default")]
    pub(crate) site: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) tls_certificate: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(crate) tls_key: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(crate) tls_ca: PathBuf,
    pub(crate) basicjwt_signer: Option<BasicJwt>,
    pub(crate) logfile_auditor: Option<LogFile>,
    pub(crate) jetstream_auditor: Option<JetStream>,
    pub(crate) userlist_authenticator: Option<UserList>,
    pub(crate) okta_authenticator: Option<Okta>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) listen_address: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) monitor_address: String,
    pub(crate) max_connections: Option<usize>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) login_limits: LoginLimits,
}

impl Document {
    /// Keys of which nothing is said take the credential of their name, where the service manager has one.
    pub(crate) fn use_credentials(&mut self, environment: &dyn Environment) {
        let find = |name: &str| find_credential(&format!("choria.aaasvc.{name}"), environment);
        let fill = |file: &mut PathBuf, name: &str| {
            if file.as_os_str().is_empty() {
                if let Some(found) = find(name) {
                    *file = found;
                }
            }
        };
        fill(&mut self.tls_certificate, "tls.cert");
        fill(&mut self.tls_key, "tls.key");
        fill(&mut self.tls_ca, "tls.ca");
        if let Some(signer) = &mut self.basicjwt_signer {
            fill(&mut signer.signing_token, "jwt");
            fill(&mut signer.signing_seed, "seed");
        }
    }
}

/// `basicjwt_signer` (spec 07 §6).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BasicJwt {
    pub(crate) signing_certificate: PathBuf,
    pub(crate) signing_token: PathBuf,
    pub(crate) signing_seed: PathBuf,
    pub(crate) max_validity: String,
    pub(crate) choria_service: bool,
    pub(crate) allow_bearer_tokens: bool,
}

/// `logfile_auditor` (spec 07 §10.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogFile {
    pub(crate) logfile: PathBuf,
}

/// `jetstream_auditor` (spec 07 §10.2).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JetStream {
    pub(crate) servers: String,
    pub(crate) topic: String,
}

/// `userlist_authenticator` (spec 07 §4.3).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserList {
    #[serde(deserialize_with = "or_default")]
    pub(crate) users: Vec<User>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) users_file: PathBuf,
    pub(crate) validity: String,
    pub(crate) signing_key: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(crate) signing_token: PathBuf,
}

/// `okta_authenticator` (spec 07 §2), with which people log in against an Okta organization.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Okta {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) api_token: String,
    pub(crate) endpoint: String,
    pub(crate) validity: String,
    pub(crate) signing_key: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(crate) signing_token: PathBuf,
    pub(crate) acls: BTreeMap<String, Vec<String>>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) broker_permissions: BTreeMap<String, bool>,
    pub(crate) organization: String,
    pub(crate) tls_ca: PathBuf,
}

/// One user of the list.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct User {
    pub(crate) username: String,
    /// The bcrypt hash.
    pub(crate) password: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) organization: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) acls: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) opa_policy: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) opa_policy_file: PathBuf,
    #[serde(deserialize_with = "or_default")]
    pub(crate) properties: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) broker_permissions: BTreeMap<String, bool>,
}

/// `login_limits`: failed logins a minute, after as many at once; 0 switches one off.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub(crate) struct LoginLimits {
    /// For one user from one address.
    pub(crate) per_user_and_address: u32,
    /// From one address, whatever the user.
    pub(crate) per_address: u32,
    /// For one user, from addresses where that user has not logged in before.
    pub(crate) per_user: u32,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self { per_user_and_address: 10, per_address: 60, per_user: 60 }
    }
}

/// A port; documented examples write it as text, which is read too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Port(pub(crate) u16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u16),
            Text(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Number(port)) => Ok(Self(port)),
            Ok(Written::Text(text)) => text.trim().parse().map(Self).map_err(|_| D::Error::custom(NO_PORT)),
            Err(_) => Err(D::Error::custom(NO_PORT)),
        }
    }
}

const NO_PORT: &str = "a port is a number from 0 to 65535";

/// Keys of the whole file that nothing reads, which are ignored; the published documentation has some.
pub(crate) fn unknown_keys(text: &str) -> Vec<String> {
    let keys: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_str(text).unwrap_or_default();
    keys.into_keys().filter(|key| !KNOWN.contains(&key.as_str())).collect()
}

const KNOWN: [&str; 22] = [
    "logfile",
    "loglevel",
    "choria_config",
    "authenticator",
    "auditors",
    "authorizer",
    "signer",
    "port",
    "monitor_port",
    "site",
    "tls_certificate",
    "tls_key",
    "tls_ca",
    "basicjwt_signer",
    "logfile_auditor",
    "jetstream_auditor",
    "userlist_authenticator",
    "okta_authenticator",
    "listen_address",
    "monitor_address",
    "max_connections",
    "login_limits",
];

// Neither may show up in a log by accident.
impl fmt::Debug for Okta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Okta").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("username", &self.username).finish_non_exhaustive()
    }
}

fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
