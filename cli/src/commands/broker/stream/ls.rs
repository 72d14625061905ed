//! `choria broker stream ls`: streams in a table.

use super::Surroundings;
use super::info::local;
use super::settings::{Described, is_internal};
use crate::duration::render_broker;
use crate::output::number::{bytes, grouped};
use crate::output::table::Table;
use crate::output::terminal_width;
use anyhow::Context;
use std::io::{self, Write};
use std::time::Duration;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

#[derive(clap::Args, Debug)]
pub(super) struct Ls {
    /// Only streams that take messages of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Names alone
    #[arg(long, short)]
    names: bool,
    /// Print names as a JSON document
    #[arg(long, short)]
    json: bool,
}

impl Ls {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        let subject = self.subject.as_deref();
        let mut out = io::stdout().lock();
        if self.names {
            let names = surroundings.with_api(async |api| api.names(subject).await)?;
            return if self.json { write_json(&mut out, &names) } else { Ok(write_lines(&mut out, &names)?) };
        }
        let all = surroundings.with_api(async |api| api.list(subject).await.context("could not list streams"))?;
        let found = all.len();
        let mut streams: Vec<Described> =
            all.into_iter().filter(|stream| surroundings.all || !is_internal(&stream.config.name)).collect();
        streams.sort_by_key(|stream| stream.state.bytes);
        if self.json {
            let names: Vec<String> = streams.into_iter().map(|stream| stream.config.name).collect();
            return write_json(&mut out, &names);
        }
        if streams.is_empty() {
            let hint = if found > 0 { ", pass -a to include system streams" } else { "" };
            return Ok(writeln!(out, "No Streams defined{hint}")?);
        }
        let title = match subject {
            Some(subject) => format!("Streams matching {subject}"),
            None => "Streams".to_owned(),
        };
        let table = table(title, &streams, OffsetDateTime::now_utc(), surroundings.offset);
        Ok(table.fitted(terminal_width()).write(&mut out)?)
    }
}

fn table(title: String, streams: &[Described], now: OffsetDateTime, offset: UtcOffset) -> Table {
    let headings = ["Name", "Description", "Created", "Messages", "Size", "Last Message"];
    let mut table = Table::new(&headings).titled(title);
    for Described { config, state, created, .. } in streams {
        let last = state.last_ts.as_deref().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        let age = match last.filter(|last| last.year() > 1970) {
            Some(last) => render_broker(Duration::try_from(now - last).unwrap_or_default()),
            None => "never".to_owned(),
        };
        table.row(&[
            config.name.clone(),
            config.description.clone(),
            local(*created, offset),
            grouped(state.messages),
            bytes(state.bytes),
            age,
        ]);
    }
    table
}

fn write_json(out: &mut impl Write, names: &[String]) -> anyhow::Result<()> {
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(names)?)?)
}

fn write_lines(out: &mut impl Write, names: &[String]) -> io::Result<()> {
    names.iter().try_for_each(|name| writeln!(out, "{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn streams_stand_in_a_table() {
        let stream = |name: &str, messages: u64, last: &str| -> Described {
            serde_json::from_value(json!({
                "config": { "name": name, "description": "Jobs" }, "created": "2026-11-21T09:18:46.5Z",
                "state": { "messages": messages, "bytes": 2048, "last_ts": last },
            }))
            .expect("a stream")
        };
        let streams = [stream("A", 12_345, "2026-11-21T09:18:50Z"), stream("B", 0, "0001-01-01T00:00:00Z")];
        let mut out = Vec::new();
        let table = table("Streams".to_owned(), &streams, datetime!(2026-11-21 09:20 UTC), UtcOffset::UTC);
        table.write(&mut out).expect("written");
        let expected = "\
╭──────────────────────────────────────────────────────────────────────────────╮
│                                   Streams                                    │
├──────┬─────────────┬─────────────────────┬──────────┬─────────┬──────────────┤
│ Name │ Description │ Created             │ Messages │ Size    │ Last Message │
├──────┼─────────────┼─────────────────────┼──────────┼─────────┼──────────────┤
│ A    │ Jobs        │ 2026-11-21 09:18:46 │ 12,345   │ 2.0 KiB │ 1m10s        │
│ B    │ Jobs        │ 2026-11-21 09:18:46 │ 0        │ 2.0 KiB │ never        │
╰──────┴─────────────┴─────────────────────┴──────────┴─────────┴──────────────╯

";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
