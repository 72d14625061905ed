//! From a configuration to a connected client.

use super::{Client, RequestError};
use config::Settings;
use network::{ConnectError, Failure, Options, Role, SettingsError};
use protocol::{Version, new_request_id};
use security::Provider;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// There is no client.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings about the connection cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No broker took the connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker refused the login. A broker does not say which file the token came from.
    #[error("the token {} was not accepted", path.display())]
    Refused {
        /// The token's file.
        path: PathBuf,
        /// What the broker said.
        source: ConnectError,
    },
    /// Requests cannot be signed as the settings ask.
    #[error(transparent)]
    Signer(#[from] RequestError),
}

impl Client {
    /// Connects in the name of `provider` and makes a client as [`Client::from_settings`] does. Trying for a first
    /// connection takes `patience` at most.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(settings: &Settings, provider: Provider, patience: Duration) -> Result<Self, OpenError> {
        let caller = provider.caller().as_str();
        let mut options = Options::from_settings(settings, Role::Client, caller, caller)?;
        options.patience = Some(patience);
        // The client library numbers its reply subjects from where a parent process left off, so a child of fork() would
        // get its parent's answers: each connection has a word of its own before them.
        let own = new_request_id(Version::V2, SystemTime::now(), &mut rand::thread_rng());
        options.inbox_prefix = format!("{}.{own}", options.inbox_prefix);
        let connection = match network::connect(options, CancellationToken::new()).await {
            Ok(connection) => connection,
            Err(source) => {
                let refused = matches!(source, ConnectError::GaveUp { failure: Failure::Unauthorized, .. });
                return Err(match settings.token_file().filter(|_| refused) {
                    Some(path) => OpenError::Refused { path, source },
                    None => source.into(),
                });
            }
        };
        Ok(Self::from_settings(connection, provider, settings)?)
    }
}
