//! SIGHUP: the whole configuration is read and checked, then what can change without a restart is taken over.

use crate::live::{Handle, Live, is_live};
use crate::program::{Arguments, read};
use crate::settings::{Parts, Settings};
use config::{Inputs, keys};
use daemon::logging::Level;
use std::path::PathBuf;
use std::time::SystemTime;

/// Reads the configuration of a running server anew.
#[derive(Debug)]
pub(crate) struct Reloader {
    path: PathBuf,
    arguments: Arguments,
    /// What is in force.
    inputs: Box<Inputs>,
}

/// What a reload came to.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// Keys that changed and count.
    pub(crate) changed: Vec<String>,
    /// Keys that changed in the files and count after a restart.
    pub(crate) waiting: Vec<String>,
    /// What is logged from now on.
    pub(crate) level: Level,
}

impl Reloader {
    pub(crate) fn new(path: PathBuf, arguments: Arguments, inputs: Inputs) -> Self {
        Self { path, arguments, inputs: Box::new(inputs) }
    }

    /// Reads, checks, takes over, and logs what came of it. A configuration that could not start a server changes
    /// nothing.
    pub(crate) async fn reload(&mut self, handle: &Handle, context: &daemon::Context) {
        let (path, arguments) = (self.path.clone(), self.arguments.clone());
        // Finding the host's name may ask a name server.
        let new = tokio::task::spawn_blocking(move || read(&path, &arguments)).await;
        let new = new.map_err(anyhow::Error::from).and_then(|new| Ok(new?));
        match new.and_then(|new| self.take_over(new, handle, SystemTime::now())) {
            Ok(Reloaded { changed, waiting, level }) => {
                context.set_log_level(level);
                context.set_refused(false);
                let changed = if changed.is_empty() { "no key changed".to_owned() } else { changed.join(", ") };
                tracing::info!(
                    "the configuration was read anew: {changed}; facts, classes, token and seed were read anew"
                );
                if !waiting.is_empty() {
                    tracing::warn!("these changed keys count after a restart only: {}", waiting.join(", "));
                }
            }
            Err(error) => {
                context.set_refused(true);
                // One entry per problem, so that each is found by its own words.
                let text = format!("{error:#}");
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default();
                tracing::error!(
                    event = "reload_refused",
                    reason = first,
                    "the configuration is refused and the server goes on with the old one: {first}"
                );
                lines.for_each(|line| tracing::error!("the configuration is refused: {}", line.trim()));
            }
        }
    }

    fn take_over(&mut self, new: Inputs, handle: &Handle, now: SystemTime) -> anyhow::Result<Reloaded> {
        let whole = Settings::new(new.clone().check()?, self.arguments.service_host);
        Parts::from_settings(&whole, now)?;

        let (changed, waiting): (Vec<_>, Vec<_>) =
            new.differences(&self.inputs).into_iter().partition(|key| is_live(key));
        let mut inputs = new;
        waiting.iter().for_each(|key| inputs.adopt(key, &self.inputs));
        let config = inputs.clone().check()?;
        config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let level = match self.arguments.debug {
            true => Level::Debug,
            false => Level::from_setting(config.get(keys::LOGLEVEL).unwrap_or("info")),
        };
        handle.apply(Live::from_settings(&config, now)?);
        *self.inputs = inputs;
        Ok(Reloaded { changed, waiting, level })
    }
}
