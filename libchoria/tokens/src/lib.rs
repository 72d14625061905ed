//! Keys and tokens: ed25519 seeds, public keys and signatures, the JWTs that every party carries, and the chain of
//! trust from an organization issuer to them (spec 01 §1-§6).
//!
//! | module | holds |
//! |---|---|
//! | `key` | [`Seed`], [`PublicKey`], [`Signature`] |
//! | `key_file` | key and token files: [`SigningKey`], [`VerificationKey`], [`read_token`], [`write_private`] |
//! | `claims` | what a token says: [`ClientClaims`], [`ServerClaims`], [`ProvisioningClaims`] |
//! | `encoded` | the three segments of a token and their decoding |
//! | `chain` | signing and checking the chain of trust |
//! | `verify` | [`TrustRoots`], which alone make [`Verified`] claims |
//! | `issue` | making tokens |
//!
//! Time and randomness are arguments. Holds no sockets and no configuration; only `key_file` touches files.

mod chain;
mod claims;
mod encoded;
mod invalid;
mod issue;
mod key;
mod key_file;
mod ksuid;
mod verify;

pub use chain::{ChainFault, ChainLink};
pub use claims::{
    ClientClaims, ClientPermissions, ProvisioningClaims, Purpose, ServerClaims, ServerPermissions, StandardClaims,
    read_client, read_provisioning, read_server,
};
pub use encoded::{algorithm_of, claims_of, purpose_of};
pub use invalid::{Category, Invalid};
pub use issue::{DEFAULT_ORGANIZATION, DEFAULT_VALIDITY, IssueError};
pub use key::{InvalidKey, PublicKey, Seed, Signature};
pub use key_file::{
    KeyError, RsaPrivateKey, RsaPublicKey, SigningKey, VerificationKey, read_token, write_private, write_private_pair,
};
pub use ksuid::{InvalidKsuid, Ksuid};
pub use verify::{TrustRoots, Verified};
