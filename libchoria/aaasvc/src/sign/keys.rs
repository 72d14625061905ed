//! Whose tokens count, and who signs. The files may be replaced while the service runs: each is looked at for every
//! request and read when it changed; what cannot be used is logged, and what was read before stays in force.

use super::decide::Denial;
use crate::settings::{self, chain};
use agents::Stamp;
use protocol::Request;
use security::{Bounded, Delegator};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, Invalid, PublicKey, Seed, TrustRoots, VerificationKey, Verified, read_token};

/// The files of the signer, read.
#[derive(Debug)]
pub(super) struct Keys {
    settings: settings::Signer,
    trusted: Watched<Trusted>,
    delegator: Watched<Delegator>,
}

/// Whose tokens count, with those that were verified lately.
///
/// The key is the configured one and no other. It may be that of the chain issuer that login services use: then tokens
/// of this chain issuer count (spec 07 §6.1). Or that of the organization: then tokens count that the organization
/// signed, or that a chain issuer signed whom it appointed. An issuer that only a token itself names is never trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    roots: TrustRoots,
    known: Mutex<Bounded<Arc<Holder>>>,
}

/// A verified token.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) claims: Verified<ClientClaims>,
    /// What requests of the holder are signed with.
    pub(super) key: Result<PublicKey, Invalid>,
}

/// A file that cannot be used, and nothing was read before.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub(crate) struct KeyFault {
    pub(crate) key: &'static str,
    pub(crate) reason: String,
}

/// What was made of files, and their stamps then.
#[derive(Debug)]
struct Watched<T>(Mutex<Option<Seen<T>>>);

#[derive(Debug)]
struct Seen<T> {
    stamps: [Option<Stamp>; 2],
    made: Result<Arc<T>, KeyFault>,
}

impl Keys {
    /// Reads nothing yet.
    pub(super) fn new(settings: &settings::Signer) -> Self {
        Self { settings: settings.clone(), trusted: Watched::new(), delegator: Watched::new() }
    }

    /// Whose tokens count now.
    pub(super) fn trusted(&self) -> Result<Arc<Trusted>, KeyFault> {
        let file = &self.settings.certificate;
        self.trusted.current([Stamp::of(file), None], || Trusted::read(&self.settings))
    }

    /// Who signs now.
    pub(super) fn delegator(&self) -> Result<Arc<Delegator>, KeyFault> {
        let stamps = [Stamp::of(&self.settings.token), Stamp::of(&self.settings.seed)];
        self.delegator.current(stamps, || read_delegator(&self.settings))
    }

    /// The longest time for which a token may still count.
    pub(super) fn max_validity(&self) -> Duration {
        self.settings.max_validity
    }

    /// The secure request around `request`, JSON text.
    pub(super) fn seal(&self, request: &Request, now: SystemTime) -> Result<Vec<u8>, Denial> {
        let delegator = self.delegator()?;
        delegator.check_times(now).and_then(|()| delegator.seal(request)).map_err(Denial::Seal)
    }

    /// Reads all files at the next request.
    pub(super) fn forget(&self) {
        self.trusted.forget();
        self.delegator.forget();
    }
}

/// What is wrong with the files of `settings`, by key.
pub(crate) fn check(settings: &settings::Signer) -> Vec<(&'static str, String)> {
    let trusted = Trusted::read(settings).err();
    let delegator = match read_delegator(settings) {
        Ok(delegator) => delegator
            .check_times(SystemTime::now())
            .err()
            .map(|error| KeyFault { key: DELEGATOR, reason: format!("{}: {error}", settings.token.display()) }),
        Err(fault) => Some(fault),
    };
    [trusted, delegator].into_iter().flatten().map(|fault| (fault.key, fault.reason)).collect()
}

impl Trusted {
    fn read(settings: &settings::Signer) -> Result<Self, KeyFault> {
        let key = VerificationKey::read(&settings.certificate);
        let key = key.map_err(|error| KeyFault { key: TRUSTED, reason: chain(&error) })?;
        Ok(Self::new(key))
    }

    fn new(key: VerificationKey) -> Self {
        let roots = TrustRoots::signers(vec![key]).with_chain_issuers();
        Self { roots, known: Mutex::new(Bounded::new(MOST_KNOWN)) }
    }

    /// Verifies a token; one that was verified before costs a look at its times.
    pub(super) fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Holder>, Invalid> {
        let token = token.trim();
        let known = self.lock().get(token);
        if let Some(holder) = known {
            if let Err(invalid) = holder.claims.check_times(now) {
                self.lock().remove(token);
                return Err(invalid);
            }
            return Ok(holder);
        }
        let claims = self.roots.verify_client(token, now)?;
        let holder = Arc::new(Holder { key: claims.standard.holder_key(), claims });
        self.lock().insert(token, Arc::clone(&holder));
        Ok(holder)
    }

    fn lock(&self) -> MutexGuard<'_, Bounded<Arc<Holder>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    /// Whether the token ends soon enough, or may be of a service that runs for long.
    pub(super) fn is_short_lived(&self, max_validity: Duration, now: SystemTime) -> bool {
        if self.claims.granted().extended_service_lifetime {
            return true;
        }
        let left = self.claims.standard.expires.map(|end| end.duration_since(now).unwrap_or_default());
        left.is_some_and(|left| left <= max_validity)
    }
}

impl<T> Watched<T> {
    fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What the files hold, made again when a stamp is another one.
    fn current(
        &self,
        stamps: [Option<Stamp>; 2],
        make: impl FnOnce() -> Result<T, KeyFault>,
    ) -> Result<Arc<T>, KeyFault> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.as_ref().filter(|seen| seen.stamps == stamps) {
            return seen.made.clone();
        }
        let made = make().map(Arc::new);
        let before = seen.take().and_then(|seen| seen.made.ok());
        let made = match (made, before) {
            (Err(fault), Some(before)) => {
                tracing::error!("what is in the file now is not used, what was there before is: {fault}");
                Ok(before)
            }
            (Ok(made), before) => {
                if before.is_some() {
                    tracing::info!("files of basicjwt_signer changed and are in force");
                }
                Ok(made)
            }
            (fault, None) => fault,
        };
        *seen = Some(Seen { stamps, made: made.clone() });
        made
    }

    fn forget(&self) {
        // What was made stays, in case the files cannot be used.
        if let Some(seen) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            seen.stamps = [None, None];
        }
    }
}

fn read_delegator(settings: &settings::Signer) -> Result<Delegator, KeyFault> {
    let fault = |key, reason| KeyFault { key, reason };
    let token = read_token(&settings.token).map_err(|error| fault(DELEGATOR, chain(&error)))?;
    let seed = Seed::read(&settings.seed).map_err(|error| fault("basicjwt_signer.signing_seed", chain(&error)))?;
    let named = |error| fault(DELEGATOR, format!("{}: {error}", settings.token.display()));
    Delegator::new(&token, seed).map_err(named)
}

const TRUSTED: &str = "basicjwt_signer.signing_certificate";
const DELEGATOR: &str = "basicjwt_signer.signing_token";

/// Verified tokens that are kept: more than the people who work at one time.
const MOST_KNOWN: usize = 256;
