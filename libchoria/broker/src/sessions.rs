//! Which connection speaks for which node that waits to be provisioned: one connection a node, the first.
//!
//! The identity of such a node is only what it says (spec 06 §10.1), and what is said to it goes to whoever has that
//! name. So the name is given to one connection at a time. A name is promised when the callout allows a connection,
//! held once nats-server tells that the connection is there, and free again when nats-server tells that it ended. What
//! is told can be lost, and other brokers of a cluster have connections too: `roll_call.rs` asks for all of them.
//!
//! Pure: connections and times go in. Entries are as many as connections, and promises that nothing came of lapse.

use crate::decision::Holder;
use names::Identity;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::sync::Notify;

/// The names in use, as far as this broker knows.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    held: Mutex<Held>,
    /// Somebody was refused: who has the name should be asked for.
    pub(crate) doubt: Notify,
}

/// One connection of the nats-servers that are connected: the server's key and its number for the connection.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    /// The key of the nats-server, `N…`.
    pub(crate) server: String,
    /// Its number for the connection.
    pub(crate) connection: u64,
}

/// A connection that a nats-server has.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) name: Identity,
    pub(crate) place: Place,
    pub(crate) address: String,
    /// When it was made, by the clock of its nats-server.
    pub(crate) began: OffsetDateTime,
}

/// Two connections of one node live, which only two brokers that were asked at the same moment can allow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Double {
    pub(crate) name: Identity,
    /// The earlier one; it stays.
    pub(crate) first: (Place, String),
    /// The later one; it has to go.
    pub(crate) second: (Place, String),
}

#[derive(Debug, Default)]
struct Held {
    sessions: HashMap<Identity, Session>,
    names: HashMap<Place, Identity>,
    /// Connections that ended a moment ago: what is told of their beginning may come after what is told of their end.
    gone: VecDeque<Place>,
}

#[derive(Debug)]
struct Session {
    place: Place,
    address: String,
    state: State,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Allowed; nats-server has not told that it is there.
    Promised,
    /// There since this time of its nats-server's clock.
    There(OffsetDateTime),
}

impl Sessions {
    /// Promises `name` to the connection at `place`.
    ///
    /// # Errors
    /// Who has it already.
    pub(crate) fn claim(&self, name: &Identity, place: Place, address: &str, now: Instant) -> Result<(), Holder> {
        let mut held = self.held();
        if let Some(session) = held.sessions.get(name).filter(|session| !session.has_lapsed(now)) {
            let holder = Holder { address: session.address.clone(), connection: session.place.connection };
            drop(held);
            self.doubt.notify_one();
            return Err(holder);
        }
        held.put(name.clone(), Session { place, address: address.to_owned(), state: State::Promised, since: now });
        Ok(())
    }

    /// Notes a connection that a nats-server has. Two of one name are told.
    pub(crate) fn arrived(&self, present: Present, now: Instant) -> Option<Double> {
        let mut held = self.held();
        if held.gone.contains(&present.place) {
            return None;
        }
        held.arrived(present, now)
    }

    /// Notes that a connection ended.
    pub(crate) fn left(&self, place: Place) {
        let mut held = self.held();
        held.remove(&place);
        if held.gone.len() == REMEMBERED {
            held.gone.pop_front();
        }
        held.gone.push_back(place);
    }

    /// Takes all that nats-server `server` has of `present`, as it was when it was asked at `asked`. What it does not
    /// have, and had before that, is gone.
    pub(crate) fn counted(&self, server: &str, present: Vec<Present>, asked: Instant) -> Vec<Double> {
        let mut held = self.held();
        let there: HashSet<Place> = present.iter().map(|present| present.place.clone()).collect();
        held.forget(|session| {
            session.place.server == server && session.since < asked && !there.contains(&session.place)
        });
        let mut doubles = Vec::new();
        for present in present {
            if !held.gone.contains(&present.place) {
                doubles.extend(held.arrived(present, asked));
            }
        }
        doubles
    }

    /// Frees the names of nats-servers that did not answer when they were asked at `asked`, and promises that lapsed.
    pub(crate) fn silent(&self, answered: &HashSet<String>, asked: Instant) {
        self.held().forget(|session| {
            session.has_lapsed(asked) || (session.since < asked && !answered.contains(&session.place.server))
        });
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn arrived(&mut self, present: Present, now: Instant) -> Option<Double> {
        let Present { name, place, address, began } = present;
        if let Some(session) = self.sessions.get_mut(&name) {
            if session.place == place {
                // The callout knows the address better: behind the TLS front nats-server sees this host's.
                session.state = State::There(began);
                return None;
            }
            if let State::There(other) = session.state {
                let (newcomer, resident) =
                    ((place.clone(), address.clone()), (session.place.clone(), session.address.clone()));
                let newcomer_is_first = (began, &newcomer.0) < (other, &resident.0);
                let (first, second) = if newcomer_is_first { (newcomer, resident) } else { (resident, newcomer) };
                if newcomer_is_first {
                    self.put(name.clone(), Session { place, address, state: State::There(began), since: now });
                }
                return Some(Double { name, first, second });
            }
        }
        // Who is there comes before whom it was promised to.
        self.put(name, Session { place, address, state: State::There(began), since: now });
        None
    }

    fn put(&mut self, name: Identity, session: Session) {
        self.names.insert(session.place.clone(), name.clone());
        if let Some(before) = self.sessions.insert(name, session) {
            self.names.remove(&before.place);
        }
    }

    fn remove(&mut self, place: &Place) {
        if let Some(name) = self.names.remove(place) {
            self.sessions.remove(&name);
        }
    }

    fn forget(&mut self, gone: impl Fn(&Session) -> bool) {
        let places: Vec<Place> =
            self.sessions.values().filter(|session| gone(session)).map(|session| session.place.clone()).collect();
        places.iter().for_each(|place| self.remove(place));
    }
}

impl Session {
    fn has_lapsed(&self, now: Instant) -> bool {
        self.state == State::Promised && now.saturating_duration_since(self.since) >= PROMISE
    }
}

/// Longer than nats-server takes to tell of a connection that it was allowed to have; a client that left before its
/// answer came is never told of.
const PROMISE: Duration = Duration::from_secs(5);

/// Ends that are remembered, for what was told in the same moment.
const REMEMBERED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn place(server: &str, connection: u64) -> Place {
        Place { server: server.to_owned(), connection }
    }

    fn present(name: &str, server: &str, connection: u64, began: i64) -> Present {
        let began = OffsetDateTime::from_unix_timestamp(began).unwrap();
        Present {
            name: name.parse().unwrap(),
            place: place(server, connection),
            address: "192.0.2.1".to_owned(),
            began,
        }
    }

    fn claim(sessions: &Sessions, connection: u64, now: Instant) -> Result<(), u64> {
        let claimed = sessions.claim(&"n1".parse().unwrap(), place("NA", connection), "192.0.2.9", now);
        claimed.map_err(|holder| holder.connection)
    }

    #[test]
    fn a_name_is_free_again_when_its_connection_ended_and_not_before() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        assert_eq!(claim(&sessions, 1, now), Ok(()));
        assert_eq!(claim(&sessions, 2, now), Err(1), "while it is promised");
        assert_eq!(sessions.arrived(present("n1", "NA", 1, 10), now), None);
        let later = now + PROMISE * 100;
        assert_eq!(claim(&sessions, 2, later), Err(1), "while it is there, however long");
        sessions.left(place("NB", 1));
        assert_eq!(claim(&sessions, 2, later), Err(1), "the same number on another nats-server ended");
        sessions.left(place("NA", 1));
        assert_eq!(claim(&sessions, 2, later), Ok(()));
        let other = sessions.claim(&"n2".parse().unwrap(), place("NA", 3), "", later);
        assert_eq!(other, Ok(()), "another name");
    }

    #[test]
    fn what_nothing_came_of_lapses() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        assert_eq!(claim(&sessions, 1, now), Ok(()));
        assert_eq!(claim(&sessions, 2, now + PROMISE - Duration::from_millis(1)), Err(1));
        assert_eq!(claim(&sessions, 2, now + PROMISE), Ok(()));
        sessions.left(place("NA", 1));
        assert_eq!(claim(&sessions, 3, now + PROMISE), Err(2), "the end of the lapsed one frees nothing");
    }

    #[test]
    fn an_end_that_is_told_before_the_beginning_counts() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        assert_eq!(claim(&sessions, 1, now), Ok(()));
        sessions.left(place("NA", 1));
        assert_eq!(sessions.arrived(present("n1", "NA", 1, 10), now), None);
        assert!(sessions.counted("NA", vec![present("n1", "NA", 1, 10)], now).is_empty());
        assert_eq!(claim(&sessions, 2, now), Ok(()));
    }

    #[test]
    fn counting_finds_what_was_not_told() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let asked = now + Duration::from_secs(1);
        sessions.arrived(present("n1", "NA", 1, 10), now);
        assert_eq!(claim(&sessions, 2, now), Err(1));
        assert!(sessions.counted("NB", vec![], asked).is_empty());
        assert_eq!(claim(&sessions, 2, now), Err(1), "another nats-server does not have it");
        assert!(sessions.counted("NA", vec![], asked).is_empty());
        assert_eq!(claim(&sessions, 2, asked), Ok(()), "its end was not told");
        assert!(sessions.counted("NA", vec![], asked).is_empty());
        assert_eq!(claim(&sessions, 3, asked), Err(2), "promised after the question was asked");
        // A nats-server that is gone ends nothing by itself.
        sessions.arrived(present("n2", "NB", 7, 10), now);
        sessions.silent(&HashSet::from(["NA".to_owned()]), asked);
        assert_eq!(sessions.claim(&"n2".parse().unwrap(), place("NA", 9), "", asked), Ok(()));
        assert_eq!(claim(&sessions, 3, asked), Err(2), "that of one that answered");
    }

    #[test]
    fn of_two_on_two_brokers_the_later_goes() {
        for (resident, newcomer, second) in [(10, 20, "NB"), (20, 10, "NA"), (10, 10, "NB")] {
            let (sessions, now) = (Sessions::default(), Instant::now());
            assert_eq!(sessions.arrived(present("n1", "NA", 1, resident), now), None);
            let double = sessions.arrived(present("n1", "NB", 1, newcomer), now).unwrap();
            assert_eq!(double.second.0.server, second, "{resident} {newcomer}");
            sessions.left(double.second.0);
            assert_eq!(claim(&sessions, 5, now), Err(1), "the other still has the name");
        }
    }
}
