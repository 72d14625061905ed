//! Why a node was not provisioned.

use super::answers::Malformed;
use super::csr::InvalidCsr;
use super::server_token::TokenError;
use crate::calls::CallError;
use crate::helper::{HelperError, Refused};
use std::time::Duration;

/// Why a node was not provisioned. The texts go to the log and the audit log.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A call did not succeed, however often it was tried.
    #[error("{call} failed {tries} times, the last time because: {last}")]
    Call {
        /// Agent and action, joined by `#`.
        call: &'static str,
        /// How often it was tried.
        tries: u32,
        /// What was wrong the last time.
        last: Fault,
    },
    /// The node's provisioning token cannot be verified because the key cannot be used.
    #[error("jwt_verify_cert: {0}")]
    VerificationKey(tokens::KeyError),
    /// The node's provisioning token does not count.
    #[error("the node's provisioning token is refused: {0}; it must be signed by the key in jwt_verify_cert")]
    NodeToken(tokens::Invalid),
    /// The node's signing request does not count.
    #[error(transparent)]
    Csr(#[from] InvalidCsr),
    /// The helper did not answer.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// The helper's answer does not count.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The helper wants to decide later. Counted as an error, as existing dashboards expect.
    #[error("the helper defers the node: {0}")]
    Deferred(String),
    /// No token can be made for the node.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The private key of the helper cannot be sent.
    #[error("the helper's private key cannot be sent to the node: {0}")]
    PrivateKey(String),
    /// The node's software cannot be replaced.
    #[error("the node cannot be upgraded: {0}")]
    Upgrade(&'static str),
    /// Everything together took too long.
    #[error("the node was not provisioned within {} s (node_timeout)", .0.as_secs())]
    TimedOut(Duration),
    /// Another provisioner is the leader.
    #[error("provisioning is paused, cannot perform {0}")]
    Paused(&'static str),
}

/// What was wrong with one try of a call.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The call itself.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}
