//! `io.choria.Submission`: who calls is asked of the kernel, what is allowed of the rules, and then it is stored.

use crate::accounts::Accounts;
use crate::committer::Committer;
use crate::counters::Counters;
use crate::shelf::Shelf;
use local::submission::{INTERFACE, Status, Submission, SubmitError};
use local::varlink::{About, Call, Failure, Interface, Peer, Turn};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use submission::{Account, Draft, MessageId, Settings, Summary};
use tokio::time::{Instant, timeout};

/// The service; settings can change while it runs.
#[derive(Debug)]
pub(crate) struct Service {
    live: Mutex<Live>,
    accounts: Accounts,
    committer: Committer,
    counters: Arc<Counters>,
    summary: tokio::sync::Mutex<Option<Counted>>,
    lines: Mutex<Lines>,
}

/// What a reload replaces.
#[derive(Clone, Debug)]
struct Live {
    settings: Arc<Settings>,
    shelf: Arc<Shelf>,
}

/// A summary, and until when it is good enough: counting a full spool takes time, and anybody may ask.
#[derive(Debug)]
struct Counted {
    summary: Summary,
    until: Instant,
}

/// Lines about refusals in this second.
#[derive(Debug)]
struct Lines {
    since: Instant,
    count: u64,
}

impl Service {
    pub(crate) fn new(settings: Settings, committer: Committer, counters: Arc<Counters>) -> Self {
        let shelf = Arc::new(Shelf::new(settings.spool.clone(), settings.limits));
        Self {
            live: Mutex::new(Live { settings: Arc::new(settings), shelf }),
            accounts: Accounts::new(),
            committer,
            counters,
            summary: tokio::sync::Mutex::new(None),
            lines: Mutex::new(Lines { since: Instant::now(), count: 0 }),
        }
    }

    /// Takes new settings over, for every call from now on.
    pub(crate) fn replace(&self, settings: Settings) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !live.shelf.is_for(&settings) {
            live.shelf = Arc::new(Shelf::new(settings.spool.clone(), settings.limits));
        }
        live.settings = Arc::new(settings);
        self.accounts.forget();
    }

    /// Opens the spool and tells what is wrong with it, for the log at the start; submissions try again.
    ///
    /// # Errors
    /// As a submission would be told now.
    pub(crate) async fn check(&self) -> Result<(), SubmitError> {
        let shelf = self.live().shelf;
        let opening = tokio::task::spawn_blocking(move || shelf.spool().map(drop));
        let hangs = |_| SubmitError::SpoolFailed(format!("the disk did not answer for {} s", LOOK.as_secs()));
        timeout(LOOK, opening)
            .await
            .map_err(hangs)?
            .map_err(|error| SubmitError::SpoolFailed(error.to_string()))?
            .map_err(SubmitError::from)
    }

    fn live(&self) -> Live {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn submit(&self, mut call: Call<'_>) -> Result<Value, Failure> {
        let parsed = call.parameters.parse::<Submission<'_>>().and_then(Submission::into_draft);
        let draft = parsed.inspect_err(|failure| {
            let name = if let Failure::Own(name, _) = failure { name } else { "InvalidParameter" };
            self.refused(call.peer, name, "", &format!("{failure:?}"));
        })?;
        let subject: String = draft.subject.chars().take(LONGEST_LOGGED).collect();
        match self.take(call.peer, &mut call.turn, draft).await {
            Ok((id, bytes)) => {
                tracing::info!(event = "accepted", uid = call.peer.uid, subject, id = %id, bytes, "a message is in the spool");
                Ok(json!({ "id": id }))
            }
            Err(error) => {
                let name = error.name().unwrap_or("SpoolFailed");
                self.refused(call.peer, name, &subject, &error.to_string());
                let limit = self.live().settings.limits.max_message_size;
                Err(match error {
                    SubmitError::TooLarge(reason) => Failure::Own(name, json!({ "reason": reason, "limit": limit })),
                    error => Failure::because(name, error),
                })
            }
        }
    }

    async fn take(&self, peer: Peer, turn: &mut Turn, draft: Draft) -> Result<(MessageId, usize), SubmitError> {
        let Live { settings, shelf } = self.live();
        let named = settings.rules.need_names() && !settings.rules.trust(peer.uid);
        let account = match named {
            true => self.accounts.of(peer).await,
            false => Arc::new(Account::nameless(peer.uid)),
        };
        let message = settings.accept(draft, &account.caller(), MessageId::generate(), SystemTime::now())?;
        let (id, bytes) = (message.id.clone(), message.payload.len());
        // In the order in which they came, each after the one before it is in the queue.
        turn.wait().await;
        let queued = self.committer.put(peer.uid, message, shelf).await?;
        turn.pass();
        queued.stored().await?;
        Ok((id, bytes))
    }

    async fn status(&self) -> Result<Value, Failure> {
        let Live { settings, shelf } = self.live();
        let mut counted = self.summary.lock().await;
        let summary = match &*counted {
            Some(counted) if Instant::now() < counted.until => counted.summary,
            _ => {
                let (began, shelf) = (Instant::now(), Arc::clone(&shelf));
                let summary = tokio::task::spawn_blocking(move || shelf.summary()).await;
                let failed = |reason: &dyn std::fmt::Display| Failure::because("SpoolFailed", reason);
                let summary = summary.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
                let took = began.elapsed();
                let good_for = if took < CHEAP { Duration::ZERO } else { took * STATUS_SHARE };
                *counted = Some(Counted { summary, until: Instant::now() + good_for });
                summary
            }
        };
        drop(counted);
        let status = Status::new(&settings, &settings.spool, &summary, self.counters.now());
        serde_json::to_value(status).map_err(|error| Failure::because("SpoolFailed", error))
    }

    /// Counts and logs a refusal. One user's nonsense must not fill the journal: of the lines of a second, a few are
    /// written, all are counted.
    fn refused(&self, peer: Peer, name: &str, subject: &str, reason: &str) {
        self.counters.refused(name);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.since.elapsed() >= Duration::from_secs(1) {
            let left_out = lines.count.saturating_sub(MOST_LINES);
            if left_out > 0 {
                tracing::info!(event = "refused_more", count = left_out, "{left_out} more submissions were refused");
            }
            *lines = Lines { since: Instant::now(), count: 0 };
        }
        lines.count += 1;
        if lines.count <= MOST_LINES {
            let reason: String = reason.chars().take(LONGEST_LOGGED).collect();
            if name == "SpoolFull" {
                tracing::warn!(
                    event = "spool_full",
                    uid = peer.uid,
                    subject,
                    error = name,
                    reason,
                    "a submission is refused: {reason}"
                );
                return;
            }
            tracing::info!(
                event = "refused",
                uid = peer.uid,
                subject,
                error = name,
                "a submission is refused: {reason}"
            );
        }
    }
}

impl local::varlink::Service for Service {
    fn about(&self) -> About {
        About {
            vendor: "Choria",
            product: "Choria Submission",
            version: env!("CARGO_PKG_VERSION"),
            url: "https://choria.io",
        }
    }

    fn interface(&self) -> Interface {
        INTERFACE
    }

    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        match call.method {
            "Submit" => self.submit(call).await,
            "Status" => self.status().await,
            _ => Err(call.unknown(&INTERFACE)),
        }
    }
}

/// Counts of the spool are told again for this many times what counting took: a twentieth of one processor at most.
const STATUS_SHARE: u32 = 20;
/// Counting that takes less is done each time it is asked for.
const CHEAP: Duration = Duration::from_millis(20);

/// How long the start waits for the spool: a disk that hangs is told to each caller, not to the service manager.
const LOOK: Duration = Duration::from_secs(10);

/// Lines about refusals in a second.
const MOST_LINES: u64 = 20;

/// Characters of a caller's text in the log.
const LONGEST_LOGGED: usize = 256;
