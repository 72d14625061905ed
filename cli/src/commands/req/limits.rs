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

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::plan::LimitSize;

    fn pace(limit: Option<&str>, seed: Option<i64>, batch: Option<usize>, sleep: Option<u64>) -> Pace {
        let limit = limit.map(str::to_owned);
        Pace { limit, limit_seed: seed, batch, batch_sleep: sleep, workers: None, reply_to: None }
    }

    fn settings(method: &str) -> Settings {
        Settings::builder().set("rpclimitmethod", method).build().expect("settings")
    }

    #[test]
    fn limits_follow_flags_and_configuration() {
        let rows = [
            ("first", pace(None, None, None, None), None),
            ("first", pace(Some("10"), Some(7), None, None), Some((LimitSize::Count(10), LimitMethod::First))),
            (
                "random",
                pace(Some("10%"), Some(7), None, None),
                Some((LimitSize::Percent(10), LimitMethod::Random { seed: 7 })),
            ),
        ];
        for (method, pace, expected) in rows {
            let got = limit(&pace, &settings(method)).expect("a limit").map(|limit| (limit.size, limit.method));
            assert_eq!(got, expected, "{method} {pace:?}");
        }
        assert!(limit(&pace(Some("some"), None, None, None), &settings("first")).is_err());
    }

    #[test]
    fn batches_pause_a_second_unless_told_otherwise() {
        let rows = [
            (pace(None, None, None, Some(5)), None),
            (pace(None, None, Some(0), None), None),
            (pace(None, None, Some(3), None), Some((3, 1))),
            (pace(None, None, Some(3), Some(0)), Some((3, 0))),
        ];
        for (pace, expected) in rows {
            let got = batching(&pace).map(|batching| (batching.size.get(), batching.pause.as_secs()));
            assert_eq!(got, expected, "{pace:?}");
        }
    }
}
