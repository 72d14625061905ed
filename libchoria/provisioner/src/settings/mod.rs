//! The provisioner's own configuration file, YAML or JSON (spec 06 §4.1), judged.
//!
//! Keys of our own, all optional: `helper_timeout` (default `10s`), `node_timeout` (default `5m`), `audit_log` (a file),
//! `monitor_address` (default: every address).

mod document;
mod problems;
mod secret;

pub use problems::{Problem, Problems};
pub use secret::Secret;

use crate::node::DenyList;
use daemon::logging::{Destination, Level, Logging};
use document::Document;
use lifecycle::Component;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything the file says, in the form that the work uses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many nodes are provisioned at once; at least one.
    pub workers: usize,
    /// Time between two discoveries.
    pub interval: Duration,
    /// Where the log goes.
    pub logging: Logging,
    /// The helper program and its arguments; at least the program.
    pub helper: Vec<String>,
    /// How long the helper may run (`helper_timeout`).
    pub helper_limit: Duration,
    /// How long everything for one node may take (`node_timeout`).
    pub node_limit: Duration,
    /// The secret that nodes ask for.
    pub token: Secret,
    /// Whose startup events are listened for.
    pub component: Component,
    /// No TLS, and nothing is signed.
    pub insecure: bool,
    /// The label `site` of every metric.
    pub site: String,
    /// Address and port of the metrics, if they are served.
    pub monitor: Option<(String, u16)>,
    /// The password of the broker's user `provisioner`.
    pub broker_password: Option<Secret>,
    /// With which key nodes' provisioning tokens are verified, feature `jwt`.
    pub verify: Option<String>,
    /// What nodes are given to prove themselves.
    pub credentials: Credentials,
    /// Feature `upgrades`.
    pub upgrades: Option<Upgrades>,
    /// Whether several provisioners elect one of them.
    pub leader_election: bool,
    /// Where a line about each node goes (`audit_log`).
    pub audit_log: Option<PathBuf>,
    /// What an administrator should know, for the log.
    pub warnings: Vec<String>,
}

/// What nodes are given to prove themselves with.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Whatever the helper says.
    None,
    /// A certificate that the helper makes of the node's signing request, feature `pki`.
    Pki(DenyList),
    /// A token that the provisioner signs for the node's own key, feature `ed25519`.
    Ed25519(Signing),
}

/// Who signs server tokens. The files are read for every node, so that they may be replaced at any time.
#[derive(Clone, Debug)]
pub struct Signing {
    /// `jwt_signing_key`: ed25519 seed or RSA key.
    pub key: PathBuf,
    /// `jwt_signing_token`: the token of a chain issuer.
    pub token: Option<PathBuf>,
    /// How long server tokens live for which the helper says nothing.
    pub validity: Duration,
}

/// Feature `upgrades`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upgrades {
    /// Where releases are.
    pub repository: Option<String>,
    /// Whether a node whose upgrade fails is provisioned all the same.
    pub optional: bool,
}

impl Settings {
    /// Reads and judges the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let fault = |rule| Problems::new(path, vec![Problem { key: String::new(), rule }]);
        let size = std::fs::metadata(path).map_or(0, |file| file.len());
        if size > LARGEST_FILE {
            return Err(fault(format!("the file has {size} bytes, a configuration has at most {LARGEST_FILE}")));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| fault(format!("the file cannot be read: {error}; name it with --config")))?;
        let text = config::with_credentials(&text, &config::SystemEnvironment)
            .map_err(|(line, error)| fault(format!("line {line}: {error}")))?;
        Self::parse(path, &text)
    }

    /// Judges `text`, which came from `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        let mut file = Document::parse(path, text)?;
        let features = Features::take(&mut file);
        let workers = file.number("workers", MOST_WORKERS).and_then(|count| usize::try_from(count).ok());
        let settings = Self {
            workers: workers.filter(|count| *count > 0).unwrap_or_else(processors),
            interval: file.duration("interval", LEAST_INTERVAL, LEAST_INTERVAL),
            logging: logging(&mut file),
            helper: helper(&mut file),
            helper_limit: file.duration("helper_timeout", Duration::from_secs(1), HELPER_LIMIT),
            node_limit: file.duration("node_timeout", Duration::from_secs(10), NODE_LIMIT),
            token: Secret::new(file.text("token").unwrap_or_default()),
            component: component(&mut file),
            insecure: file.flag("choria_insecure"),
            site: file.text("site").unwrap_or_default(),
            monitor: monitor(&mut file),
            broker_password: file.text("broker_provisioning_password").map(Secret::new),
            verify: verify(&mut file, features),
            credentials: credentials(&mut file, features),
            upgrades: upgrades(&mut file, features),
            leader_election: file.flag("leader_election"),
            audit_log: file.path("audit_log"),
            warnings: Vec::new(),
        };
        for key in ["broker_port", "rego_policy", "management"] {
            file.ignore(key);
        }
        Ok(Self { warnings: file.finish(path, KEYS)?, ..settings })
    }
}

/// What is switched on.
#[derive(Clone, Copy, Debug)]
struct Features {
    pki: bool,
    jwt: bool,
    ed25519: bool,
    upgrades: bool,
}

impl Features {
    fn take(file: &mut Document) -> Self {
        let mut section = file.section("features", "features.");
        let features = Self {
            pki: section.flag("pki"),
            jwt: section.flag("jwt"),
            ed25519: section.flag("ed25519"),
            upgrades: section.flag("upgrades"),
        };
        section.ignore("broker");
        file.absorb(section, &["pki", "jwt", "ed25519", "upgrades", "broker"]);
        if features.pki && features.ed25519 {
            file.problem("features", "pki and ed25519 exclude each other: nodes prove themselves in one way");
        }
        features
    }
}

fn logging(file: &mut Document) -> Logging {
    // Nothing at all is `warn` here, unlike in other configuration files.
    let level = file.text("loglevel").unwrap_or_else(|| "warn".to_owned());
    let destination = match file.text("logfile").as_deref() {
        // A socket, as systemd gives, cannot be opened by this name.
        Some("/dev/stderr") => Destination::StandardError,
        Some(path @ "/dev/stdout") if std::fs::OpenOptions::new().append(true).open(path).is_err() => {
            Destination::Automatic
        }
        other => Destination::from_setting(other),
    };
    Logging { destination, level: Level::from_setting(&level) }
}

fn helper(file: &mut Document) -> Vec<String> {
    let Some(text) = file.text("helper") else {
        file.problem("helper", "is not set: name the program that decides about nodes");
        return Vec::new();
    };
    match shell_words::split(&text) {
        Ok(words) if !words.is_empty() => words,
        Ok(_) => {
            file.problem("helper", "names no program");
            Vec::new()
        }
        Err(_) => {
            file.problem("helper", "has a quotation mark that is not closed");
            Vec::new()
        }
    }
}

fn component(file: &mut Document) -> Component {
    let text = file.text("lifecycle_component").unwrap_or_else(|| COMPONENT.to_owned());
    let parsed = text.parse::<Component>().ok().filter(|_| !text.contains('.'));
    parsed.unwrap_or_else(|| {
        file.problem("lifecycle_component", "must be one word of a subject: no space, `.`, `*` or `>`");
        // Never used: the problem ends the start.
        COMPONENT.parse().unwrap_or_else(|_| unreachable!("{COMPONENT} is a component"))
    })
}

fn monitor(file: &mut Document) -> Option<(String, u16)> {
    let address = file.text("monitor_address").unwrap_or_else(|| "[::]".to_owned());
    let port = file.number("monitor_port", u64::from(u16::MAX)).and_then(|port| u16::try_from(port).ok());
    port.filter(|port| *port > 0).map(|port| (address, port))
}

fn verify(file: &mut Document, features: Features) -> Option<String> {
    let key = file.text("jwt_verify_cert");
    if !features.jwt && !features.ed25519 {
        return None;
    }
    match &key {
        None => file.problem(
            "jwt_verify_cert",
            "is not set, and the features jwt and ed25519 need it: the public key of who signs provisioning.jwt",
        ),
        Some(text) => {
            if let Err(error) = tokens::VerificationKey::find(text) {
                file.warn(format!("jwt_verify_cert: {error}; no node can be provisioned until that is repaired"));
            }
        }
    }
    key
}

fn credentials(file: &mut Document, features: Features) -> Credentials {
    let (key, token) = (file.path("jwt_signing_key"), file.path("jwt_signing_token"));
    let validity = file.duration("server_jwt_validity", Duration::from_secs(2 * 3600), SERVER_VALIDITY);
    let patterns = file.list("cert_deny_list");
    if features.pki {
        let (deny, bad) = DenyList::new(patterns.as_deref());
        for pattern in bad {
            file.problem("cert_deny_list", format!("{pattern:?} is not a regular expression"));
        }
        return Credentials::Pki(deny);
    }
    if !features.ed25519 {
        return Credentials::None;
    }
    let Some(key) = key else {
        file.problem("jwt_signing_key", "is not set, and the feature ed25519 needs it to sign server tokens");
        return Credentials::None;
    };
    for path in [Some(&key), token.as_ref()].into_iter().flatten() {
        if let Err(error) = std::fs::File::open(path) {
            file.warn(format!("{} cannot be read: {error}; it is tried again for every node", path.display()));
        }
    }
    Credentials::Ed25519(Signing { key, token, validity })
}

fn upgrades(file: &mut Document, features: Features) -> Option<Upgrades> {
    let repository = file.text("upgrades_repository");
    let optional = file.flag("upgrades_optional");
    if let Some(url) = &repository {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if !rest.is_some_and(|rest| !rest.is_empty() && url.len() <= 512 && rest.bytes().all(|b| b.is_ascii_graphic()))
        {
            file.problem(
                "upgrades_repository",
                "must be an address with http:// or https:// of at most 512 characters",
            );
        }
    }
    if features.upgrades && repository.is_none() && !optional {
        file.problem("upgrades_repository", "is not set, and the feature upgrades needs it");
    }
    features.upgrades.then_some(Upgrades { repository, optional })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Every key of the file.
const KEYS: &[&str] = &[
    "workers",
    "interval",
    "logfile",
    "loglevel",
    "helper",
    "helper_timeout",
    "node_timeout",
    "token",
    "lifecycle_component",
    "choria_insecure",
    "site",
    "monitor_address",
    "monitor_port",
    "broker_provisioning_password",
    "cert_deny_list",
    "jwt_verify_cert",
    "jwt_signing_key",
    "jwt_signing_token",
    "server_jwt_validity",
    "leader_election",
    "upgrades_repository",
    "upgrades_optional",
    "audit_log",
    "features",
    "broker_port",
    "rego_policy",
    "management",
];

/// Who tells of new nodes unless something else is said.
const COMPONENT: &str = "provision_mode_server";
/// The shortest time between two discoveries, and the default.
const LEAST_INTERVAL: Duration = Duration::from_secs(60);
/// How long the helper may run unless something else is said.
const HELPER_LIMIT: Duration = Duration::from_secs(10);
/// How long one node may take: longer than any node that answers at all, short of what a dead one would cost.
const NODE_LIMIT: Duration = Duration::from_secs(300);
/// How long server tokens live unless something else is said.
const SERVER_VALIDITY: Duration = Duration::from_secs(365 * 24 * 3600);
/// More workers are a slip of the keyboard.
const MOST_WORKERS: u64 = 10_000;
/// Bytes of the largest file that is read.
const LARGEST_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
