//! The signer that asks an AAA service by its HTTP interface (spec 07 §5).

use super::{Question, SignerError};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use config::{Settings, keys};
use futures_util::future::BoxFuture;
use network::http::{Answer, HttpError, InvalidUrl, Limits, Url, post};
use network::{SettingsError, Tls};
use protocol::Request;
use security::{AAA_SIGNER_AGENT, Provider, Sealed, SignError, Signer};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// Asks `plugin.choria.security.request_signer.url` for signatures.
///
/// Unlike the existing client, which takes whatever certificate it is shown, this one verifies the service wherever a CA is
/// configured for connections (`plugin.security.choria.ca`).
#[derive(Clone, Debug)]
pub struct HttpSigner {
    provider: Provider,
    url: Url,
    tls: Tls,
}

/// Signing over HTTP is configured and cannot work.
#[derive(Debug, thiserror::Error)]
pub enum HttpSignerError {
    /// The address is none.
    #[error("plugin.choria.security.request_signer.url: {0}")]
    Url(#[from] InvalidUrl),
    /// TLS cannot be set up.
    #[error("TLS to the request signer cannot be set up: {0}")]
    Tls(#[from] SettingsError),
}

/// What the service answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Reply {
    secure_request: String,
    error: String,
}

impl HttpSigner {
    /// A signer for `provider` that asks `url`.
    ///
    /// # Errors
    /// [`HttpSignerError`].
    pub fn new(provider: Provider, url: &str, settings: &Settings) -> Result<Self, HttpSignerError> {
        Ok(Self { provider, url: url.parse()?, tls: Tls::for_services(settings)? })
    }

    /// The one that the configuration asks for, if it does.
    pub(crate) fn configured(provider: &Provider, settings: &Settings) -> Result<Option<Self>, HttpSignerError> {
        let url = settings.get(keys::SECURITY_REQUEST_SIGNER_URL);
        url.map(|url| Self::new(provider.clone(), url, settings)).transpose()
    }

    async fn seal_remotely(&self, request: &Request) -> Result<Sealed, SignError> {
        let question = Question::of(request, &self.provider)?;
        let body = json!({
            "request": BASE64_STANDARD.encode(&question.bytes),
            "token": question.token,
            "signature": question.signature,
        });
        let answer = self.ask(body.to_string()).await?;
        let secure = self.secure_request(&answer)?;
        self.provider.seal_delegated(request, &secure)
    }

    /// Asks again after a pause when the service was away or went away, but not when it was slow.
    async fn ask(&self, body: String) -> Result<Answer, SignerError> {
        let once = || post(&self.url, "application/json", body.clone(), &self.tls, LIMITS);
        let mut answer = once().await;
        if let Err(HttpError::Unreachable { .. } | HttpError::Broken { .. }) = answer {
            tokio::time::sleep(PAUSE).await;
            answer = once().await;
        }
        answer.map_err(|error| SignerError::Unavailable(error.to_string()))
    }

    fn secure_request(&self, answer: &Answer) -> Result<Vec<u8>, SignerError> {
        let url = || self.url.to_string();
        if answer.status != 200 {
            return Err(SignerError::Status { url: url(), status: answer.status });
        }
        let wrong = |reason: String| SignerError::Answer { url: url(), reason };
        let reply: Reply = serde_json::from_slice(&answer.body).map_err(|error| wrong(error.to_string()))?;
        if !reply.error.is_empty() {
            return Err(SignerError::Refused(reply.error));
        }
        if reply.secure_request.is_empty() {
            return Err(wrong("it holds no secure_request".to_owned()));
        }
        BASE64_STANDARD.decode(&reply.secure_request).map_err(|error| wrong(error.to_string()))
    }
}

impl Signer for HttpSigner {
    fn seal<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Sealed, SignError>> {
        Box::pin(async move {
            if request.agent == *AAA_SIGNER_AGENT {
                return self.provider.signer().seal(request).await;
            }
            self.seal_remotely(request).await
        })
    }
}

/// A request may have 100 KiB, its secure form twice base64 upon it.
const LIMITS: Limits = Limits { time: Duration::from_secs(10), body: 1024 * 1024 };
/// A service is back after about so long.
const PAUSE: Duration = Duration::from_secs(1);
