//! `choria broker stream get`: one message of a stream.

use super::Surroundings;
use anyhow::{Context, bail};
use std::io::{self, Write};
use time::OffsetDateTime;

#[derive(clap::Args, Debug)]
pub(super) struct Get {
    /// The stream
    stream: Option<String>,
    /// The number of the message
    #[arg(conflicts_with = "last_for")]
    id: Option<u64>,
    /// The last message of this subject, which may have wildcards
    #[arg(long, short = 'S', value_name = "SUBJECT")]
    last_for: Option<String>,
    /// Print a JSON document
    #[arg(long, short)]
    json: bool,
}

impl Get {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let (stream, message) = surroundings.with_api(async |api| {
            let stream = surroundings.pick(&api, self.stream.as_deref()).await?;
            let message = match (self.id, &self.last_for) {
                (Some(id), _) => api.message(&stream, id).await,
                (None, Some(subject)) => api.last(&stream, subject).await,
                (None, None) => {
                    bail!("no ID or subject specified: name a message by its number, or --last-for SUBJECT")
                }
            };
            let message = message.with_context(|| format!("could not retrieve a message of Stream {stream}"))?;
            Ok((stream, message))
        })?;
        let mut out = io::stdout().lock();
        if self.json {
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&message)?)?);
        }
        message.write_item(&mut out, &stream, OffsetDateTime::now_utc())
    }
}
