//! What the server's configuration says about submission, as far as this user may read it.

use crate::Global;
use anyhow::Context;
use config::{Kind, Settings, SystemEnvironment, keys};
use local::submission::{Client, SubmitError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How submission is set up on this machine.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Spool, limits and socket; `None` when no spool is set up, or none this user knows of.
    pub(crate) settings: Option<submission::Settings>,
    /// Where `choria-submit` listens.
    pub(crate) socket: PathBuf,
    /// The configuration that was read; `None` for an unprivileged user, who usually may not read it.
    pub(crate) file: Option<PathBuf>,
}

impl Setup {
    /// Reads the configuration that `--config` names, else the server's when it is there and may be read. Who may not
    /// read it has the defaults: the service on the socket knows what counts.
    ///
    /// # Errors
    /// When the named file cannot be read, or with everything that is wrong in it.
    pub(crate) fn read(global: &Global) -> anyhow::Result<Self> {
        let file = match &global.config {
            Some(named) => Some(named.clone()),
            None => readable(Path::new(SERVER_CONFIG))?,
        };
        let settings = match &file {
            Some(file) => {
                let mut inputs = config::load(file, Kind::Server, &SystemEnvironment)?;
                inputs.ignore_credentials();
                inputs.check()?
            }
            None => Settings::builder().build()?,
        };
        let (settings, socket) =
            (submission::Settings::from_settings(&settings)?, settings.get(keys::SUBMISSION_SOCKET));
        let socket = match &settings {
            Some(settings) => settings.socket.clone(),
            None => socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)),
        };
        Ok(Self { settings, socket, file })
    }

    /// The service, where no spool is known.
    ///
    /// # Errors
    /// When it does not listen: then there is no submission.
    pub(crate) fn service(&self) -> Result<Client, SubmitError> {
        Client::connect(&self.socket).map_err(|absent| {
            let file = self.file.as_deref().unwrap_or(Path::new(SERVER_CONFIG)).display();
            SubmitError::NoSocket(format!(
                "spool is not configured: {absent}; start the service with systemctl enable --now \
                 choria-submit.socket, or set plugin.choria.submission.spool in {file}"
            ))
        })
    }
}

/// `file`, if it is there and this user may read it.
fn readable(file: &Path) -> anyhow::Result<Option<PathBuf>> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(Some(file.to_owned())),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// The configuration of the server of this machine.
pub(crate) const SERVER_CONFIG: &str = config::build::SERVER_CONFIG;

/// Where the service listens unless the configuration says otherwise.
const DEFAULT_SOCKET: &str = config::build::SUBMIT_SOCKET;
