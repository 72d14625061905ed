//! Files and directories that a configuration names: what is not there may still come, so these are warnings.

use config::{Key, PathList, PathText, Settings, keys};
use std::path::{Path, PathBuf};

/// What is expected at a path.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// A file to read.
    File,
    /// A file or directory to make, in a directory that exists.
    Room,
    /// A directory to read.
    Directory,
    /// A program to run.
    Program,
}

/// Keys with one path, and what is expected there. Credentials are not among them: the security provider judges them.
const PATHS: &[(Key<PathText>, Expected)] = &[
    (keys::LOGFILE, Expected::Room),
    (keys::CLASSESFILE, Expected::File),
    (keys::RPCAUDIT_LOGFILE, Expected::Room),
    (keys::STATUS_FILE_PATH, Expected::Room),
    (keys::SUBMISSION_SPOOL, Expected::Room),
    (keys::EXECUTOR_SPOOL, Expected::Room),
    (keys::PROMETHEUS_TEXTFILE_DIRECTORY, Expected::Directory),
    (keys::NETWORK_STREAM_STORE, Expected::Room),
    (keys::SERVICES_REGISTRY_STORE, Expected::Directory),
    (keys::SERVICES_REGISTRY_CACHE, Expected::Room),
    (keys::DISCOVERY_EXTERNAL_COMMAND, Expected::Program),
    (keys::DISCOVERY_INVENTORY_SOURCE, Expected::File),
];

/// Keys with directories to search.
const SEARCHED: &[Key<PathList>] = &[keys::LIBDIR, keys::AGENT_PROVIDER_MCORPC_LIBDIR];

/// Words that stand for no file where one may be named.
const NO_FILE: &[&str] = &["stdout", "stderr", "discard"];

/// What is missing, each with the key that names it. Defaults are nobody's mistake and not looked at.
pub(super) fn warnings(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut named: Vec<(&'static str, PathBuf, Expected)> = Vec::new();
    for (key, expected) in PATHS.iter().filter(|(key, _)| settings.is_set(*key)) {
        named.extend(settings.get(*key).map(|path| (key.name(), path, *expected)));
    }
    for key in SEARCHED.iter().filter(|key| settings.is_set(**key)) {
        named.extend(settings.get(*key).iter().map(|path| (key.name(), path.into(), Expected::Directory)));
    }
    if let (true, Some(list)) = (settings.is_set(keys::YAML), settings.get(keys::YAML)) {
        let list = list.display().to_string();
        let files = list.split(':').filter(|file| !file.is_empty());
        named.extend(files.map(|file| (keys::YAML.name(), file.into(), Expected::File)));
    }
    let missing = |(key, path, expected): (&'static str, PathBuf, Expected)| {
        Some((key, format!("{key} = {}: {}", path.display(), missing(&path, expected)?)))
    };
    named.into_iter().filter_map(missing).collect()
}

/// What is wrong with `path`, if anything.
fn missing(path: &Path, expected: Expected) -> Option<String> {
    if NO_FILE.iter().any(|word| path == Path::new(word)) {
        return None;
    }
    match expected {
        Expected::File => match std::fs::File::open(path).and_then(|file| file.metadata()) {
            Ok(found) if found.is_dir() => Some("this is a directory and should be a file".to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("the file cannot be read: {error}")),
        },
        Expected::Directory => match std::fs::read_dir(path) {
            Ok(_) => None,
            Err(error) => Some(format!("the directory cannot be read: {error}")),
        },
        Expected::Room => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty())?;
            (!parent.is_dir()).then(|| format!("there is no directory {}: create it", parent.display()))
        }
        Expected::Program => {
            use std::os::unix::fs::PermissionsExt;
            match std::fs::metadata(path) {
                Ok(found) if found.is_file() && found.permissions().mode() & 0o111 != 0 => None,
                Ok(_) => Some("this is not a program: make it executable".to_owned()),
                Err(error) => Some(format!("the program cannot be run: {error}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(place("facts.json"), "{}").expect("written");
        let rows = [
            ("logfile", "stderr".to_owned(), None),
            ("logfile", place("choria.log"), None),
            ("logfile", place("none/choria.log"), Some("there is no directory")),
            ("classesfile", place("facts.json"), None),
            ("classesfile", place(""), Some("this is a directory")),
            ("plugin.yaml", format!("{}:{}", place("facts.json"), place("none.json")), Some("none.json: the file")),
            ("libdir", place(""), None),
            ("libdir", place("facts.json"), Some("the directory cannot be read")),
            ("plugin.choria.discovery.external.command", place("facts.json"), Some("not a program")),
            ("plugin.choria.discovery.external.command", "/bin/sh".to_owned(), None),
        ];
        for (key, value, expected) in rows {
            let settings = Settings::builder().set(key, &value).build().expect("settings");
            let found = warnings(&settings);
            match expected {
                None => assert_eq!(found, [], "{key} = {value}"),
                Some(part) => {
                    assert!(found.len() == 1 && found[0].0 == key && found[0].1.contains(part), "{key}: {found:?}");
                }
            }
        }
    }
}
