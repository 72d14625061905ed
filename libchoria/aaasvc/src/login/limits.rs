//! How many failed logins are borne (own keys `login_limits`). Pure: names, addresses and the time are arguments.
//!
//! Failures are counted, successes never: however many people log in, nobody is refused for that. Three counts, each
//! refilled with time, so that nothing locks anybody out for ever:
//!
//! - of a user from one address: somebody guesses one password from one place, and only that place is refused;
//! - of an address: somebody tries many names from one place;
//! - of a user from everywhere: somebody guesses from many places. This one alone could shut the real user out, so it is
//!   not asked for an address from which that user has logged in during the last thirty days.
//!
//! A failure may take a count below zero (several were on their way at once); it must then be refilled first, so the
//! rate holds in the long run. An IPv6 address stands for its /64, which is what one host has. The tables are bounded:
//! at the bound those go first that are full again, then the one unused for longest.

use crate::settings::LoginLimits;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Counts failures.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: LoginLimits,
    pairs: Table,
    addresses: Table,
    users: Table,
    /// Where users have logged in, and when last.
    familiar: HashMap<u64, Instant>,
    /// Names are kept as keyed hashes: bounded, and not to be aimed at.
    hasher: RandomState,
}

/// A login that comes after too many failures.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Limited {
    /// Of this user from this address.
    #[error("too many failures of this user from this address; see login_limits.per_user_and_address")]
    Pair,
    /// From this address.
    #[error("too many failures from this address; see login_limits.per_address")]
    Address,
    /// Of this user.
    #[error("too many failures of this user from many addresses; see login_limits.per_user")]
    User,
}

/// Counts by hash.
#[derive(Debug, Default)]
struct Table(HashMap<u64, Count>);

/// What is left, at one moment.
#[derive(Clone, Copy, Debug)]
struct Count {
    left: f64,
    at: Instant,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self {
            limits: LoginLimits::default(),
            pairs: Table::default(),
            addresses: Table::default(),
            users: Table::default(),
            familiar: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    /// Counts by these limits from now on.
    pub(super) fn set(&mut self, limits: LoginLimits) {
        self.limits = limits;
    }

    /// Whether a login of `user` from `address` may be tried.
    ///
    /// # Errors
    /// [`Limited`].
    pub(super) fn check(&self, user: &str, address: IpAddr, now: Instant) -> Result<(), Limited> {
        let keys = self.keys(user, address);
        let limits = self.limits;
        if !self.pairs.has_room(keys.pair, limits.per_user_and_address, now) {
            return Err(Limited::Pair);
        }
        if !self.addresses.has_room(keys.address, limits.per_address, now) {
            return Err(Limited::Address);
        }
        let familiar = self.familiar.get(&keys.pair).is_some_and(|last| now.duration_since(*last) < FAMILIAR);
        if !familiar && !self.users.has_room(keys.user, limits.per_user, now) {
            return Err(Limited::User);
        }
        Ok(())
    }

    /// A password was wrong, or the user unknown.
    pub(super) fn failed(&mut self, user: &str, address: IpAddr, now: Instant) {
        let keys = self.keys(user, address);
        let limits = self.limits;
        self.pairs.take(keys.pair, limits.per_user_and_address, now);
        self.addresses.take(keys.address, limits.per_address, now);
        self.users.take(keys.user, limits.per_user, now);
    }

    /// The user is who they say.
    pub(super) fn succeeded(&mut self, user: &str, address: IpAddr, now: Instant) {
        let keys = self.keys(user, address);
        self.pairs.0.remove(&keys.pair);
        if self.familiar.len() >= MOST && !self.familiar.contains_key(&keys.pair) {
            let oldest = self.familiar.iter().min_by_key(|(_, last)| **last).map(|(key, _)| *key);
            oldest.map(|key| self.familiar.remove(&key));
        }
        self.familiar.insert(keys.pair, now);
    }

    fn keys(&self, user: &str, address: IpAddr) -> Keys {
        let host = match address.to_canonical() {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => u128::from(address) >> 64 << 64,
        };
        let hash = |value: &dyn Fn(&mut std::hash::DefaultHasher)| {
            use std::hash::Hasher as _;
            let mut hasher = self.hasher.build_hasher();
            value(&mut hasher);
            hasher.finish()
        };
        Keys {
            pair: hash(&|hasher| (user, host).hash(hasher)),
            address: hash(&|hasher| host.hash(hasher)),
            user: hash(&|hasher| user.hash(hasher)),
        }
    }
}

struct Keys {
    pair: u64,
    address: u64,
    user: u64,
}

impl Table {
    fn has_room(&self, key: u64, per_minute: u32, now: Instant) -> bool {
        per_minute == 0 || self.0.get(&key).is_none_or(|count| count.now(per_minute, now) >= 1.0)
    }

    fn take(&mut self, key: u64, per_minute: u32, now: Instant) {
        if per_minute == 0 {
            return;
        }
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.make_room(per_minute, now);
        }
        let left = self.0.get(&key).map_or(f64::from(per_minute), |count| count.now(per_minute, now));
        self.0.insert(key, Count { left: left - 1.0, at: now });
    }

    fn make_room(&mut self, per_minute: u32, now: Instant) {
        self.0.retain(|_, count| count.now(per_minute, now) < f64::from(per_minute));
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, count)| count.at).map(|(key, _)| *key);
            oldest.map(|key| self.0.remove(&key));
        }
    }
}

impl Count {
    /// What is left at `now`, after refilling.
    fn now(&self, per_minute: u32, now: Instant) -> f64 {
        let refilled = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(per_minute) / 60.0;
        (self.left + refilled).min(f64::from(per_minute))
    }
}

/// Entries of each table.
const MOST: usize = 8192;

/// How long an address is known as one of the user's own.
const FAMILIAR: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LoginLimits = LoginLimits { per_user_and_address: 3, per_address: 5, per_user: 4 };

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn limiter() -> (Limiter, Instant) {
        let mut limiter = Limiter::new();
        limiter.set(LIMITS);
        (limiter, Instant::now())
    }

    fn fail(limiter: &mut Limiter, times: usize, user: &str, address: &str, now: Instant) {
        (0..times).for_each(|_| limiter.failed(user, ip(address), now));
    }

    #[test]
    fn guessing_one_password_from_one_place_stops_that_place_only() {
        let (mut limiter, now) = limiter();
        fail(&mut limiter, 3, "jo", "192.0.2.1", now);
        assert_eq!(limiter.check("jo", ip("192.0.2.1"), now), Err(Limited::Pair));
        assert_eq!(limiter.check("jo", ip("::ffff:192.0.2.1"), now), Err(Limited::Pair), "the same address, mapped");
        assert_eq!(limiter.check("jo", ip("192.0.2.2"), now), Ok(()), "the user elsewhere");
        assert_eq!(limiter.check("ann", ip("192.0.2.1"), now), Ok(()), "somebody else there");
        assert_eq!(limiter.check("jo", ip("192.0.2.1"), now + Duration::from_secs(20)), Ok(()), "refilled by one");
    }

    #[test]
    fn many_names_from_one_place_stop_that_place() {
        let (mut limiter, now) = limiter();
        (0..5).for_each(|number| fail(&mut limiter, 1, &format!("u{number}"), "2001:db8::1", now));
        assert_eq!(limiter.check("u9", ip("2001:db8::ffff"), now), Err(Limited::Address), "the same /64");
        assert_eq!(limiter.check("u9", ip("2001:db8:0:1::1"), now), Ok(()));
    }

    #[test]
    fn guessing_from_everywhere_does_not_shut_the_user_out_at_home() {
        let (mut limiter, now) = limiter();
        limiter.succeeded("jo", ip("192.0.2.99"), now);
        (1..=4).for_each(|number| fail(&mut limiter, 1, "jo", &format!("198.51.100.{number}"), now));
        assert_eq!(limiter.check("jo", ip("198.51.100.9"), now), Err(Limited::User));
        assert_eq!(limiter.check("jo", ip("192.0.2.99"), now), Ok(()), "where jo has logged in before");
        let month = now + FAMILIAR;
        (1..=4).for_each(|number| fail(&mut limiter, 1, "jo", &format!("198.51.100.{number}"), month));
        assert_eq!(limiter.check("jo", ip("192.0.2.99"), month), Err(Limited::User), "a month later");
        assert_eq!(limiter.check("jo", ip("192.0.2.99"), month + Duration::from_secs(15)), Ok(()), "never for ever");
    }

    #[test]
    fn failures_that_were_on_their_way_are_paid_back() {
        let (mut limiter, now) = limiter();
        fail(&mut limiter, 6, "jo", "192.0.2.1", now);
        let rows = [(0, false), (60, false), (79, false), (80, true)];
        for (seconds, allowed) in rows {
            let verdict = limiter.pairs.has_room(
                limiter.keys("jo", ip("192.0.2.1")).pair,
                LIMITS.per_user_and_address,
                now + Duration::from_secs(seconds),
            );
            assert_eq!(verdict, allowed, "after {seconds} s");
        }
    }

    #[test]
    fn zero_is_no_limit_and_success_forgives() {
        let (mut limiter, now) = limiter();
        fail(&mut limiter, 3, "jo", "192.0.2.1", now);
        limiter.succeeded("jo", ip("192.0.2.1"), now);
        assert_eq!(limiter.check("jo", ip("192.0.2.1"), now), Ok(()));
        limiter.set(LoginLimits { per_user_and_address: 0, per_address: 0, per_user: 0 });
        fail(&mut limiter, 100, "jo", "192.0.2.1", now);
        assert_eq!(limiter.check("jo", ip("192.0.2.1"), now), Ok(()));
    }

    #[test]
    fn the_tables_are_bounded() {
        let (mut limiter, now) = limiter();
        for number in 0..MOST + 100 {
            let later = now + Duration::from_millis(number as u64 / 100);
            limiter.failed(&format!("u{number}"), ip("192.0.2.1"), later);
        }
        assert_eq!((limiter.pairs.0.len(), limiter.users.0.len(), limiter.addresses.0.len()), (MOST, MOST, 1));
        for number in 0..MOST + 10 {
            limiter.succeeded(&format!("u{number}"), ip("192.0.2.1"), now);
        }
        assert_eq!(limiter.familiar.len(), MOST);
    }
}
