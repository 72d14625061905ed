//! `choria tool submission verify`: whether messages of a stream are what their servers signed (spec 04 §5.7).

use crate::Global;
use crate::commands::broker::stream::{Api, Stored};
use crate::output::printable;
use crate::session::{Connect, Session, Talk, block_on};
use anyhow::{Context, bail};
use security::trust_roots;
use serde_json::json;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use submission::{Replays, VerifiedSubmission, VerifyError};
use tokens::{PublicKey, TrustRoots};

#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every message that was read is genuine
  1  at least one is not, none was found, or the stream cannot be read")]
pub(super) struct Verify {
    /// The stream to read
    #[arg(long, value_name = "STREAM", default_value = "SUBMIT")]
    stream: String,
    /// Read so many messages: the newest ones, of a --subject the oldest, with --follow those to come
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Wait for messages to come
    #[arg(long, short)]
    follow: bool,
    /// Only messages of this subject, which may have wildcards
    #[arg(long, value_name = "SUBJECT", default_value = ">")]
    subject: String,
    /// Trust servers that this key vouches for, in hexadecimal, instead of the configured issuers
    #[arg(long, value_name = "KEY")]
    issuer: Option<PublicKey>,
    /// Do not believe messages that were submitted longer before they arrived
    #[arg(long, value_name = "DURATION", default_value = "31d", value_parser = crate::duration::parse)]
    max_age: Duration,
    /// Write one JSON object a line
    #[arg(long, short)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// What was found out.
#[derive(Debug, Default)]
struct Tally {
    read: u64,
    genuine: u64,
}

impl Verify {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<ExitCode> {
        let session = Session::open(global, &self.connect, Talk::Normal)?;
        let roots = match &self.issuer {
            Some(key) => TrustRoots::signers(vec![(*key).into()]),
            None => trust_roots(session.settings())?.context(
                "nobody is trusted to issue tokens of servers: give --issuer, or set plugin.security.issuer.names",
            )?,
        };
        let tally = block_on(async {
            let api = Api::new(session.client().await?.connection().clone());
            let state = api.described(&self.stream).await;
            let state = state.with_context(|| format!("could not load Stream {}", self.stream))?.state;
            let behind = state.last_seq + 1;
            let first = match (self.follow, self.count) {
                (true, _) => behind,
                (false, Some(count)) if self.subject == ">" => behind.saturating_sub(count).max(state.first_seq),
                (false, _) => state.first_seq,
            };
            let mut interrupt = pin!(tokio::signal::ctrl_c());
            let mut tally = Tally::default();
            tokio::select! {
                done = self.read(&api, first, &roots, &mut tally) => done?,
                _ = &mut interrupt => {}
            }
            Ok(tally)
        })?;
        if !self.json {
            writeln!(io::stdout(), "\n{} of {} messages are genuine", tally.genuine, tally.read)?;
        }
        let all = tally.genuine == tally.read && (tally.read > 0 || self.follow);
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn read(&self, api: &Api, first: u64, roots: &TrustRoots, tally: &mut Tally) -> anyhow::Result<()> {
        let mut seen = Replays::new(REMEMBERED);
        let mut number = first;
        while self.count.is_none_or(|count| tally.read < count) {
            let Some(message) = api.next(&self.stream, number, &self.subject).await? else {
                if !self.follow {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            number = message.seq + 1;
            let verdict = self.judge(&message, roots)?;
            tally.read += 1;
            tally.genuine += u64::from(verdict.is_ok());
            let again = verdict.as_ref().is_ok_and(|found| !seen.first(found));
            let line =
                if self.json { json_line(&message, &verdict, again) } else { text_line(&message, &verdict, again) };
            writeln!(io::stdout(), "{line}")?;
        }
        Ok(())
    }

    fn judge(&self, message: &Stored, roots: &TrustRoots) -> anyhow::Result<Result<VerifiedSubmission, VerifyError>> {
        let (headers, body) = (message.headers()?, message.body()?);
        if body.is_empty() && headers.is_empty() {
            bail!("message {} of {} has neither headers nor body", message.seq, self.stream);
        }
        // As it was when the stream took the message: what was genuine then has not become less so when a token expires.
        Ok(submission::verify(&headers, &body, roots, self.max_age, SystemTime::from(message.time)))
    }
}

/// `[4] choria.submission.in.hello.signed: signed by s1.example.net, id 67efa0d3-59c3-47ac-9cf8-1e84dcf90d64`.
fn text_line(message: &Stored, verdict: &Result<VerifiedSubmission, VerifyError>, again: bool) -> String {
    let what = match verdict {
        Ok(found) => {
            let again = if again { "; its id was seen before" } else { "" };
            format!("signed by {}, id {}{again}", found.identity, found.id)
        }
        Err(why) => format!("NOT GENUINE: {why}"),
    };
    printable(&format!("[{}] {}: {what}", message.seq, message.subject)).replace('\n', " ")
}

fn json_line(message: &Stored, verdict: &Result<VerifiedSubmission, VerifyError>, again: bool) -> String {
    let mut line = json!({ "seq": message.seq, "subject": message.subject, "genuine": verdict.is_ok() });
    match verdict {
        Ok(found) => {
            line["identity"] = json!(found.identity);
            line["id"] = json!(found.id.as_str());
            line["seen_before"] = json!(again);
        }
        Err(why) => line["problem"] = json!(why.to_string()),
    }
    line.to_string()
}

/// How often a stream is asked for what came meanwhile.
const PAUSE: Duration = Duration::from_millis(250);

/// Ids that are remembered, to tell of those that come again.
const REMEMBERED: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        let message =
            json!({ "subject": "choria.submission.in.a", "seq": 7, "data": "eA==", "time": "2026-11-21T09:18:50Z" });
        serde_json::from_value(message).expect("a message")
    }

    #[test]
    fn what_is_not_signed_is_told_as_such() {
        let verdict = Err(VerifyError::Missing("Choria-Signature"));
        let text = text_line(&stored(), &verdict, false);
        assert!(
            text.starts_with("[7] choria.submission.in.a: NOT GENUINE: the message has no Choria-Signature"),
            "{text}"
        );
        let line: serde_json::Value = serde_json::from_str(&json_line(&stored(), &verdict, false)).expect("JSON");
        assert_eq!((&line["genuine"], &line["seq"]), (&json!(false), &json!(7)));
        assert!(line["problem"].as_str().is_some_and(|problem| problem.contains("Choria-Signature")));
    }
}
