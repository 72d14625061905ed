//! Answers nats-server's questions about new connections (spec 01 §14): the auth callout.
//!
//! | module | holds |
//! |---|---|
//! | `curve` | sealed messages |
//! | `nkey_jwt` | the JWTs that nats-server and its callout exchange |
//! | `request` | a question: opened, verified and turned into a [`crate::decision::Request`] |
//! | `response` | an answer: an outer JWT with the user's JWT or the error inside, sealed |
//! | `queue` | questions that wait, newest first |
//! | `record` | what is logged about each decision |
//! | `service` | the loop that answers, within time limits |

mod curve;
mod nkey_jwt;
mod queue;
mod record;
mod request;
mod response;
mod service;

pub use curve::{Curve, CurveError};
pub use nkey_jwt::InvalidJwt;
use nkeys::KeyPair;
pub use request::{InvalidRequest, Question};
pub use response::{Answer, ResponseError};
pub(crate) use service::{Judge, Service, ServiceError};

/// The subject nats-server asks on, in the callout's account.
pub(crate) const REQUEST_SUBJECT: &str = "$SYS.REQ.USER.AUTH";

/// The header that holds nats-server's public curve key when a question is sealed.
pub(crate) const XKEY_HEADER: &str = "Nats-Server-Xkey";

/// The keys of one callout: made anew for every nats-server that is started.
#[derive(Debug)]
pub struct Keys {
    /// Account key that signs answers; nats-server knows its public half as `issuer`.
    pub issuer: KeyPair,
    /// Curve key that questions are sealed to.
    pub curve: Curve,
}

impl Keys {
    /// New keys from the operating system's random numbers.
    #[must_use]
    pub fn generate() -> Self {
        Self { issuer: KeyPair::new_account(), curve: Curve::generate() }
    }
}
