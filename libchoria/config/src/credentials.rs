//! Which files hold the token and the seed of this process (spec 01 §6).

use crate::keys;
use crate::settings::Settings;
use std::path::PathBuf;

impl Settings {
    /// The file of the token to connect and sign with: that of the `choria` provider, else of the request signer, else
    /// of a server with anonymous TLS. `None` when no key names one.
    #[must_use]
    pub fn token_file(&self) -> Option<PathBuf> {
        let anonymous = || self.get(keys::SECURITY_SERVER_ANON_TLS);
        self.get(keys::SECURITY_CHORIA_TOKEN_FILE)
            .or_else(|| self.get(keys::SECURITY_REQUEST_SIGNER_TOKEN_FILE))
            .or_else(|| anonymous().then(|| self.get(keys::SECURITY_SERVER_TOKEN_FILE)).flatten())
    }

    /// The file of the seed that belongs to [`token_file`](Self::token_file), in the order of its keys; without any, the
    /// token's path with the extension `key`.
    #[must_use]
    pub fn seed_file(&self) -> Option<PathBuf> {
        let anonymous = || self.get(keys::SECURITY_SERVER_ANON_TLS);
        self.get(keys::SECURITY_CHORIA_SEED_FILE)
            .or_else(|| anonymous().then(|| self.get(keys::SECURITY_SERVER_SEED_FILE)).flatten())
            .or_else(|| self.get(keys::SECURITY_REQUEST_SIGNER_SEED_FILE))
            .or_else(|| self.token_file().map(|token| token.with_extension("key")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn files_follow_the_order_of_their_keys() {
        type Row = (&'static [(&'static str, &'static str)], Option<&'static str>, Option<&'static str>);
        let rows: &[Row] = &[
            (&[], None, None),
            (&[("plugin.security.choria.token_file", "/a/x.jwt")], Some("/a/x.jwt"), Some("/a/x.key")),
            (
                &[("plugin.security.choria.token_file", "/a/x.jwt"), ("plugin.security.choria.seed_file", "/a/y.seed")],
                Some("/a/x.jwt"),
                Some("/a/y.seed"),
            ),
            (
                &[
                    ("plugin.choria.security.request_signer.token_file", "/r/x.jwt"),
                    ("plugin.choria.security.request_signer.seed_file", "/r/x.seed"),
                ],
                Some("/r/x.jwt"),
                Some("/r/x.seed"),
            ),
        ];
        for (pairs, token, seed) in rows {
            let builder = pairs.iter().fold(Settings::builder(), |builder, (key, value)| builder.set(key, value));
            let settings = builder.build().expect("valid settings");
            assert_eq!(settings.token_file().as_deref(), token.map(Path::new), "{pairs:?}");
            assert_eq!(settings.seed_file().as_deref(), seed.map(Path::new), "{pairs:?}");
        }
    }
}
