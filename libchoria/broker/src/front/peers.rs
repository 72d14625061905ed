//! Which connection of nats-server belongs to which member of the fleet.

use super::suspects::Suspects;
use rustls::pki_types::CertificateDer;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The other end of an encrypted connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its address and port.
    pub address: SocketAddr,
    /// The certificates that it presented and that were verified, DER, its own first; empty when it presented none.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Connections that nats-server has not asked about yet, and what became of those it has.
///
/// An entry lives until it is redeemed or its connection ends, so there are never more than the front has connections.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    waiting: Mutex<HashMap<Key, Peer>>,
    suspects: Mutex<Suspects>,
}

/// A connection of one run of nats-server: the server's key and its number for the connection.
type Key = (Arc<str>, u64);

/// Removes its entry when the connection ends.
#[derive(Debug)]
pub(super) struct Noted {
    peers: Arc<Peers>,
    key: Key,
}

impl Peers {
    /// The member behind `connection` of the nats-server with the key `server`: once, because nats-server asks once.
    /// `None` when that connection did not come through the front.
    pub(crate) fn redeem(&self, server: &str, connection: u64) -> Option<Peer> {
        self.waiting().remove(&(Arc::from(server), connection))
    }

    /// Notes what was decided about `peer`, so that an address which is denied again and again stands back.
    pub(crate) fn decided(&self, peer: &Peer, allowed: bool) {
        let address = peer.address.ip();
        self.suspects().decided(address, allowed, Instant::now());
    }

    /// Whether connections of `address` stand back for others at the moment.
    pub(super) fn is_suspect(&self, address: IpAddr, now: Instant) -> bool {
        self.suspects().is_suspect(address, now)
    }

    /// Notes that `connection` is `peer`'s. Must be called before anything of the peer reaches nats-server.
    pub(super) fn note(self: &Arc<Self>, server: &str, connection: u64, peer: Peer) -> Noted {
        let key = (Arc::from(server), connection);
        self.waiting().insert(Key::clone(&key), peer);
        Noted { peers: Arc::clone(self), key }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Key, Peer>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn suspects(&self) -> MutexGuard<'_, Suspects> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.peers.waiting().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_redeemed_once_and_only_by_its_own_number() {
        let peers = Arc::new(Peers::default());
        let peer = Peer { address: "192.0.2.1:5".parse().unwrap(), certificates: Vec::new() };
        let noted = peers.note("NA", 7, peer.clone());
        assert_eq!(peers.redeem("NA", 8), None, "another connection");
        assert_eq!(peers.redeem("NB", 7), None, "another run of nats-server");
        assert_eq!(peers.redeem("NA", 7), Some(peer.clone()));
        assert_eq!(peers.redeem("NA", 7), None, "a second time");
        drop(noted);
        let noted = peers.note("NA", 9, peer);
        drop(noted);
        assert_eq!(peers.redeem("NA", 9), None, "after its end");
        assert!(peers.waiting().is_empty());
    }
}
