//! Questions to nats-server about its streams, and what its refusals mean.

use super::message::Stored;
use super::settings::{Described, Settings};
use anyhow::{Context, anyhow, bail};
use network::{Connection, RequestError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// A connection over which streams are managed.
#[derive(Debug)]
pub(crate) struct Api {
    connection: Connection,
}

impl Api {
    /// Streams behind `connection`.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Makes a stream.
    pub(super) async fn create(&self, settings: &Settings) -> anyhow::Result<Value> {
        let name = checked(&settings.name)?;
        self.ask(&format!("STREAM.CREATE.{name}"), &serde_json::to_value(settings)?).await
    }

    /// A stream as nats-server describes it, all of it.
    pub(super) async fn info(&self, name: &str) -> anyhow::Result<Value> {
        self.ask(&format!("STREAM.INFO.{}", checked(name)?), &Value::Null).await
    }

    /// A stream, as far as we know how to show it.
    pub(crate) async fn described(&self, name: &str) -> anyhow::Result<Described> {
        typed(self.info(name).await?)
    }

    /// The names of all streams, or of those that take messages of a subject, in order.
    pub(super) async fn names(&self, subject: Option<&str>) -> anyhow::Result<Vec<String>> {
        let mut names: Vec<String> = self.pages("STREAM.NAMES", subject).await?;
        names.sort();
        Ok(names)
    }

    /// All streams, or those that take messages of a subject.
    pub(super) async fn list(&self, subject: Option<&str>) -> anyhow::Result<Vec<Described>> {
        self.pages("STREAM.LIST", subject).await
    }

    /// The message with this number.
    pub(crate) async fn message(&self, stream: &str, sequence: u64) -> anyhow::Result<Stored> {
        let found = self.find(stream, &json!({ "seq": sequence })).await?;
        found.with_context(|| format!("there is no message {sequence} in it"))
    }

    /// The last message of a subject, which may have wildcards.
    pub(super) async fn last(&self, stream: &str, subject: &str) -> anyhow::Result<Stored> {
        let found = self.find(stream, &json!({ "last_by_subj": subject })).await?;
        found.with_context(|| format!("there is no message of subject {subject} in it"))
    }

    /// The first message of a subject with this number or a larger one; `None` behind the last.
    pub(crate) async fn next(&self, stream: &str, sequence: u64, subject: &str) -> anyhow::Result<Option<Stored>> {
        self.find(stream, &json!({ "seq": sequence.max(1), "next_by_subj": subject })).await
    }

    /// Removes the stream.
    pub(super) async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.ask(&format!("STREAM.DELETE.{}", checked(name)?), &Value::Null).await.map(drop)
    }

    /// Removes messages of a stream; returns how many.
    pub(super) async fn purge(&self, name: &str, which: &Value) -> anyhow::Result<u64> {
        let answer = self.ask(&format!("STREAM.PURGE.{}", checked(name)?), which).await?;
        Ok(answer["purged"].as_u64().unwrap_or_default())
    }

    async fn find(&self, stream: &str, which: &Value) -> anyhow::Result<Option<Stored>> {
        let mut answer = self.answer(&format!("STREAM.MSG.GET.{}", checked(stream)?), which).await?;
        match error_code(&answer) {
            Some(NO_MESSAGE) => Ok(None),
            Some(_) => Err(refusal(&answer)),
            None => typed(answer["message"].take()).map(Some),
        }
    }

    /// Everything of a list that comes in pages.
    async fn pages<Item: DeserializeOwned>(&self, verb: &str, subject: Option<&str>) -> anyhow::Result<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut question = json!({ "offset": items.len() });
            if let Some(subject) = subject {
                question["subject"] = json!(subject);
            }
            let mut answer = self.ask(verb, &question).await?;
            let total = answer["total"].as_u64().unwrap_or_default();
            let page: Vec<Item> = typed::<Option<Vec<Item>>>(answer["streams"].take())?.unwrap_or_default();
            let empty = page.is_empty();
            items.extend(page);
            if empty || items.len() as u64 >= total {
                return Ok(items);
            }
        }
        bail!("the broker's list of streams has no end");
    }

    /// The answer, unless it is a refusal.
    async fn ask(&self, verb: &str, question: &Value) -> anyhow::Result<Value> {
        let answer = self.answer(verb, question).await?;
        if error_code(&answer).is_some() { Err(refusal(&answer)) } else { Ok(answer) }
    }

    async fn answer(&self, verb: &str, question: &Value) -> anyhow::Result<Value> {
        let body = if question.is_null() { Vec::new() } else { serde_json::to_vec(question)? };
        let mut denials = self.connection.denials();
        let subject = format!("$JS.API.{verb}");
        let answer = tokio::select! {
            answer = self.connection.request(&subject, body.into(), PATIENCE) => answer,
            denied = denials.wait_for(Option::is_some) => {
                let words = denied.context("the connection to the broker is closed")?.clone().unwrap_or_default();
                bail!(
                    "the broker does not let this login do that ({words}): reading streams needs the permission that \
                     `choria jwt client --stream-user` gives, managing them --stream-admin"
                );
            }
        };
        match answer {
            Ok(answer) => serde_json::from_slice(&answer.payload).context("the broker's answer is no JSON"),
            Err(RequestError::NoResponders(_)) => {
                bail!("this broker keeps no streams: set plugin.choria.network.stream.store there")
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A name that can be part of a subject; nats-server would answer others with silence.
fn checked(name: &str) -> anyhow::Result<&str> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    if name.is_empty() || name.contains(bad) {
        bail!("{name:?} is no name of a Stream: no space, dot, star, > or slash, and not empty");
    }
    Ok(name)
}

fn typed<Item: DeserializeOwned>(answer: Value) -> anyhow::Result<Item> {
    serde_json::from_value(answer).context("the broker's answer is not as expected")
}

fn error_code(answer: &Value) -> Option<u64> {
    let error = answer.get("error")?;
    error.get("err_code").or_else(|| error.get("code")).and_then(Value::as_u64)
}

/// nats-server's words with its number, as in `stream not found (10059)`.
fn refusal(answer: &Value) -> anyhow::Error {
    let text = answer.pointer("/error/description").and_then(Value::as_str).unwrap_or("the broker gave no reason");
    anyhow!("{text} ({})", error_code(answer).unwrap_or_default())
}

/// For one answer. In a cluster that elects a leader it takes some seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A page holds 256 streams or 1024 names.
const MOST_PAGES: usize = 1000;

/// nats-server's number for a message that does not exist.
const NO_MESSAGE: u64 = 10037;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_the_brokers_words() {
        let overlap = json!({ "error": { "code": 400, "err_code": 10065,
            "description": "subjects overlap with an existing stream" } });
        assert_eq!(refusal(&overlap).to_string(), "subjects overlap with an existing stream (10065)");
        assert_eq!(refusal(&json!({ "error": { "code": 503 } })).to_string(), "the broker gave no reason (503)");
        assert_eq!(error_code(&json!({ "config": {} })), None);
    }

    #[test]
    fn names_cannot_reach_beyond_their_place_in_a_subject() {
        assert!(checked("SUBMIT_2").is_ok());
        for name in ["", "a.b", "*", ">", "a b", "a/b", "a\n"] {
            assert!(checked(name).is_err(), "{name:?}");
        }
    }
}
