//! Security of messages: signing requests, deciding whose requests count, signing and checking replies (spec 02 §10,
//! §12).
//!
//! | module | holds |
//! |---|---|
//! | `provider` | [`Provider`], what a process does with messages; [`Parts`] it is made of |
//! | `setup` | making [`Parts`] from the configuration, with every mistake listed |
//! | `trust` | [`TrustedTokens`]: who is trusted to issue tokens, and the tokens verified so far |
//! | `verify` | the rules for requests and replies; they alone make [`Verified`] messages |
//! | [`key_transport`], `pem` | a private key on its way from the provisioner to a node |
//! | `delegator` | [`Delegator`], which signs requests in the name of others, as AAA services do |
//! | `bounded` | [`Bounded`], a small map for what was verified |
//! | `signer` | the [`Signer`] trait, [`LocalSigner`], and [`Sealed`] requests that only signers make |
//!
//! The provider is `choria`: version 2 of the protocol, ed25519 keys and JWTs. Time is an argument; files are read in
//! `setup` only.

mod bounded;
mod credentials;
mod delegator;
pub mod key_transport;
mod pem;
mod provider;
mod rejection;
mod setup;
mod signer;
mod trust;
mod verify;

pub use bounded::Bounded;
pub use credentials::{Credentials, CredentialsError};
pub use delegator::{Delegator, DelegatorError};
pub use provider::{Parts, Provider, Trust};
pub use rejection::{Holder, Rejection};
pub use setup::{Remedy, Role, SetupError, SetupErrors, trust_roots};
pub use signer::{AAA_SIGNER_AGENT, LocalSigner, Sealed, SignError, Signer};
pub use trust::TrustedTokens;
pub use verify::{Verification, Verified};
