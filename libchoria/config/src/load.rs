//! The edge: finds and reads the files and hands their texts on.

use crate::build;
use crate::credentials::expand;
use crate::environment::Environment;
use crate::inputs::{Given, Inputs, Kind, Place};
use crate::problems::{LoadError, Problem, Warning};
use crate::text::{Line, lines};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the configuration file `main`, then `plugin.d/*.cfg` beside it in the order of their names, then, for
/// clients, every project file `choria.conf` from `/` down to the working directory; later files win (spec 04b §1.2).
///
/// In `plugin.d`, `X.cfg` has `plugin.X.` put before each key, and sets typed keys as well as raw options, whatever X
/// is. It is read for servers wherever `main` lies; clients skip it when `main` lies in the home directory, where
/// a directory of that name is nobody's configuration. Project files that other users own or can write are skipped
/// with a warning.
///
/// # Errors
/// [`LoadError`] when a file cannot be read, is not text, or holds a line longer than 64 KiB.
pub fn load(main: &Path, kind: Kind, environment: &dyn Environment) -> Result<Inputs, LoadError> {
    let main = absolute(main, environment)?;
    let mut reader = Reader { inputs: Inputs::without_host(Some(&main), kind.clone(), environment), environment };
    reader.file(&main, "", "configuration file").map_err(|error| match error {
        LoadError::Unreadable { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
            let is_last_resort = path == Path::new(LAST_RESORT) && matches!(kind, Kind::Client { .. });
            if is_last_resort { LoadError::NoClientFile } else { LoadError::Missing { path } }
        }
        other => other,
    })?;
    reader.plugin_files(&main)?;
    if let Kind::Client { working_directory } = kind {
        reader.project_files(&working_directory, &main)?;
    }
    reader.inputs.complete(environment);
    Ok(reader.inputs)
}

/// The configuration file of client commands that are given none (spec 04 §3.1): the first that exists of
/// `~/.choriarc`, `~/.mcollective`, `/etc/choria/client.conf` and `/usr/local/etc/choria/client.conf`, else
/// `/etc/puppetlabs/mcollective/client.cfg`, whether it exists or not. In a custom build the organisation's names stand for
/// `choria`.
#[must_use]
pub fn find_client_config(environment: &dyn Environment) -> PathBuf {
    let home = environment.home();
    let in_home = home.iter().flat_map(|home| [home.join(build::USER_CONFIG), home.join(".mcollective")]);
    let system = [build::CLIENT_CONFIG, build::LOCAL_CLIENT_CONFIG].map(PathBuf::from);
    let existing = in_home.chain(system).find(|path| environment.is_file(path));
    existing.unwrap_or_else(|| PathBuf::from(LAST_RESORT))
}

/// What clients read when nothing else exists.
const LAST_RESORT: &str = "/etc/puppetlabs/mcollective/client.cfg";

/// Reads file after file into one [`Inputs`].
struct Reader<'a> {
    inputs: Inputs,
    environment: &'a dyn Environment,
}

impl Reader<'_> {
    /// Reads one file; `prefix` goes before each key.
    fn file(&mut self, path: &Path, prefix: &str, purpose: &'static str) -> Result<(), LoadError> {
        let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), purpose, source };
        let bytes = self.environment.read_file(path).map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            LoadError::NotText { path: path.to_owned(), line: line_number(before) }
        })?;
        let file: Arc<Path> = Arc::from(path);
        for line in lines(text) {
            match line {
                Line::Setting { number, key, value } => {
                    let place = Place::Line { file: Arc::clone(&file), line: number };
                    let key = format!("{prefix}{key}");
                    match expand(value, self.environment) {
                        Ok(text) => {
                            let given = Given { text: text.into_owned(), place };
                            self.inputs.given.entry(key).or_default().push(given);
                        }
                        Err(error) => {
                            let (value, rule) = (value.to_owned(), error.to_string());
                            self.inputs.unresolved.push(Problem { place, key, value, rule });
                        }
                    }
                }
                Line::Ignored { number, text } => {
                    let place = Place::Line { file: Arc::clone(&file), line: number };
                    // The first word only: what follows may be a secret whose `=` was forgotten.
                    let key = text.split([' ', '\t', '=']).next().unwrap_or_default();
                    let text = format!("the line that starts with {key:?} is ignored: a setting is key = value");
                    self.inputs.warnings.push(Warning { place, text });
                }
                Line::TooLong { number } => {
                    return Err(LoadError::LineTooLong { path: path.to_owned(), line: number });
                }
            }
        }
        self.inputs.files.push(file);
        Ok(())
    }

    /// Reads `plugin.d` beside `main`.
    fn plugin_files(&mut self, main: &Path) -> Result<(), LoadError> {
        let directory = main.with_file_name("plugin.d");
        if matches!(self.inputs.kind, Kind::Client { .. }) && self.lies_in_home(main) {
            return Ok(());
        }
        let mut names = match self.environment.list_directory(&directory) {
            Ok(names) => names,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(source) => {
                return Err(LoadError::Unreadable { path: directory, purpose: "plugin directory", source });
            }
        };
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        for name in names {
            let path = directory.join(&name);
            if let Some(plugin) = name.strip_suffix(".cfg") {
                self.file(&path, &format!("plugin.{plugin}."), "plugin configuration file")?;
            } else if name.ends_with(".conf") {
                let text = "the file is not read: names in plugin.d end in .cfg".to_owned();
                self.inputs.warnings.push(Warning { place: Place::File(path.into()), text });
            }
        }
        Ok(())
    }

    /// Reads every `choria.conf` from `/` down to `working_directory`.
    fn project_files(&mut self, working_directory: &Path, main: &Path) -> Result<(), LoadError> {
        let mut directories: Vec<&Path> = working_directory.ancestors().collect();
        directories.reverse();
        for directory in directories {
            let path = directory.join("choria.conf");
            if path == main || !self.environment.is_file(&path) {
                continue;
            }
            if self.environment.trusts(&path) {
                self.file(&path, "", "project file")?;
            } else {
                let text = "the project file is not read because another user owns it or may write it; \
                            change its owner or mode, or name it with --config"
                    .to_owned();
                self.inputs.warnings.push(Warning { place: Place::File(path.into()), text });
            }
        }
        Ok(())
    }

    /// Whether `path` lies below the home directory. A home of `/` is none: services run with it.
    fn lies_in_home(&self, path: &Path) -> bool {
        let home = self.inputs.home.as_deref().filter(|home| home.parent().is_some());
        home.is_some_and(|home| path.starts_with(home))
    }
}

/// `path` seen from the working directory.
fn absolute(path: &Path, environment: &dyn Environment) -> Result<PathBuf, LoadError> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), purpose: "working directory for", source };
    Ok(environment.working_directory().map_err(unreadable)?.join(path))
}

/// The number of the line after `before`, counted from 1.
fn line_number(before: &[u8]) -> u32 {
    let newlines = before.iter().filter(|&&byte| byte == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests;
