//! Who signs and who is trusted in the targets. The keys are no secrets, and no recorded data was signed with them: what
//! verifies was signed here.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use security::{Credentials, Parts, Provider, Trust, TrustedTokens};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, SigningKey, TrustRoots};

/// The trusted organization.
pub(crate) const ORGANIZATION: [u8; 32] = [0x5e; 32];
/// A chain issuer that the organization appointed.
pub(crate) const CHAIN_ISSUER: [u8; 32] = [0x5f; 32];
/// Trusted by nobody here.
pub(crate) const STRANGER: [u8; 32] = [0x60; 32];
/// Alice, a client.
const ALICE: [u8; 32] = [0x61; 32];

/// When everything happens: 2026-11-21, a day at which recorded tokens are valid.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_255_200)
}

/// The key of these bytes.
pub(crate) fn key(bytes: [u8; 32]) -> SigningKey {
    SigningKey::Ed25519(Seed::from_bytes(bytes))
}

/// Trust in exactly this key.
pub(crate) fn trust(bytes: [u8; 32]) -> TrustRoots {
    TrustRoots::signers(vec![Seed::from_bytes(bytes).public().into()])
}

/// Claims of a client, valid for a day.
pub(crate) fn client(caller: &str, key: [u8; 32]) -> ClientClaims {
    let random = &mut StdRng::seed_from_u64(1);
    let mut claims = ClientClaims::new(caller, Duration::from_secs(86_400), now(), random).expect("claims");
    claims.standard.public_key = Some(Seed::from_bytes(key).public().to_string());
    claims.permissions = Some(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    claims
}

/// The claims of the chain issuer.
pub(crate) fn chain_issuer() -> ClientClaims {
    let mut issuer = client("up=login", CHAIN_ISSUER);
    issuer.standard.add_org_issuer(&Seed::from_bytes(ORGANIZATION)).expect("an appointment");
    issuer
}

/// What Alice signs and verifies with.
pub(crate) fn alice() -> Provider {
    let token = client("up=alice", ALICE).sign(&key(ORGANIZATION)).expect("a token");
    let credentials = Credentials::new(&token, Seed::from_bytes(ALICE)).expect("credentials");
    Provider::new(Parts {
        identity: "alice.example.net".parse().expect("an identity"),
        credentials: Some(credentials),
        trust: Trust::Tokens(Arc::new(TrustedTokens::new(trust(ORGANIZATION)))),
        sign_replies: true,
    })
}
