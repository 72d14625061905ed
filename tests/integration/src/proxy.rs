//! A peer that misbehaves: stands between clients and a broker and can fall silent without closing anything.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A proxy for TCP connections on 127.0.0.1; ends with the test's process.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    switches: Arc<Switches>,
}

#[derive(Debug, Default)]
struct Switches {
    /// Nothing is read from the broker's side any more.
    deaf: AtomicBool,
    /// Nothing is passed on in either direction; new connections are taken and get no answer.
    silent: AtomicBool,
    accepted: AtomicUsize,
}

impl Proxy {
    /// A proxy in front of `port`.
    #[must_use]
    pub fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on 127.0.0.1");
        let own = listener.local_addr().expect("a bound socket has an address").port();
        let switches = Arc::new(Switches::default());
        let shared = Arc::clone(&switches);
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                let switches = Arc::clone(&shared);
                std::thread::spawn(move || serve(client, port, &switches));
            }
        });
        Self { port: own, switches }
    }

    /// From now on clients seem not to read what the broker sends; with `false` they read again.
    pub fn deaf(&self, on: bool) {
        self.switches.deaf.store(on, Ordering::Relaxed);
    }

    /// From now on nothing passes and nothing is closed; with `false` new connections pass, while those that met the
    /// silence stay silent for ever.
    pub fn silent(&self, on: bool) {
        self.switches.silent.store(on, Ordering::Relaxed);
    }

    /// Connections taken so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.switches.accepted.load(Ordering::Relaxed)
    }
}

/// How long reading waits before it looks at the switches.
const TICK: Duration = Duration::from_millis(50);

fn serve(client: TcpStream, port: u16, switches: &Arc<Switches>) {
    if switches.silent.load(Ordering::Relaxed) {
        return hold(&client);
    }
    let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be cloned");
    let (to_broker, to_client, shared) = (clone(&broker), clone(&client), Arc::clone(switches));
    let upwards = client;
    std::thread::spawn(move || pass(upwards, to_broker, &shared, false));
    pass(broker, to_client, switches, true);
}

/// Keeps a connection open, reads nothing and says nothing, until the other side goes.
fn hold(stream: &TcpStream) {
    let mut byte = [0];
    while stream.peek(&mut byte).is_ok_and(|read| read > 0) {
        std::thread::park_timeout(TICK);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, switches: &Switches, downwards: bool) {
    from.set_read_timeout(Some(TICK)).expect("a timeout");
    let mut buffer = vec![0; 64 * 1024];
    let mut silenced = false;
    loop {
        silenced |= switches.silent.load(Ordering::Relaxed);
        if silenced || (downwards && switches.deaf.load(Ordering::Relaxed)) {
            std::thread::park_timeout(TICK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if switches.silent.load(Ordering::Relaxed) {
                    silenced = true;
                } else if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _gone_already = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
