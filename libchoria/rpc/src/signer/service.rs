//! The signer that asks an AAA service on the same network.

use super::{Question, SignerError};
use crate::client::Client;
use crate::service::{ServiceError, ask_within};
use futures_util::future::BoxFuture;
use protocol::Request;
use security::{AAA_SIGNER_AGENT, Provider, Sealed, SignError, Signer};
use serde_json::{Map, Value};
use std::time::Duration;

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
        let question = Question::of(request, &self.provider)?;
        let inputs = Map::from_iter([
            ("request".to_owned(), Value::from(String::from_utf8_lossy(&question.bytes))),
            ("signature".to_owned(), Value::from(question.signature)),
            ("token".to_owned(), Value::from(question.token)),
        ]);
        let mut answer = self.ask(inputs.clone(), FIRST_PATIENCE).await;
        if let Err(ServiceError::NoAnswer { .. }) = answer {
            tracing::debug!("no AAA service signed within {FIRST_PATIENCE:?}, asking again");
            answer = self.ask(inputs, SECOND_PATIENCE).await;
        }
        let answer = answer.map_err(explain)?;
        let secure = answer.get("secure_request").and_then(Value::as_str);
        let incomplete =
            || explain(ServiceError::Incomplete { agent: AAA_SIGNER_AGENT.to_owned(), output: "secure_request" });
        self.provider.seal_delegated(request, secure.ok_or_else(incomplete)?.as_bytes())
    }

    async fn ask(&self, inputs: Map<String, Value>, limit: Duration) -> Result<Value, ServiceError> {
        ask_within(&self.client, AAA_SIGNER_AGENT, "sign", inputs, Some(limit)).await
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

fn explain(error: ServiceError) -> SignError {
    match error {
        ServiceError::Refused { message, .. } => SignerError::Failed(message),
        other => SignerError::Unavailable(other.to_string()),
    }
    .into()
}

/// Signing takes milliseconds; a service that was restarted just then has lost the question.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);
/// Both together last as long as the DDL's timeout.
const SECOND_PATIENCE: Duration = Duration::from_secs(7);
