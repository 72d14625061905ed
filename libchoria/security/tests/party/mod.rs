//! The people of these tests: issuers, callers, delegates and servers, each with a seed made of one number.

#![allow(dead_code, reason = "each test program uses a part")]

use choria_security::{Credentials, Parts, Provider, Trust, TrustedTokens};
use protocol::{Filter, Request, SecureRequest, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey, TrustRoots};

pub(crate) const ISSUER: u8 = 1;
pub(crate) const OTHER_ISSUER: u8 = 2;
pub(crate) const ALICE: u8 = 3;
pub(crate) const DELEGATE: u8 = 4;
pub(crate) const SERVER: u8 = 5;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(crate) fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

pub(crate) fn fleet() -> ClientPermissions {
    ClientPermissions { fleet_management: true, ..ClientPermissions::default() }
}

pub(crate) fn signed_fleet() -> ClientPermissions {
    ClientPermissions { signed_fleet_management: true, ..ClientPermissions::default() }
}

pub(crate) fn delegator() -> ClientPermissions {
    ClientPermissions { authentication_delegator: true, ..ClientPermissions::default() }
}

/// A client token for a day, issued by `issuer`, after `change`.
pub(crate) fn client_token(issuer: u8, caller: &str, holder: u8, change: impl FnOnce(&mut ClientClaims)) -> String {
    let mut claims = ClientClaims::new(caller, DAY, now(), &mut rand::rngs::OsRng).expect("claims");
    claims.standard.public_key = Some(seed(holder).public().to_string());
    change(&mut claims);
    claims.sign(&SigningKey::Ed25519(seed(issuer))).expect("a token")
}

/// Alice's token with `permissions`, issued by [`ISSUER`].
pub(crate) fn alice(permissions: ClientPermissions) -> String {
    client_token(ISSUER, "up=alice", ALICE, |claims| claims.permissions = Some(permissions))
}

/// The delegate's token, issued by [`ISSUER`].
pub(crate) fn delegate() -> String {
    client_token(ISSUER, "aaa_signer", DELEGATE, |claims| claims.permissions = Some(delegator()))
}

/// A server token for a day.
pub(crate) fn server_token(issuer: u8, identity: &str, holder: u8) -> String {
    let collectives = vec!["choria".to_owned()];
    let key = seed(holder).public();
    let claims = ServerClaims::new(identity, collectives, key, DAY, now(), &mut rand::rngs::OsRng).expect("claims");
    claims.sign(&SigningKey::Ed25519(seed(issuer))).expect("a token")
}

/// The organization `choria` is vouched for by [`ISSUER`], `other` by [`OTHER_ISSUER`].
pub(crate) fn issuers() -> Trust {
    let rows = [("choria", ISSUER), ("other", OTHER_ISSUER)];
    let issuers: BTreeMap<_, _> =
        rows.into_iter().map(|(unit, number)| (unit.to_owned(), seed(number).public())).collect();
    Trust::Tokens(Arc::new(TrustedTokens::new(TrustRoots::issuers(issuers))))
}

/// Both issuers are trusted for everything.
pub(crate) fn signers() -> Trust {
    let keys = [OTHER_ISSUER, ISSUER].map(|number| seed(number).public().into());
    Trust::Tokens(Arc::new(TrustedTokens::new(TrustRoots::signers(keys.to_vec()))))
}

pub(crate) fn server(trust: Trust, sign_replies: bool) -> Provider {
    let credentials = Credentials::new(&server_token(ISSUER, "n1", SERVER), seed(SERVER)).expect("credentials");
    Provider::new(Parts {
        identity: "n1".parse().expect("an identity"),
        credentials: Some(credentials),
        trust,
        sign_replies,
    })
}

pub(crate) fn client(token: &str, holder: u8, trust: Trust) -> Provider {
    let credentials = Credentials::new(token, seed(holder)).expect("credentials");
    Provider::new(Parts {
        identity: "laptop".parse().expect("an identity"),
        credentials: Some(credentials),
        trust,
        sign_replies: false,
    })
}

pub(crate) fn request(caller: &str) -> Request {
    Request {
        version: Version::V2,
        id: "2YBXZN2Ey2oglTXj87eEzpGHWSA".parse().expect("an id"),
        sender: "laptop".parse().expect("an identity"),
        caller: caller.parse().expect("a caller"),
        collective: "choria".parse().expect("a collective"),
        agent: "rpcutil".parse().expect("an agent"),
        ttl: 60,
        time: now(),
        filter: Filter::default(),
        payload: br#"{"agent":"rpcutil","action":"ping","data":{}}"#.to_vec(),
    }
}

/// A request of `caller` signed by the seed `signed_by`, with these tokens.
pub(crate) fn secure(caller: &str, signed_by: u8, token: &str, signer: Option<&str>) -> SecureRequest {
    let bytes = request(caller).encode();
    SecureRequest {
        version: Version::V2,
        signature: seed(signed_by).sign(&bytes).as_bytes().to_vec(),
        request: bytes,
        caller: token.to_owned(),
        signer: signer.map(str::to_owned),
    }
}
