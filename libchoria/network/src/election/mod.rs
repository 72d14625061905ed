//! Leader election on a JetStream key-value bucket (spec 08 §6).
//!
//! The key of an election holds the name of its leader and expires unless the leader writes it again. Candidates create the
//! key, the leader updates the revision it wrote last, so that the broker's stream is the only judge. `campaign.rs` holds the
//! rules, pure; `bucket.rs` the messages; this file the loop between them.
//!
//! ```text
//! open -> splay -> create key -> (held by another: wait, try again)
//!                       |
//!                       v
//!             wait -> renew -> 200 ms -> Leader -> renew -> renew -> ...
//!                                          any failure -> Candidate at once
//! ```

mod bucket;
mod campaign;

pub use bucket::{Bucket, BucketError, BucketInfo, Entry, Peer, WriteError};
pub use campaign::{Pace, Standing};

use crate::Connection;
use campaign::{Campaign, Move, SETTLE};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The bucket that Choria brokers keep for elections.
pub const BUCKET: &str = "CHORIA_LEADER_ELECTION";

/// Where the provisioning account reaches the JetStream API of the fleet's account (spec 01 §9).
pub const PROVISIONING_API_PREFIX: &str = "choria.streams";

/// Who stands for which election, and how.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// Name of the election: the key in the bucket. Letters, digits and `-/_=.`.
    pub election: String,
    /// Name of the candidate, stored as the key's value: usually the identity. At most 1024 bytes.
    pub candidate: String,
    /// The bucket, usually [`BUCKET`].
    pub bucket: String,
    /// What stands for `$JS.API` where the account reaches JetStream through an import, as [`PROVISIONING_API_PREFIX`].
    pub api_prefix: Option<String>,
    /// How often to campaign.
    pub pace: Pace,
    /// Longest wait before the first campaign, drawn at random so that candidates that start together do not campaign
    /// together.
    pub splay: Duration,
}

/// One candidate of one election. [`open`](Self::open) looks at the bucket, [`run`](Self::run) stands until told to stop.
#[derive(Debug)]
pub struct Election {
    bucket: Bucket,
    candidacy: Candidacy,
    /// Age limit of the bucket's entries.
    ttl: Duration,
    standing: watch::Sender<Standing>,
    counts: Arc<Counts>,
}

/// What happened so far, for metrics (`choria_election_campaigns`, `choria_election_interval_seconds`).
#[derive(Debug, Default)]
pub struct Counts {
    candidate: AtomicU64,
    leader: AtomicU64,
    interval_ms: AtomicU64,
    campaigned: watch::Sender<u64>,
}

/// An election cannot be taken part in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ElectionError {
    /// The bucket is not there or not to be reached.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The election's name cannot be a key.
    #[error("{0:?} cannot name an election: 1 to 128 letters, digits and -/_=. without a dot at either end")]
    Name(String),
    /// The candidate's name cannot be stored.
    #[error("{0:?} cannot name a candidate: 1 to 1024 bytes without control characters")]
    Candidate(String),
    /// Entries expire too fast.
    #[error("bucket TTL should be 1 second or more: bucket {bucket} keeps entries for {ttl:?}")]
    ShortTtl {
        /// The bucket.
        bucket: String,
        /// Its age limit; zero is none at all.
        ttl: Duration,
    },
    /// Entries of a leader that died would stay too long.
    #[error("bucket TTL should be less than or equal to 1 hour: bucket {bucket} keeps entries for {ttl:?}")]
    LongTtl {
        /// The bucket.
        bucket: String,
        /// Its age limit; zero is for ever.
        ttl: Duration,
    },
}

impl Candidacy {
    /// Stands for `election` in the usual bucket, at the pace of the bucket's age limit, with the usual splay of up to 5 s.
    #[must_use]
    pub fn new(election: impl Into<String>, candidate: impl Into<String>) -> Self {
        Self {
            election: election.into(),
            candidate: candidate.into(),
            bucket: BUCKET.to_owned(),
            api_prefix: None,
            pace: Pace::Ttl,
            splay: Duration::from_secs(5),
        }
    }
}

impl Counts {
    /// Campaigns made while a candidate, the winning ones included.
    #[must_use]
    pub fn as_candidate(&self) -> u64 {
        self.candidate.load(Ordering::Relaxed)
    }

    /// Renewals made while holding the key.
    #[must_use]
    pub fn as_leader(&self) -> u64 {
        self.leader.load(Ordering::Relaxed)
    }

    /// The wait that the last campaign was followed by.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.load(Ordering::Relaxed))
    }

    /// Tells of each campaign as it is made: the number of all so far.
    #[must_use]
    pub fn campaigns(&self) -> watch::Receiver<u64> {
        self.campaigned.subscribe()
    }
}

impl Election {
    /// Looks at the bucket and makes ready; nothing is written yet.
    ///
    /// # Errors
    /// [`ElectionError`]: the bucket is missing, unreachable or has an age limit outside 1 s to 1 h, or a name is no good.
    pub async fn open(connection: &Connection, candidacy: Candidacy) -> Result<Self, ElectionError> {
        if !bucket::is_key(&candidacy.election) {
            return Err(ElectionError::Name(candidacy.election));
        }
        let name = &candidacy.candidate;
        if name.is_empty() || name.len() > MOST_VALUE || name.chars().any(char::is_control) {
            return Err(ElectionError::Candidate(candidacy.candidate));
        }
        let bucket = Bucket::new(connection, &candidacy.bucket, candidacy.api_prefix.as_deref())?;
        let ttl = bucket.info().await?.max_age;
        let name = || candidacy.bucket.clone();
        if ttl > LONGEST_TTL || ttl.is_zero() {
            return Err(ElectionError::LongTtl { bucket: name(), ttl });
        }
        if ttl < SHORTEST_TTL {
            return Err(ElectionError::ShortTtl { bucket: name(), ttl });
        }
        Ok(Self { bucket, candidacy, ttl, standing: watch::Sender::new(Standing::Candidate), counts: Arc::default() })
    }

    /// How this candidate stands, as it changes. Closed when [`run`](Self::run) is over.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Campaigns and renews until `stop`, then stands down and gives the key up, so that another candidate need not wait for
    /// it to expire. Failures of the network are no end: they make a leader a candidate.
    pub async fn run(self, stop: CancellationToken) {
        let mut campaign = Campaign::new(self.candidacy.pace, self.ttl);
        let splay = self.candidacy.splay.mul_f64(rand::random());
        if stop.run_until_cancelled(sleep(splay)).await.is_some() {
            // Dropping a campaign half-way is safe: at worst the key is held until it expires.
            stop.run_until_cancelled(self.stand(&mut campaign)).await;
        }
        self.show(Standing::Candidate);
        self.give_up(&campaign).await;
    }

    async fn stand(&self, campaign: &mut Campaign) {
        loop {
            let started = Instant::now();
            let outcome = self.play(campaign, started.into_std()).await;
            let settled = campaign.after(&outcome, started.into_std());
            if settled == Standing::Leader && *self.standing.borrow() == Standing::Candidate {
                // The former leader learns at its next renewal at the latest and needs a moment to stand down.
                sleep(SETTLE).await;
            }
            self.show(settled);
            let wait = campaign.wait(rand::random());
            self.counts.interval_ms.store(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            self.counts.campaigned.send_modify(|count| *count += 1);
            sleep(wait).await;
        }
    }

    /// One campaign or renewal; `Ok` carries the revision written.
    async fn play(&self, campaign: &Campaign, now: std::time::Instant) -> Result<u64, WriteError> {
        let (election, candidate) = (&self.candidacy.election, self.candidacy.candidate.as_bytes());
        let limit = campaign.limit(now);
        let next = campaign.next();
        let counter = if matches!(next, Move::Renew(_)) { &self.counts.leader } else { &self.counts.candidate };
        counter.fetch_add(1, Ordering::Relaxed);
        let written = match next {
            Move::Renew(revision) => self.bucket.update(election, candidate, revision, limit).await,
            Move::Reclaim(revision) => match self.bucket.update(election, candidate, revision, limit).await {
                Err(WriteError::Held) => self.bucket.create(election, candidate, limit).await,
                other => other,
            },
            Move::Create => self.bucket.create(election, candidate, limit).await,
        };
        if let Err(error) = &written {
            match next {
                Move::Renew(_) => tracing::warn!(election, "leadership of election {election} is lost: {error}"),
                _ => tracing::debug!(election, "campaign for election {election} was not won: {error}"),
            }
        }
        written
    }

    fn show(&self, standing: Standing) {
        let changed = self.standing.send_if_modified(|shown| std::mem::replace(shown, standing) != standing);
        if changed {
            let election = &self.candidacy.election;
            tracing::info!(election, "{} in election {election}", standing.as_str());
        }
    }

    /// Safe because the broker deletes only the revision that this candidate wrote last; when another holds the key by now,
    /// nothing happens. Candidates that may not read the key wait for its end all the same.
    async fn give_up(&self, campaign: &Campaign) {
        let Some(revision) = campaign.held() else { return };
        let election = &self.candidacy.election;
        match timeout(GIVING_UP, self.bucket.delete(election, Some(revision), GIVING_UP)).await {
            Ok(Ok(())) => tracing::info!(election, "gave up the leadership of election {election}"),
            Ok(Err(error)) => tracing::debug!(election, "the key of election {election} is left to expire: {error}"),
            Err(_elapsed) => tracing::debug!(election, "the key of election {election} is left to expire"),
        }
    }
}

/// What the bucket accepts as a value (spec 08 §4).
const MOST_VALUE: usize = 1024;
const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// A process that ends waits for no more than this.
const GIVING_UP: Duration = Duration::from_secs(1);
