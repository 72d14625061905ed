//! Parties for the tests of connections: a broker that only records, a real nats-server, tokens and certificates.

#![allow(dead_code)] // each test binary uses its own part

pub(crate) mod fake;
pub(crate) mod real;

use choria_network::{Login, Options, Role, ServerAddress, Servers, Tls};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, Seed, SigningKey};

/// Nothing in these tests takes longer unless it never ends.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// `future`, or a failed test that says what did not happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("{what}: did not happen within {LIMIT:?}"),
    }
}

/// Options for one server, without TLS, in a hurry.
pub(crate) fn options(address: &ServerAddress, login: Login) -> Options {
    let servers = Servers::Fixed(vec![address.clone()]);
    let tls = Tls::disabled().expect("no TLS");
    Options { login, ..Options::new(Role::Client, "test", servers, tls) }
}

/// A client token of `caller`, issued at `issued` and valid for an hour.
pub(crate) fn token(caller: &str, seed: &Seed, issued: SystemTime) -> String {
    let hour = Duration::from_secs(3600);
    let mut claims = ClientClaims::new(caller, hour, issued, &mut rand::thread_rng()).expect("claims");
    claims.standard.public_key = Some(seed.public().to_string());
    claims.sign(&SigningKey::Ed25519(Seed::from_bytes([9; 32]))).expect("a token")
}

/// A login in memory.
pub(crate) fn token_login(caller: &str, seed: [u8; 32]) -> Login {
    let seed = Seed::from_bytes(seed);
    let token = token(caller, &seed, SystemTime::now());
    Login::TokenText { token: token.into(), seed: Arc::new(seed) }
}
