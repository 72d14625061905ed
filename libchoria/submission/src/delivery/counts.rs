//! What delivery came to, counted; read by the server's metrics and status.

use crate::schedule::Why;
use crate::spool::{Spool, SpoolError, Summary};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counters of one server's delivery since its start, handed in and never global.
#[derive(Debug, Default)]
pub struct Counts {
    counters: [AtomicU64; Count::ALL.len()],
    standing: Mutex<Standing>,
    spool: Mutex<Option<Arc<Spool>>>,
    counted: Mutex<Option<(Instant, Summary)>>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Count {
    /// Reliable messages that a stream acknowledged as new.
    Stored,
    /// Reliable messages that the stream had already.
    Duplicate,
    /// Messages that are not reliable and were published.
    Published,
    /// Attempts that failed and count as a try.
    FailedTry,
    /// Messages dropped because their time to live was over.
    Expired,
    /// Messages dropped because they were tried as often as they may.
    MaxTries,
    /// Messages moved to `corrupt` because they can never be delivered.
    SetAside,
    /// Attempts that the broker did not allow; they are no tries.
    Denied,
}

/// Whether delivery is at work.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Standing {
    /// There was no connection yet.
    #[default]
    Waiting,
    /// Nobody made the default spool yet.
    NoSpool,
    /// It delivers what comes.
    Delivering,
    /// Another program delivers this spool, or the spool cannot be used; the text says which.
    Hindered(String),
}

impl Count {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Stored,
        Self::Duplicate,
        Self::Published,
        Self::FailedTry,
        Self::Expired,
        Self::MaxTries,
        Self::SetAside,
        Self::Denied,
    ];

    /// Its name in status and metrics: lower case, words joined by `_`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicates",
            Self::Published => "published",
            Self::FailedTry => "failed_tries",
            Self::Expired => "expired",
            Self::MaxTries => "max_tries",
            Self::SetAside => "set_aside",
            Self::Denied => "denied",
        }
    }
}

impl From<Why> for Count {
    fn from(why: Why) -> Self {
        match why {
            Why::Expired => Self::Expired,
            Why::MaxTries => Self::MaxTries,
            Why::Unsignable => Self::SetAside,
        }
    }
}

impl Counts {
    /// One counter.
    #[must_use]
    pub fn value(&self, count: Count) -> u64 {
        self.counters[count as usize].load(Ordering::Relaxed)
    }

    /// Whether delivery is at work.
    #[must_use]
    pub fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    pub(super) fn add(&self, count: Count, number: usize) {
        self.counters[count as usize].fetch_add(number as u64, Ordering::Relaxed);
    }

    /// Whether this is news.
    pub(super) fn stand(&self, standing: Standing) -> bool {
        let mut now = lock(&self.standing);
        let news = *now != standing;
        *now = standing;
        news
    }

    /// How much waits in the spool that is delivered; `None` while there is none. Counted anew when the last count is
    /// older than 15 seconds: it waits for the disk, and lists the whole spool.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn waiting(&self) -> Result<Option<Summary>, SpoolError> {
        let Some(spool) = lock(&self.spool).clone() else { return Ok(None) };
        let mut counted = lock(&self.counted);
        if let Some((when, summary)) = *counted {
            if when.elapsed() < FRESH {
                return Ok(Some(summary));
            }
        }
        let summary = spool.summary()?;
        *counted = Some((Instant::now(), summary));
        Ok(Some(summary))
    }

    pub(super) fn claimed(&self, spool: &Arc<Spool>) {
        *lock(&self.spool) = Some(Arc::clone(spool));
    }
}

/// How long a count of the spool is good enough.
const FRESH: Duration = Duration::from_secs(15);

/// These locks guard single values, so what a panicking holder left behind is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
