//! What a provisioner sends to `configure`, judged: from its inputs to the files to replace (spec 06 §3.4).
//!
//! Nothing is written here. The configuration is read back as the next start would read it, with the credentials that
//! come with it, so that a node is never left with a configuration that does not let it into the fleet.

use super::files::{Change, Content};
use super::overlay::Overlay;
use crate::provisioning::judge;
use config::{Kind, keys};
use names::Identity;
use security::key_transport::{self, Exchange};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;
use tokens::Seed;
use zeroize::Zeroizing;

/// The inputs of `configure`. Absent and null ones are empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Bundle {
    #[serde(deserialize_with = "or_empty")]
    pub(super) token: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) config: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) key: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) certificate: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) ca: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) ssldir: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) ecdh_public: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) server_jwt: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) action_policies: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) opa_policies: BTreeMap<String, String>,
}

/// What the node has made for this round of provisioning and what it is.
pub(super) struct Round<'a> {
    /// The configuration file as it is named.
    pub(super) config_file: &'a Path,
    /// The node's name while it is being provisioned.
    pub(super) identity: &'a Identity,
    /// The name that `--identity` gave, for configurations without one.
    pub(super) name: Option<&'a Identity>,
    /// From `gen25519`.
    pub(super) seed: Option<&'a Seed>,
    /// From `gencsr`: private key and request, PEM.
    pub(super) request: Option<&'a (Zeroizing<String>, String)>,
    /// From `jwt`.
    pub(super) exchange: Option<&'a Exchange>,
    /// First line of the configuration file, without `# `.
    pub(super) heading: &'a str,
    pub(super) now: SystemTime,
}

/// Everything to replace.
pub(super) struct Plan {
    /// The configuration file comes last.
    pub(super) changes: Vec<Change>,
    /// Lines of the configuration file.
    pub(super) lines: usize,
}

/// Judges `bundle`; the error is the text of the reply.
pub(super) fn plan(bundle: &Bundle, round: &Round<'_>) -> Result<Plan, String> {
    if bundle.config.is_empty() {
        return Err("Did not receive any configuration to write, cannot write a empty configuration file".to_owned());
    }
    if !bundle.key.is_empty() && bundle.ecdh_public.is_empty() {
        return Err("EDCH Public Key not supplied while providing a private key".to_owned());
    }
    let pairs: BTreeMap<String, String> = serde_json::from_str(&bundle.config)
        .map_err(|error| format!("Could not decode configuration data: {error}"))?;
    let directory = round.config_file.parent().unwrap_or(Path::new("/"));
    let mut changes = Vec::new();
    tls(bundle, round, &mut changes).map_err(|why| format!("TLS Setup Failed: {why}"))?;
    token(bundle, round, directory, &mut changes).map_err(|why| format!("JWT Setup Failed: {why}"))?;
    let folder = directory.join("policies");
    policies(&bundle.action_policies, &folder, ".policy", &mut changes)
        .map_err(|why| format!("Could not save Action Policies: {why}"))?;
    policies(&bundle.opa_policies, &folder.join("rego"), ".rego", &mut changes)
        .map_err(|why| format!("Could not save Open Policy Agent Policies: {why}"))?;

    let text = configuration(&pairs, round.heading).map_err(|why| format!("Could not write config: {why}"))?;
    let lines = text.lines().count();
    try_out(&text, bundle, round, &changes).map_err(|why| format!("Could not write config: {why}"))?;
    let target = std::fs::canonicalize(round.config_file).unwrap_or_else(|_| round.config_file.to_owned());
    changes.push(write(target, text.into_bytes(), 0o600));
    Ok(Plan { changes, lines })
}

/// The text of a configuration file: a comment, then the pairs in the order of their keys.
pub(super) fn configuration(pairs: &BTreeMap<String, String>, heading: &str) -> Result<String, String> {
    let mut text = format!("# {}\n", heading.replace(char::is_control, " "));
    for (key, value) in pairs {
        if key.is_empty()
            || key.starts_with('#')
            || key.contains(|c: char| c == '=' || c.is_control())
            || key.trim() != key
        {
            let key: String = key.chars().take(64).collect();
            return Err(format!("{key:?} is no key of a configuration file"));
        }
        if value.contains(char::is_control) {
            return Err(format!("the value of {key} holds a newline or another control character"));
        }
        text.push_str(&format!("{key}={value}\n"));
    }
    Ok(text)
}

/// Certificate, authority and key, when all but the key are given.
fn tls(bundle: &Bundle, round: &Round<'_>, changes: &mut Vec<Change>) -> Result<(), String> {
    if bundle.certificate.is_empty() || bundle.ca.is_empty() || bundle.ssldir.is_empty() {
        if !bundle.key.is_empty() {
            tracing::warn!("a private key came without certificate, ca and ssldir: it is not used");
        }
        return Ok(());
    }
    let folder = PathBuf::from(&bundle.ssldir);
    let plain = folder.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !folder.is_absolute() || !plain || bundle.ssldir.contains(char::is_control) {
        return Err(format!("ssldir {:?} is not an absolute path without ..", bundle.ssldir));
    }
    changes.push(write(folder.join("certificate.pem"), bundle.certificate.clone().into_bytes(), 0o644));
    changes.push(write(folder.join("ca.pem"), bundle.ca.clone().into_bytes(), 0o644));
    let (key, request) = (folder.join("private.pem"), folder.join("csr.pem"));
    match (bundle.key.is_empty(), round.request) {
        (false, _) => {
            let exchange = round.exchange.ok_or("private key not set: call jwt first")?;
            let secret = exchange.agree(&bundle.ecdh_public).map_err(|error| error.to_string())?;
            let opened = key_transport::open(&bundle.key, &secret).map_err(|error| error.to_string())?;
            changes.push(write(key, opened.as_bytes().to_vec(), 0o600));
            if request.exists() {
                changes.push(Change { target: request, content: Content::Remove });
            }
        }
        (true, Some((private, csr))) => {
            changes.push(write(key, private.as_bytes().to_vec(), 0o600));
            changes.push(write(request, csr.clone().into_bytes(), 0o644));
        }
        (true, None) => {}
    }
    Ok(())
}

/// The server's token, with the seed that it was issued for.
fn token(bundle: &Bundle, round: &Round<'_>, directory: &Path, changes: &mut Vec<Change>) -> Result<(), String> {
    if bundle.server_jwt.is_empty() {
        return Ok(());
    }
    let (token, file) = (directory.join("server.jwt"), directory.join("server.seed"));
    let judge = |seed: &Seed| judge(&bundle.server_jwt, &token, seed, &file, round.now);
    // A repeated request finds the seed of the first one on the disk.
    let on_disk = || Seed::read(&file).ok();
    let identity = match (round.seed.map(|seed| (judge(seed), seed)), on_disk()) {
        (Some((Ok(identity), seed)), _) => {
            changes.push(write(file.clone(), seed.to_hex().as_bytes().to_vec(), 0o600));
            identity
        }
        (Some((Err(why), _)), Some(seed)) => judge(&seed).map_err(|_| why.to_string())?,
        (Some((Err(why), _)), None) => return Err(why.to_string()),
        (None, Some(seed)) => {
            judge(&seed).map_err(|why| format!("{why}, and this process has made no other: call gen25519 first"))?
        }
        (None, None) => return Err("there is no seed for the token: call gen25519 first".to_owned()),
    };
    if identity != *round.identity {
        return Err(format!("the token is for {identity} and this node is {}", round.identity));
    }
    changes.push(write(token, bundle.server_jwt.trim().as_bytes().to_vec(), 0o600));
    Ok(())
}

/// Replaces the files of one kind in `folder`; without new ones the old stay. The original empties the folder, whatever
/// else is in it.
fn policies(
    files: &BTreeMap<String, String>,
    folder: &Path,
    extension: &str,
    changes: &mut Vec<Change>,
) -> Result<(), String> {
    if files.is_empty() {
        return Ok(());
    }
    for (name, content) in files.iter().filter(|(name, content)| !name.is_empty() && !content.is_empty()) {
        if !name.ends_with(extension) {
            return Err(format!("expected {name:?} to have {extension} extension"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.starts_with('.') || name.len() > 255 - 32 || !name.chars().all(plain) {
            return Err(format!("{name:?} is no name of a policy file: letters, digits, `-`, `_` and `.` make one"));
        }
        changes.push(write(folder.join(name), content.clone().into_bytes(), 0o400));
    }
    let old = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    for name in old.filter_map(|name| name.into_string().ok()) {
        let replaced = files.get(&name).is_some_and(|content| !content.is_empty());
        if name.ends_with(extension) && !name.starts_with('.') && !replaced {
            changes.push(Change { target: folder.join(name), content: Content::Remove });
        }
    }
    Ok(())
}

/// Reads the configuration back as the next start would, with the files that come with it.
fn try_out(text: &str, bundle: &Bundle, round: &Round<'_>, changes: &[Change]) -> Result<(), String> {
    let overlay = Overlay::new(round.config_file, text);
    let mut inputs = config::load(round.config_file, Kind::Server, &overlay).map_err(|error| error.to_string())?;
    if let (Some(name), None) = (round.name, inputs.text(keys::IDENTITY.name())) {
        inputs.set(keys::IDENTITY.name(), name.as_str());
    }
    let settings = inputs.check().map_err(|error| error.to_string())?;
    if settings.provider() != "choria" {
        return Err(format!(
            "this version of the server has the security provider choria only, not {:?} (plugin.security.provider)",
            settings.provider()
        ));
    }
    let files = (settings.get(keys::SECURITY_CHORIA_TOKEN_FILE), settings.get(keys::SECURITY_CHORIA_SEED_FILE));
    let (Some(token_file), Some(seed_file)) = files else {
        return Err(
            "plugin.security.choria.token_file and plugin.security.choria.seed_file must name the server's token and seed"
                .to_owned(),
        );
    };
    let new = |file: &Path| {
        let found = changes.iter().find(|change| is_same_file(&change.target, file))?;
        match &found.content {
            Content::Write { bytes, .. } => Some(bytes),
            Content::Remove => None,
        }
    };
    let token = match new(&token_file) {
        Some(_) => bundle.server_jwt.clone(),
        None => tokens::read_token(&token_file).map_err(|error| error.to_string())?,
    };
    let seed = match (new(&seed_file), round.seed) {
        (Some(_), Some(seed)) => Ok(Seed::from_hex(&seed.to_hex()).map_err(|error| error.to_string())?),
        _ => Seed::read(&seed_file).map_err(|error| error.to_string()),
    }?;
    let identity = judge(&token, &token_file, &seed, &seed_file, round.now).map_err(|why| why.to_string())?;
    if identity != settings.identity() {
        return Err(format!(
            "the token is for {identity} and the configuration makes this node {}: set identity = {identity}",
            settings.identity()
        ));
    }
    Ok(())
}

/// Whether two paths name one file, of which the directory exists; symbolic links in it are followed.
fn is_same_file(left: &Path, right: &Path) -> bool {
    let whole = |path: &Path| Some((path.parent()?.canonicalize().ok()?, path.file_name()?.to_owned()));
    left == right || whole(left).is_some_and(|left| whole(right) == Some(left))
}

fn write(target: PathBuf, bytes: Vec<u8>, mode: u32) -> Change {
    Change { target, content: Content::Write { bytes: Zeroizing::new(bytes), mode } }
}

/// The original takes null for nothing.
pub(super) fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
