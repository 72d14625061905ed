//! Names and groups of callers, looked up once in a while: a directory service may be slow, or gone.

use local::varlink::Peer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use submission::Account;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};

/// Who callers are, as far as rules need to know. Calls of one caller get their answers in the order of asking, and a
/// caller whose lookup takes long holds up no other.
#[derive(Debug)]
pub(crate) struct Accounts {
    known: Mutex<HashMap<(u32, u32), Known>>,
    lookups: Arc<Semaphore>,
    look_up: fn(u32, u32) -> Account,
}

#[derive(Clone, Debug)]
struct Known {
    since: Instant,
    account: Arc<OnceCell<Arc<Account>>>,
}

impl Accounts {
    pub(crate) fn new() -> Self {
        Self::asking(Account::look_up)
    }

    fn asking(look_up: fn(u32, u32) -> Account) -> Self {
        Self { known: Mutex::default(), lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)), look_up }
    }

    /// The caller with name and groups. One who cannot be looked up in time has none, so that only rules for everybody
    /// and for numbers fit; the next call asks again.
    pub(crate) async fn of(&self, peer: Peer) -> Arc<Account> {
        let key = (peer.uid, peer.gid);
        let cell = self.cell(key);
        let account = cell.get_or_try_init(|| async {
            match timeout(PATIENCE, self.ask(peer)).await {
                Ok(Some(account)) => Ok(Arc::new(account)),
                Ok(None) | Err(_) => Err(()),
            }
        });
        if let Ok(account) = account.await {
            return Arc::clone(account);
        }
        tracing::warn!(
            event = "unknown_user",
            uid = peer.uid,
            "name and groups of a caller were not found within {} s: rules with names in them do not fit",
            PATIENCE.as_secs()
        );
        Arc::new(Account::nameless(peer.uid))
    }

    /// The configuration was read anew, and so are users.
    pub(crate) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn cell(&self, key: (u32, u32)) -> Arc<OnceCell<Arc<Account>>> {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.get(&key).filter(|known| now < known.since + REMEMBERED);
        if let Some(fresh) = fresh {
            return Arc::clone(&fresh.account);
        }
        if known.len() >= MOST_KNOWN {
            known.retain(|_, known| now < known.since + REMEMBERED);
        }
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let account = Arc::new(OnceCell::new());
        known.insert(key, Known { since: now, account: Arc::clone(&account) });
        account
    }

    async fn ask(&self, peer: Peer) -> Option<Account> {
        // Held by the thread, not by this task: lookups that hang are not to be joined by more and more.
        let permit = Arc::clone(&self.lookups).acquire_owned().await.ok()?;
        let look_up = self.look_up;
        let asked = tokio::task::spawn_blocking(move || {
            let account = look_up(peer.uid, peer.gid);
            drop(permit);
            account
        });
        asked.await.ok()
    }
}

/// How long a caller's groups are taken as they were: a user who is put into a group waits as long.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Callers that are remembered.
const MOST_KNOWN: usize = 1024;

/// Lookups at a time.
const MOST_LOOKUPS: usize = 8;

/// How long a caller waits for its lookup.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn peer(uid: u32) -> Peer {
        Peer { uid, gid: 1, pid: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_looked_up_once_in_a_while() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let accounts = Accounts::asking(|uid, _| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            Account::nameless(uid)
        });
        for _ in 0..3 {
            assert_eq!(accounts.of(peer(7)).await.caller().uid, 7);
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        assert_eq!(accounts.of(peer(8)).await.caller().uid, 8);
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
        tokio::time::advance(REMEMBERED).await;
        accounts.of(peer(7)).await;
        assert_eq!(ASKED.load(Ordering::SeqCst), 3);
        accounts.forget();
        accounts.of(peer(7)).await;
        assert_eq!(ASKED.load(Ordering::SeqCst), 4);
        for uid in 0..3000 {
            accounts.cell((uid, 1));
        }
        assert!(accounts.known.lock().expect("no panic").len() <= MOST_KNOWN);
    }
}
