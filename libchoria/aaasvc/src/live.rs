//! What a reload replaces while the service runs: users, policies, keys. Requests end by what they began with.

use crate::login::Login;
use crate::sign::Signer;
use std::sync::{Arc, PoisonError, RwLock};

/// What is in force.
#[derive(Debug)]
pub(crate) struct Live(RwLock<Arc<Parts>>);

/// One configuration at work.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) login: Option<Arc<Login>>,
    pub(crate) signer: Option<Arc<Signer>>,
}

impl Live {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(RwLock::new(Arc::new(parts)))
    }

    /// What is in force now.
    pub(crate) fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `parts` in force.
    pub(crate) fn replace(&self, parts: Parts) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(parts);
    }
}
