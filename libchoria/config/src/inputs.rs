//! The second room: what all files and the environment say together, with its place, nothing judged.

use crate::build;
use crate::environment::{Environment, identity};
use crate::keys;
use crate::problems::{Problem, Warning};
use crate::secret::shown;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What kind of program reads the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Servers, brokers and services: the named file and its `plugin.d`.
    Server,
    /// Commands that people run: project files from `/` down to the working directory are read as well.
    Client {
        /// Where the search for project files ends; absolute.
        working_directory: PathBuf,
    },
}

/// Where a value was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// In a file.
    Line {
        /// The file, absolute.
        file: Arc<Path>,
        /// The line, counted from 1.
        line: u32,
    },
    /// As a whole file or directory.
    File(Arc<Path>),
    /// In an environment variable.
    Variable(&'static str),
    /// In the program, not by the user.
    Program,
}

/// Protections that tests and programs may turn off, and users with the `INSECURE_*` variables in client commands
/// (spec 04b §11, 04 §3.3). All are on by default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Protection {
    /// Whether TLS is used.
    pub tls: bool,
    /// Whether the other side's certificate is checked.
    pub verify_tls: bool,
    /// Whether the security provider checks that it is set up completely.
    pub validate_security: bool,
    /// Whether messages must be signed.
    pub signed_messages: bool,
}

/// Everything that files and environment gave, merged but not judged; [`Inputs::check`] makes settings of it.
#[derive(Clone)]
pub struct Inputs {
    pub(crate) kind: Kind,
    pub(crate) main: Option<PathBuf>,
    pub(crate) files: Vec<Arc<Path>>,
    /// Every occurrence of every key, in reading order.
    pub(crate) given: BTreeMap<String, Vec<Given>>,
    /// Typed keys that an environment variable replaces: key, variable, text.
    pub(crate) variables: Vec<(&'static str, &'static str, String)>,
    pub(crate) warnings: Vec<Warning>,
    /// Values that name a credential which cannot be had; their keys are not given.
    pub(crate) unresolved: Vec<Problem>,
    pub(crate) protection: Protection,
    pub(crate) home: Option<PathBuf>,
    /// The name of this node for files that do not say it.
    pub(crate) host_identity: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) certificate_name: Option<String>,
}

/// One occurrence of a key.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Kind {
    /// A client command started in the environment's working directory; `/` when that was removed.
    #[must_use]
    pub fn client(environment: &dyn Environment) -> Self {
        Self::Client { working_directory: environment.working_directory().unwrap_or_else(|_| PathBuf::from("/")) }
    }
}

impl Inputs {
    /// No file at all: environment and defaults only, for a node without configuration. `main` is the file that would
    /// have been read; paths beside it are derived from it.
    #[must_use]
    pub fn empty(main: Option<&Path>, kind: Kind, environment: &dyn Environment) -> Self {
        let mut inputs = Self::without_host(main, kind, environment);
        inputs.complete(environment);
        inputs
    }

    /// As [`Inputs::empty`], before the name of the host is asked for.
    pub(crate) fn without_host(main: Option<&Path>, kind: Kind, environment: &dyn Environment) -> Self {
        let variables = keys::table().filter_map(|key| {
            let variable = key.environment?;
            Some((key.name, variable, environment.variable(variable)?))
        });
        let mut inputs = Self {
            main: main.map(Path::to_owned),
            files: Vec::new(),
            given: BTreeMap::new(),
            variables: variables.collect(),
            warnings: Vec::new(),
            unresolved: Vec::new(),
            protection: Protection::default(),
            home: environment.home(),
            host_identity: None,
            user: environment.variable("USER"),
            certificate_name: environment.variable("MCOLLECTIVE_CERTNAME"),
            kind,
        };
        if matches!(inputs.kind, Kind::Client { .. }) {
            inputs.weaken(environment);
        }
        inputs
    }

    /// Finds the host's name, which can take seconds, unless the files give an identity.
    pub(crate) fn complete(&mut self, environment: &dyn Environment) {
        if !self.given.contains_key(keys::IDENTITY.name()) {
            self.host_identity = identity(environment);
        }
    }

    /// The text in force for `key`, unjudged.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.lines(key).0.last().copied()
    }

    /// Replaces whatever files and environment say about `key`.
    pub fn set(&mut self, key: &str, text: &str) {
        self.variables.retain(|(name, ..)| *name != key);
        self.given.insert(key.to_owned(), vec![Given { text: text.to_owned(), place: Place::Program }]);
    }

    /// Says who a client is where the variable `USER` does not: daemons that are clients are not started by a person.
    pub fn default_user(&mut self, user: &str) {
        self.user.get_or_insert_with(|| user.to_owned());
    }

    /// The keys about which files say something else than in `other`, sorted.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let texts = |inputs: &Self, key: &String| -> Option<Vec<String>> {
            Some(inputs.given.get(key)?.iter().map(|given| given.text.clone()).collect())
        };
        let mut keys: Vec<String> = self.given.keys().chain(other.given.keys()).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| texts(self, key) != texts(other, key));
        keys
    }

    /// Takes what `other` says about `key` instead of what these say, be it nothing. The name of the host, which stands
    /// for an identity that is not given, comes along with `identity`.
    pub fn adopt(&mut self, key: &str, other: &Self) {
        match other.given.get(key) {
            Some(given) => self.given.insert(key.to_owned(), given.clone()),
            None => self.given.remove(key),
        };
        if key == keys::IDENTITY.name() {
            self.host_identity.clone_from(&other.host_identity);
        }
    }

    /// Replaces the protections.
    pub fn protect(&mut self, protection: Protection) {
        self.protection = protection;
    }

    /// The main configuration file, absolute.
    #[must_use]
    pub fn config_file(&self) -> Option<&Path> {
        self.main.as_deref()
    }

    /// The files that were read, in order; later ones win.
    #[must_use]
    pub fn files(&self) -> &[Arc<Path>] {
        &self.files
    }

    /// All texts in force for `key` in order, and the place of the last.
    pub(crate) fn lines(&self, key: &str) -> (Vec<&str>, Place) {
        if let Some((_, variable, text)) = self.variables.iter().find(|(name, ..)| *name == key) {
            return (vec![text], Place::Variable(variable));
        }
        let given = self.given.get(key).map(Vec::as_slice).unwrap_or_default();
        let place = given.last().map_or(Place::Program, |given| given.place.clone());
        (given.iter().map(|given| given.text.as_str()).collect(), place)
    }

    /// Obeys the `INSECURE_*` variables of client commands; only the text `true` counts.
    fn weaken(&mut self, environment: &dyn Environment) {
        let mut is_on = |variable: &'static str, effect: &str| {
            let on = environment.variable(variable).is_some_and(|value| value == "true");
            if on {
                self.warnings.push(Warning { place: Place::Variable(variable), text: effect.to_owned() });
            }
            on
        };
        let anonymous = is_on("INSECURE_ANON_TLS", "brokers are not verified");
        let without_tls = is_on("INSECURE_DISABLE_TLS", "TLS is off");
        let unsigned = is_on("INSECURE_YES_REALLY", "TLS is off and messages are not signed");
        if anonymous {
            self.set(keys::SECURITY_CLIENT_ANON_TLS.name(), "true");
        }
        self.protection = Protection {
            tls: build::TLS && !without_tls && !unsigned,
            verify_tls: !anonymous,
            validate_security: build::SECURE && !anonymous && !unsigned,
            signed_messages: build::SECURE && !unsigned,
        };
    }
}

impl Default for Protection {
    fn default() -> Self {
        Self { tls: build::TLS, verify_tls: true, validate_security: build::SECURE, signed_messages: build::SECURE }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Program => f.write_str("set by the program"),
        }
    }
}

/// Shows texts without secrets.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |(key, given): (&String, &Vec<Given>)| {
            let texts: Vec<String> = given.iter().map(|given| shown(key, &given.text)).collect();
            (key.clone(), texts)
        };
        let given: BTreeMap<String, Vec<String>> = self.given.iter().map(given).collect();
        f.debug_struct("Inputs").field("files", &self.files).field("given", &given).finish_non_exhaustive()
    }
}
