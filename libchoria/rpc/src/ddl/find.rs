//! Finding the document of an agent or data provider: first among the embedded ones, then in the library directories,
//! then among those a registry client has stored (spec 03a §6).
//!
//! Where the existing tools take the last of several files with one name, the first one counts here, as in every other
//! search path: directories in the order they are configured, `choria` before `mcollective`, then by path.

use super::embedded;
use super::model::{AgentDdl, DataDdl};
use crate::suggest::Suggestion;
use config::{Settings, keys};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where documents are looked for.
#[derive(Clone, Debug, Default)]
pub struct Library {
    directories: Vec<PathBuf>,
    stored: Option<PathBuf>,
}

/// Why there is no document to work with.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing has that name.
    #[error(
        "could not resolve {name} DDL in any resolver: it is not embedded and there is no {name}.json in {}{suggestion}",
        places(searched)
    )]
    NotFound {
        /// The name looked for.
        name: String,
        /// The directories that were searched.
        searched: Vec<PathBuf>,
        /// A name like it that exists.
        suggestion: Suggestion,
    },
    /// A file cannot be read.
    #[error("could not read the DDL {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file does not hold a document.
    #[error("{} is not a DDL: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// A file describes something else than its name says.
    #[error("the DDL does not describe the {name} agent: {} names itself {found:?}", path.display())]
    OtherName {
        /// The name looked for.
        name: String,
        /// The file.
        path: PathBuf,
        /// The name inside.
        found: String,
    },
}

impl Library {
    /// The places a configuration names: `libdir`, `plugin.choria.agent_provider.mcorpc.libdir` and, for documents
    /// stored by registry clients, `plugin.choria.services.registry.cache`.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        let directories = [keys::LIBDIR, keys::AGENT_PROVIDER_MCORPC_LIBDIR];
        let directories = directories.iter().flat_map(|key| settings.get(*key)).map(PathBuf::from).collect();
        Self { directories, stored: settings.get(keys::SERVICES_REGISTRY_CACHE) }
    }

    /// These directories, each with sub-directories `choria/agent`, `mcollective/agent` and the same for `data`.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, stored: None }
    }

    /// The document of the agent called `name`. Embedded ones cannot be replaced by files.
    ///
    /// # Errors
    /// When there is none, or the first file of that name is not its document.
    pub fn agent(&self, name: &str) -> Result<AgentDdl, FindError> {
        if let Some(ddl) = embedded::find(name) {
            return Ok(ddl);
        }
        let (ddl, path): (AgentDdl, _) = self.file(Kind::Agent, name)?;
        if ddl.metadata.name == name {
            Ok(ddl)
        } else {
            Err(FindError::OtherName { name: name.to_owned(), path, found: ddl.metadata.name })
        }
    }

    /// The document of the data provider called `name`.
    ///
    /// # Errors
    /// When there is none, or the first file of that name is not a document.
    pub fn data(&self, name: &str) -> Result<DataDdl, FindError> {
        self.file(Kind::Data, name).map(|(ddl, _)| ddl)
    }

    /// The names of all agents with a document, sorted, each once.
    #[must_use]
    pub fn agent_names(&self) -> Vec<String> {
        let embedded = embedded::names().into_iter().map(str::to_owned);
        let names: BTreeSet<String> = embedded.chain(self.file_names(Kind::Agent)).collect();
        names.into_iter().collect()
    }

    /// The names of all data providers with a document, sorted, each once.
    #[must_use]
    pub fn data_names(&self) -> Vec<String> {
        let names: BTreeSet<String> = self.file_names(Kind::Data).collect();
        names.into_iter().collect()
    }

    /// Where documents from the registry are kept.
    pub(super) fn stored(&self) -> Option<&Path> {
        self.stored.as_deref()
    }

    /// The same places, and `directory` for documents from the registry.
    #[must_use]
    pub fn with_registry(self, directory: PathBuf) -> Self {
        Self { stored: Some(directory), ..self }
    }

    fn file<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Result<(T, PathBuf), FindError> {
        let found = self.roots(kind).into_iter().find_map(|root| {
            documents(&root).into_iter().find(|path| path.file_stem().is_some_and(|stem| stem == name))
        });
        let path = found.ok_or_else(|| self.not_found(kind, name))?;
        read(&path).map(|document| (document, path))
    }

    fn not_found(&self, kind: Kind, name: &str) -> FindError {
        let known = if kind == Kind::Agent { self.agent_names() } else { self.data_names() };
        let suggestion = Suggestion::among(name, known.iter().map(String::as_str));
        FindError::NotFound { name: name.to_owned(), searched: self.roots(kind), suggestion }
    }

    fn file_names(&self, kind: Kind) -> impl Iterator<Item = String> {
        let paths = self.roots(kind).into_iter().flat_map(|root| documents(&root));
        paths.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
    }

    /// The directories that hold documents of one kind, in order of precedence.
    fn roots(&self, kind: Kind) -> Vec<PathBuf> {
        let below = |directory: &PathBuf| ["choria", "mcollective"].map(|tree| directory.join(tree).join(kind.word()));
        let stored = self.stored.iter().map(|directory| directory.join(kind.word()));
        self.directories.iter().flat_map(below).chain(stored).collect()
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Agent,
    Data,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Data => "data",
        }
    }
}

/// All `*.json` files below `root`, sorted by path. A directory that cannot be listed holds none, as the existing tools
/// have it: library directories of other software are often private. Links to directories are not followed.
fn documents(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let path = entry.path();
            if is_directory && depth < MAX_DEPTH {
                pending.push((path, depth + 1));
            } else if !is_directory && path.extension().is_some_and(|extension| extension == "json") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, FindError> {
    let unreadable = |source| FindError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_DOCUMENT {
        return Err(unreadable(std::io::Error::other("it is larger than a DDL may be (4 MiB)")));
    }
    serde_json::from_slice(&text).map_err(|source| FindError::Malformed { path: path.to_owned(), source })
}

fn places(searched: &[PathBuf]) -> String {
    if searched.is_empty() {
        return "any library directory, since none is configured (libdir)".to_owned();
    }
    searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Deeper trees are not documents any more; ends the walk of odd file systems.
const MAX_DEPTH: usize = 16;

/// A hundred times the largest known document.
const MAX_DOCUMENT: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, file: &str, text: &str) {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    fn document(name: &str, version: &str) -> String {
        format!(r#"{{"metadata":{{"name":"{name}","version":"{version}","timeout":5}},"actions":[]}}"#)
    }

    #[test]
    fn the_first_of_several_files_counts() {
        let (one, two) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        write(one.path(), "mcollective/agent/package.json", &document("package", "2.0.0"));
        write(one.path(), "choria/agent/deep/er/service.json", &document("service", "1.0.0"));
        write(one.path(), "choria/data/x.json", r#"{"metadata":{"name":"x"}}"#);
        write(two.path(), "choria/agent/package.json", &document("package", "3.0.0"));
        write(two.path(), "choria/agent/rpcutil.json", &document("rpcutil", "9.9.9"));
        write(two.path(), "choria/agent/notes.txt", "");
        let library = Library::new(vec![one.path().into(), two.path().into(), "/nonexistent".into()]);
        for (name, version) in [("package", "2.0.0"), ("service", "1.0.0"), ("rpcutil", "0.29.4")] {
            assert_eq!(library.agent(name).expect(name).metadata.version, version, "{name}");
        }
        assert_eq!(library.data("x").expect("x").query, None);
        let names = library.agent_names();
        assert_eq!(names.iter().filter(|name| *name == "package" || *name == "rpcutil").count(), 2, "{names:?}");
        assert_eq!(library.data_names(), ["x"]);
    }

    #[test]
    fn errors_name_the_file_and_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path(), "choria/agent/broken.json", "{");
        write(directory.path(), "choria/agent/other.json", &document("package", "1.0.0"));
        let library = Library::new(vec![directory.path().into()]);
        let rows = [
            ("rcputil", "could not resolve rcputil DDL in any resolver: it is not embedded", "did you mean 'rpcutil'?"),
            ("broken", "broken.json is not a DDL: EOF", "line 1"),
            ("other", "the DDL does not describe the other agent:", "names itself \"package\""),
            ("../x", "could not resolve ../x DDL in any resolver:", "choria/agent, "),
        ];
        for (name, start, part) in rows {
            let error = library.agent(name).expect_err(name).to_string();
            assert!(error.contains(start) && error.contains(part), "{name}: {error}");
        }
        let error = Library::default().agent("x").expect_err("no directories").to_string();
        assert!(error.ends_with("since none is configured (libdir)"), "{error}");
    }
}
