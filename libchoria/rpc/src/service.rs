//! Asking one of the services every network may have, and expecting one good answer.

use crate::client::{Call, Client, Event, NodeReply, Recipients, RequestError};
use crate::ddl::{UnknownAction, embedded};
use serde_json::{Map, Value};
use std::time::Duration;

/// Why a service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It cannot be asked.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The document of the service has no such action: a fault of this program.
    #[error(transparent)]
    Action(#[from] UnknownAction),
    /// No host of the service answered in time.
    #[error("did not receive any response from the service {agent}: expected 1 response received 0")]
    NoAnswer {
        /// The service.
        agent: String,
    },
    /// It refused.
    #[error("invalid response: {agent}#{action} of {sender} answered: {message}")]
    Refused {
        /// The service.
        agent: String,
        /// The action.
        action: String,
        /// The host that answered.
        sender: String,
        /// What it said.
        message: String,
    },
    /// The answer lacks what it is for.
    #[error("invalid response: the answer of {agent} has no {output}")]
    Incomplete {
        /// The service.
        agent: String,
        /// The output missing.
        output: &'static str,
    },
}

/// The outputs of `action` of the service `agent`, whose document is embedded.
pub(crate) async fn ask(
    client: &Client,
    agent: &str,
    action: &str,
    inputs: Map<String, Value>,
) -> Result<Value, ServiceError> {
    ask_within(client, agent, action, inputs, None).await
}

/// [`ask`] with another limit than that of the document.
pub(crate) async fn ask_within(
    client: &Client,
    agent: &str,
    action: &str,
    inputs: Map<String, Value>,
    limit: Option<Duration>,
) -> Result<Value, ServiceError> {
    let ddl = embedded::find(agent).unwrap_or_default();
    let call = Call::new(&ddl, ddl.action(action)?, inputs, Recipients::Service)?;
    let timeout = limit.unwrap_or(call.timeout);
    let mut replies = client.request(Call { timeout, ..call }).await?;
    while let Some(event) = replies.next().await {
        match event? {
            Event::Reply(reply) if reply.body.status.is_ok() => return Ok(reply.body.value()),
            Event::Reply(reply) => return Err(refused(agent, action, &reply)),
            Event::Invalid(invalid) => tracing::warn!("an answer of {agent} does not count: {invalid}"),
            Event::Unexpected(_) | Event::Done(_) => {}
        }
    }
    Err(ServiceError::NoAnswer { agent: agent.to_owned() })
}

fn refused(agent: &str, action: &str, reply: &NodeReply) -> ServiceError {
    ServiceError::Refused {
        agent: agent.to_owned(),
        action: action.to_owned(),
        sender: reply.sender().to_string(),
        message: reply.body.message.clone(),
    }
}
