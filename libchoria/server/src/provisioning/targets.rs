//! Where a server would connect to be provisioned, for people who look for mistakes (spec 06 §11.4).

use super::preparation::{PrepareError, Prepared, prepare};
use config::{Kind, SystemEnvironment};
use network::{Dns, SearchError, ServerAddress};
use std::path::Path;
use std::time::SystemTime;

/// Why there is no place to be provisioned from.
#[derive(Debug, thiserror::Error)]
pub enum TargetsError {
    /// The node would not be provisioned.
    #[error("not a server compiled for auto provisioning or the provisioning target is not functional: {0}")]
    Member(String),
    /// It could not even start.
    #[error("not a server compiled for auto provisioning or the provisioning target is not functional: {0}")]
    Prepare(#[from] PrepareError),
    /// The token names no broker that can be found now. A server would ask again and again.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// The brokers to which the server with the configuration file `config`, which need not exist, would connect to be
/// provisioned, in the order in which they were found. Asks DNS once, where a server repeats that for ever.
///
/// # Errors
/// [`TargetsError`].
pub async fn targets(config: &Path) -> Result<Vec<ServerAddress>, TargetsError> {
    let load = || config::load(config, Kind::Server, &SystemEnvironment);
    match prepare(config, None, load, &SystemEnvironment, SystemTime::now())? {
        Prepared::Provision { token, .. } => Ok(token.search().find(&Dns).await?),
        Prepared::Fleet { note: Some(note), .. } => Err(TargetsError::Member(note)),
        Prepared::Fleet { token: None, .. } => Err(TargetsError::Member("there is no provisioning token".to_owned())),
        Prepared::Fleet { .. } => Err(TargetsError::Member(
            "the node is configured, and plugin.choria.server.provision does not ask for provisioning".to_owned(),
        )),
    }
}
