//! The edge around the decision: reads configuration, token and credentials once.

use super::credentials::test;
use super::decision::{Configured, Decision, Found, Reason, Refusal, TokenFound, decide};
use super::defaults;
use super::token::ProvisioningToken;
use config::{Environment, Inputs, LoadError, Problems, Settings, keys};
use names::Identity;
use std::path::Path;
use std::time::SystemTime;

/// What a server starts with.
#[derive(Debug)]
pub enum Prepared {
    /// A member of the fleet.
    Fleet {
        /// What the files say, for reloads.
        inputs: Box<Inputs>,
        /// The same, judged.
        config: Settings,
        /// The provisioning token, whose secret the agent `choria_provision` asks for.
        token: Option<ProvisioningToken>,
        /// For the log, or for the error that keeps the server from starting.
        note: Option<String>,
    },
    /// A server that waits to be provisioned.
    Provision {
        /// Settings of a server that is being provisioned.
        config: Settings,
        /// The token.
        token: ProvisioningToken,
        /// Why.
        reason: Reason,
        /// Whether the token has expired.
        expired: bool,
    },
}

/// Why a server does not start, as far as files and provisioning are concerned.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The configuration file exists and cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The configuration has values that cannot be used.
    #[error(transparent)]
    Config(#[from] Problems),
    /// There is not enough to start.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Reads everything around the configuration file `path`, which `load` reads, and decides. `name` is the node's name for
/// as long as no file gives one.
///
/// # Errors
/// [`PrepareError`].
pub fn prepare(
    path: &Path,
    name: Option<&Identity>,
    load: impl FnOnce() -> Result<Inputs, LoadError>,
    environment: &dyn Environment,
    now: SystemTime,
) -> Result<Prepared, PrepareError> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let inputs = match load() {
        Ok(inputs) => Some(inputs),
        Err(LoadError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let config = inputs.as_ref().map(|inputs| inputs.clone().check()).transpose()?;
    let token = ProvisioningToken::find(&path, environment);
    let found = Found { token: describe(&token, now), config: config.as_ref().map(|config| configured(config, now)) };
    match (decide(&found, &path.display().to_string()), inputs, config) {
        (Decision::Fleet { note }, Some(inputs), Some(config)) => {
            Ok(Prepared::Fleet { inputs: Box::new(inputs), config, token: token.ok().flatten(), note })
        }
        (Decision::Provision { reason, expired }, inputs, _) => match token {
            Ok(Some(token)) => {
                let name = name.map(Identity::as_str);
                let config = defaults::settings(&path, inputs.as_ref(), name, &token, environment)?;
                Ok(Prepared::Provision { config, token, reason, expired })
            }
            _ => Err(nothing(&path).into()),
        },
        (Decision::Refuse(refusal), ..) => Err(refusal.into()),
        (Decision::Fleet { .. }, ..) => Err(nothing(&path).into()),
    }
}

/// What there is to say when nothing is there; the decision says it first.
fn nothing(path: &Path) -> Refusal {
    Refusal::Nothing { file: path.display().to_string() }
}

fn describe(token: &Result<Option<ProvisioningToken>, super::InvalidToken>, now: SystemTime) -> TokenFound {
    match token {
        Ok(None) => TokenFound::Absent,
        Err(error) => TokenFound::Unusable(error.to_string()),
        Ok(Some(token)) => TokenFound::Usable {
            by_default: token.claims().provision_by_default,
            v2: token.claims().protocol_v2,
            expired: token.is_expired(now),
        },
    }
}

fn configured(config: &Settings, now: SystemTime) -> Configured {
    let anonymous = config.get(keys::SECURITY_SERVER_ANON_TLS).then(|| {
        let (token, seed) = (config.get(keys::SECURITY_SERVER_TOKEN_FILE), config.get(keys::SECURITY_SERVER_SEED_FILE));
        test(token.as_deref(), seed.as_deref(), now)
    });
    let own = || {
        (config.provider() == "choria").then(|| {
            let token = config.get(keys::SECURITY_CHORIA_TOKEN_FILE);
            test(token.as_deref(), config.get(keys::SECURITY_CHORIA_SEED_FILE).as_deref(), now)
        })
    };
    Configured {
        provision: config.is_set(keys::SERVER_PROVISION).then(|| config.get(keys::SERVER_PROVISION)),
        credentials: anonymous.or_else(own),
        identity: config.identity(),
    }
}
