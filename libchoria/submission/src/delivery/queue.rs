//! The loop of one queue: read what comes first, send it, settle it.

use super::counts::Count;
use super::run::{Pace, Plan, plan, split};
use super::signing::{Signing, SigningError};
use super::{Fault, Shared};
use crate::message::Message;
use crate::schedule::{Outcome, Settle, Why, after};
use crate::spool::{Entry, EntryName, Spool, SpoolError};
use crate::wire::{Signed, encode, subject};
use crate::words::Priority;
use bytes::Bytes;
use network::{NotStored, Outbox, Outgoing, State, Stored, SubscribeError};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// One queue over one connection.
#[derive(Debug)]
pub(super) struct Queue<'a> {
    shared: &'a Shared<'a>,
    priority: Priority,
    arrivals: &'a Notify,
    /// The beginning of the queue, in order.
    entries: Vec<Entry>,
    /// Whether more follows them.
    more: bool,
    /// How far behind them messages were looked for that are not held up.
    ahead: Option<EntryName>,
    pace: Pace,
    /// Delivered messages that are being removed while the next are sent.
    removing: Option<JoinHandle<Removed>>,
    outbox: Option<Outbox>,
    /// What was complained of last; forgotten with the next success.
    trouble: Option<String>,
}

/// Messages that were to be removed, with what came of it for each.
type Removed = (Vec<Result<(), SpoolError>>, Vec<Entry>);

/// What the loop does next.
#[derive(Debug)]
enum Next {
    /// Goes on.
    Again,
    /// Waits so long, or until something comes in.
    Wait(Duration),
    /// Waits until something comes in.
    Idle,
    /// Waits whatever comes in.
    Pause(Duration),
}

/// For an acknowledgement of one message (spec 04 §5.3), and for each more of a burst.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_EACH: Duration = Duration::from_millis(20);
/// After the spool failed.
const SPOOL_PAUSE: Duration = Duration::from_secs(5);
/// After the broker did not allow it: the permission may come with another token or configuration.
const DENIED_PAUSE: Duration = Duration::from_secs(60);
/// Until files that are being written are looked at again.
const UNSETTLED: Duration = Duration::from_secs(2);

impl<'a> Queue<'a> {
    pub(super) fn new(shared: &'a Shared<'a>, priority: Priority, arrivals: &'a Notify) -> Self {
        Self {
            shared,
            priority,
            arrivals,
            entries: Vec::new(),
            more: false,
            ahead: None,
            pace: Pace::CAREFUL,
            removing: None,
            outbox: None,
            trouble: None,
        }
    }

    /// Until it is told to stop.
    pub(super) async fn run(mut self) {
        self.serve().await;
        if let Err(fault) = self.removed().await {
            tracing::warn!("delivered messages are sent again after the next start: {fault}");
        }
    }

    async fn serve(&mut self) {
        let (stop, mut state) = (self.shared.stop, self.shared.connection.changes());
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                _connected = state.wait_for(|state| *state == State::Connected) => {}
            }
            let next = match self.turn().await {
                Ok(next) => next,
                Err(fault) => {
                    self.complain(&format!("the spool fails, so nothing is delivered: {fault}"));
                    Next::Pause(SPOOL_PAUSE)
                }
            };
            match next {
                Next::Again => {}
                Next::Idle => tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.arrivals.notified() => self.refresh(),
                },
                Next::Wait(time) => tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.arrivals.notified() => self.refresh(),
                    () = tokio::time::sleep(time) => {}
                },
                Next::Pause(time) => tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(time) => {}
                    _lost = state.wait_for(|state| *state != State::Connected) => {}
                },
            }
        }
    }

    /// Something came in: the queue is read anew, unless what is known is only its beginning, as what is new stands
    /// behind it.
    fn refresh(&mut self) {
        if !self.more {
            self.entries.clear();
        }
    }

    /// One step.
    async fn turn(&mut self) -> Result<Next, Fault> {
        if self.entries.is_empty() {
            // What is delivered must not be found again.
            self.removed().await?;
            let priority = self.priority;
            let window = self.spool(move |spool| spool.entries(priority)).await??;
            self.shared.counts.add(Count::SetAside, window.set_aside);
            (self.entries, self.more, self.ahead) = (window.entries, window.more, None);
            if self.entries.is_empty() {
                return Ok(match (window.more, window.unsettled) {
                    (true, _) => Next::Again,
                    (false, 1..) => Next::Wait(UNSETTLED),
                    (false, 0) => Next::Idle,
                });
            }
        }
        let now = SystemTime::now();
        let longest = self.outbox().await?.longest_burst();
        let Plan { drops, run, wait } = plan(&self.entries, now, self.pace, longest);
        if !drops.is_empty() {
            let places: Vec<usize> = drops.iter().map(|(place, _)| *place).collect();
            let (entries, rest) = split(std::mem::take(&mut self.entries), &places);
            self.entries = rest;
            let reasons = drops.into_iter().map(|(_, why)| why);
            self.drop_all(entries.into_iter().zip(reasons).collect()).await?;
            return Ok(Next::Again);
        }
        let Some(first) = run.first() else {
            let Some(wait) = wait else {
                // Nothing is left of what was read; there may be more.
                self.entries.clear();
                return Ok(if self.more { Next::Again } else { Next::Idle });
            };
            if self.look_ahead().await? {
                return Ok(Next::Again);
            }
            // Of a long queue the end is looked at with each try of its first message, and not for each that comes in.
            self.more = self.ahead.is_some();
            return Ok(if self.more { Next::Pause(wait) } else { Next::Wait(wait) });
        };
        let reliable = self.entries[*first].message.reliable;
        let (run, rest) = split(std::mem::take(&mut self.entries), &run);
        self.entries = rest;
        if reliable { self.store(run).await } else { self.publish(run).await }
    }

    /// Sends reliable messages as one burst. Those that are not stored stay in the queue.
    async fn store(&mut self, run: Vec<Entry>) -> Result<Next, Fault> {
        let (run, outgoing) = self.sendable(run, true).await?;
        let length = run.len();
        if length == 0 {
            return Ok(Next::Again);
        }
        let patience = PATIENCE + PATIENCE_EACH * u32::try_from(length - 1).unwrap_or(u32::MAX);
        let answers = self.outbox().await?.store(outgoing, patience).await;
        let (mut done, mut back) = (Vec::new(), Vec::new());
        let mut failure = None;
        for (entry, answer) in run.into_iter().zip(answers) {
            match answer {
                Ok(Stored { duplicate, .. }) => {
                    self.shared.counts.add(if duplicate { Count::Duplicate } else { Count::Stored }, 1);
                    done.push(entry);
                }
                Err(NotStored::NotSent) => back.push(entry),
                // The first that failed is what failed; those behind it are tried again behind it.
                Err(why) if failure.is_none() => failure = Some((entry, why)),
                Err(_) => back.push(entry),
            }
        }
        self.put_back(back);
        let stored = done.len();
        self.removed().await?;
        let Some((entry, why)) = failure else {
            let spool = Arc::clone(&self.shared.spool);
            self.removing = Some(tokio::task::spawn_blocking(move || (spool.remove_many(&done), done)));
            if stored > 0 {
                self.pace = self.pace.faster(length);
                self.recovered();
            }
            return Ok(Next::Again);
        };
        self.remove(done).await?;
        self.pace = Pace::CAREFUL;
        self.failed(entry, &why).await
    }

    /// Publishes messages that nobody acknowledges.
    async fn publish(&mut self, run: Vec<Entry>) -> Result<Next, Fault> {
        let (run, outgoing) = self.sendable(run, false).await?;
        if run.is_empty() {
            return Ok(Next::Again);
        }
        let answers = self.outbox().await?.publish(outgoing, PATIENCE).await;
        let (mut done, mut next) = (Vec::new(), Next::Again);
        for (entry, answer) in run.into_iter().zip(answers) {
            match answer {
                Ok(()) => {
                    self.shared.counts.add(Count::Published, 1);
                    done.push(entry);
                }
                Err(why @ (NotStored::Denied(_) | NotStored::TooLarge { .. })) => {
                    next = self.failed(entry, &why).await?
                }
                // It waits for its turn, or for the connection.
                Err(_) => self.put_back(vec![entry]),
            }
        }
        if !done.is_empty() {
            self.recovered();
        }
        self.remove(done).await?;
        Ok(next)
    }

    /// What an attempt that failed means for the message.
    async fn failed(&mut self, entry: Entry, why: &NotStored) -> Result<Next, Fault> {
        match why {
            NotStored::TooLarge { .. } => {
                self.set_aside(entry, why.to_string()).await?;
                return Ok(Next::Again);
            }
            NotStored::Denied(_) => {
                self.shared.counts.add(Count::Denied, 1);
                let text = format!(
                    "{why}: the token of this server lacks the permission `submission` (choria jwt server --submission, or the provisioner's server claims); messages wait in the spool and are tried again each minute"
                );
                if self.is_news(&text) {
                    let (priority, subject) = (self.priority, &entry.message.subject);
                    tracing::error!(
                        event = "submission_denied",
                        %priority,
                        %subject,
                        reason = %why,
                        "submitted messages are held up: {text}"
                    );
                }
                self.put_back(vec![entry]);
                return Ok(Next::Pause(DENIED_PAUSE));
            }
            _ if !why.is_a_failed_try() => {
                self.put_back(vec![entry]);
                return Ok(Next::Again);
            }
            _ => {}
        }
        self.shared.counts.add(Count::FailedTry, 1);
        let Message { id, subject, tries, max_tries, .. } = &entry.message;
        let text = format!("{why}; those behind it wait");
        let try_number = tries + 1;
        if self.is_news(&text) {
            tracing::warn!(priority = %self.priority, %id, %subject, try_number, max_tries, "a message is not stored: {text}");
        } else {
            tracing::debug!(priority = %self.priority, %id, %subject, try_number, max_tries, "a message is not stored: {text}");
        }
        match after(&entry.message, Outcome::Failed, SystemTime::now(), rand::random()) {
            Settle::Retry(message) => {
                let mut entry = entry;
                entry.message = *message;
                self.put_back(vec![entry.clone()]);
                // The number of tries is of no use after a restart if it cannot be written; the message is still there.
                if let Err(error) = self.spool(move |spool| spool.rewrite(&entry)).await? {
                    tracing::warn!("the number of tries of a message cannot be written: {error}");
                }
            }
            Settle::Drop(why) => self.drop_all(vec![(entry, why)]).await?,
            Settle::Remove => self.remove(vec![entry]).await?,
        }
        Ok(Next::Again)
    }

    /// The messages of `run` as they are sent, as far as they go together: one that cannot be made is set aside when its
    /// turn comes, and with `rising` none is smaller than the one before it. The others stay in the queue.
    async fn sendable(&mut self, mut run: Vec<Entry>, rising: bool) -> Result<(Vec<Entry>, Vec<Outgoing>), Fault> {
        let signing = run.iter().any(|entry| entry.message.sign).then(|| self.shared.signing.read());
        let mut outgoing: Vec<Outgoing> = Vec::with_capacity(run.len());
        let (mut fault, mut room) = (None, 0);
        for entry in &run {
            match self.outgoing(&entry.message, signing.as_ref()) {
                Ok(message) => {
                    room += message.room();
                    let falls = rising && outgoing.last().is_some_and(|last| message.size() < last.size());
                    if falls || (room > Outbox::PIECE && !outgoing.is_empty()) {
                        break;
                    }
                    outgoing.push(message);
                }
                Err(why) => {
                    fault = Some(why);
                    break;
                }
            }
        }
        let mut left = run.split_off(outgoing.len());
        if let Some(why) = fault.filter(|_| run.is_empty()) {
            let entry = left.remove(0);
            self.set_aside(entry, why).await?;
        }
        self.put_back(left);
        Ok((run, outgoing))
    }

    fn outgoing(&self, message: &Message, signing: Option<&Result<Signing, SigningError>>) -> Result<Outgoing, String> {
        let signed = match signing.filter(|_| message.sign) {
            Some(Ok(signing)) => Some(Signed::new(message, &signing.seed, signing.token.as_deref())),
            Some(Err(error)) => return Err(error.to_string()),
            None => None,
        };
        let headers = encode(message, signed.as_ref());
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let payload = Bytes::copy_from_slice(&message.payload);
        Outgoing::new(subject(self.shared.collective, message), headers, payload).map_err(|error| error.to_string())
    }

    /// While the first reliable message waits, those behind what was read that are not held up; `false` when there are
    /// none.
    async fn look_ahead(&mut self) -> Result<bool, Fault> {
        while self.more {
            let after = self.ahead.clone().or_else(|| self.entries.last().map(|entry| entry.name.clone()));
            let priority = self.priority;
            let window = self.spool(move |spool| spool.entries_after(priority, after.as_ref())).await??;
            self.shared.counts.add(Count::SetAside, window.set_aside);
            self.more = window.more;
            self.ahead = window.entries.last().map(|entry| entry.name.clone()).or(self.ahead.take());
            let now = SystemTime::now();
            let free = |entry: &Entry| !entry.message.reliable || entry.message.is_expired(now);
            let free: Vec<Entry> = window.entries.into_iter().filter(free).collect();
            if !free.is_empty() {
                self.put_back(free);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Into the queue, at their places.
    fn put_back(&mut self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            self.entries.extend(entries);
            self.entries.sort_by(|one, other| one.name.cmp(&other.name));
        }
    }

    /// Waits until what was delivered is removed.
    async fn removed(&mut self) -> Result<(), Fault> {
        let Some(removing) = self.removing.take() else { return Ok(()) };
        let (answers, entries) = removing.await?;
        let failed = entries.into_iter().zip(answers).filter_map(|(entry, answer)| answer.is_err().then_some(entry));
        let failed: Vec<Entry> = failed.collect();
        if failed.is_empty() { Ok(()) } else { self.remove(failed).await }
    }

    /// Removes what was delivered. Until that is done nothing more of this queue is sent: what stays would be sent again
    /// with each reading.
    async fn remove(&mut self, entries: Vec<Entry>) -> Result<(), Fault> {
        let mut left = entries;
        while !left.is_empty() {
            let (answers, entries) = self.spool(move |spool| (spool.remove_many(&left), left)).await?;
            let failed = entries.into_iter().zip(answers).filter_map(|(entry, answer)| Some((entry, answer.err()?)));
            let (entries, errors): (Vec<Entry>, Vec<SpoolError>) = failed.unzip();
            left = entries;
            if let Some(error) = errors.first() {
                self.complain(&format!("{} delivered messages cannot be removed: {error}", left.len()));
                tokio::select! {
                    () = self.shared.stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(SPOOL_PAUSE) => {}
                }
            }
        }
        Ok(())
    }

    async fn drop_all(&mut self, drops: Vec<(Entry, Why)>) -> Result<(), Fault> {
        for (entry, why) in &drops {
            self.shared.counts.add(Count::from(*why), 1);
            let Message { id, subject, tries, .. } = &entry.message;
            let why = why.as_str();
            tracing::warn!(priority = %self.priority, %id, %subject, tries, why, "a message is dropped undelivered: {why}");
        }
        self.remove(drops.into_iter().map(|(entry, _)| entry).collect()).await
    }

    async fn set_aside(&mut self, entry: Entry, why: String) -> Result<(), Fault> {
        self.shared.counts.add(Count::SetAside, 1);
        Ok(self.spool(move |spool| spool.set_aside(&entry, &why)).await??)
    }

    /// Says what hinders delivery, once.
    fn complain(&mut self, text: &str) {
        if self.is_news(text) {
            tracing::error!(priority = %self.priority, "submitted messages are held up: {text}");
        }
    }

    fn is_news(&mut self, text: &str) -> bool {
        let news = self.trouble.as_deref() != Some(text);
        if news {
            self.trouble = Some(text.to_owned());
        }
        news
    }

    fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(priority = %self.priority, "submitted messages are delivered again");
        }
    }

    async fn outbox(&mut self) -> Result<&mut Outbox, Fault> {
        if self.outbox.is_none() {
            self.outbox = Some(Outbox::open(self.shared.connection).await?);
        }
        self.outbox.as_mut().ok_or(Fault::Connection(SubscribeError::Closed))
    }

    /// A call of the spool, on a thread that may wait for the disk.
    async fn spool<T: Send + 'static>(&self, call: impl FnOnce(&Spool) -> T + Send + 'static) -> Result<T, Fault> {
        let spool = Arc::clone(&self.shared.spool);
        Ok(tokio::task::spawn_blocking(move || call(&spool)).await?)
    }
}
