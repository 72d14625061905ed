//! Who may be connected, and what each user may hold: one user's greed is no other user's trouble.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a server takes at most.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections in all. The next one is told `Busy` and closed; root alone may have [`ROOT_RESERVE`] more.
    pub connections: usize,
    /// Connections of one user. The next one is told `Busy` and closed.
    pub connections_of_user: usize,
    /// Bytes of a message. A longer one is told `TooLarge`, the connection is closed.
    pub message: usize,
    /// Messages above [`SMALL`] that are held at a time, in all and of one user; more wait unread.
    pub large: (usize, usize),
    /// How long a connection may be open without a call. Then it is closed.
    pub idle: Duration,
    /// How long a message may take from its first byte to its last, and a reply to be taken. Then it is closed.
    pub transfer: Duration,
    /// Calls of one connection that are worked on at a time; more wait unread.
    pub ahead: usize,
    /// How long there may be no connection before the server ends by itself; `None`: it does not.
    pub idle_exit: Option<Duration>,
}

/// Messages up to this size, in bytes, are always held.
pub const SMALL: usize = 64 * 1024;

/// Connections that root has beyond the bound, to look at a machine under attack.
pub const ROOT_RESERVE: usize = 16;

impl Default for Bounds {
    /// 512 connections, 64 of one user; messages of 4 MiB, 16 large ones, 4 of one user; 60 s idle, 10 s for a message;
    /// 64 calls ahead; no end by itself.
    fn default() -> Self {
        Self {
            connections: 512,
            connections_of_user: 64,
            message: 4 * 1024 * 1024,
            large: (16, 4),
            idle: Duration::from_secs(60),
            transfer: Duration::from_secs(10),
            ahead: 64,
            idle_exit: None,
        }
    }
}

/// Counts connections.
#[derive(Debug)]
pub(super) struct Admission {
    bounds: Bounds,
    users: Mutex<HashMap<u32, User>>,
    large: Arc<Semaphore>,
}

/// Of one user, as long as it has connections.
#[derive(Debug)]
struct User {
    connections: usize,
    large: Arc<Semaphore>,
}

/// A connection that counts until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    uid: u32,
    large: Arc<Semaphore>,
}

/// The right to hold a large message.
#[derive(Debug)]
pub(super) struct Large {
    _user: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(bounds: &Bounds) -> Arc<Self> {
        let large = Arc::new(Semaphore::new(bounds.large.0));
        Arc::new(Self { bounds: bounds.clone(), users: Mutex::default(), large })
    }

    /// A place for another connection of `uid`, or why there is none.
    pub(super) fn admit(self: &Arc<Self>, uid: u32) -> Result<Admitted, String> {
        let mut users = self.users();
        let Bounds { connections, connections_of_user, large, .. } = &self.bounds;
        let all: usize = users.values().map(|user| user.connections).sum();
        let bound = if uid == 0 { connections + ROOT_RESERVE } else { *connections };
        if all >= bound {
            return Err(format!("the service has {all} connections, as many as it takes; try again"));
        }
        let of_user = users.get(&uid).map_or(0, |user| user.connections);
        if of_user >= *connections_of_user {
            return Err(format!("user {uid} has {of_user} connections, as many as one user may have; try again"));
        }
        let new = || User { connections: 0, large: Arc::new(Semaphore::new(large.1)) };
        let user = users.entry(uid).or_insert_with(new);
        user.connections += 1;
        Ok(Admitted { large: Arc::clone(&user.large), admission: Arc::clone(self), uid })
    }

    fn users(&self) -> MutexGuard<'_, HashMap<u32, User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Waits for its turn to hold a large message; the user's own bound first.
    pub(super) async fn large(&self) -> Option<Large> {
        let user = Arc::clone(&self.large).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.admission.large).acquire_owned().await.ok()?;
        Some(Large { _user: user, _all: all })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut users = self.admission.users();
        if let Some(user) = users.get_mut(&self.uid) {
            user.connections -= 1;
            if user.connections == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_all_places_and_root_always_has_one() {
        let bounds = Bounds { connections: 3, connections_of_user: 2, ..Bounds::default() };
        let admission = Admission::new(&bounds);
        let mut held = vec![admission.admit(1).expect("first"), admission.admit(1).expect("second")];
        let refused = admission.admit(1).expect_err("the third of one user");
        assert!(refused.contains("user 1 has 2 connections"), "{refused}");
        held.push(admission.admit(2).expect("another user"));
        let refused = admission.admit(2).expect_err("the fourth of all");
        assert!(refused.contains("the service has 3 connections"), "{refused}");
        held.push(admission.admit(0).expect("root"));
        held.clear();
        assert!(admission.users().is_empty(), "users without connections are forgotten");
        drop(admission.admit(1).expect("again"));
    }
}
