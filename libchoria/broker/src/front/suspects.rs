//! Addresses that were denied again and again. They are served after everybody else, never shut out: good nodes may
//! stand behind the same address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How the last decisions about each address went.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    addresses: HashMap<IpAddr, Record>,
    /// When faded records were last looked for.
    swept: Option<Instant>,
}

/// Decisions about one address, fading with time.
#[derive(Clone, Copy, Debug)]
struct Record {
    denied: f64,
    allowed: f64,
    at: Instant,
}

impl Suspects {
    /// Notes a decision about `address`.
    pub(super) fn decided(&mut self, address: IpAddr, allowed: bool, now: Instant) {
        let network = network_of(address);
        if !self.addresses.contains_key(&network) {
            // Most addresses are never denied and need no record.
            if allowed || !self.make_room(now) {
                return;
            }
        }
        let fresh = Record { denied: 0.0, allowed: 0.0, at: now };
        let record = self.addresses.entry(network).or_insert(fresh);
        *record = record.at(now);
        if allowed { record.allowed += 1.0 } else { record.denied += 1.0 }
    }

    /// Whether `address` was denied so often lately that others go first.
    pub(super) fn is_suspect(&self, address: IpAddr, now: Instant) -> bool {
        self.addresses.get(&network_of(address)).is_some_and(|record| record.at(now).is_suspect())
    }

    /// Whether there is room for another record, after forgetting faded ones if necessary.
    fn make_room(&mut self, now: Instant) -> bool {
        let due = self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_PAUSE);
        if self.addresses.len() >= MOST_ADDRESSES && due {
            self.swept = Some(now);
            self.addresses.retain(|_, record| record.at(now).denied >= FADED);
        }
        self.addresses.len() < MOST_ADDRESSES
    }
}

impl Record {
    /// The record as it has faded by `now`.
    fn at(self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.at);
        let left = 0.5_f64.powf(passed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        Self { denied: self.denied * left, allowed: self.allowed * left, at: now }
    }

    fn is_suspect(&self) -> bool {
        self.denied >= SUSPICIOUS && self.denied > self.allowed * MOSTLY
    }
}

/// Whoever has one address of an IPv6 network has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

/// Denials lately from which an address is suspect: more than a few nodes with expired tokens make in a storm.
const SUSPICIOUS: f64 = 20.0;

/// An address is not suspect while this share of its connections is good: a site behind one address, some tokens of
/// which have expired.
const MOSTLY: f64 = 3.0;

/// A decision counts half after this time.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// Less than this is forgotten when room is needed.
const FADED: f64 = 2.0;

/// Looking at all records is not repeated for each connection of a flood.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Most addresses remembered, about 400 KiB; beyond it new ones are not remembered until old ones fade.
const MOST_ADDRESSES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn who_is_denied_often_is_suspect_for_a_while() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut suspects = Suspects::default();
        for _ in 0..19 {
            suspects.decided(address(1), false, now);
        }
        assert!(!suspects.is_suspect(address(1), now), "a few denials");
        for _ in 0..21 {
            suspects.decided(address(1), false, now);
        }
        assert!(suspects.is_suspect(address(1), now));
        assert!(!suspects.is_suspect(address(2), now), "another address");
        assert!(suspects.is_suspect(address(1), after(9)));
        assert!(!suspects.is_suspect(address(1), after(21)), "it fades");
    }

    #[test]
    fn an_address_with_many_good_nodes_is_not_suspect() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        for number in 0..200 {
            suspects.decided(address(1), number % 2 == 0, now);
        }
        assert!(!suspects.is_suspect(address(1), now));
    }

    #[test]
    fn one_network_of_ipv6_is_one_address_and_memory_is_bounded() {
        let now = Instant::now();
        let mut suspects = Suspects::default();
        for last in 0..30_u128 {
            suspects.decided(IpAddr::V6((0x2001_0db8 << 96 | last).into()), false, now);
        }
        assert!(suspects.is_suspect("2001:db8::ffff".parse().unwrap(), now));
        for number in 0..20_000_u32 {
            suspects.decided(IpAddr::V4(number.into()), false, now);
        }
        assert!(suspects.addresses.len() <= MOST_ADDRESSES, "{}", suspects.addresses.len());
        assert!(suspects.is_suspect("2001:db8::ffff".parse().unwrap(), now), "many others do not wash it away");
    }
}
