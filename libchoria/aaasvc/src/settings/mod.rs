//! From the configuration file to what the service is made of, judged (spec 07 §2).

pub(crate) mod document;
mod duration;
mod problems;
mod users;

pub use duration::InvalidDuration;
pub use problems::{Problem, Problems};

pub(crate) use document::LoginLimits;
pub(crate) use problems::chain;
pub(crate) use users::{Policy, User, decode_users};

use users::permissions;

use config::{Kind, SystemEnvironment};
use document::{Document, Port};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokens::ClientPermissions;
use zeroize::Zeroizing;

/// What the configuration file says, judged.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the log goes, as the log understands it.
    pub(crate) logfile: Option<String>,
    pub(crate) loglevel: String,
    pub(crate) site: String,
    /// Where logins and signatures are asked for; `None` without a port.
    pub(crate) http: Option<Http>,
    /// Address and port for statistics.
    pub(crate) monitor: Option<(String, u16)>,
    pub(crate) login: Option<Login>,
    pub(crate) signer: Option<Signer>,
    pub(crate) authorizer: Authorizer,
    /// In the order in which they are asked.
    pub(crate) auditors: Vec<Auditor>,
    /// The Choria configuration, where something needs it.
    pub(crate) choria: Option<config::Settings>,
    /// What an operator should know and what does not keep the service from starting.
    pub(crate) warnings: Vec<String>,
}

/// The HTTP side.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Http {
    pub(crate) address: String,
    pub(crate) port: u16,
    /// `None`: plain HTTP (`--disable-tls`).
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) most_connections: usize,
}

/// Files for HTTPS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Whose client certificates are demanded, if any are.
    pub(crate) authorities: Option<PathBuf>,
}

/// Who may log in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) issuing: Issuing,
    pub(crate) limits: LoginLimits,
    pub(crate) people: People,
}

/// Where people are known.
#[derive(Clone, Debug)]
pub(crate) enum People {
    /// In the file, or in a file of their own.
    List { users: Vec<User>, file: Option<PathBuf> },
    /// In an Okta organization.
    Okta(Okta),
}

/// How tokens are made. The files are read at each login.
#[derive(Clone, Debug)]
pub(crate) struct Issuing {
    pub(crate) validity: Duration,
    pub(crate) key: PathBuf,
    /// The chain issuer's token; its key is `key`.
    pub(crate) chain: Option<PathBuf>,
}

/// An Okta organization.
#[derive(Clone, Debug)]
pub(crate) struct Okta {
    pub(crate) endpoint: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Zeroizing<String>,
    pub(crate) api_token: Zeroizing<String>,
    /// What each group may do.
    pub(crate) acls: BTreeMap<String, Vec<String>>,
    pub(crate) permissions: Option<ClientPermissions>,
    pub(crate) organization: String,
    /// Who signed the endpoint's certificate; the system's authorities when absent.
    pub(crate) authorities: Option<PathBuf>,
}

/// The signer `basicjwt`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Signer {
    /// Whose tokens count.
    pub(crate) certificate: PathBuf,
    /// The delegator's token and seed.
    pub(crate) token: PathBuf,
    pub(crate) seed: PathBuf,
    pub(crate) max_validity: Duration,
    /// Whether `aaa_signer` is hosted.
    pub(crate) service: bool,
    pub(crate) bearer_tokens: bool,
}

/// Who decides about requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Authorizer {
    ActionList,
    Opa,
}

/// Who is told of decisions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Auditor {
    /// `None`: standard output.
    LogFile(Option<PathBuf>),
    JetStream {
        servers: String,
        topic: String,
    },
}

/// What the command line says about the configuration.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Circumstances {
    /// `--disable-tls`.
    pub(crate) disable_tls: bool,
    /// systemd gave a socket for HTTPS, so no port is needed.
    pub(crate) given_socket: bool,
}

impl Settings {
    /// Reads and judges the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(path: &Path, circumstances: Circumstances) -> Result<Self, Problems> {
        let read = std::fs::read_to_string(path);
        let text = Zeroizing::new(read.map_err(|source| Problem::Read { path: path.to_owned(), source })?);
        let expanded = config::with_credentials(&text, &SystemEnvironment);
        let failed = |(line, error)| Problem::Credential { path: path.to_owned(), line, error };
        let text = Zeroizing::new(expanded.map_err(failed)?.into_owned());
        let parsed = serde_json::from_str(&text);
        let mut document: Document = parsed.map_err(|source| Problem::Parse { path: path.to_owned(), source })?;
        document.use_credentials(&SystemEnvironment);
        let mut judge = Judge { problems: Vec::new(), warnings: Vec::new(), circumstances };
        for key in document::unknown_keys(&text) {
            judge.warnings.push(format!("{}: the key {key} is not known and is ignored", path.display()));
        }
        let settings = judge.settings(document);
        if judge.problems.is_empty() { Ok(settings) } else { Err(Problems(judge.problems)) }
    }
}

/// Collects what is wrong while the settings are made.
struct Judge {
    problems: Vec<Problem>,
    warnings: Vec<String>,
    circumstances: Circumstances,
}

impl Judge {
    fn settings(&mut self, document: Document) -> Settings {
        let http = self.http(&document);
        let login = self.login(&document);
        let signer = self.signer(&document);
        let (authorizer, auditors) = match &signer {
            Some(_) => (self.authorizer(&document), self.auditors(&document)),
            // As in the original: without a signer there is nothing to authorize and audit.
            None => (Authorizer::ActionList, Vec::new()),
        };
        let service = signer.as_ref().is_some_and(|signer| signer.service);
        let stream = auditors.iter().any(|auditor| matches!(auditor, Auditor::JetStream { .. }));
        let choria = self.choria(&document, service, stream);
        let is_off = |name: &str| name.is_empty();
        if (is_off(&document.authenticator) && is_off(&document.signer)) || (http.is_none() && !service) {
            // A section that is wrong has said so already.
            if self.problems.is_empty() {
                self.problems.push(Problem::Nothing);
            }
        }
        let monitor_address = Some(document.monitor_address).filter(|address| !address.is_empty());
        let Port(monitor_port) = document.monitor_port;
        let monitor =
            (monitor_port > 0).then(|| (monitor_address.unwrap_or_else(|| EVERYWHERE.to_owned()), monitor_port));
        let choria_log = choria.as_ref().and_then(|choria| choria.get(config::keys::LOGFILE));
        let choria_log = choria_log.map(|path| path.display().to_string());
        let site = if document.site.is_empty() { "default".to_owned() } else { document.site };
        Settings {
            logfile: Some(log_destination(document.logfile)).filter(|file| !file.is_empty()).or(choria_log),
            loglevel: if document.loglevel.is_empty() { "info".to_owned() } else { document.loglevel },
            site,
            http,
            monitor,
            login,
            signer,
            authorizer,
            auditors,
            choria,
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    fn http(&mut self, document: &Document) -> Option<Http> {
        let Port(port) = document.port;
        if port == 0 && !self.circumstances.given_socket {
            return None;
        }
        let most_connections = document.max_connections.unwrap_or(MOST_CONNECTIONS);
        if !(1..=65_536).contains(&most_connections) {
            self.problems.push(Problem::Value { key: "max_connections", rule: "must be from 1 to 65536" });
        }
        let tls = if self.circumstances.disable_tls { None } else { self.tls(document) };
        let address = if document.listen_address.is_empty() { EVERYWHERE } else { &document.listen_address };
        Some(Http { address: address.to_owned(), port, tls, most_connections })
    }

    fn tls(&mut self, document: &Document) -> Option<TlsFiles> {
        let certificate = optional(&document.tls_certificate);
        let key = optional(&document.tls_key);
        for (file, name) in [(&certificate, "tls_certificate"), (&key, "tls_key")] {
            if file.is_none() {
                self.problems.push(Problem::NoCertificate(name));
            }
        }
        let files = TlsFiles { certificate: certificate?, key: key?, authorities: optional(&document.tls_ca) };
        if let Err(error) = crate::http::check_encryption(&files) {
            self.problems.push(error.into());
        }
        Some(files)
    }

    fn login(&mut self, document: &Document) -> Option<Login> {
        let limits = document.login_limits;
        match document.authenticator.as_str() {
            "" => None,
            "userlist" => {
                let part = ("userlist authenticator", "userlist_authenticator");
                let section = self.section(part, document.userlist_authenticator.as_ref())?;
                let files = (section.validity.as_str(), &section.signing_key, &section.signing_token);
                let issuing = self.issuing("userlist_authenticator", files);
                let users: Vec<User> = section.users.iter().cloned().map(User::new).collect();
                users.iter().for_each(|user| self.warnings.extend(user.warnings()));
                let file = optional(&section.users_file);
                if let Some(Err(reason)) = file.as_deref().map(decode_users) {
                    self.problems.push(Problem::File { key: "userlist_authenticator.users_file", reason });
                }
                Some(Login { issuing: issuing?, limits, people: People::List { users, file } })
            }
            "okta" => {
                let part = ("okta authenticator", "okta_authenticator");
                let section = self.section(part, document.okta_authenticator.as_ref())?;
                let files = (section.validity.as_str(), &section.signing_key, &section.signing_token);
                let issuing = self.issuing("okta_authenticator", files);
                let okta = self.okta(section);
                Some(Login { issuing: issuing?, limits, people: People::Okta(okta) })
            }
            other => self.unknown("authenticator", other, "userlist and okta"),
        }
    }

    fn okta(&mut self, section: &document::Okta) -> Okta {
        let filled = [
            ("okta_authenticator.client_id", &section.client_id),
            ("okta_authenticator.client_secret", &section.client_secret),
            ("okta_authenticator.api_token", &section.api_token),
            ("okta_authenticator.endpoint", &section.endpoint),
        ];
        self.problems.extend(filled.iter().filter(|(_, value)| value.is_empty()).map(|(key, _)| Problem::Missing(key)));
        if !section.endpoint.is_empty() && !section.endpoint.starts_with("https://") {
            let rule = "must begin with https://: passwords are sent there";
            self.problems.push(Problem::Value { key: "okta_authenticator.endpoint", rule });
        }
        let (permissions, warnings) = permissions("okta_authenticator", &section.broker_permissions);
        self.warnings.extend(warnings);
        Okta {
            endpoint: section.endpoint.trim_end_matches('/').to_owned(),
            client_id: section.client_id.clone(),
            client_secret: Zeroizing::new(section.client_secret.clone()),
            api_token: Zeroizing::new(section.api_token.clone()),
            acls: section.acls.clone(),
            permissions,
            organization: section.organization.clone(),
            authorities: optional(&section.tls_ca),
        }
    }

    /// Key, chain and lifetime of tokens; the files are tried now, and read again at each login.
    fn issuing(
        &mut self,
        section: &'static str,
        (validity, key, token): (&str, &PathBuf, &PathBuf),
    ) -> Option<Issuing> {
        let validity = duration::parse(validity).map_err(|source| Problem::Validity { section, source });
        let validity = self.keep(validity);
        let Some(key) = optional(key) else {
            self.problems.push(Problem::Missing("signing_key"));
            return None;
        };
        let issuing = Issuing { validity: validity?, key, chain: optional(token) };
        if let Err(error) = crate::login::check_issuing(&issuing) {
            self.problems.push(Problem::File { key: "signing_key and signing_token", reason: chain(&error) });
        }
        Some(issuing)
    }

    fn signer(&mut self, document: &Document) -> Option<Signer> {
        match document.signer.as_str() {
            "" => return None,
            "basicjwt" => {}
            other => return self.unknown("signer", other, "basicjwt"),
        }
        let section = self.section(("basicjwt signer", "basicjwt_signer"), document.basicjwt_signer.as_ref())?;
        let max_validity = match section.max_validity.as_str() {
            "" => Err(Problem::NoMaxValidity),
            text => duration::parse(text).map_err(Problem::MaxValidity),
        };
        let max_validity = self.keep(max_validity);
        let mut needed = |key, path: &PathBuf| {
            let path = optional(path);
            if path.is_none() {
                self.problems.push(Problem::Missing(key));
            }
            path
        };
        let certificate = needed("basicjwt_signer.signing_certificate", &section.signing_certificate);
        let token = needed("basicjwt_signer.signing_token", &section.signing_token);
        let seed = needed("basicjwt_signer.signing_seed", &section.signing_seed);
        let signer = Signer {
            certificate: certificate?,
            token: token?,
            seed: seed?,
            max_validity: max_validity?,
            service: section.choria_service,
            bearer_tokens: section.allow_bearer_tokens,
        };
        let reasons = crate::sign::check_files(&signer);
        self.problems.extend(reasons.into_iter().map(|(key, reason)| Problem::File { key, reason }));
        if signer.bearer_tokens {
            let text =
                "basicjwt_signer.allow_bearer_tokens is on: whoever reads a token can have requests signed with it";
            self.warnings.push(text.to_owned());
        }
        Some(signer)
    }

    fn authorizer(&mut self, document: &Document) -> Authorizer {
        match document.authorizer.as_str() {
            "actionlist" => return Authorizer::ActionList,
            "opa" => return Authorizer::Opa,
            "" => self.problems.push(Problem::NoAuthorizer),
            other => {
                let _none: Option<()> = self.unknown("authorizer", other, "actionlist and opa");
            }
        }
        Authorizer::ActionList
    }

    fn auditors(&mut self, document: &Document) -> Vec<Auditor> {
        let mut auditors = Vec::new();
        for name in &document.auditors {
            let auditor = match name.as_str() {
                "logfile" => self
                    .section(("logfile auditor", "logfile_auditor"), document.logfile_auditor.as_ref())
                    .map(|section| Auditor::LogFile(optional(&section.logfile))),
                "jetstream" => self
                    .section(("jetstream auditor", "jetstream_auditor"), document.jetstream_auditor.as_ref())
                    .and_then(|section| self.stream(section)),
                "natsstream" => {
                    self.problems.push(Problem::NatsStreaming);
                    None
                }
                other => self.unknown("auditors", other, "logfile and jetstream"),
            };
            auditors.extend(auditor);
        }
        if auditors.is_empty() && document.auditors.is_empty() {
            self.warnings.push("auditors is empty: nobody learns which requests were signed".to_owned());
        }
        auditors
    }

    fn stream(&mut self, section: &document::JetStream) -> Option<Auditor> {
        let (servers, topic) = (section.servers.clone(), section.topic.clone());
        if let Err(error) = network::parse_addresses(&servers.split(',').collect::<Vec<_>>()) {
            let reason = error.to_string();
            self.problems.push(Problem::File { key: "jetstream_auditor.servers", reason });
        }
        let is_word = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "*>".contains(c));
        if !topic.split('.').all(is_word) {
            let rule = "must be a subject without spaces and wildcards, to which a stream listens";
            self.problems.push(Problem::Value { key: "jetstream_auditor.topic", rule });
        }
        Some(Auditor::JetStream { servers, topic })
    }

    /// The Choria configuration, for who needs it; what the service is forced to is forced here (spec 07 §2).
    fn choria(&mut self, document: &Document, service: bool, stream: bool) -> Option<config::Settings> {
        let Some(path) = optional(&document.choria_config) else {
            let needing = [(service, "basicjwt_signer.choria_service"), (stream, "the jetstream auditor")];
            let needing = needing.into_iter().find(|(needs, _)| *needs)?;
            self.problems.push(Problem::NoChoriaConfig(needing.1));
            return None;
        };
        if !service && !stream {
            return None;
        }
        let failed = |reason: String| Problem::ChoriaConfig { path: path.clone(), reason };
        let mut inputs = self
            .keep(config::load(&path, Kind::Server, &SystemEnvironment).map_err(|error| failed(error.to_string())))?;
        inputs.use_credentials("aaasvc", &SystemEnvironment);
        inputs.set("rpcauthorization", "0");
        // Who asks for a signature has none, so nobody need be trusted.
        inputs.protect(config::Protection { validate_security: false, ..config::Protection::default() });
        self.keep(inputs.check().map_err(|error| failed(error.to_string())))
    }

    fn section<'s, T>(&mut self, (part, section): (&'static str, &'static str), found: Option<&'s T>) -> Option<&'s T> {
        if found.is_none() {
            self.problems.push(Problem::NoSection { part, section });
        }
        found
    }

    fn unknown<T>(&mut self, key: &'static str, found: &str, known: &'static str) -> Option<T> {
        // The original says `auditor` of one entry.
        self.problems.push(Problem::Unknown { key, found: found.chars().take(64).collect(), known });
        None
    }

    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// The path, unless it is empty.
fn optional(path: &Path) -> Option<PathBuf> {
    (!path.as_os_str().is_empty()).then(|| path.to_owned())
}

/// The devices that containers name stand for the log's own words: under systemd they cannot be opened.
fn log_destination(logfile: String) -> String {
    match logfile.as_str() {
        "/dev/stdout" => "stdout".to_owned(),
        "/dev/stderr" => "stderr".to_owned(),
        _ => logfile,
    }
}

/// Every address of this machine.
const EVERYWHERE: &str = "::";

/// Connections that are served at once unless `max_connections` says otherwise.
const MOST_CONNECTIONS: usize = 1024;

impl Settings {
    /// The keys whose values differ in `other` and count after a restart only.
    pub(crate) fn waiting(&self, other: &Self) -> Vec<&'static str> {
        let service = |settings: &Self| settings.signer.as_ref().is_some_and(|signer| signer.service);
        let keys =
            |settings: &Self| settings.choria.as_ref().and_then(|choria| choria.config_file().map(Path::to_owned));
        let rows = [
            (self.http != other.http, "port, listen_address, max_connections or tls_*"),
            (self.monitor != other.monitor, "monitor_port or monitor_address"),
            (self.auditors != other.auditors, "auditors or their sections"),
            (self.logfile != other.logfile, "logfile"),
            (self.site != other.site, "site"),
            (service(self) != service(other), "basicjwt_signer.choria_service"),
            (keys(self) != keys(other), "choria_config"),
            (self.login.is_some() != other.login.is_some(), "authenticator, in metrics"),
        ];
        rows.into_iter().filter(|(differs, _)| *differs).map(|(_, key)| key).collect()
    }
}

#[cfg(test)]
mod tests;
