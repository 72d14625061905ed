//! The keys that tokens are judged by (spec 01 §5.3).

use super::Reader;
use crate::decision::{SignerUnavailable, Trust};
use config::keys;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tokens::{PublicKey, TrustRoots, VerificationKey};

/// Organization issuers, or single signers; never both. `None` after a problem was added.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Trust> {
    let config = reader.config;
    let (clients, servers) = (keys::NETWORK_CLIENT_SIGNER_CERT, keys::NETWORK_SERVER_SIGNER_CERT);
    if !config.get(keys::SECURITY_ISSUER_NAMES).is_empty() {
        for key in [clients, servers, keys::SECURITY_CHORIA_TRUSTED_SIGNERS] {
            if !config.get(key).is_empty() {
                reader.problem(
                    key.name(),
                    "signers cannot be set together with plugin.security.issuer.names; remove one of the two",
                );
            }
        }
        return issuers(reader).map(Trust::Issuers);
    }
    if config.get(clients).is_empty() && config.get(servers).is_empty() {
        let rule = "no token could be trusted; name the organization issuers, or set \
            plugin.choria.network.client_signer_cert and server_signer_cert";
        reader.problem(keys::SECURITY_ISSUER_NAMES.name(), rule);
        return None;
    }
    let clients = signers(reader, clients);
    let servers = signers(reader, servers);
    Some(Trust::Signers { clients, servers })
}

/// A function that reads the signer of provisioning tokens each time it is called.
pub(super) fn provisioning_signer(
    path: PathBuf,
) -> Arc<dyn Fn() -> Result<TrustRoots, SignerUnavailable> + Send + Sync> {
    Arc::new(move || match VerificationKey::read(&path) {
        Ok(key) => Ok(TrustRoots::signers(vec![key])),
        Err(error) => Err(SignerUnavailable(described(&error))),
    })
}

fn issuers(reader: &mut Reader<'_>) -> Option<TrustRoots> {
    let names = reader.config.get(keys::SECURITY_ISSUER_NAMES).to_vec();
    let mut issuers = BTreeMap::new();
    for name in &names {
        let key = format!("plugin.security.issuer.{name}.public");
        match reader.config.raw(&key).map(|text| text.trim().parse::<PublicKey>()) {
            Some(Ok(public)) => {
                issuers.insert(name.clone(), public);
            }
            Some(Err(error)) => reader.problem(&key, error),
            None => reader.problem(
                &key,
                format!("plugin.security.issuer.names names {name:?}, so its public key is needed here"),
            ),
        }
    }
    (issuers.len() == names.len()).then(|| TrustRoots::issuers(issuers))
}

/// The keys of a list of signers; `None` for an empty list, which trusts no token of that kind.
fn signers(reader: &mut Reader<'_>, key: config::Key<config::CommaList>) -> Option<TrustRoots> {
    let entries = reader.config.get(key).to_vec();
    let mut found = Vec::new();
    for entry in &entries {
        match VerificationKey::find(entry) {
            Ok(verification_key) => found.push(verification_key),
            Err(error) => reader.problem(key.name(), described(&error)),
        }
    }
    (!found.is_empty()).then(|| TrustRoots::signers(found))
}

/// An error and what caused it, in one line.
fn described(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", described(source)),
        None => error.to_string(),
    }
}
