//! What a connection and the client library's callbacks know together: who is being tried, what went wrong, counters.

use crate::address::ServerAddress;
use crate::backoff::TWENTY_SECONDS;
use crate::connection::State;
use crate::counters::{Count, Counters};
use crate::failure::{Failure, Told};
use crate::login::{Login, LoginError, UserPassword};
use crate::observer::{FailedAttempt, Observer};
use async_nats::{Auth, AuthError, ClientError, Event, ServerError};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// One per connection; the callbacks write, [`Connection`](crate::Connection) reads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    login: Login,
    user: Option<UserPassword>,
    observer: Option<Observer>,
    pub(crate) counters: Arc<Counters>,
    /// In the order in which the client library tries them; servers it learns of later come behind.
    servers: Vec<ServerAddress>,
    /// Number of the current attempt since the last connection, from 1.
    attempt: AtomicUsize,
    /// When that attempt begins, in milliseconds since `created`.
    attempt_begins: AtomicU64,
    created: Instant,
    established: AtomicBool,
    pub(crate) state: watch::Sender<State>,
    /// The last thing that the broker said the login may not do, in its words.
    pub(crate) denied: watch::Sender<Option<String>>,
    /// Successful logins, the first included.
    logins: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Bytes published since the connection was lost, bounded by [`RECONNECT_BUFFER`].
    pub(crate) waiting_bytes: AtomicUsize,
    last_login_error: Mutex<Option<LoginError>>,
    last_failure: Mutex<Option<Failure>>,
    told: Mutex<Told>,
    /// Held while a burst of messages is handed over, so that the next begins behind it.
    pub(crate) burst: tokio::sync::Mutex<()>,
}

/// Bytes that may wait for the connection to return; thousands of nodes must not return with megabytes each.
pub(crate) const RECONNECT_BUFFER: usize = 10 * 1024;

/// A closed connection that is still trying to return cannot be told to stop; it sleeps until the process ends.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Shared {
    pub(crate) fn new(
        name: String,
        login: Login,
        user: Option<UserPassword>,
        observer: Option<Observer>,
        counters: Arc<Counters>,
        servers: Vec<ServerAddress>,
    ) -> Self {
        Self {
            name,
            login,
            user,
            observer,
            counters,
            servers,
            attempt: AtomicUsize::new(0),
            attempt_begins: AtomicU64::new(0),
            created: Instant::now(),
            established: AtomicBool::new(false),
            state: watch::Sender::new(State::Connecting),
            denied: watch::Sender::new(None),
            logins: AtomicU64::new(0),
            slow_consumers: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            waiting_bytes: AtomicUsize::new(0),
            last_login_error: Mutex::new(None),
            last_failure: Mutex::new(None),
            told: Mutex::default(),
            burst: tokio::sync::Mutex::default(),
        }
    }

    /// The server of the current attempt or connection; `None` when the cluster told of it and its address is not ours.
    pub(crate) fn current_server(&self) -> Option<&ServerAddress> {
        let known = self.servers.len();
        let position = self.attempt.load(Ordering::Relaxed).checked_sub(1)?;
        if position < known { self.servers.get(position) } else { None }
    }

    /// The server of attempt `attempt`, counted over and over through the list.
    pub(crate) fn server_of(&self, attempt: usize) -> Option<&ServerAddress> {
        let position = attempt.checked_sub(1)?.checked_rem(self.servers.len())?;
        self.servers.get(position)
    }

    /// From here on a lost connection returns by itself.
    pub(crate) fn establish(&self) {
        self.established.store(true, Ordering::Relaxed);
        self.enter_connected(State::Connecting);
    }

    /// How often the connection came back.
    pub(crate) fn reconnects(&self) -> u64 {
        self.logins.load(Ordering::Relaxed).saturating_sub(1)
    }

    /// How long the current attempt to return has been going on, without the pause before it.
    pub(crate) fn attempt_age(&self) -> Option<Duration> {
        if *self.state.borrow() != State::Reconnecting {
            return None;
        }
        let begins = Duration::from_millis(self.attempt_begins.load(Ordering::Relaxed));
        Some(self.created.elapsed().saturating_sub(begins))
    }

    pub(crate) fn last_failure(&self) -> Option<Failure> {
        lock(&self.last_failure).clone()
    }

    /// How an error of the first attempts reads.
    pub(crate) fn failure_of(&self, error: &async_nats::ConnectError) -> Failure {
        let failure = Failure::of(error, lock(&self.last_login_error).as_ref());
        *lock(&self.last_failure) = Some(failure.clone());
        failure
    }

    /// Called by the client library before every attempt, the first included; the answer is how long it waits.
    pub(crate) fn before_attempt(&self, attempt: usize) -> Duration {
        self.attempt.store(attempt, Ordering::Relaxed);
        if *self.state.borrow() == State::Closed {
            return FOREVER;
        }
        if !self.established.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let delay = reconnect_delay(attempt, self.servers.len(), rand::random());
        let begins = u64::try_from((self.created.elapsed() + delay).as_millis()).unwrap_or(u64::MAX);
        self.attempt_begins.fetch_max(begins, Ordering::Relaxed);
        let server = self.server_of(attempt).map(ToString::to_string).unwrap_or_default();
        tracing::info!(connection = %self.name, %server, attempt, "reconnecting in {:.1} s", delay.as_secs_f64());
        delay
    }

    /// Called by the client library with the nonce of the broker it just reached.
    pub(crate) fn authenticate(&self, nonce: &[u8], now: SystemTime) -> Result<Auth, AuthError> {
        match self.login.answer(nonce, now) {
            Ok(mut auth) => {
                if let Some(user) = &self.user {
                    auth.username = Some(user.user.clone());
                    auth.password = Some(user.password.clone());
                }
                Ok(auth)
            }
            Err(error) => {
                let text = error.to_string();
                *lock(&self.last_login_error) = Some(error);
                Err(AuthError::new(text))
            }
        }
    }

    /// Called by the client library with everything that happens after the first attempt.
    pub(crate) fn on_event(&self, event: &Event) {
        match event {
            Event::Connected => self.on_connected(),
            Event::Disconnected => self.on_disconnected(),
            Event::LameDuckMode => {
                tracing::info!(connection = %self.name, "the broker is shutting down and will close this connection; moving on when it does");
            }
            Event::Draining => tracing::debug!(connection = %self.name, "closing: handing over what has arrived"),
            Event::Closed => {
                self.counters.add(Count::Closed);
                self.state.send_replace(State::Closed);
            }
            Event::SlowConsumer(id) => self.on_dropped_message(*id),
            Event::ServerError(error) => self.on_server_error(error),
            Event::ClientError(error) => self.on_failed_return(error),
        }
    }

    fn on_connected(&self) {
        if *self.state.borrow() == State::Closed {
            // An abandoned attempt came through after all; the client library finds nobody left and closes it.
            tracing::debug!(connection = %self.name, "an abandoned attempt to return was answered");
            return;
        }
        *lock(&self.last_login_error) = None;
        *lock(&self.told) = Told::default();
        self.waiting_bytes.store(0, Ordering::Relaxed);
        if self.logins.fetch_add(1, Ordering::Relaxed) > 0 {
            let server = self.current_server().map(ToString::to_string).unwrap_or_default();
            self.counters.add(Count::Reconnection);
            tracing::warn!(connection = %self.name, %server, "reconnected to the broker");
        }
        self.enter_connected(State::Reconnecting);
    }

    /// Connected now, if it was `from` before: a closed connection stays closed, and an event that comes late changes
    /// nothing.
    fn enter_connected(&self, from: State) {
        self.state.send_if_modified(|state| {
            let entered = *state == from;
            if entered {
                *state = State::Connected;
            }
            entered
        });
    }

    fn on_disconnected(&self) {
        // What is remembered is the last attempt of an earlier loss, unless the first attempt has begun already.
        let now = u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.attempt_begins.fetch_max(now, Ordering::Relaxed);
        if self.established.load(Ordering::Relaxed) {
            self.counters.add(Count::Closed);
        }
        let server = self.current_server().map(ToString::to_string).unwrap_or_default();
        if self.established.load(Ordering::Relaxed) {
            tracing::warn!(connection = %self.name, %server, "the connection to the broker is lost");
        }
        self.state.send_if_modified(|state| {
            let lost = *state != State::Closed;
            if lost {
                *state = State::Reconnecting;
            }
            lost
        });
    }

    /// The first drop of a burst is worth a line, the rest is in the counter.
    fn on_dropped_message(&self, subscription: u64) {
        self.counters.add(Count::Dropped);
        let count = self.slow_consumers.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(connection = %self.name, subscription, dropped = count, "a message was dropped: it arrives faster than it is handled");
        }
    }

    fn on_server_error(&self, error: &ServerError) {
        self.counters.add(Count::Error);
        self.errors.fetch_add(1, Ordering::Relaxed);
        let text = error.to_string();
        let text = text.trim_start_matches("nats: ");
        if *error == ServerError::AuthorizationViolation {
            *lock(&self.last_failure) = Some(Failure::Unauthorized);
        }
        tracing::error!(connection = %self.name, "the broker reports: {text}");
        if text.to_ascii_lowercase().starts_with("permissions violation") {
            self.denied.send_replace(Some(text.to_owned()));
        }
    }

    fn on_failed_return(&self, error: &ClientError) {
        self.counters.add(Count::Error);
        self.errors.fetch_add(1, Ordering::Relaxed);
        let failure = match error {
            ClientError::Other(text) => Failure::of_kind_text(text, lock(&self.last_login_error).as_ref()),
            ClientError::MaxReconnects => Failure::Other(error.to_string()),
        };
        let attempts = self.attempt.load(Ordering::Relaxed);
        let server = self.server_of(attempts);
        if self.established.load(Ordering::Relaxed) {
            let shown = server.map(ToString::to_string).unwrap_or_default();
            if lock(&self.told).is_news(&failure, Instant::now()) {
                tracing::warn!(
                    event = "broker_unreachable",
                    connection = %self.name,
                    server = %shown,
                    attempts,
                    reason = %failure,
                    "could not reconnect: {failure}"
                );
            } else {
                tracing::debug!(connection = %self.name, server = %shown, "could not reconnect: {failure}");
            }
        }
        if let (Some(observer), Some(server)) = (&self.observer, server) {
            observer.failed(&FailedAttempt { server, failure: &failure, attempts, next: None });
        }
        *lock(&self.last_failure) = Some(failure);
    }
}

/// The wait before attempt `attempt` (from 1) to return to one of `servers` servers: none while the list has not been
/// tried through once more, then the twenty second table (spec 02 §14).
fn reconnect_delay(attempt: usize, servers: usize, chance: f64) -> Duration {
    let servers = servers.max(1);
    if attempt % servers == 0 { TWENTY_SECONDS.delay(attempt / servers, chance) } else { Duration::ZERO }
}

/// These locks guard single assignments, so what a panicking holder left behind is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_tried_through_before_a_pause() {
        let rows: &[(usize, usize, u64)] = &[
            // attempt, servers, milliseconds at chance 0.5
            (1, 1, 750),
            (2, 1, 1000),
            (43, 1, 20000),
            (99, 1, 20000),
            (1, 3, 0),
            (2, 3, 0),
            (3, 3, 750),
            (4, 3, 0),
            (6, 3, 1000),
            (1, 0, 750),
        ];
        for (attempt, servers, milliseconds) in rows {
            let got = reconnect_delay(*attempt, *servers, 0.5);
            assert_eq!(got, Duration::from_millis(*milliseconds), "attempt {attempt} of {servers} servers");
        }
    }
}
