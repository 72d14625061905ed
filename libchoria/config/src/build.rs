//! What was settled when these programs were built: brand, paths, defaults, commit.
//!
//! The values come from the build specification, `daemons/choria.toml` or the file that `CHORIA_BUILD_SPEC` names, which
//! this crate's build script reads (`build/specification.rs` has every key with its default and rule). Nothing else in
//! this workspace writes such a value down a second time.

/// The name of packages, and of the command; the daemons add theirs to it.
pub const NAME: &str = env!("CHORIA_SPEC_NAME");
/// What people call it.
pub const DISPLAY_NAME: &str = env!("CHORIA_SPEC_DISPLAY_NAME");
/// Who makes the packages.
pub const VENDOR: &str = env!("CHORIA_SPEC_VENDOR");
/// Whom to ask: `Name <mail@host>`.
pub const CONTACT: &str = env!("CHORIA_SPEC_CONTACT");
/// The packages' release, behind the version.
pub const RELEASE: &str = env!("CHORIA_SPEC_RELEASE");
/// Whether packages enable the server when they are installed.
pub const ENABLE_SERVER: bool = is_true(env!("CHORIA_SPEC_ENABLE_SERVER"));

/// The version of this workspace, of which all programs have one.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit, `unknown` where nobody said: the development profile does not ask git.
pub const SHA: &str = env!("CHORIA_SPEC_SHA");
/// `SOURCE_DATE_EPOCH` of a release build as a date, else `unknown`.
pub const DATE: &str = env!("CHORIA_SPEC_DATE");
/// SPDX expression.
pub const LICENSE: &str = env!("CARGO_PKG_LICENSE");
/// The oldest Rust that builds it.
pub const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// The program of the server.
pub const SERVER: &str = concat!(env!("CHORIA_SPEC_NAME"), "-server");
/// The program of the broker.
pub const BROKER: &str = concat!(env!("CHORIA_SPEC_NAME"), "-broker");
/// The program that takes submitted messages.
pub const SUBMIT: &str = concat!(env!("CHORIA_SPEC_NAME"), "-submit");
/// The program of the provisioner.
pub const PROVISIONER: &str = concat!(env!("CHORIA_SPEC_NAME"), "-provisioner");
/// The program of the AAA service.
pub const AAASVC: &str = concat!(env!("CHORIA_SPEC_NAME"), "-aaasvc");

/// Where packages put the command.
pub const BINDIR: &str = env!("CHORIA_SPEC_BINDIR");
/// Where packages put the daemons.
pub const SBINDIR: &str = env!("CHORIA_SPEC_SBINDIR");
/// Configuration.
pub const ETCDIR: &str = env!("CHORIA_SPEC_ETCDIR");
/// What daemons keep.
pub const STATEDIR: &str = concat!("/var/lib/", env!("CHORIA_SPEC_NAME"));
/// What waits to be delivered.
pub const SPOOLDIR: &str = concat!("/var/spool/", env!("CHORIA_SPEC_NAME"));
/// Sockets.
pub const RUNDIR: &str = concat!("/run/", env!("CHORIA_SPEC_NAME"));

/// The server's configuration.
pub const SERVER_CONFIG: &str = concat!(env!("CHORIA_SPEC_ETCDIR"), "/server.conf");
/// The broker's configuration.
pub const BROKER_CONFIG: &str = concat!(env!("CHORIA_SPEC_ETCDIR"), "/broker.conf");
/// The configuration of all users.
pub const CLIENT_CONFIG: &str = concat!(env!("CHORIA_SPEC_ETCDIR"), "/client.conf");
/// The same where software is installed by hand.
pub const LOCAL_CLIENT_CONFIG: &str = concat!("/usr/local/etc/", env!("CHORIA_SPEC_NAME"), "/client.conf");
/// A user's own configuration, in the home directory.
pub const USER_CONFIG: &str = concat!(".", env!("CHORIA_SPEC_NAME"), "rc");
/// The AAA service's configuration.
pub const AAASVC_CONFIG: &str = concat!(env!("CHORIA_SPEC_ETCDIR"), "/aaasvc.json");
/// The provisioner's configuration.
pub const PROVISIONER_CONFIG: &str =
    concat!("/etc/", env!("CHORIA_SPEC_NAME"), "-provisioner/", env!("CHORIA_SPEC_NAME"), "-provisioner.yaml");
/// The server's socket for local tools.
pub const SERVER_SOCKET: &str = concat!("/run/", env!("CHORIA_SPEC_NAME"), "/server.sock");
/// The socket that takes submitted messages.
pub const SUBMIT_SOCKET: &str = concat!("/run/", env!("CHORIA_SPEC_NAME"), "/submit.sock");
/// The spool of submitted messages.
pub const SUBMISSION_SPOOL: &str = concat!("/var/spool/", env!("CHORIA_SPEC_NAME"), "/submission");

/// The collectives of a configuration that names none, separated by commas.
pub const COLLECTIVES: &str = env!("CHORIA_SPEC_COLLECTIVES");
/// What the certificate names of clients end in.
pub const CLIENT_IDENTITY_SUFFIX: &str = env!("CHORIA_SPEC_CLIENT_IDENTITY_SUFFIX");
/// Most connections of a broker, as text and as number.
pub const MOST_CLIENTS_TEXT: &str = env!("CHORIA_SPEC_MOST_CLIENTS");
/// Most connections of a broker.
pub const MOST_CLIENTS: u32 = number(MOST_CLIENTS_TEXT);
/// Whether connections are encrypted.
pub const TLS: bool = is_true(env!("CHORIA_SPEC_TLS"));
/// Whether messages are signed and verified.
pub const SECURE: bool = is_true(env!("CHORIA_SPEC_SECURE"));

/// Where the provisioning token of the machine is, if none is beside the configuration file.
pub const PROVISIONING_TOKEN_FILE: &str = env!("CHORIA_SPEC_PROVISIONING_TOKEN_FILE");
/// Extra agents that the specification asks for, as `name (crate)`, separated by commas.
pub const AGENTS: &str = env!("CHORIA_SPEC_AGENTS");

/// What holds of provisioning where no `provisioning.jwt` says otherwise.
#[derive(Clone, Copy)]
pub struct Provisioning {
    /// Addresses of brokers, separated by commas.
    pub brokers: &'static str,
    /// The domain of their SRV records instead.
    pub srv_domain: &'static str,
    /// The secret of the agent `choria_provision`.
    pub token: &'static str,
    /// User at the broker.
    pub username: &'static str,
    /// The user's password.
    pub password: &'static str,
    /// Facts of a server that waits.
    pub facts: &'static str,
    /// A file to publish while waiting.
    pub registration_data: &'static str,
    /// Where a waiting server writes its status.
    pub status_file: &'static str,
    /// Whether a server whose configuration says nothing waits to be provisioned.
    pub default: bool,
    /// Whether provisioning is secured.
    pub tls: bool,
    /// Version 2 of the protocol.
    pub protocol_v2: bool,
    /// Whether the provisioner may replace the program.
    pub allow_update: bool,
    /// Whether the agent is this project's.
    pub agent: bool,
}

/// What this build says of provisioning; the default build says nothing.
pub const PROVISIONING: Provisioning = Provisioning {
    brokers: env!("CHORIA_SPEC_PROVISIONING_BROKERS"),
    srv_domain: env!("CHORIA_SPEC_PROVISIONING_SRV_DOMAIN"),
    token: env!("CHORIA_SPEC_PROVISIONING_TOKEN"),
    username: env!("CHORIA_SPEC_PROVISIONING_USERNAME"),
    password: env!("CHORIA_SPEC_PROVISIONING_PASSWORD"),
    facts: env!("CHORIA_SPEC_PROVISIONING_FACTS"),
    registration_data: env!("CHORIA_SPEC_PROVISIONING_REGISTRATION_DATA"),
    status_file: env!("CHORIA_SPEC_PROVISIONING_STATUS_FILE"),
    default: is_true(env!("CHORIA_SPEC_PROVISIONING_DEFAULT")),
    tls: is_true(env!("CHORIA_SPEC_PROVISIONING_TLS")),
    protocol_v2: is_true(env!("CHORIA_SPEC_PROVISIONING_PROTOCOL_V2")),
    allow_update: is_true(env!("CHORIA_SPEC_PROVISIONING_ALLOW_UPDATE")),
    agent: is_true(env!("CHORIA_SPEC_PROVISIONING_AGENT")),
};

/// Leaves out the secrets.
impl std::fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { brokers, srv_domain, username, .. } = self;
        f.debug_struct("Provisioning")
            .field("brokers", brokers)
            .field("srv_domain", srv_domain)
            .field("username", username)
            .finish_non_exhaustive()
    }
}

/// [`COLLECTIVES`] one by one.
pub fn collectives() -> impl Iterator<Item = &'static str> {
    COLLECTIVES.split(',')
}

/// [`AGENTS`] one by one.
pub fn agents() -> impl Iterator<Item = &'static str> {
    AGENTS.split(',').filter(|name| !name.is_empty())
}

const fn is_true(text: &str) -> bool {
    matches!(text.as_bytes(), b"true")
}

/// The build script has checked that it is one.
const fn number(text: &str) -> u32 {
    let (bytes, mut at, mut sum) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        sum = sum * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    sum
}
