//! Which files hold the token and the seed of this process (spec 01 §6), and the credentials that the service manager
//! places for it (systemd's `LoadCredential=`, `ImportCredential=`).
//!
//! A configuration names a credential as `${CREDENTIALS_DIRECTORY}/NAME`. Keys that are unset take theirs by a name of
//! its own when it exists, see [`Inputs::use_credentials`].

use crate::environment::Environment;
use crate::inputs::{Given, Inputs, Place};
use crate::keys;
use crate::settings::Settings;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A credential that a configuration names cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CredentialError {
    /// This process has none.
    #[error(
        "this process has no credentials, the variable CREDENTIALS_DIRECTORY is not set: LoadCredential= or \
         ImportCredential= in the unit of the service sets it. To look at the configuration of a running service by hand, \
         say CREDENTIALS_DIRECTORY=/run/credentials/NAME.service as root"
    )]
    NoDirectory,
    /// What follows is no name.
    #[error(
        "{0:?} is no name of a credential: after ${{CREDENTIALS_DIRECTORY}}/ comes one word of letters, digits, dots, \
         dashes and underscores"
    )]
    Name(String),
    /// The variable is nonsense.
    #[error("CREDENTIALS_DIRECTORY must be an absolute path without spaces, quotes and commas")]
    Directory,
}

/// `text` with every `${CREDENTIALS_DIRECTORY}/NAME` replaced by the path of that credential, whether it exists or not.
/// Lines that begin with `#` stay as they are.
///
/// # Errors
/// [`CredentialError`], with the number of its line, counted from 1.
pub fn with_credentials<'t>(
    text: &'t str,
    environment: &dyn Environment,
) -> Result<Cow<'t, str>, (usize, CredentialError)> {
    if !text.contains(PLACEHOLDER) {
        return Ok(Cow::Borrowed(text));
    }
    let mut lines = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        lines.push(match is_comment {
            true => Cow::Borrowed(line),
            false => expand(line, environment).map_err(|error| (number + 1, error))?,
        });
    }
    Ok(Cow::Owned(lines.join("\n")))
}

/// One value with its credentials as paths.
pub(crate) fn expand<'t>(value: &'t str, environment: &dyn Environment) -> Result<Cow<'t, str>, CredentialError> {
    if !value.contains(PLACEHOLDER) {
        return Ok(Cow::Borrowed(value));
    }
    let directory = environment.variable(VARIABLE).ok_or(CredentialError::NoDirectory)?;
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"\"'\\,$".contains(c);
    if !directory.starts_with('/') || !directory.chars().all(is_plain) {
        return Err(CredentialError::Directory);
    }
    let mut parts = value.split(PLACEHOLDER);
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let named = part.strip_prefix('/').unwrap_or_default();
        let end = named.find(|c: char| !is_name_character(c)).unwrap_or(named.len());
        let (name, rest) = named.split_at(end);
        if !is_name(name) || rest.starts_with(['/', '$', '{', '\\']) {
            return Err(CredentialError::Name(part.trim_start_matches('/').chars().take(64).collect()));
        }
        expanded.push_str(&directory);
        expanded.push('/');
        expanded.push_str(name);
        expanded.push_str(rest);
    }
    Ok(Cow::Owned(expanded))
}

/// The file of the credential `name`, if there is one.
#[must_use]
pub fn find_credential(name: &str, environment: &dyn Environment) -> Option<PathBuf> {
    let directory = environment.variable(VARIABLE).filter(|directory| directory.starts_with('/'))?;
    let file = Path::new(&directory).join(name);
    (is_name(name) && environment.is_file(&file)).then_some(file)
}

fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.chars().all(is_name_character)
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@')
}

const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

const PLACEHOLDER: &str = "${CREDENTIALS_DIRECTORY}";

impl Inputs {
    /// Gives keys that nothing is said about the credential of their name, where it exists: `choria.ROLE.seed` and
    /// `.jwt`, `.tls.cert`, `.tls.key` and `.tls.ca`. To be called by the program of that role alone.
    pub fn use_credentials(&mut self, role: &str, environment: &dyn Environment) {
        let on = |inputs: &Self, key: &str| {
            let text = inputs.text(key).unwrap_or_default().to_ascii_lowercase();
            matches!(text.as_str(), "1" | "true" | "t" | "y" | "yes")
        };
        let (token, seed) = match on(self, keys::SECURITY_SERVER_ANON_TLS.name()) {
            true => (keys::SECURITY_SERVER_TOKEN_FILE, keys::SECURITY_SERVER_SEED_FILE),
            false => (keys::SECURITY_CHORIA_TOKEN_FILE, keys::SECURITY_CHORIA_SEED_FILE),
        };
        let (certificate, key, authority) = match self.text(keys::SECURITY_PROVIDER.name()) {
            Some("file") => (keys::SECURITY_FILE_CERTIFICATE, keys::SECURITY_FILE_KEY, keys::SECURITY_FILE_CA),
            _ => (keys::SECURITY_CHORIA_CERTIFICATE, keys::SECURITY_CHORIA_KEY, keys::SECURITY_CHORIA_CA),
        };
        let pairs =
            [("jwt", token), ("seed", seed), ("tls.cert", certificate), ("tls.key", key), ("tls.ca", authority)];
        for (name, key) in pairs {
            let found = find_credential(&format!("choria.{role}.{name}"), environment);
            if let (Some(file), None) = (found, self.text(key.name())) {
                let text = file.display().to_string();
                let given = Given { text, place: Place::File(file.into()) };
                self.given.insert(key.name().to_owned(), vec![given]);
            }
        }
    }

    /// Forgets keys whose credential cannot be had instead of refusing them: for programs that read the configuration of
    /// another one and want none of its secrets.
    pub fn ignore_credentials(&mut self) {
        self.unresolved.clear();
    }
}

impl Settings {
    /// Keys that took a credential of the service manager because nothing was said about them, with its file.
    #[must_use]
    pub fn credentials(&self) -> Vec<(&'static str, PathBuf)> {
        let taken = |info: &'static crate::KeyInfo| match self.place(info.name) {
            Some(Place::File(file)) => Some((info.name, file.to_path_buf())),
            _ => None,
        };
        keys::table().filter_map(taken).collect()
    }

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
    use crate::{FixedEnvironment, Kind, load};

    const UNIT: &str = "/run/credentials/choria-server.service";

    fn unit() -> FixedEnvironment {
        FixedEnvironment::default().with_variable(VARIABLE, UNIT)
    }

    #[test]
    fn credentials_in_values_become_paths_and_nothing_but_plain_names_is_taken() {
        let name = |text: &str| Err(CredentialError::Name(text.to_owned()));
        let rows = [
            ("/etc/x", Ok("/etc/x".to_owned())),
            ("${CREDENTIALS_DIRECTORY}/seed", Ok(format!("{UNIT}/seed"))),
            ("${CREDENTIALS_DIRECTORY}/a.b-c_d", Ok(format!("{UNIT}/a.b-c_d"))),
            ("${CREDENTIALS_DIRECTORY}/a, ${CREDENTIALS_DIRECTORY}/b", Ok(format!("{UNIT}/a, {UNIT}/b"))),
            ("{\"k\": \"${CREDENTIALS_DIRECTORY}/a\"}", Ok(format!("{{\"k\": \"{UNIT}/a\"}}"))),
            ("${CREDENTIALS_DIRECTORY}", name("")),
            ("${CREDENTIALS_DIRECTORY}/", name("")),
            ("${CREDENTIALS_DIRECTORY}/..", name("..")),
            ("${CREDENTIALS_DIRECTORY}/../x", name("../x")),
            ("${CREDENTIALS_DIRECTORY}/a/b", name("a/b")),
            ("${CREDENTIALS_DIRECTORY}x/a", name("x/a")),
        ];
        for (text, expected) in rows {
            assert_eq!(expand(text, &unit()).map(Cow::into_owned), expected, "{text}");
        }
        let missing = expand("${CREDENTIALS_DIRECTORY}/seed", &FixedEnvironment::default());
        assert_eq!(missing, Err(CredentialError::NoDirectory));
        let odd = FixedEnvironment::default().with_variable(VARIABLE, "/run/a\"b");
        assert_eq!(expand("${CREDENTIALS_DIRECTORY}/seed", &odd), Err(CredentialError::Directory));
        let commented = "# ${CREDENTIALS_DIRECTORY}\nx: ${CREDENTIALS_DIRECTORY}/..";
        let refused = with_credentials(commented, &unit()).expect_err("no name");
        assert_eq!(refused, (2, CredentialError::Name("..".to_owned())));
    }

    #[test]
    fn a_configuration_names_credentials_and_unset_keys_take_theirs() {
        let main = Path::new("/etc/choria/server.conf");
        let text = "identity = n1.example.net\nplugin.security.choria.seed_file = ${CREDENTIALS_DIRECTORY}/my.seed\n";
        let files = |environment: FixedEnvironment| {
            let with = environment.with_file(main, text).with_file(format!("{UNIT}/choria.server.jwt"), "x");
            with.with_file(format!("{UNIT}/choria.server.seed"), "x")
                .with_file(format!("{UNIT}/choria.broker.tls.ca"), "x")
        };
        let environment = files(unit());
        let mut inputs = load(main, Kind::Server, &environment).expect("readable");
        inputs.use_credentials("server", &environment);
        let settings = inputs.check().expect("valid");
        assert_eq!(settings.seed_file(), Some(format!("{UNIT}/my.seed").into()), "what is said wins");
        assert_eq!(settings.token_file(), Some(format!("{UNIT}/choria.server.jwt").into()));
        assert_eq!(settings.get(keys::SECURITY_CHORIA_CA), None, "that of another role");
        let taken = settings.credentials();
        assert_eq!(taken, [("plugin.security.choria.token_file", format!("{UNIT}/choria.server.jwt").into())]);

        // Without the variable it is refused by file and line, unless nobody wants the secret.
        let environment = files(FixedEnvironment::default());
        let mut inputs = load(main, Kind::Server, &environment).expect("readable");
        inputs.use_credentials("server", &environment);
        let refused = inputs.clone().check().expect_err("no directory").to_string();
        for part in
            ["/etc/choria/server.conf:2", "plugin.security.choria.seed_file", "CREDENTIALS_DIRECTORY is not set"]
        {
            assert!(refused.contains(part), "{refused}");
        }
        inputs.ignore_credentials();
        assert_eq!(inputs.check().expect("valid").get(keys::SECURITY_CHORIA_SEED_FILE), None);
    }

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
