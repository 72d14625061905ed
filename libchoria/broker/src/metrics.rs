//! What a broker counts about itself. Passed in, never global: several brokers may share a process in tests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters of one broker, since it was built.
#[derive(Debug, Default)]
pub struct Metrics {
    allowed: AtomicU64,
    denied: Mutex<BTreeMap<&'static str, u64>>,
    late: AtomicU64,
    dropped: AtomicU64,
    malformed: AtomicU64,
    longest_wait_ms: AtomicU64,
    waits: AtomicU64,
    waited_us: AtomicU64,
    restarts: AtomicU64,
    self_checks_failed: AtomicU64,
    departed: AtomicU64,
    reloads: AtomicU64,
    reloads_refused: AtomicU64,
    front_accepted: AtomicU64,
    front_failed: AtomicU64,
    front_turned_away: AtomicU64,
    callout_restarts: AtomicU64,
    certificate_reloads: AtomicU64,
    certificates_refused: AtomicU64,
    certificate_expires: AtomicU64,
    streams_missing: AtomicU64,
    streams_off: AtomicU64,
    streams_given_up: AtomicU64,
}

/// The values of [`Metrics`] at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    /// Connections allowed.
    pub allowed: u64,
    /// Connections denied, by [`crate::decision::Reason::label`].
    pub denied: BTreeMap<&'static str, u64>,
    /// Questions that waited too long and were denied without a decision.
    pub late: u64,
    /// Questions that found the queue full and were left to nats-server's own time limit.
    pub dropped: u64,
    /// Messages that were no question of this broker's nats-server.
    pub malformed: u64,
    /// The longest time a question waited for its decision.
    pub longest_wait: Duration,
    /// Questions whose wait was measured.
    pub waits: u64,
    /// How long those waited, all together.
    pub waited: Duration,
    /// Times nats-server was started again after it ended by itself.
    pub restarts: u64,
    /// Self checks that failed.
    pub self_checks_failed: u64,
    /// Connections that were allowed and ended.
    pub departed: u64,
    /// Configurations that were read anew and put in force.
    pub reloads: u64,
    /// Configurations that were read anew and refused as a whole.
    pub reloads_refused: u64,
    /// Connections that the TLS front encrypted and handed to nats-server.
    pub front_accepted: u64,
    /// Connections that the TLS front began to serve and that ended before they were encrypted.
    pub front_failed: u64,
    /// Connections that the TLS front closed without a word, because it had more to do than it could.
    pub front_turned_away: u64,
    /// Times the callout was started again while nats-server ran on.
    pub callout_restarts: u64,
    /// Times nats-server was told to read a replaced certificate, which reconnects everybody.
    pub certificate_reloads: u64,
    /// Replaced certificates that were refused; the one before stays in use.
    pub certificates_refused: u64,
    /// When the certificate in use ends, in seconds since 1970; 0 when it does not tell.
    pub certificate_expires: u64,
    /// Standard streams that are not set up yet.
    pub streams_missing: u64,
    /// 1 while nats-server stores nothing although it should, as on a full disk; otherwise 0.
    pub streams_off: u64,
    /// Times nats-server stopped storing.
    pub streams_given_up: u64,
}

impl Metrics {
    /// The values now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            allowed: read(&self.allowed),
            denied: self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            late: read(&self.late),
            dropped: read(&self.dropped),
            malformed: read(&self.malformed),
            longest_wait: Duration::from_millis(read(&self.longest_wait_ms)),
            waits: read(&self.waits),
            waited: Duration::from_micros(read(&self.waited_us)),
            restarts: read(&self.restarts),
            self_checks_failed: read(&self.self_checks_failed),
            departed: read(&self.departed),
            reloads: read(&self.reloads),
            reloads_refused: read(&self.reloads_refused),
            front_accepted: read(&self.front_accepted),
            front_failed: read(&self.front_failed),
            front_turned_away: read(&self.front_turned_away),
            callout_restarts: read(&self.callout_restarts),
            certificate_reloads: read(&self.certificate_reloads),
            certificates_refused: read(&self.certificates_refused),
            certificate_expires: read(&self.certificate_expires),
            streams_missing: read(&self.streams_missing),
            streams_off: read(&self.streams_off),
            streams_given_up: read(&self.streams_given_up),
        }
    }

    pub(crate) fn allowed(&self) {
        self.allowed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn denied(&self, label: &'static str) {
        *self.denied.lock().unwrap_or_else(PoisonError::into_inner).entry(label).or_default() += 1;
    }

    pub(crate) fn late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waited(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.longest_wait_ms.fetch_max(milliseconds, Ordering::Relaxed);
        self.waits.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn departed(&self) {
        self.departed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reloaded(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reload_refused(&self) {
        self.reloads_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn self_check_failed(&self) {
        self.self_checks_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn front_accepted(&self) {
        self.front_accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn front_failed(&self) {
        self.front_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn front_turned_away(&self, count: u64) {
        self.front_turned_away.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn callout_restarted(&self) {
        self.callout_restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn certificate_reloaded(&self) {
        self.certificate_reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn certificate_refused(&self) {
        self.certificates_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Seconds since 1970.
    pub(crate) fn certificate_expires(&self, end: u64) {
        self.certificate_expires.store(end, Ordering::Relaxed);
    }

    pub(crate) fn streams(&self, missing: usize, off: bool) {
        self.streams_missing.store(missing as u64, Ordering::Relaxed);
        self.streams_off.store(u64::from(off), Ordering::Relaxed);
    }

    pub(crate) fn streams_given_up(&self) {
        self.streams_given_up.fetch_add(1, Ordering::Relaxed);
    }
}

impl Snapshot {
    /// Every question that was answered, whichever way.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.allowed + self.denied.values().sum::<u64>() + self.late
    }
}
