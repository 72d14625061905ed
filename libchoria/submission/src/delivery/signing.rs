//! What signed messages are signed with (spec 04 §5.4).

use config::{Settings, keys};
use std::path::{Path, PathBuf};
use tokens::{KeyError, Seed, read_token};

/// The files that hold seed and token. They are read anew for each burst, so a renewed token counts at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SigningFiles {
    seed: Option<PathBuf>,
    token: Option<PathBuf>,
}

/// Seed and token.
#[derive(Debug)]
pub(super) struct Signing {
    pub(super) seed: Seed,
    pub(super) token: Option<String>,
}

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningError {
    #[error(
        "it shall be signed and this server has no seed: set plugin.security.choria.seed_file and \
         plugin.security.choria.token_file"
    )]
    NoSeed,
    #[error("it shall be signed: {0}")]
    Key(#[from] KeyError),
}

impl SigningFiles {
    /// The files that the configuration names: those of the provider `choria`; else, with anonymous TLS, those of the
    /// server; else those for the signer of requests, whose seed may stand beside its token with the ending `.key`.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        let choria = settings.provider() == "choria";
        let anonymous = settings.get(keys::SECURITY_SERVER_ANON_TLS);
        let beside = |name: &str| settings.config_file().and_then(Path::parent).map(|folder| folder.join(name));
        let signer_token = settings.get(keys::SECURITY_REQUEST_SIGNER_TOKEN_FILE);
        let server = |key: Option<PathBuf>, name| if anonymous { key.or_else(|| beside(name)) } else { None };
        let server_seed = server(settings.get(keys::SECURITY_SERVER_SEED_FILE), "server.seed");
        let server_token = server(settings.get(keys::SECURITY_SERVER_TOKEN_FILE), "server.jwt");
        if choria {
            return Self {
                seed: settings.get(keys::SECURITY_CHORIA_SEED_FILE),
                token: settings.get(keys::SECURITY_CHORIA_TOKEN_FILE),
            };
        }
        let token = signer_token.or_else(|| server_token.clone());
        let seed = server_seed
            .or_else(|| settings.get(keys::SECURITY_REQUEST_SIGNER_SEED_FILE))
            .or_else(|| token.as_ref().map(|token| token.with_extension("key")));
        Self { seed, token }
    }

    pub(super) fn read(&self) -> Result<Signing, SigningError> {
        let seed = Seed::read(self.seed.as_deref().ok_or(SigningError::NoSeed)?)?;
        // A token that is not there yet is left out, as on the existing system; nobody can verify the message then.
        let token = self.token.as_deref().filter(|path| path.exists()).map(read_token).transpose()?;
        Ok(Signing { seed, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_chosen_as_on_the_existing_system() {
        const CHORIA: &[(&str, &str)] = &[
            ("plugin.security.provider", "choria"),
            ("plugin.security.choria.seed_file", "/c.seed"),
            ("plugin.security.choria.token_file", "/c.jwt"),
        ];
        const ANONYMOUS: &[(&str, &str)] = &[("plugin.security.server_anon_tls", "true")];
        const SERVER: &[(&str, &str)] = &[
            ("plugin.security.server_anon_tls", "true"),
            ("plugin.choria.security.server.seed_file", "/s.seed"),
            ("plugin.choria.security.server.token_file", "/s.jwt"),
        ];
        const SIGNER: &[(&str, &str)] = &[("plugin.choria.security.request_signer.token_file", "/r.jwt")];
        const SIGNER_SEED: &[(&str, &str)] = &[
            ("plugin.choria.security.request_signer.token_file", "/r.jwt"),
            ("plugin.choria.security.request_signer.seed_file", "/r.seed"),
        ];
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
        let rows: &[Row<'_>] = &[
            // name, settings, seed, token
            ("provider choria", CHORIA, Some("/c.seed"), Some("/c.jwt")),
            ("anonymous TLS", SERVER, Some("/s.seed"), Some("/s.jwt")),
            ("anonymous TLS, defaults", ANONYMOUS, Some("/etc/choria/server.seed"), Some("/etc/choria/server.jwt")),
            ("signer's token", SIGNER, Some("/r.key"), Some("/r.jwt")),
            ("signer's both", SIGNER_SEED, Some("/r.seed"), Some("/r.jwt")),
            ("nothing", &[], None, None),
        ];
        for (name, settings, seed, token) in rows {
            let mut builder = Settings::builder().config_file(Path::new("/etc/choria/server.conf"));
            builder = builder.set("plugin.choria.ssldir", "/none").set("identity", "n1.example.net");
            for (key, value) in *settings {
                builder = builder.set(key, value);
            }
            let files = SigningFiles::from_settings(&builder.build().expect(name));
            let expected = SigningFiles { seed: seed.map(PathBuf::from), token: token.map(PathBuf::from) };
            assert_eq!(files, expected, "{name}");
        }
    }
}
