//! Handing in by whichever way there is: the socket, or the spool for those who may write it.
//!
//! | socket | what happens |
//! |---|---|
//! | a service listens | it is asked, and what it says counts: a refusal never leads to the spool |
//! | there is none, or nobody listens | the spool is written, if this user may; else [`SubmitError::NoSocket`] |
//! | it cannot be connected to for another reason | [`SubmitError::Io`] |

use super::client::{Client, SubmitError, surely_not_taken};
use super::status::{Counters, Status};
use crate::varlink::ConnectError;
use std::path::Path;
use std::time::{Duration, SystemTime};
use submission::{Account, DEFAULT_SPOOL, Draft, Message, MessageId, Settings, Spool, SpoolError};

/// Hands in one message. It is on the disk when this returns its id.
///
/// # Errors
/// [`SubmitError`].
pub fn submit(settings: &Settings, draft: &Draft) -> Result<MessageId, SubmitError> {
    let mut tries = 0;
    loop {
        let mut client = match connect(&settings.socket)? {
            Ok(client) => client,
            Err(absent) => return Direct::open(settings, &absent)?.submit(draft),
        };
        match client.submit_raw(draft) {
            // A service that was stopped at this moment: its successor has the same socket.
            Err(error) if surely_not_taken(&error) && tries < MOST_TRIES => {
                std::thread::sleep(PAUSE * 2_u32.pow(tries));
                tries += 1;
            }
            result => return result.map_err(SubmitError::from),
        }
    }
}

/// Hands in many messages with few rounds of waiting for the disk. The answers are in the order of the drafts; one that is
/// refused keeps no other out.
///
/// # Errors
/// [`SubmitError`] when there is no way to hand in anything.
pub fn submit_many(settings: &Settings, drafts: &[Draft]) -> Result<Vec<Result<MessageId, SubmitError>>, SubmitError> {
    match connect(&settings.socket)? {
        Ok(mut client) => Ok(client.submit_many(drafts)),
        Err(absent) => Ok(Direct::open(settings, &absent)?.submit_many(drafts)),
    }
}

/// What waits, and what was handed in: asked of the service, or looked up in the spool.
///
/// # Errors
/// [`SubmitError`].
pub fn status(settings: &Settings) -> Result<Status, SubmitError> {
    match connect(&settings.socket)? {
        Ok(mut client) => client.status(),
        Err(absent) => Direct::open(settings, &absent)?.status(),
    }
}

/// The service, or why it is not there.
fn connect(socket: &Path) -> Result<Result<Client, ConnectError>, SubmitError> {
    match Client::connect(socket) {
        Ok(client) => Ok(Ok(client)),
        Err(absent @ ConnectError::Absent { .. }) => Ok(Err(absent)),
        Err(error @ ConnectError::Io { .. }) => Err(SubmitError::Io(error.to_string())),
    }
}

/// How often a service that closes at the wrong moment is asked again, at 50, 100, 200, 400 and 800 ms.
const MOST_TRIES: u32 = 5;

const PAUSE: Duration = Duration::from_millis(50);

/// The spool, for a user who may write it.
struct Direct<'a> {
    settings: Settings,
    spool: Spool,
    account: Account,
    path: &'a Path,
}

impl<'a> Direct<'a> {
    fn open(settings: &'a Settings, absent: &ConnectError) -> Result<Self, SubmitError> {
        let path = &settings.spool;
        // Made by the service, so that a server looks after it.
        if path == Path::new(DEFAULT_SPOOL) && !path.is_dir() {
            return Err(SubmitError::NoSocket(format!(
                "spool is not configured: {absent}; start the service with systemctl enable --now choria-submit.socket, or set \
                 plugin.choria.submission.spool"
            )));
        }
        let spool = match Spool::open(path, settings.limits) {
            Ok(spool) => spool,
            Err(SpoolError::Denied { .. } | SpoolError::Unsafe { .. }) if !nix::unistd::geteuid().is_root() => {
                return Err(SubmitError::NoSocket(format!(
                    "{absent}; and this user may not write the spool {}: start the service with systemctl enable --now \
                     choria-submit.socket, or submit as the owner of the spool",
                    path.display()
                )));
            }
            Err(error) => return Err(error.into()),
        };
        let settings = Settings { rules: settings.rules.clone().with_owner(spool.owner()), ..settings.clone() };
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let named = settings.rules.need_names() && !settings.rules.trust(uid);
        let account = if named { Account::look_up(uid, gid) } else { Account::nameless(uid) };
        Ok(Self { settings, spool, account, path })
    }

    fn accept(&self, draft: &Draft) -> Result<Message, SubmitError> {
        let (id, now) = (MessageId::generate(), SystemTime::now());
        self.settings.accept(draft.clone(), &self.account.caller(), id, now).map_err(SubmitError::from)
    }

    fn submit(&self, draft: &Draft) -> Result<MessageId, SubmitError> {
        let message = self.accept(draft)?;
        self.spool.store(&message)?;
        Ok(message.id)
    }

    fn submit_many(&self, drafts: &[Draft]) -> Vec<Result<MessageId, SubmitError>> {
        let mut messages = Vec::new();
        let mut answers: Vec<Result<MessageId, SubmitError>> = Vec::with_capacity(drafts.len());
        for draft in drafts {
            answers.push(self.accept(draft).map(|message| {
                let id = message.id.clone();
                messages.push(message);
                id
            }));
        }
        let mut stored = self.spool.store_many(&messages).into_iter();
        for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
            if let Some(Err(error)) = stored.next() {
                *answer = Err(error.into());
            }
        }
        answers
    }

    fn status(&self) -> Result<Status, SubmitError> {
        let summary = self.spool.summary()?;
        Ok(Status::new(&self.settings, self.path, &summary, Counters::default()))
    }
}
