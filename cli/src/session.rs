//! What every command that asks the fleet needs: configuration, a log, credentials, a connection.

use crate::Global;
use crate::output::colour::{Palette, Wishes};
use anyhow::Context;
use config::{Kind, Settings, SystemEnvironment, keys};
use daemon::logging::{Destination, Level, Logging};
use rpc::client::Client;
use rpc::ddl::{AgentDdl, FindError, Library};
use security::Provider;
use std::future::Future;
use std::io::IsTerminal;
use std::time::{Duration, SystemTime};

/// Flags about the connection.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connect {
    /// Give up when no broker could be reached for so long
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = crate::duration::parse)]
    pub(crate) connect_timeout: Duration,
    /// Ask other collectives through federation brokers, separated by commas
    #[arg(long, value_name = "COLLECTIVES")]
    pub(crate) federations: Option<String>,
}

/// Configuration and credentials, read and found to be good. Nothing is connected yet.
#[derive(Debug)]
pub(crate) struct Session {
    settings: Settings,
    provider: Provider,
    patience: Duration,
}

/// How much a command logs when nobody says otherwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Talk {
    /// Warnings and errors.
    Normal,
    /// Errors that end the command.
    Least,
}

impl Session {
    /// Reads the configuration and the credentials it names, and starts the log on standard error.
    ///
    /// # Errors
    /// When a file cannot be read, or with everything that is wrong in them.
    pub(crate) fn open(global: &Global, connect: &Connect, talk: Talk) -> anyhow::Result<Self> {
        let settings = settings(global)?;
        let level = level(global.debug, talk, settings.get(keys::LOGLEVEL).filter(|_| settings.is_set(keys::LOGLEVEL)));
        daemon::logging::start("choria", &Logging { destination: Destination::StandardError, level })?;
        settings.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let settings = match &connect.federations {
            None => settings,
            Some(names) => settings.with(&[(keys::FEDERATION_COLLECTIVES.name(), names.clone())])?,
        };
        let provider = Provider::from_settings(&settings, security::Role::Client, SystemTime::now())?;
        Ok(Self { settings, provider, patience: connect.connect_timeout })
    }

    /// The configuration.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where DDL documents are.
    pub(crate) fn library(&self) -> Library {
        Library::from_settings(&self.settings)
    }

    /// The document of the agent called `name`: from this machine, else from the registry where one is used, which is
    /// asked once and its answer kept (spec 03a §6).
    ///
    /// # Errors
    /// When there is none, it cannot be used, or the registry cannot be asked.
    pub(crate) fn ddl(&self, name: &str) -> anyhow::Result<AgentDdl> {
        let library = self.library();
        match library.agent(name) {
            Err(missing @ FindError::NotFound { .. }) if library.uses_registry() => {
                let found = block_on(async { Ok(library.agent_or_registry(name, &self.client().await?).await?) });
                found.with_context(|| missing.to_string())
            }
            found => Ok(found?),
        }
    }

    /// The colours a stream takes.
    pub(crate) fn palette(&self, stream: &impl IsTerminal) -> Palette {
        let variable = |name| std::env::var(name).ok();
        let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
        Palette::new(Wishes {
            terminal: stream.is_terminal(),
            setting: self.settings.get(keys::COLOR),
            no_color: no_color.as_deref(),
            term: term.as_deref(),
        })
    }

    /// Connects to a broker.
    ///
    /// # Errors
    /// When none can be reached in time, or it does not take the login.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::open(&self.settings, self.provider.clone(), self.patience).await?)
    }
}

/// Runs `work` to its end on this thread. What it leaves behind is dropped, not waited for.
///
/// # Errors
/// Those of `work`, and when the system gives no event queue.
pub(crate) fn block_on<Output>(work: impl Future<Output = anyhow::Result<Output>>) -> anyhow::Result<Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting up")?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

/// The settings of a client: those in the file named on the command line, else in the first one of the search path.
///
/// # Errors
/// When a file cannot be read, or with everything that is wrong in them.
pub(crate) fn settings(global: &Global) -> anyhow::Result<Settings> {
    let environment = SystemEnvironment;
    let working_directory = std::env::current_dir().context("could not determine the working directory")?;
    let file = global.config.clone().unwrap_or_else(|| config::find_client_config(&environment));
    Ok(config::load(&file, Kind::Client { working_directory }, &environment)?.check()?)
}

/// `--debug`, else the setting if there is one, else what suits the command.
fn level(debug: bool, talk: Talk, setting: Option<&str>) -> Level {
    match (debug, talk, setting) {
        (true, _, _) => Level::Debug,
        (false, Talk::Least, setting) if setting != Some("debug") => Level::Fatal,
        (false, _, Some(setting)) => Level::from_setting(setting),
        (false, _, None) => Level::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_quiet_unless_told_otherwise() {
        let rows = [
            (false, Talk::Normal, None, Level::Warn),
            (false, Talk::Normal, Some("info"), Level::Info),
            (false, Talk::Least, None, Level::Fatal),
            (false, Talk::Least, Some("warn"), Level::Fatal),
            (false, Talk::Least, Some("debug"), Level::Debug),
            (true, Talk::Least, None, Level::Debug),
        ];
        for (debug, talk, setting, expected) in rows {
            assert_eq!(level(debug, talk, setting), expected, "{debug} {talk:?} {setting:?}");
        }
    }
}
