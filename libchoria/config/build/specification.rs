//! The build specification of an organisation: every key, its default and its rule. Pure: from text to values or to one
//! sentence that names file, key and rule.

use crate::section::{Rule, Section};
use toml::Table;

/// What is settled when the programs are built. The default is this project's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Specification {
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) vendor: String,
    pub(crate) contact: String,
    pub(crate) release: String,
    pub(crate) enable_server: bool,
    pub(crate) paths: Paths,
    pub(crate) collectives: Vec<String>,
    pub(crate) client_identity_suffix: String,
    pub(crate) most_clients: i64,
    pub(crate) tls: bool,
    pub(crate) secure: bool,
    pub(crate) provisioning: Provisioning,
    pub(crate) agents: Vec<AgentCrate>,
}

/// Folders; those that systemd makes for the units have the name and are nobody's choice.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Paths {
    pub(crate) bindir: String,
    pub(crate) sbindir: String,
    pub(crate) etcdir: String,
}

/// What holds as long as a `provisioning.jwt` does not say otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Provisioning {
    pub(crate) token_file: String,
    pub(crate) brokers: Vec<String>,
    pub(crate) srv_domain: String,
    pub(crate) token: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) facts: String,
    pub(crate) registration_data: String,
    pub(crate) status_file: String,
    pub(crate) default: bool,
    pub(crate) tls: bool,
    pub(crate) protocol_v2: bool,
    pub(crate) allow_update: bool,
    pub(crate) agent: bool,
}

/// An agent of the organisation: a crate that is compiled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AgentCrate {
    pub(crate) name: String,
    pub(crate) package: String,
    pub(crate) path: String,
    pub(crate) features: Vec<String>,
}

impl Specification {
    /// Reads `text`, the content of `file`. What it leaves out is as this project has it.
    ///
    /// # Errors
    /// A sentence for the person who wrote it.
    pub(crate) fn parse(text: &str, file: &str) -> Result<Self, String> {
        let root: Table = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| 1 + text[..span.start].matches('\n').count());
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{file}{line}: this is no TOML: {}", error.message().replace('\n', ", "))
        })?;
        if let Some(key) = root.keys().find(|key| !TABLES.contains(&key.as_str())) {
            return Err(format!(
                "{file}: [{key}] is no table of a build specification: there are {}",
                TABLES.join(", ")
            ));
        }
        let mut package = Section::of(&root, "package", file)?;
        let name = package.text("name", "choria", NAME)?;
        let display_name = package.text("display_name", "Choria", WORDS)?;
        let vendor = package.text("vendor", "The Choria Project", WORDS)?;
        let contact = package.text("contact", "The Choria Project <packages@choria.io>", CONTACT)?;
        let release = package.text("release", "1", RELEASE)?;
        let enable_server = package.flag("enable_server", false)?;
        package.end()?;
        let paths = Paths::read(Section::of(&root, "paths", file)?, &name)?;

        let mut defaults = Section::of(&root, "defaults", file)?;
        let collectives = defaults.list("collectives", &["mcollective"], COLLECTIVE)?;
        if collectives.is_empty() {
            return Err(defaults.wrong("collectives", "is empty: a server belongs to at least one collective"));
        }
        let client_identity_suffix = defaults.text("client_identity_suffix", "mcollective", SUFFIX)?;
        let most_clients = defaults.number("max_broker_clients", 50_000, 10, 1_000_000)?;
        let tls = defaults.flag("tls", true)?;
        let secure = defaults.flag("secure", true)?;
        defaults.end()?;

        let provisioning = Provisioning::read(Section::of(&root, "provisioning", file)?, &paths.etcdir)?;
        Ok(Self {
            agents: agents(&root, file)?,
            name,
            display_name,
            vendor,
            contact,
            release,
            enable_server,
            paths,
            collectives,
            client_identity_suffix,
            most_clients,
            tls,
            secure,
            provisioning,
        })
    }

    /// Name and text of every constant of `choria_config::build`.
    pub(crate) fn constants(&self) -> Vec<(&'static str, String)> {
        let (paths, provisioning) = (&self.paths, &self.provisioning);
        let word = |flag: bool| if flag { "true" } else { "false" }.to_owned();
        let agents = self.agents.iter().map(|agent| format!("{} ({})", agent.name, agent.package));
        vec![
            ("NAME", self.name.clone()),
            ("DISPLAY_NAME", self.display_name.clone()),
            ("VENDOR", self.vendor.clone()),
            ("CONTACT", self.contact.clone()),
            ("RELEASE", self.release.clone()),
            ("ENABLE_SERVER", word(self.enable_server)),
            ("BINDIR", paths.bindir.clone()),
            ("SBINDIR", paths.sbindir.clone()),
            ("ETCDIR", paths.etcdir.clone()),
            ("COLLECTIVES", self.collectives.join(",")),
            ("CLIENT_IDENTITY_SUFFIX", self.client_identity_suffix.clone()),
            ("MOST_CLIENTS", self.most_clients.to_string()),
            ("TLS", word(self.tls)),
            ("SECURE", word(self.secure)),
            ("PROVISIONING_TOKEN_FILE", provisioning.token_file.clone()),
            ("PROVISIONING_BROKERS", provisioning.brokers.join(",")),
            ("PROVISIONING_SRV_DOMAIN", provisioning.srv_domain.clone()),
            ("PROVISIONING_TOKEN", provisioning.token.clone()),
            ("PROVISIONING_USERNAME", provisioning.username.clone()),
            ("PROVISIONING_PASSWORD", provisioning.password.clone()),
            ("PROVISIONING_FACTS", provisioning.facts.clone()),
            ("PROVISIONING_REGISTRATION_DATA", provisioning.registration_data.clone()),
            ("PROVISIONING_STATUS_FILE", provisioning.status_file.clone()),
            ("PROVISIONING_DEFAULT", word(provisioning.default)),
            ("PROVISIONING_TLS", word(provisioning.tls)),
            ("PROVISIONING_PROTOCOL_V2", word(provisioning.protocol_v2)),
            ("PROVISIONING_ALLOW_UPDATE", word(provisioning.allow_update)),
            ("PROVISIONING_AGENT", word(provisioning.agent)),
            ("AGENTS", agents.collect::<Vec<_>>().join(",")),
        ]
    }
}

impl Paths {
    fn read(mut section: Section<'_>, name: &str) -> Result<Self, String> {
        let paths = Self {
            bindir: section.text("bindir", "/usr/bin", PATH)?,
            sbindir: section.text("sbindir", "/usr/sbin", PATH)?,
            etcdir: section.text("etcdir", &format!("/etc/{name}"), PATH)?,
        };
        section.end().map(|()| paths)
    }
}

impl Provisioning {
    fn read(mut section: Section<'_>, etcdir: &str) -> Result<Self, String> {
        let usual = format!("{etcdir}/provisioning.jwt");
        let all = Self {
            token_file: section.text("token_file", &usual, PATH)?,
            brokers: section.list("brokers", &[], BROKER)?,
            srv_domain: section.optional("srv_domain", DOMAIN)?,
            token: section.secret("token", SECRET)?,
            username: section.optional("username", SECRET)?,
            password: section.secret("password", SECRET)?,
            facts: section.optional("facts", PATH)?,
            registration_data: section.optional("registration_data", PATH)?,
            status_file: section.optional("status_file", PATH)?,
            default: section.flag("default", false)?,
            tls: section.flag("tls", true)?,
            protocol_v2: section.flag("protocol_v2", false)?,
            allow_update: section.flag("allow_update", false)?,
            agent: section.flag("agent", true)?,
        };
        let has_target = !all.brokers.is_empty() || !all.srv_domain.is_empty();
        let wrong = if !all.brokers.is_empty() && !all.srv_domain.is_empty() {
            Some(("srv_domain", "is set beside provisioning.brokers: set one of them"))
        } else if has_target && all.token.is_empty() {
            Some(("token", "is not set: without it everybody could configure a server that waits; brokers need one"))
        } else if !has_target && !all.token.is_empty() {
            Some(("token", "is set without brokers: set provisioning.brokers or provisioning.srv_domain too"))
        } else if has_target && !all.protocol_v2 {
            Some(("protocol_v2", "is false: these servers speak version 2 of the protocol only, set it to true"))
        } else if all.username.is_empty() != all.password.is_empty() {
            Some(("username", "and provisioning.password go together: set both or neither"))
        } else if !has_target && all.default {
            Some(("default", "is true without brokers: set provisioning.brokers or provisioning.srv_domain too"))
        } else {
            None
        };
        match wrong {
            Some((key, words)) => Err(section.wrong(key, words)),
            None => section.end().map(|()| all),
        }
    }
}

/// The tables below `agents`, in the order of their names.
fn agents(root: &Table, file: &str) -> Result<Vec<AgentCrate>, String> {
    let Some(all) = root.get("agents") else { return Ok(Vec::new()) };
    let Some(all) = all.as_table() else {
        return Err(format!("{file}: agents is {}: write [agents.NAME]", crate::section::kind(all)));
    };
    let mut agents = Vec::new();
    for name in all.keys() {
        let title = format!("agents.{name}");
        if !is_agent(name) {
            return Err(format!("{file}: [{title}] names no agent: a name is lower case letters, digits and _"));
        }
        let scope = Table::from_iter([(title.clone(), all[name].clone())]);
        let mut section = Section::of(&scope, &title, file)?;
        if !section.has("path") || !section.has("package") {
            return Err(format!(
                "{file}: [{title}] needs package, the name of its crate, and path, the crate's folder"
            ));
        }
        agents.push(AgentCrate {
            name: name.clone(),
            package: section.text("package", "", CRATE)?,
            path: section.text("path", "", FOLDER)?,
            features: section.list("features", &[], CRATE)?,
        });
        section.end()?;
    }
    Ok(agents)
}

const TABLES: [&str; 5] = ["package", "paths", "defaults", "provisioning", "agents"];

const NAME: Rule = (
    is_name,
    "have 2 to 20 lower case letters, digits and single hyphens and begin with a letter: it names packages, units and users",
);
const WORDS: Rule = (is_words, "be one line of at most 200 characters");
const CONTACT: Rule = (is_contact, "be written Name <mail@host>");
const RELEASE: Rule = (is_release, "begin with a digit and have letters, digits, +, . and ~ only");
const PATH: Rule = (is_path, "be an absolute path of letters, digits, /, ., _ and -, without . and .. as parts");
const FOLDER: Rule = (is_words, "be the path of a folder, relative to the specification or absolute");
const COLLECTIVE: Rule = (
    is_collective,
    "be a collective: letters, digits, _ and -, and not provisioning, where servers wait for their configuration",
);
const SUFFIX: Rule = (is_suffix, "be letters, digits, ., _ and -");
const BROKER: Rule = (is_broker, "be host:port or scheme://host:port, with one of the schemes nats, tls, ws and wss");
const DOMAIN: Rule = (is_domain, "be a domain");
const SECRET: Rule = (is_secret, "be 1 to 1000 characters without spaces around them and without control characters");
const CRATE: Rule = (is_crate, "be letters, digits, _ and -");

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (2..=20).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
        && !text.contains("--")
        && !text.ends_with('-')
}

fn is_words(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control)
}

fn is_contact(text: &str) -> bool {
    let mail = text.strip_suffix('>').and_then(|text| text.split_once(" <"));
    is_words(text) && mail.is_some_and(|(name, mail)| !name.is_empty() && mail.contains('@') && !mail.contains(' '))
}

fn is_release(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.~".contains(&byte))
}

fn is_path(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

fn is_collective(text: &str) -> bool {
    is_crate(text) && text != "provisioning"
}

fn is_suffix(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && is_suffix(text)
}

fn is_broker(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
    let known = ["nats", "tls", "ws", "wss"].contains(&scheme);
    let host = |host: &str| match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_domain(host),
    };
    let parts = rest.rsplit_once(':');
    known && parts.is_some_and(|(name, port)| host(name) && port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_secret(text: &str) -> bool {
    is_words_of(text, 1000) && text.trim() == text
}

fn is_words_of(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
}

fn is_crate(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_agent(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(allowed)
}
