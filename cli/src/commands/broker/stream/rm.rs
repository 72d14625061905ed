//! `choria broker stream rm`: removes a stream.

use super::{Surroundings, confirmed};
use anyhow::{Context, bail};

#[derive(clap::Args, Debug)]
pub(super) struct Rm {
    /// The stream
    stream: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    force: bool,
}

impl Rm {
    pub(super) fn run(&self, surroundings: &Surroundings) -> anyhow::Result<()> {
        if self.force && self.stream.is_none() {
            bail!("--force requires a stream name");
        }
        surroundings.with_api(async |api| {
            let stream = surroundings.pick(&api, self.stream.as_deref()).await?;
            if confirmed(&format!("Really delete Stream {stream}"), self.force)? {
                api.delete(&stream).await.with_context(|| format!("could not remove Stream {stream}"))?;
            }
            Ok(())
        })
    }
}
