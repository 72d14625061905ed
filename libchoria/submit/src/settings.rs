//! What the configuration says, and what holds without one.

use anyhow::Context as _;
use config::keys;
use config::{Inputs, Kind, Protection, SystemEnvironment};
use daemon::logging::Level;
use std::path::{Path, PathBuf};
use submission::DEFAULT_SPOOL;

/// The configuration that is read when it is there.
pub(crate) const DEFAULT_CONFIG: &str = config::build::SERVER_CONFIG;

/// The settings of this service.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) submission: submission::Settings,
    pub(crate) level: Level,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
}

impl Settings {
    /// Reads `config`; without one, [`DEFAULT_CONFIG`] if it exists; else what holds by default. Finding the host's name
    /// may ask a name server.
    ///
    /// # Errors
    /// Every problem of the files.
    pub(crate) fn read(config: Option<&Path>) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_CONFIG);
        let file = match config {
            Some(given) => Some(given),
            None => default.try_exists().with_context(|| DEFAULT_CONFIG.to_owned())?.then_some(default),
        };
        let mut inputs = match file {
            Some(file) => config::load(file, Kind::Server, &SystemEnvironment)?,
            None => Inputs::empty(Some(default), Kind::Server, &SystemEnvironment),
        };
        // Nothing here connects anywhere: a node that has no credentials yet can take messages.
        inputs.ignore_credentials();
        inputs.protect(Protection { tls: false, validate_security: false, ..Protection::default() });
        let settings = inputs.check()?;
        let submission = match submission::Settings::from_settings(&settings)? {
            Some(submission) => submission,
            // It is made when it is opened.
            None => submission::Settings::with_spool(&settings, PathBuf::from(DEFAULT_SPOOL))?,
        };
        Ok(Self {
            submission,
            level: Level::from_setting(settings.get(keys::LOGLEVEL).unwrap_or("info")),
            file: file.map(Path::to_owned),
        })
    }
}
