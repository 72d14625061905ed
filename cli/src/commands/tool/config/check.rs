//! `choria tool config --check`: everything that is wrong with a configuration, each with its place.

use clap::ValueEnum;
use config::{Environment, Kind, Settings, keys};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

mod files;

/// The programs that read a configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Program {
    /// Commands that people run
    Client,
    /// choria-server
    Server,
    /// choria-broker
    Broker,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Finding {
    /// The file and line, or whatever the value came from; empty when it concerns none.
    place: String,
    severity: Severity,
    text: String,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Severity {
    /// The program does not start.
    Error,
    /// It starts and does something else than was probably meant.
    Warning,
}

impl Program {
    /// The program that reads `path` when nobody says: by the names that packages use.
    pub(super) fn guess(path: &Path) -> Self {
        match path.file_stem().and_then(std::ffi::OsStr::to_str) {
            Some("broker") => Self::Broker,
            Some("server") => Self::Server,
            _ => Self::Client,
        }
    }

    fn kind(self, environment: &dyn Environment) -> Kind {
        match self {
            Self::Client => Kind::client(environment),
            Self::Server | Self::Broker => Kind::Server,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Client => "client commands",
            Self::Server => "choria-server",
            Self::Broker => "choria-broker",
        }
    }
}

/// Checks `path` and writes what is wrong; says whether the program would start.
///
/// # Errors
/// Those of `out`.
pub(super) fn run(
    out: &mut impl Write,
    path: &Path,
    program: Program,
    environment: &dyn Environment,
    now: SystemTime,
) -> io::Result<bool> {
    writeln!(out, "Checking {} as {} would read it\n", path.display(), program.words())?;
    let (findings, read) = findings(path, program, environment, now);
    findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |count: usize, word| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    if !findings.is_empty() {
        writeln!(out)?;
    }
    write!(out, "{}, {}", plural(errors, "error"), plural(warnings, "warning"))?;
    match read {
        Some(files) => writeln!(out, " in {}", plural(files, "file"))?,
        None => writeln!(out, "; credentials and files are checked once these errors are mended")?,
    }
    Ok(errors == 0)
}

/// Everything that is wrong, the errors first, and how many files were read if they could be used so far.
fn findings(
    path: &Path,
    program: Program,
    environment: &dyn Environment,
    now: SystemTime,
) -> (Vec<Finding>, Option<usize>) {
    let settings = match config::load(path, program.kind(environment), environment) {
        Err(error) => return (vec![Finding::nowhere(Severity::Error, error.to_string())], None),
        Ok(inputs) => match inputs.check() {
            Ok(settings) => settings,
            Err(problems) => {
                let found = problems.list().iter().map(|problem| Finding {
                    place: problem.place.to_string(),
                    severity: Severity::Error,
                    text: format!("{} = {}: {}", problem.key, problem.value, problem.rule),
                });
                return (found.collect(), None);
            }
        },
    };
    let mut found: Vec<Finding> = refusals(&settings, program, now)
        .iter()
        .map(|text| Finding::about(&settings, Severity::Error, text))
        .chain(files::warnings(&settings).into_iter().map(|(key, text)| Finding {
            place: settings.place(key).map(|place| place.to_string()).unwrap_or_default(),
            severity: Severity::Warning,
            text,
        }))
        .chain(settings.warnings().iter().map(|warning| Finding {
            place: warning.place.to_string(),
            severity: Severity::Warning,
            text: warning.text.clone(),
        }))
        .collect();
    found.sort_by_key(|finding| finding.severity);
    (found, Some(settings.files().len()))
}

/// What the program itself would say before it stops.
fn refusals(settings: &Settings, program: Program, now: SystemTime) -> Vec<String> {
    let role = if program == Program::Client { security::Role::Client } else { security::Role::Server };
    let mut texts = Vec::new();
    match security::Provider::from_settings(settings, role, now) {
        Ok(provider) if program != Program::Broker => {
            let role = if program == Program::Client { network::Role::Client } else { network::Role::Server };
            let name = provider.caller().as_str();
            texts.extend(network::Options::from_settings(settings, role, name, name).err().map(|e| e.to_string()));
        }
        Ok(_) => {}
        Err(errors) => texts.extend(errors.list().iter().map(ToString::to_string)),
    }
    if program == Program::Broker {
        texts.extend(broker::Settings::try_from(settings).err().map(|error| error.0).unwrap_or_default());
        if !settings.get(keys::BROKER_NETWORK) {
            texts.push(format!("the broker has nothing to do: set {} = true", keys::BROKER_NETWORK.name()));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

impl Finding {
    fn nowhere(severity: Severity, text: String) -> Self {
        Self { place: String::new(), severity, text }
    }

    /// With the place of the key that the text names, the longest if there are several; else of the key whose value, a
    /// file, it names.
    fn about(settings: &Settings, severity: Severity, text: &str) -> Self {
        let keys = || config::table().map(|key| key.name);
        let named = keys().filter(|name| names_key(text, name)).max_by_key(|name| name.len());
        let with_file =
            |name: &&str| settings.raw(name).is_some_and(|value| value.starts_with('/') && text.contains(value));
        let named = named.or_else(|| keys().find(with_file));
        let place = named.and_then(|name| settings.place(name));
        Self { place: place.map(|place| place.to_string()).unwrap_or_default(), severity, text: text.to_owned() }
    }
}

/// Whether `key` stands in `text` as a word of its own.
fn names_key(text: &str, key: &str) -> bool {
    let belongs = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.');
    text.match_indices(key).any(|(start, _)| {
        let (before, after) = (text[..start].chars().next_back(), text[start + key.len()..].chars().next());
        // A key may end a sentence. Short keys are ordinary words.
        let ends = after.is_none_or(|next| !belongs(next) || next == '.');
        key.contains(['.', '_']) && ends && before.is_none_or(|last| !belongs(last))
    })
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match self.place.as_str() {
            "" => write!(f, "{word}: {}", self.text),
            place => write!(f, "{place}: {word}: {}", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::SystemEnvironment;

    #[test]
    fn the_program_is_guessed_by_the_names_that_packages_use() {
        let rows = [
            ("/etc/choria/server.conf", Program::Server),
            ("/etc/choria/broker.cfg", Program::Broker),
            ("/etc/choria/client.conf", Program::Client),
            ("/home/me/.choriarc", Program::Client),
        ];
        for (path, program) in rows {
            assert_eq!(Program::guess(Path::new(path)), program, "{path}");
        }
    }

    #[test]
    fn every_problem_has_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("server.conf");
        let file = path.display().to_string();
        let key = "a".repeat(64);
        let trust = format!("plugin.security.issuer.names = x\nplugin.security.issuer.x.public = {key}\n");
        let rows: [(&str, String, Program, &[&str], bool); 5] = [
            (
                "values",
                "identity = n1\nttl = soon\n\nloglevel = loud\n".to_owned(),
                Program::Server,
                &["{}:2: error: ttl = soon: ", "{}:4: error: loglevel = loud: ", "2 errors, 0 warnings; credentials"],
                false,
            ),
            (
                "credentials",
                format!("identity = n1\nplugin.security.provider = choria\n{trust}plugin.security.choria.token_file = /nonexistent/t.jwt\n"),
                Program::Server,
                &["{}:5: error: plugin.security.choria.token_file: ", "error: the path to the ed25519 seed is not configured"],
                false,
            ),
            (
                "a typing error and files that are not there",
                "identity = n1\nplugin.security.provider = choria\nlogfile = /nonexistent/log\nplugin.choria.usesrv = 0\n".to_owned(),
                Program::Client,
                &["{}:3: warning: logfile", "{}:4: warning: nothing reads plugin.choria.usesrv"],
                false,
            ),
            ("a broker that is off", "identity = n1\n".to_owned(), Program::Broker, &["set plugin.choria.broker_network"], false),
            ("a line that is none", "identity n1\n".to_owned(), Program::Client, &["{}:1: warning: the line"], false),
        ];
        for (name, text, program, expected, good) in rows {
            std::fs::write(&path, text).expect("written");
            let mut out = Vec::new();
            let well = run(&mut out, &path, program, &SystemEnvironment, SystemTime::now()).expect("written");
            let out = String::from_utf8(out).expect("UTF-8");
            for part in expected {
                assert!(out.contains(&part.replace("{}", &file)), "{name}: {part} is not in\n{out}");
            }
            assert_eq!(well, good, "{name}: {out}");
        }
    }

    #[test]
    fn keys_are_found_in_sentences() {
        let rows = [
            ("set plugin.choria.use_srv.", "plugin.choria.use_srv", true),
            ("plugin.choria.use_srv: no", "plugin.choria.use_srv", true),
            ("plugin.choria.use_srv_x: no", "plugin.choria.use_srv", false),
            ("my.plugin.choria.use_srv", "plugin.choria.use_srv", false),
            ("the identity is", "identity", false),
        ];
        for (text, key, expected) in rows {
            assert_eq!(names_key(text, key), expected, "{text}");
        }
    }
}
