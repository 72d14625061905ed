//! How many nodes are asked, and how fast: flags and configuration made into a plan's terms.

use super::arguments::Pace;
use config::{Settings, keys};
use rpc::plan::{Batching, Limit, LimitMethod};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Seconds between batches unless the user says otherwise.
const PAUSE: u64 = 1;

/// What `--limit` and `rpclimitmethod` say.
///
/// # Errors
/// When the limit is neither a number nor a percentage.
pub(super) fn limit(pace: &Pace, settings: &Settings) -> anyhow::Result<Option<Limit>> {
    let Some(text) = &pace.limit else { return Ok(None) };
    let seed = || pace.limit_seed.filter(|seed| *seed > 0).map_or_else(rand::random, i64::unsigned_abs);
    let method = match settings.get(keys::RPCLIMITMETHOD) {
        Some("random") => LimitMethod::Random { seed: seed() },
        _ => LimitMethod::First,
    };
    Ok(Some(Limit { size: text.parse()?, method }))
}

/// What `--batch` and `--batch-sleep` say; batches of no nodes are none.
pub(super) fn batching(pace: &Pace) -> Option<Batching> {
    let size = pace.batch.and_then(NonZeroUsize::new)?;
    Some(Batching { size, pause: Duration::from_secs(pace.batch_sleep.unwrap_or(PAUSE)) })
}
