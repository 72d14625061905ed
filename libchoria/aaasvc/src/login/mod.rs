//! Logging in (spec 07 §4): a name, a password and a public key become a client token.
//!
//! | module | holds |
//! |---|---|
//! | `request` | [`LoginRequest`], and what can be judged without knowing anybody |
//! | `limits` | how many failures are borne, pure |
//! | `replay` | logins that were answered already, pure |
//! | `users`, `passwords` | the users in force; comparing a password at the same cost for everybody |
//! | `okta` | people of an Okta organization |
//! | `issue` | the token |
//!
//! Passwords are compared on threads of their own, of which there are as many as processors; 256 logins wait for one, at
//! most ten seconds, and more are refused. Memory that holds a password is wiped.

mod issue;
mod limits;
mod okta;
mod passwords;
mod replay;
mod request;
mod users;

pub(crate) use issue::check as check_issuing;
pub(crate) use request::LoginRequest;

use crate::metrics::Metrics;
use crate::settings::{self, Issuing, People};
use issue::{IssueFailure, Person};
use limits::{Limited, Limiter};
use passwords::Passwords;
use replay::Replays;
use request::{Proven, Unproven};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use users::UserList;

/// Logs people in.
#[derive(Debug)]
pub(crate) struct Login {
    issuing: Issuing,
    people: Directory,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
}

/// What outlives a reload: who failed, what was answered, who waits.
#[derive(Debug)]
pub(crate) struct Memory {
    limiter: Mutex<Limiter>,
    replays: Mutex<Replays>,
    passwords: Passwords,
    places: Semaphore,
    waiting: AtomicUsize,
}

/// Where people are known.
#[derive(Debug)]
enum Directory {
    List(Arc<UserList>),
    Okta(okta::Organization),
}

/// A login that is refused. The person gets [`Refusal::text`] alone; the log gets the whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Unproven(#[from] Unproven),
    #[error("this login was answered before: somebody repeats it")]
    Replayed,
    #[error("too many logins in one minute to remember them all")]
    TooMany,
    #[error("{0}")]
    Limited(#[from] Limited),
    #[error("{0} logins wait for a processor already, or this one waited too long")]
    Busy(usize),
    #[error("the users cannot be read: {0}")]
    Users(String),
    #[error("there is no such user")]
    Unknown,
    #[error("the password is wrong")]
    Password,
    #[error("Okta refuses: {0}")]
    Okta(okta::OktaError),
    #[error("{0}")]
    Issue(#[from] IssueFailure),
    #[error("the work ended by a fault: {0}")]
    Fault(String),
}

impl Refusal {
    /// What the person is told (spec 07 §4.2).
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Self::Issue(failure) => failure.text(),
            _ => "Login failed",
        }
    }

    /// The reason in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Unproven(_) => "request",
            Self::Replayed => "replay",
            Self::Limited(_) => "limit",
            Self::TooMany | Self::Busy(_) => "busy",
            Self::Unknown | Self::Password => "password",
            Self::Users(_) => "users",
            Self::Okta(okta::OktaError::Refused(_)) => "password",
            Self::Okta(_) => "okta",
            Self::Issue(_) | Self::Fault(_) => "issue",
        }
    }
}

impl Memory {
    /// Remembers nothing yet.
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            limiter: Mutex::new(Limiter::new()),
            replays: Mutex::new(Replays::default()),
            passwords: Passwords::default(),
            places: Semaphore::new(processors),
            waiting: AtomicUsize::new(0),
        }
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replays(&self) -> MutexGuard<'_, Replays> {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passwords that were compared so far.
    pub(crate) fn comparisons(&self) -> u64 {
        self.passwords.comparisons()
    }
}

impl Login {
    /// Logins as `settings` say, with the `memory` of those before.
    ///
    /// # Errors
    /// The authorities of Okta's certificate cannot be used.
    pub(crate) fn new(
        settings: &settings::Login,
        memory: Arc<Memory>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, settings::Problem> {
        memory.limiter().set(settings.limits);
        let people = match &settings.people {
            People::List { users, file } => Directory::List(Arc::new(UserList::new(users.clone(), file.clone()))),
            People::Okta(okta) => Directory::Okta(okta::Organization::new(okta)?),
        };
        Ok(Self { issuing: settings.issuing.clone(), people, memory, metrics })
    }

    /// The name in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self.people {
            Directory::List(_) => "userlist",
            Directory::Okta(_) => "okta",
        }
    }

    /// The token for `request`, which came from `address`; or the text for who asked. Both are counted and logged.
    pub(crate) async fn answer(&self, request: LoginRequest, address: IpAddr) -> Result<String, &'static str> {
        let began = Instant::now();
        let name = request.username.clone();
        let result = self.attempt(request, address, SystemTime::now()).await;
        self.metrics.login(self.kind(), began.elapsed(), result.as_ref().err().map(Refusal::label));
        let user = shown(&name);
        match result {
            Ok(token) => {
                tracing::info!(event = "login", user, %address, "{user:?} logged in from {address}");
                Ok(token)
            }
            Err(refusal) => {
                let reason = refusal.label();
                if matches!(refusal, Refusal::Limited(_)) {
                    tracing::warn!(
                        event = "login_locked_out",
                        user,
                        %address,
                        reason,
                        "login of {user:?} from {address} is refused: {refusal}"
                    );
                    return Err(refusal.text());
                }
                tracing::warn!(
                    event = "login_refused",
                    user,
                    %address,
                    reason,
                    "login of {user:?} from {address} is refused: {refusal}"
                );
                Err(refusal.text())
            }
        }
    }

    async fn attempt(&self, request: LoginRequest, address: IpAddr, now: SystemTime) -> Result<String, Refusal> {
        let proven = request.check(now)?;
        if self.memory.replays().contains(&proven, now) {
            return Err(Refusal::Replayed);
        }
        self.memory.limiter().check(&request.username, address, Instant::now())?;
        let name = request.username.clone();
        let proof = proven.clone();
        let result = match &self.people {
            Directory::List(list) => self.compare(Arc::clone(list), request, proven).await,
            Directory::Okta(organization) => self.ask(organization, request, proven).await,
        };
        match &result {
            Err(Refusal::Unknown | Refusal::Password | Refusal::Okta(okta::OktaError::Refused(_))) => {
                self.memory.limiter().failed(&name, address, Instant::now());
            }
            Ok(_) => {
                // Two of the same at once may both have come this far; one of them is told.
                self.memory.replays().insert(&proof, now).map_err(|full| match full {
                    replay::Full::Known => Refusal::Replayed,
                    replay::Full::Room => Refusal::TooMany,
                })?;
                self.memory.limiter().succeeded(&name, address, Instant::now());
            }
            Err(_) => {}
        }
        result
    }

    /// Compares the password and makes the token, on a thread that may be busy for long.
    async fn compare(&self, list: Arc<UserList>, request: LoginRequest, proven: Proven) -> Result<String, Refusal> {
        let _place = self.place().await?;
        let (memory, issuing) = (Arc::clone(&self.memory), self.issuing.clone());
        let work = move || {
            let users = list.current().map_err(Refusal::Users)?;
            let user = memory.passwords.compare(&users, &request.username, &request.password)?;
            let person = Person::of_user(user)?;
            Ok(issue::token(&person, &proven.key, &issuing, SystemTime::now())?)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|fault| Err(Refusal::Fault(fault.to_string())))
    }

    async fn ask(
        &self,
        organization: &okta::Organization,
        request: LoginRequest,
        proven: Proven,
    ) -> Result<String, Refusal> {
        let _place = self.place().await?;
        let person = organization.person(&request.username, &request.password).await.map_err(Refusal::Okta)?;
        let issuing = self.issuing.clone();
        let work = move || Ok(issue::token(&person, &proven.key, &issuing, SystemTime::now())?);
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|fault| Err(Refusal::Fault(fault.to_string())))
    }

    /// A processor's worth of work, after a bounded wait.
    async fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.memory.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.memory.waiting);
        if before >= MOST_WAITING {
            return Err(Refusal::Busy(before));
        }
        match tokio::time::timeout(LONGEST_WAIT, self.memory.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Refusal::Busy(before)),
        }
    }

    /// Reads the users anew at the next login, whatever the file's times say.
    pub(crate) fn forget_users(&self) {
        if let Directory::List(list) = &self.people {
            list.forget();
        }
    }
}

/// A name as somebody gave it, fit for a log: bounded, and without control characters.
fn shown(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Logins that wait for a processor.
const MOST_WAITING: usize = 256;

/// A person has given up after this.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
