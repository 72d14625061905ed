//! `choria buildinfo`: how this program was built and what servers do by default (spec 09 §15.5, 04 §10).

use config::build::{self, PROVISIONING};
use serde_json::{Value, json};
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
    /// Write a JSON document, for scripts
    #[arg(long)]
    json: bool,
}

/// Prints build data, defaults and what the provisioning token of this node says.
///
/// # Errors
/// When standard output is gone.
pub(crate) fn run(arguments: &BuildinfoArguments) -> anyhow::Result<ExitCode> {
    let path = Path::new(build::PROVISIONING_TOKEN_FILE);
    let provisioning = match std::fs::read_to_string(path) {
        Ok(token) => match tokens::read_provisioning(token.trim()) {
            Ok(claims) => Some(claims),
            Err(error) => {
                eprintln!("{}: warning: {}: {error}", build::NAME, path.display());
                None
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            eprintln!("{}: warning: the provisioning token {} cannot be read: {error}", build::NAME, path.display());
            None
        }
    };
    let provisioning = server::provisioning::in_force(provisioning);
    let agents = agents()?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let mut document = document(&provisioning, &agents);
        if arguments.dependencies {
            document["dependencies"] =
                foreign_crates(LOCK_FILE).into_iter().map(|(name, version)| json!([name, version])).collect();
        }
        writeln!(out, "{document:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    data(&mut out)?;
    server_settings(&mut out, &provisioning)?;
    plugins(&mut out)?;
    own(&mut out, &agents)?;
    if arguments.dependencies {
        dependencies(&mut out, LOCK_FILE)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Version, protocol and broker.
fn data(out: &mut impl Write) -> io::Result<()> {
    let data = [
        ("Version", build::VERSION),
        ("Git SHA", build::SHA),
        ("Build Date", build::DATE),
        ("License", build::LICENSE),
        ("Rust", concat!(env!("CARGO_PKG_RUST_VERSION"), " or newer")),
    ];
    writeln!(out, "{} build settings:\n\nBuild Data:\n", build::DISPLAY_NAME)?;
    data.iter().try_for_each(|(label, text)| writeln!(out, "{label:>12}: {text}"))?;
    writeln!(out, "\nProtocol Defaults and Settings:\n")?;
    let collectives: Vec<&str> = build::collectives().collect();
    writeln!(out, "{:>24}: {}", "Default Collectives", collectives.join(", "))?;
    writeln!(out, "{:>24}: {}", "Client Identity Suffix", build::CLIENT_IDENTITY_SUFFIX)?;
    writeln!(out, "\nNetwork Broker Settings:\n")?;
    writeln!(out, "{:>30}: {}", "Maximum Network Clients", build::MOST_CLIENTS)?;
    writeln!(out, "{:>30}: none, runs the nats-server of this system", "Embedded NATS Server Version")
}

/// Provisioning and security of servers; `provisioning` is what they go by on this node.
fn server_settings(out: &mut impl Write, provisioning: &ProvisioningClaims) -> io::Result<()> {
    writeln!(out, "\nServer Settings:\n")?;
    let line = |(label, text): (&str, &str)| (label.to_owned(), text.to_owned());
    let is_supported = !provisioning.token.is_empty();
    let mut lines = vec![
        line(("Provisioning Target Resolver", "Choria JWT Resolver")),
        line(("Supports Provisioning", word(is_supported))),
        line(("Provisioning JWT file", build::PROVISIONING_TOKEN_FILE)),
    ];
    if is_supported {
        lines.extend([
            line(("Provisioning Token", "*****")),
            line(("Provisioning Default", word(provisioning.provision_by_default))),
            line(("Provisioning TLS", word(provisioning.secure))),
            line(("Default Provisioning Agent", word(PROVISIONING.agent))),
        ]);
        let password = if provisioning.username.is_empty() { "" } else { "******" };
        let optional = [
            ("Provisioning Brokers", provisioning.urls.as_str()),
            ("Provisioning SRV Domain", &provisioning.srv_domain),
            ("Provisioning Registration Data", &provisioning.registration_data),
            ("Provisioning Facts", &provisioning.facts),
            ("Provisioning Broker Username", &provisioning.username),
            ("Provisioning Broker Password", password),
            ("Provisioning Status File", PROVISIONING.status_file),
            ("Provisioning Using Protocol v2", if provisioning.protocol_v2 { "true" } else { "" }),
            ("Provisioning Version Upgrades", if provisioning.allow_update { "true" } else { "" }),
        ];
        lines.extend(optional.into_iter().filter(|(_, text)| !text.is_empty()).map(line));
    }
    lines.iter().try_for_each(|(label, text)| writeln!(out, "{label:>32}: {text}"))?;
    writeln!(out, "\nSecurity Defaults:\n\n            TLS: {}\n  x509 Security: {}", build::TLS, build::SECURE)?;
    if build::TLS && build::SECURE {
        return Ok(());
    }
    writeln!(out, "\nNOTE: this build is not secure: it was made without {}. Use it in laboratories only.", missing())
}

/// What a build with switched off security lacks.
fn missing() -> &'static str {
    match (build::TLS, build::SECURE) {
        (false, false) => "encryption and signatures",
        (false, true) => "encryption",
        _ => "signatures",
    }
}

/// What is compiled in.
fn plugins(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nAgent Providers:\n")?;
    AGENT_PROVIDERS.iter().try_for_each(|name| writeln!(out, "  {name} version {}", build::VERSION))?;
    writeln!(out, "\nData Providers:\n")?;
    DATA_PROVIDERS.iter().try_for_each(|name| writeln!(out, "  {name} Data version {}", build::VERSION))
}

/// What the existing tool does not show: agents one by one, brand and paths.
fn own(out: &mut impl Write, agents: &[(String, String)]) -> io::Result<()> {
    writeln!(out, "\nAgents:\n")?;
    agents.iter().try_for_each(|(name, version)| writeln!(out, "  {name} version {version}"))?;
    writeln!(out, "\nPackage:\n")?;
    package().iter().try_for_each(|(label, _, text)| writeln!(out, "{label:>16}: {text}"))
}

/// Brand and paths: label, key, value.
fn package() -> [(&'static str, &'static str, &'static str); 12] {
    [
        ("Name", "name", build::NAME),
        ("Display Name", "display_name", build::DISPLAY_NAME),
        ("Vendor", "vendor", build::VENDOR),
        ("Contact", "contact", build::CONTACT),
        ("Release", "release", build::RELEASE),
        ("Server Enabled", "enable_server", word(build::ENABLE_SERVER)),
        ("Commands", "bindir", build::BINDIR),
        ("Daemons", "sbindir", build::SBINDIR),
        ("Configuration", "etcdir", build::ETCDIR),
        ("State", "statedir", build::STATEDIR),
        ("Spool", "spooldir", build::SPOOLDIR),
        ("Sockets", "rundir", build::RUNDIR),
    ]
}

/// Names and versions of the agents that a server can host, sorted.
fn agents() -> anyhow::Result<Vec<(String, String)>> {
    let named = |metadata: agents::Metadata| (metadata.name.to_string(), metadata.version.into_owned());
    let mut all: Vec<(String, String)> = server::compiled_agents()?.into_iter().map(named).collect();
    all.sort_unstable();
    Ok(all)
}

/// Everything as one document; secrets are only hinted at.
fn document(provisioning: &ProvisioningClaims, agents: &[(String, String)]) -> Value {
    let hint = |secret: &str| if secret.is_empty() { "" } else { "*****" };
    let package: serde_json::Map<String, Value> =
        package().iter().map(|(_, key, text)| ((*key).to_owned(), Value::from(*text))).collect();
    json!({
        "version": build::VERSION,
        "sha": build::SHA,
        "build_date": build::DATE,
        "license": build::LICENSE,
        "rust": build::RUST,
        "package": package,
        "collectives": build::collectives().collect::<Vec<_>>(),
        "client_identity_suffix": build::CLIENT_IDENTITY_SUFFIX,
        "max_broker_clients": build::MOST_CLIENTS,
        "tls": build::TLS,
        "secure": build::SECURE,
        "provisioning": {
            "supported": !provisioning.token.is_empty(),
            "token_file": build::PROVISIONING_TOKEN_FILE,
            "token": hint(&provisioning.token),
            "default": provisioning.provision_by_default,
            "tls": provisioning.secure,
            "agent": PROVISIONING.agent,
            "brokers": provisioning.url_list().collect::<Vec<_>>(),
            "srv_domain": provisioning.srv_domain,
            "registration_data": provisioning.registration_data,
            "facts": provisioning.facts,
            "status_file": PROVISIONING.status_file,
            "username": provisioning.username,
            "password": hint(&provisioning.password),
            "protocol_v2": provisioning.protocol_v2,
            "allow_update": provisioning.allow_update,
        },
        "agent_providers": AGENT_PROVIDERS,
        "data_providers": DATA_PROVIDERS,
        "agents": agents.iter().map(|(name, version)| json!({"name": name, "version": version})).collect::<Vec<_>>(),
        "agents_asked_for": build::agents().collect::<Vec<_>>(),
    })
}

/// The crates of other projects in `lock_file`, the text of a Cargo.lock, names right-aligned.
fn dependencies(out: &mut impl Write, lock_file: &str) -> io::Result<()> {
    let crates = foreign_crates(lock_file);
    let width = crates.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    writeln!(out, "\nCompile time module dependencies:\n")?;
    crates.iter().try_for_each(|(name, version)| writeln!(out, "  {name:>width$} {version}"))
}

/// Names and versions of the crates of others.
fn foreign_crates(lock_file: &str) -> Vec<(&str, &str)> {
    lock_file.split("[[package]]").filter_map(foreign_crate).collect()
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
        assert_eq!(written(data), wanted);
    }

    #[test]
    fn server_settings_are_laid_out_as_recorded() {
        let wanted = recorded("cli/buildinfo.stdout.txt", "\nServer Settings", "\nAgent Providers");
        assert_eq!(written(|out| server_settings(out, &ProvisioningClaims::default())), wanted);
        let token = ProvisioningClaims {
            token: "s3cret".into(),
            urls: "nats://broker.choria.local:4222".into(),
            provision_by_default: true,
            protocol_v2: true,
            allow_update: true,
            ..ProvisioningClaims::default()
        };
        let wanted = recorded("cli/server-status-and-buildinfo.txt", "\nServer Settings", "\nAgent Providers");
        assert_eq!(written(|out| server_settings(out, &token)), wanted);
    }

    #[test]
    fn a_broker_password_is_only_hinted_at() {
        let token = ProvisioningClaims {
            token: "s3cret".into(),
            username: "provisioner".into(),
            password: "hunter2".into(),
            ..ProvisioningClaims::default()
        };
        let text = written(|out| server_settings(out, &token));
        let lines = "    Provisioning Broker Username: provisioner\n    Provisioning Broker Password: ******\n";
        assert!(text.contains(lines) && !text.contains("hunter2") && !text.contains("s3cret"), "{text}");
        let text = document(&token, &[]).to_string();
        assert!(text.contains("provisioner") && !text.contains("hunter2") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn the_agents_of_a_server_are_listed() {
        let agents = agents().expect("agents");
        let names: Vec<&str> = agents.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["choria_provision", "choria_util", "discovery", "rpcutil"] {
            assert!(names.contains(&name), "{name} is not in {names:?}");
        }
        assert_eq!(names.contains(&"load"), cfg!(feature = "load"), "the example is there only when asked for");
        let text = written(|out| own(out, &agents));
        assert!(
            text.starts_with("\nAgents:\n\n  choria_provision version ") && text.contains("\n   Configuration: "),
            "{text}"
        );
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
