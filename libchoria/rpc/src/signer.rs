//! The signer that lets an AAA service sign requests, asked over RPC (spec 02 §13).

use crate::client::Client;
use crate::service::{ServiceError, ask};
use futures_util::future::BoxFuture;
use protocol::Request;
use security::{AAA_SIGNER_AGENT, Provider, Sealed, SignError, Signer};
use serde_json::{Map, Value};

/// Asks the service `aaa_signer` for signatures. Requests to that service itself are not signed.
#[derive(Clone, Debug)]
pub struct ServiceSigner {
    provider: Provider,
    client: Client,
}

impl ServiceSigner {
    /// A signer for `provider` that asks over `client`, whose own signer must be the local one.
    #[must_use]
    pub(crate) fn new(provider: Provider, client: Client) -> Self {
        Self { provider, client }
    }

    async fn seal_remotely(&self, request: &Request) -> Result<Sealed, SignError> {
        request.check().map_err(SignError::Invalid)?;
        let (bytes, token) = (request.encode(), self.provider.token().ok_or(SignError::NoCredentials)?);
        let signature = self.provider.sign(&bytes).ok_or(SignError::NoCredentials)?;
        let remote = |error: ServiceError| SignError::Remote(Box::new(error));
        let inputs = Map::from_iter([
            ("request".to_owned(), Value::from(String::from_utf8_lossy(&bytes))),
            ("signature".to_owned(), Value::from(signature.to_hex())),
            ("token".to_owned(), Value::from(token)),
        ]);
        let answer = ask(&self.client, AAA_SIGNER_AGENT, "sign", inputs).await.map_err(remote)?;
        let output = "secure_request";
        let secure = answer.get(output).and_then(Value::as_str);
        let incomplete = || remote(ServiceError::Incomplete { agent: AAA_SIGNER_AGENT.to_owned(), output });
        self.provider.seal_delegated(request, secure.ok_or_else(incomplete)?.as_bytes())
    }
}

impl Signer for ServiceSigner {
    fn seal<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Sealed, SignError>> {
        Box::pin(async move {
            if request.agent == *AAA_SIGNER_AGENT {
                return self.provider.signer().seal(request).await;
            }
            self.seal_remotely(request).await
        })
    }
}
