//! `choria broker stream purge`: removes messages from a stream.

use super::{Surroundings, confirmed, info};
use anyhow::Context;
use serde_json::{Value, json};
use std::io::{self, Write};

#[derive(clap::Args, Debug)]
pub(super) struct Purge {
    /// The stream
    stream: Option<String>,
    /// Only messages of this subject, which may have wildcards
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Only messages before this one
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "keep")]
    seq: Option<u64>,
    /// Leave so many messages
    #[arg(long, value_name = "MESSAGES")]
    keep: Option<u64>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
    /// Print what is left as a JSON document
    #[arg(long, short)]
    json: bool,
}

impl Purge {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let done = surroundings.with_api(async |api| {
            let stream = surroundings.pick(&api, self.stream.as_deref()).await?;
            if !confirmed(&format!("Really purge Stream {stream}"), self.force)? {
                return Ok(None);
            }
            let cannot = || format!("could not purge Stream {stream}");
            let purged = api.purge(&stream, &self.which()).await.with_context(cannot)?;
            let left = api.info(&stream).await.with_context(cannot)?;
            Ok(Some((stream, purged, left)))
        })?;
        let Some((stream, purged, left)) = done else { return Ok(()) };
        let mut out = io::stdout().lock();
        if self.json {
            return info::write_json(&mut out, left);
        }
        writeln!(out, "Purged {purged} messages from {stream}\n")?;
        info::write(&mut out, left, surroundings.offset, info::Part::State)
    }

    /// In the words of nats-server's API.
    fn which(&self) -> Value {
        let mut which = json!({});
        if let Some(subject) = &self.subject {
            which["filter"] = json!(subject);
        }
        if let Some(sequence) = self.seq {
            which["seq"] = json!(sequence);
        }
        if let Some(keep) = self.keep {
            which["keep"] = json!(keep);
        }
        which
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        purge: Purge,
    }

    #[test]
    fn flags_say_what_is_removed() {
        let rows: [(&[&str], Value); 4] = [
            (&[], json!({})),
            (&["--subject", "a.>"], json!({ "filter": "a.>" })),
            (&["--seq", "7"], json!({ "seq": 7 })),
            (&["--keep", "3", "--subject", "a"], json!({ "keep": 3, "filter": "a" })),
        ];
        for (words, expected) in rows {
            let words = Words::parse_from([&["purge", "S"], words].concat());
            assert_eq!(words.purge.which(), expected);
        }
        assert!(Words::try_parse_from(["purge", "S", "--seq", "1", "--keep", "1"]).is_err());
    }
}
