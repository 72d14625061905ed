//! Which values are secrets, and how values are shown to people.

use crate::keys::{find_key, patterns};
use crate::spelling::matches_pattern;

/// The text `value` of `key` as it may be shown: secrets and passwords inside addresses become `*****`.
#[must_use]
pub fn shown(key: &str, value: &str) -> String {
    if is_secret(key) {
        return HIDDEN.to_owned();
    }
    value.split(',').map(without_password).collect::<Vec<_>>().join(",")
}

/// Whether values of `key` are never shown: declared secrets, and raw options whose last word says so.
pub(crate) fn is_secret(key: &str) -> bool {
    if let Some(info) = find_key(key).or_else(|| patterns().iter().find(|info| matches_pattern(info.name, key))) {
        return info.secret;
    }
    let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
    let is_file = last.ends_with("_file") || last.ends_with("_path");
    !is_file && SECRET_WORDS.iter().any(|word| last.contains(word))
}

/// What is shown in place of a secret.
pub(crate) const HIDDEN: &str = "*****";

/// Words that name a secret in keys that plugins invent.
const SECRET_WORDS: &[&str] = &["password", "passwd", "secret", "token", "passphrase"];

/// `scheme://user:password@host` without its password.
fn without_password(address: &str) -> String {
    let hidden = || {
        let (scheme, rest) = address.split_once("://")?;
        let (login, host) = rest.split_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:{HIDDEN}@{host}"))
    };
    hidden().unwrap_or_else(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let rows = [
            ("loglevel", "info", "info"),
            ("plugin.nats.pass", "s3cret", "*****"),
            ("plugin.choria.network.system.password", "s3cret", "*****"),
            ("plugin.choria.network.peer_password", "s3cret", "*****"),
            ("plugin.choria.network.provisioning.client_password", "s3cret", "*****"),
            ("plugin.security.choria.token_file", "/etc/x", "/etc/x"),
            ("plugin.puppet.api_token", "s3cret", "*****"),
            ("plugin.puppet.token_file", "/etc/x", "/etc/x"),
            ("plugin.choria.middleware_hosts", "a:1,nats://u:p@b:2", "a:1,nats://u:*****@b:2"),
            ("plugin.choria.network.gateway_remote.x.urls", "nats://u:p@b:2", "nats://u:*****@b:2"),
        ];
        for (key, value, wanted) in rows {
            assert_eq!(shown(key, value), wanted, "{key}");
        }
    }
}
