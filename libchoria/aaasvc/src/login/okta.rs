//! People of an Okta organization (spec 07 §2): the password is tried at `<endpoint>/oauth2/default/v1/token`, and the
//! groups of the user at `<endpoint>/api/v1/users/<id>/groups` say what the token allows.

use super::issue::Person;
use crate::settings::{self, Problem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use network::http::{Body, HttpError, InvalidUrl, Limits, Request, Url, send};
use network::{Tls, TlsFiles, Trust};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokens::ClientPermissions;
use zeroize::Zeroizing;

/// An organization to ask.
pub(super) struct Organization {
    endpoint: String,
    basic: Zeroizing<String>,
    ssws: Zeroizing<String>,
    acls: BTreeMap<String, Vec<String>>,
    permissions: Option<ClientPermissions>,
    unit: String,
    tls: Tls,
}

/// Why Okta gave no person.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OktaError {
    /// The password is wrong, or there is no such user.
    #[error("{0}")]
    Refused(String),
    /// It did not answer as it should.
    #[error("{what}: {why}")]
    Trouble {
        /// What was asked.
        what: &'static str,
        /// What came.
        why: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Granted {
    access_token: String,
    error: String,
    error_description: String,
}

#[derive(Debug, Deserialize)]
struct User {
    id: String,
}

#[derive(Debug, Deserialize)]
struct Group {
    profile: Profile,
}

#[derive(Debug, Deserialize)]
struct Profile {
    name: String,
}

impl Organization {
    /// # Errors
    /// The authorities of its certificate cannot be used.
    pub(super) fn new(settings: &settings::Okta) -> Result<Self, Problem> {
        let file = settings.authorities.clone().or_else(system_authorities).ok_or_else(|| Problem::File {
            key: "okta_authenticator.tls_ca",
            reason: "this system has no file of certificate authorities in a usual place: name one".to_owned(),
        })?;
        let trust = Trust::Authorities { file, common_names: false };
        let tls = Tls::new(&TlsFiles { trust, ..TlsFiles::default() });
        let tls = tls.map_err(|error| Problem::File { key: "okta_authenticator.tls_ca", reason: error.to_string() })?;
        let check: Result<Url, InvalidUrl> = settings.endpoint.parse();
        check.map_err(|error| Problem::File { key: "okta_authenticator.endpoint", reason: error.to_string() })?;
        let pair = Zeroizing::new(format!("{}:{}", settings.client_id, settings.client_secret.as_str()));
        Ok(Self {
            endpoint: settings.endpoint.clone(),
            basic: Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))),
            ssws: Zeroizing::new(format!("SSWS {}", settings.api_token.as_str())),
            acls: settings.acls.clone(),
            permissions: settings.permissions,
            unit: settings.organization.clone(),
            tls,
        })
    }

    /// The person called `name`, if Okta takes `password`.
    ///
    /// # Errors
    /// [`OktaError`].
    pub(super) async fn person(&self, name: &str, password: &str) -> Result<Person, OktaError> {
        self.try_password(name, password).await?;
        let user: User = self.get("the user", &format!("/api/v1/users/{}", escaped(name))).await?;
        let groups = format!("/api/v1/users/{}/groups?limit=200", escaped(&user.id));
        let groups: Vec<Group> = self.get("the groups of the user", &groups).await?;
        let mut acls: Vec<String> = Vec::new();
        let granted = groups.iter().filter_map(|group| self.acls.get(&group.profile.name)).flatten();
        for acl in granted {
            if !acls.contains(acl) {
                acls.push(acl.clone());
            }
        }
        Ok(Person {
            caller: format!("okta={name}"),
            issuer: "Choria Okta Authenticator",
            organization: self.unit.clone(),
            acls,
            permissions: self.permissions,
            ..Person::default()
        })
    }

    async fn try_password(&self, name: &str, password: &str) -> Result<(), OktaError> {
        let secret = Zeroizing::new(escaped(password));
        let form = format!("grant_type=password&scope=openid&username={}&password={}", escaped(name), secret.as_str());
        let body = Body { content_type: "application/x-www-form-urlencoded", bytes: form.into_bytes().into() };
        let request = Request { body: Some(body), authorization: Some(self.basic.to_string()) };
        let what = "trying the password";
        let answer = self.ask(what, "/oauth2/default/v1/token", request).await?;
        let granted: Granted = read(what, &answer.body)?;
        match answer.status {
            200 if !granted.access_token.is_empty() && granted.error.is_empty() => Ok(()),
            // Of the client's own password Okta says invalid_client, with 401.
            400 if granted.error == "invalid_grant" => {
                Err(OktaError::Refused(granted.error_description.chars().take(128).collect()))
            }
            status => {
                let error: String = granted.error.chars().take(64).collect();
                Err(OktaError::Trouble { what, why: format!("status {status}, error {error:?}") })
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, what: &'static str, path: &str) -> Result<T, OktaError> {
        let request = Request { body: None, authorization: Some(self.ssws.to_string()) };
        let answer = self.ask(what, path, request).await?;
        match answer.status {
            200 => read(what, &answer.body),
            status => Err(OktaError::Trouble { what, why: format!("status {status}") }),
        }
    }

    async fn ask(&self, what: &'static str, path: &str, request: Request) -> Result<network::http::Answer, OktaError> {
        let trouble = |why: String| OktaError::Trouble { what, why };
        let url: Url =
            format!("{}{path}", self.endpoint).parse().map_err(|error: InvalidUrl| trouble(error.to_string()))?;
        send(&url, request, &self.tls, LIMITS).await.map_err(|error: HttpError| trouble(error.to_string()))
    }
}

impl std::fmt::Debug for Organization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Organization").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An answer as `T`; what it holds is not repeated, it may be a token.
fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, OktaError> {
    let why = |_| OktaError::Trouble { what, why: "the answer is not the JSON that is expected".to_owned() };
    serde_json::from_slice(body).map_err(why)
}

/// Everything but letters, digits and `-._~` as `%XX`, so that no name can lead to another path.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            // A name of dots alone would be a step up the path.
            b'-' | b'_' | b'~' => escaped.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Where distributions keep the certificate authorities.
fn system_authorities() -> Option<PathBuf> {
    let places = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    places.into_iter().map(Path::new).find(|path| path.is_file()).map(Path::to_owned)
}

/// A person waits.
const LIMITS: Limits = Limits { time: Duration::from_secs(10), body: 1024 * 1024 };

#[cfg(test)]
mod tests;
