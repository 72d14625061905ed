//! `choria buildinfo`: how this program was built and what servers do by default (spec 09 §15.5, 04 §10).

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use tokens::ProvisioningClaims;

/// What to show of the build.
#[derive(clap::Args, Debug)]
pub(crate) struct BuildinfoArguments {
    /// Also list the versions of crates that the build is locked to
    #[arg(long, short = 'D')]
    dependencies: bool,
}

/// Prints build data, defaults and what the provisioning token of this node says.
///
/// # Errors
/// When standard output is gone.
pub(crate) fn run(arguments: &BuildinfoArguments) -> anyhow::Result<ExitCode> {
    let path = Path::new(PROVISIONING_TOKEN);
    let provisioning = match std::fs::read_to_string(path) {
        Ok(token) => match tokens::read_provisioning(token.trim()) {
            Ok(claims) => Some(claims),
            Err(error) => {
                eprintln!("choria: warning: {}: {error}", path.display());
                None
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            eprintln!("choria: warning: the provisioning token {} cannot be read: {error}", path.display());
            None
        }
    };
    let mut out = io::stdout().lock();
    build(&mut out)?;
    server(&mut out, provisioning.as_ref())?;
    plugins(&mut out)?;
    if arguments.dependencies {
        dependencies(&mut out, LOCK_FILE)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Version, protocol and broker.
fn build(out: &mut impl Write) -> io::Result<()> {
    let data = [
        ("Version", env!("CARGO_PKG_VERSION")),
        ("Git SHA", option_env!("CHORIA_BUILD_SHA").unwrap_or("unknown")),
        ("Build Date", option_env!("CHORIA_BUILD_DATE").unwrap_or("unknown")),
        ("License", env!("CARGO_PKG_LICENSE")),
        ("Rust", concat!(env!("CARGO_PKG_RUST_VERSION"), " or newer")),
    ];
    writeln!(out, "Choria build settings:\n\nBuild Data:\n")?;
    data.iter().try_for_each(|(label, text)| writeln!(out, "{label:>12}: {text}"))?;
    writeln!(out, "\nProtocol Defaults and Settings:\n")?;
    writeln!(out, "{:>24}: mcollective", "Default Collectives")?;
    writeln!(out, "{:>24}: mcollective", "Client Identity Suffix")?;
    writeln!(out, "\nNetwork Broker Settings:\n")?;
    writeln!(out, "{:>30}: {MOST_CLIENTS}", "Maximum Network Clients")?;
    writeln!(out, "{:>30}: none, runs the nats-server of this system", "Embedded NATS Server Version")
}

/// Provisioning and security of servers; `token` is the provisioning token of this node.
fn server(out: &mut impl Write, token: Option<&ProvisioningClaims>) -> io::Result<()> {
    writeln!(out, "\nServer Settings:\n")?;
    let line = |(label, text): (&str, &str)| (label.to_owned(), text.to_owned());
    let mut lines = vec![
        line(("Provisioning Target Resolver", "Choria JWT Resolver")),
        line(("Supports Provisioning", word(token.is_some_and(|token| !token.token.is_empty())))),
        line(("Provisioning JWT file", PROVISIONING_TOKEN)),
    ];
    if let Some(token) = token.filter(|token| !token.token.is_empty()) {
        lines.extend([
            line(("Provisioning Token", "*****")),
            line(("Provisioning Default", word(token.provision_by_default))),
            line(("Provisioning TLS", word(token.secure))),
            line(("Default Provisioning Agent", "true")),
        ]);
        let password = if token.username.is_empty() { "" } else { "******" };
        let optional = [
            ("Provisioning Brokers", token.urls.as_str()),
            ("Provisioning SRV Domain", &token.srv_domain),
            ("Provisioning Registration Data", &token.registration_data),
            ("Provisioning Facts", &token.facts),
            ("Provisioning Broker Username", &token.username),
            ("Provisioning Broker Password", password),
            ("Provisioning Using Protocol v2", if token.protocol_v2 { "true" } else { "" }),
            ("Provisioning Version Upgrades", if token.allow_update { "true" } else { "" }),
        ];
        lines.extend(optional.into_iter().filter(|(_, text)| !text.is_empty()).map(line));
    }
    lines.iter().try_for_each(|(label, text)| writeln!(out, "{label:>32}: {text}"))?;
    writeln!(out, "\nSecurity Defaults:\n\n            TLS: true\n  x509 Security: true")
}

/// What is compiled in.
fn plugins(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nAgent Providers:\n")?;
    AGENT_PROVIDERS.iter().try_for_each(|name| writeln!(out, "  {name} version {}", env!("CARGO_PKG_VERSION")))?;
    writeln!(out, "\nData Providers:\n")?;
    DATA_PROVIDERS.iter().try_for_each(|name| writeln!(out, "  {name} Data version {}", env!("CARGO_PKG_VERSION")))
}

/// The crates of other projects in `lock_file`, the text of a Cargo.lock, names right-aligned.
fn dependencies(out: &mut impl Write, lock_file: &str) -> io::Result<()> {
    let crates: Vec<(&str, &str)> = lock_file.split("[[package]]").filter_map(foreign_crate).collect();
    let width = crates.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    writeln!(out, "\nCompile time module dependencies:\n")?;
    crates.iter().try_for_each(|(name, version)| writeln!(out, "  {name:>width$} {version}"))
}

/// Name and version of one entry; nothing for our own crates, which have no source.
fn foreign_crate(entry: &str) -> Option<(&str, &str)> {
    let value = |key: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))?;
        Some(line.trim_matches('"'))
    };
    value("source")?;
    Some((value("name")?, value("version")?))
}

fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// Where packages look for the token that makes a new node provision itself; set when packages are built.
const PROVISIONING_TOKEN: &str = match option_env!("CHORIA_PROVISIONING_JWT") {
    Some(path) => path,
    None => "/etc/choria/provisioning.jwt",
};

/// Connections that a broker accepts.
const MOST_CLIENTS: u32 = 50_000;

const AGENT_PROVIDERS: &[&str] = &["Built-in Agents"];
const DATA_PROVIDERS: &[&str] = &["Choria", "Config_item", "Machine_state", "Scout"];

/// The exact versions that the build is locked to, for all platforms.
const LOCK_FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    /// A recorded output with the values that belong to one build replaced by ours.
    fn recorded(path: &str, from: &str, to: &str) -> String {
        let path = vectors::root().join(path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let start = text.find(from).expect(from);
        let end = text[start..].find(to).expect(to) + start;
        text[start..end].to_owned()
    }

    #[test]
    fn build_data_is_laid_out_as_recorded() {
        let wanted = recorded("cli/buildinfo.stdout.txt", "Choria build settings", "\nServer Settings");
        let wanted = wanted
            .replace("0.29.4", env!("CARGO_PKG_VERSION"))
            .replace("  Go Version: go1.26.8", "        Rust: 1.85 or newer")
            .replace("2.14.2", "none, runs the nats-server of this system");
        assert_eq!(written(build), wanted);
    }

    #[test]
    fn server_settings_are_laid_out_as_recorded() {
        let wanted = recorded("cli/buildinfo.stdout.txt", "\nServer Settings", "\nAgent Providers");
        assert_eq!(written(|out| server(out, None)), wanted);
        let token = ProvisioningClaims {
            token: "s3cret".into(),
            urls: "nats://broker.choria.local:4222".into(),
            provision_by_default: true,
            protocol_v2: true,
            allow_update: true,
            ..ProvisioningClaims::default()
        };
        let wanted = recorded("cli/server-status-and-buildinfo.txt", "\nServer Settings", "\nAgent Providers");
        assert_eq!(written(|out| server(out, Some(&token))), wanted);
    }

    #[test]
    fn a_broker_password_is_only_hinted_at() {
        let token = ProvisioningClaims {
            token: "s3cret".into(),
            username: "provisioner".into(),
            password: "hunter2".into(),
            ..ProvisioningClaims::default()
        };
        let text = written(|out| server(out, Some(&token)));
        let lines = "    Provisioning Broker Username: provisioner\n    Provisioning Broker Password: ******\n";
        assert!(text.contains(lines) && !text.contains("hunter2") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn crates_of_others_are_listed_with_their_versions() {
        let lock = "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\ndependencies = [\n \"anyhow\",\n]\n\n\
                    [[package]]\nname = \"anyhow\"\nversion = \"1.0.0\"\nsource = \"registry\"\n\n\
                    [[package]]\nname = \"zz\"\nversion = \"2.0.0\"\nsource = \"registry\"\n";
        let wanted = "\nCompile time module dependencies:\n\n  anyhow 1.0.0\n      zz 2.0.0\n";
        assert_eq!(written(|out| dependencies(out, lock)), wanted);
        assert!(written(|out| dependencies(out, LOCK_FILE)).lines().count() > 50, "our own lock file is read");
    }
}
