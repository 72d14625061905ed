//! `choria broker stream view`: the messages of a stream, page by page.

use super::api::Api;
use super::info::local;
use super::{Surroundings, is_terminal};
use anyhow::{Context, bail};
use std::io;
use std::time::Duration;
use time::OffsetDateTime;

#[derive(clap::Args, Debug)]
pub(super) struct View {
    /// The stream
    stream: Option<String>,
    /// Messages of one page
    #[arg(default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=25))]
    size: u16,
    /// Begin with this message
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "since")]
    id: Option<u64>,
    /// Begin with messages of so long ago
    #[arg(long, value_name = "DURATION", value_parser = crate::duration::parse)]
    since: Option<Duration>,
    /// Show messages of this subject only
    #[arg(long, value_name = "SUBJECT", default_value = ">")]
    subject: String,
    /// Show bodies alone
    #[arg(long)]
    raw: bool,
}

impl View {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        if !is_terminal() {
            bail!("interactive stream paging requires a valid terminal; `choria broker stream get` needs none");
        }
        surroundings.with_api(async |api| {
            let stream = surroundings.pick(&api, self.stream.as_deref()).await?;
            let mut number = self.first(&api, &stream).await?;
            let mut shown = 0;
            while let Some(message) = api.next(&stream, number, &self.subject).await? {
                if shown == self.size {
                    shown = 0;
                    if !inquire::Confirm::new("Next Page?").with_default(true).prompt()? {
                        return Ok(());
                    }
                }
                let mut out = io::stdout().lock();
                if self.raw {
                    use std::io::Write as _;
                    out.write_all(&message.body()?)?;
                    writeln!(out)?;
                } else {
                    message.write_entry(&mut out, &local(message.time, surroundings.offset))?;
                }
                shown += 1;
                number = message.seq + 1;
            }
            eprintln!("Reached apparent end of data");
            Ok(())
        })
    }

    /// The number to begin with.
    async fn first(&self, api: &Api, stream: &str) -> anyhow::Result<u64> {
        let described = api.described(stream).await.with_context(|| format!("could not load Stream {stream}"))?;
        let (first, last) = (described.state.first_seq, described.state.last_seq);
        let Some(since) = self.since else { return Ok(self.id.unwrap_or(first)) };
        let begin = OffsetDateTime::now_utc() - since;
        // Messages stand in the order of their arrival; nothing younger is before `low`, nothing older from `high` on.
        let (mut low, mut high) = (first, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match api.next(stream, middle, ">").await? {
                Some(message) if message.time < begin => low = message.seq + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}
