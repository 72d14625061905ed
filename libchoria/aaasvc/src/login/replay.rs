//! Logins that were answered with a token: none is answered twice while it would still count. Pure.

use super::request::{Proven, WINDOW};
use std::collections::{HashSet, VecDeque};
use std::time::SystemTime;

/// The signatures of successful logins of the last minute, at most [`MOST`]. Only who knows a password can add one, and at
/// the bound logins are refused rather than forgotten.
#[derive(Debug, Default)]
pub(super) struct Replays {
    known: HashSet<Fingerprint>,
    order: VecDeque<(SystemTime, Fingerprint)>,
}

/// Why a login is not remembered, and so not answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Full {
    /// It is known.
    Known,
    /// There is no room.
    Room,
}

/// The first half of a signature: a random point for each key and message.
type Fingerprint = [u8; 32];

impl Replays {
    /// Whether the login was answered before.
    pub(super) fn contains(&mut self, proven: &Proven, now: SystemTime) -> bool {
        self.expire(now);
        self.known.contains(&fingerprint(proven))
    }

    /// Remembers an answered login.
    ///
    /// # Errors
    /// It is known, or there is no room.
    pub(super) fn insert(&mut self, proven: &Proven, now: SystemTime) -> Result<(), Full> {
        self.expire(now);
        let fingerprint = fingerprint(proven);
        if self.known.contains(&fingerprint) {
            return Err(Full::Known);
        }
        if self.known.len() >= MOST {
            return Err(Full::Room);
        }
        self.known.insert(fingerprint);
        self.order.push_back((proven.made, fingerprint));
        Ok(())
    }

    /// Forgets what is too old to count. Logins come nearly in the order in which they were made, and one that is
    /// younger than its neighbours only keeps them a little longer.
    fn expire(&mut self, now: SystemTime) {
        let mut forgot = false;
        while let Some((made, fingerprint)) = self.order.front() {
            // One second more than the window: better remembered too long. A clock that was set back forgets nothing.
            if !now.duration_since(*made).is_ok_and(|age| age.as_secs() > WINDOW.as_secs() + 1) {
                break;
            }
            self.known.remove(fingerprint);
            self.order.pop_front();
            forgot = true;
        }
        if forgot && self.order.is_empty() {
            *self = Self::default();
        }
    }
}

fn fingerprint(proven: &Proven) -> Fingerprint {
    let mut half = [0; 32];
    half.copy_from_slice(&proven.signature.as_bytes()[..32]);
    half
}

/// More than two thousand logins a second.
const MOST: usize = 131_072;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokens::Seed;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn proven(made: u64, number: u64) -> Proven {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let signature = tokens::Signature::from_slice(&bytes).expect("a signature");
        Proven { key: Seed::from_bytes([1; 32]).public(), signature, made: at(made) }
    }

    #[test]
    fn a_login_counts_once_while_it_counts_at_all() {
        let mut replays = Replays::default();
        assert_eq!(replays.insert(&proven(1000, 1), at(1010)), Ok(()));
        assert_eq!(replays.insert(&proven(1000, 1), at(1010)), Err(Full::Known));
        for (now, known) in [(1010, true), (1060, true), (1061, true), (990, true), (1062, false)] {
            assert_eq!(replays.contains(&proven(1000, 1), at(now)), known, "at {now}");
        }
        assert!(replays.order.is_empty() && replays.known.is_empty());
    }

    #[test]
    fn at_the_bound_nothing_is_forgotten() {
        let mut replays = Replays::default();
        let most = MOST as u64;
        for number in 0..most {
            assert_eq!(replays.insert(&proven(1000, number), at(1000)), Ok(()));
        }
        assert_eq!(replays.insert(&proven(1000, most), at(1000)), Err(Full::Room));
        assert!(replays.contains(&proven(1000, 0), at(1000)));
        assert_eq!(replays.insert(&proven(1070, most), at(1070)), Ok(()));
        assert_eq!(replays.known.len(), 1);
    }
}
