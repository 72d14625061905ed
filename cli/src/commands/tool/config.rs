//! `choria tool config`: the configuration in force, and what its keys mean (spec 09 §16.1, 04b §1.6).

mod check;
mod items;
mod report;
mod surroundings;

use crate::output::colour::{Palette, Wishes};
use anyhow::{Context, bail};
use config::{Environment, Inputs, KeyInfo, Kind, Settings, SystemEnvironment};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// What to show of the configuration.
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArguments {
    /// Describe the keys that match this regular expression
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Only list the names of matching keys
    #[arg(long, short)]
    list: bool,
    /// Check the configuration and everything it names; exit code 1 when a program would not start with it
    #[arg(long, conflicts_with_all = ["key", "list"])]
    check: bool,
    /// The program whose configuration is checked (default: by the name of the file)
    #[arg(long = "as", value_name = "PROGRAM", value_enum, requires = "check")]
    program: Option<check::Program>,
    /// Print the manual page choria.conf(5)
    #[arg(long, hide = true, exclusive = true)]
    man_page: bool,
}

/// Shows the configuration in `config`, else in the file that client commands use.
///
/// A configuration that cannot be used is named on standard error and the defaults are shown, without values: this is
/// the command to find out why.
///
/// # Errors
/// When no key matches, or standard output is gone.
pub(crate) fn run(arguments: &ConfigArguments, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if arguments.man_page {
        out.write_all(config::man_page().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for key in matching(arguments.key.as_deref().unwrap_or_default())? {
            writeln!(out, "{}", key.name)?;
        }
        return Ok(ExitCode::SUCCESS);
    }

    let environment = SystemEnvironment;
    let path = config.map_or_else(|| config::find_client_config(&environment), Path::to_owned);
    if arguments.check {
        let program = arguments.program.unwrap_or_else(|| check::Program::guess(&path));
        let well = check::run(&mut out, &path, program, &environment, SystemTime::now())?;
        return Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let (settings, is_loaded) = match load(&path, &environment) {
        Ok(settings) => (settings, true),
        Err(error) => {
            eprintln!("choria: {error:#}\nchoria: showing defaults instead");
            (defaults(&path, &environment)?, false)
        }
    };
    for warning in settings.warnings() {
        eprintln!("choria: warning: {warning}");
    }
    let palette = palette(&settings, &environment);
    let surroundings = surroundings::find(&settings)?;
    let user_config = user_config(&environment);
    let report =
        report::Report { user_config: &user_config, settings: &settings, surroundings: &surroundings, palette };
    report.write(&mut out, arguments.key.is_none())?;
    if let Some(key) = &arguments.key {
        let settings = is_loaded.then_some(&settings);
        let width = items::width(environment.variable("COLUMNS").as_deref());
        for info in matching(key)? {
            items::write(&mut out, info, settings, palette, width)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The typed keys whose names match `expression`, sorted by name.
fn matching(expression: &str) -> anyhow::Result<Vec<&'static KeyInfo>> {
    let wanted =
        regex::Regex::new(expression).with_context(|| format!("{expression:?} is not a regular expression"))?;
    let mut keys: Vec<&KeyInfo> = config::table().filter(|key| wanted.is_match(key.name)).collect();
    if keys.is_empty() {
        bail!("no configuration keys declared matching {expression:?}");
    }
    keys.sort_unstable_by_key(|key| key.name);
    Ok(keys)
}

fn load(path: &Path, environment: &dyn Environment) -> anyhow::Result<Settings> {
    Ok(config::load(path, Kind::client(environment), environment)?.check()?)
}

/// What would be in force without any file.
fn defaults(path: &Path, environment: &dyn Environment) -> anyhow::Result<Settings> {
    let mut inputs = Inputs::empty(Some(path), Kind::client(environment), environment);
    inputs.set(config::keys::SECURITY_PROVIDER.name(), "file");
    inputs.check().context("the environment alone cannot be used as configuration")
}

/// The file that client commands read when they are given none.
fn user_config(environment: &dyn Environment) -> PathBuf {
    config::find_client_config(environment)
}

fn palette(settings: &Settings, environment: &dyn Environment) -> Palette {
    Palette::new(Wishes {
        terminal: io::stdout().is_terminal(),
        setting: settings.get(config::keys::COLOR),
        no_color: environment.variable("NO_COLOR").as_deref(),
        term: environment.variable("TERM").as_deref(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_expression_and_sorted() {
        let names = |expression: &str| matching(expression).map(|keys| keys.iter().map(|key| key.name).collect());
        let found: Vec<&str> = names("srv").expect("two keys");
        assert_eq!(found, ["plugin.choria.srv_domain", "plugin.choria.use_srv"]);
        assert_eq!(matching("").expect("every key").len(), config::table().count());
        let nothing: anyhow::Result<Vec<&str>> = names("x+y");
        assert_eq!(nothing.expect_err("none").to_string(), "no configuration keys declared matching \"x+y\"");
        assert!(matching("(").expect_err("unbalanced").to_string().contains("is not a regular expression"));
    }
}
