//! Tokens that were verified: who issued them, and keeping them so that the next message costs one verification less.

use crate::bounded::Bounded;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokens::{
    ClientClaims, Invalid, PublicKey, Purpose, ServerClaims, TrustRoots, Verified, purpose_of, read_client, read_server,
};

/// Verified tokens kept at most. A token with its claims takes a few kB; most sites have fewer active callers.
const KEPT: usize = 128;

/// Who is trusted to issue tokens, together with the tokens that were verified so far.
///
/// Share one between all providers of a process that trust the same issuers. Trusting other issuers takes a new one,
/// so nothing verified earlier outlives the trust in its issuer. Times are judged again at each use.
#[derive(Debug)]
pub struct TrustedTokens {
    roots: TrustRoots,
    /// Each trusted key with the organization it stands for, if it stands for one.
    issuers: Vec<(Option<String>, TrustRoots)>,
    known: Mutex<Bounded<Arc<Known>>>,
}

/// A verified token.
#[derive(Debug)]
pub(crate) struct Known {
    /// What it says.
    pub(crate) claims: Claims,
    /// The holder's key, which requests and replies are signed with.
    pub(crate) key: Result<PublicKey, Invalid>,
    /// Which of the trusted issuers vouches for it.
    pub(crate) issuer: usize,
}

/// The claims of the two kinds of token that sign messages.
#[derive(Debug)]
pub(crate) enum Claims {
    Client(Verified<ClientClaims>),
    Server(Verified<ServerClaims>),
}

impl TrustedTokens {
    /// Trusts `roots`; no token is known yet.
    #[must_use]
    pub fn new(roots: TrustRoots) -> Self {
        Self { issuers: roots.split(), roots, known: Mutex::new(Bounded::new(KEPT)) }
    }

    /// Who is trusted.
    #[must_use]
    pub fn roots(&self) -> &TrustRoots {
        &self.roots
    }

    /// How many tokens are kept, at most 128.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known().len()
    }

    /// Whether no token is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Verifies a client or server token by the issuer of its organization, or by any trusted signer.
    pub(crate) fn verify(&self, token: &str, now: SystemTime) -> Result<Arc<Known>, Invalid> {
        let token = token.trim();
        if let Some(known) = self.recall(token, now)? {
            // A token may be known by the issuer of another organization, see `verify_by`.
            let unit = &self.issuers[known.issuer].0;
            if unit.as_ref().is_none_or(|unit| unit == known.claims.organization()) {
                return Ok(known);
            }
        }
        let (issuer, claims) = match purpose_of(token)? {
            Purpose::Server => {
                let unit = read_server(token)?.organization_unit;
                let (issuer, claims) = self.first_match(&unit, |issuer| issuer.verify_server(token, now))?;
                (issuer, Claims::Server(claims))
            }
            _ => {
                let unit = read_client(token)?.organization_unit;
                let (issuer, claims) = self.first_match(&unit, |issuer| issuer.verify_client(token, now))?;
                (issuer, Claims::Client(claims))
            }
        };
        Ok(self.keep(token, issuer, claims))
    }

    /// Verifies a client token by one issuer, whatever organization it says it is of.
    pub(crate) fn verify_by(&self, issuer: usize, token: &str, now: SystemTime) -> Result<Arc<Known>, Invalid> {
        let token = token.trim();
        match self.recall(token, now)? {
            Some(known) if known.issuer == issuer => Ok(known),
            _ => {
                let claims = self.issuers[issuer].1.verify_client(token, now)?;
                Ok(self.keep(token, issuer, Claims::Client(claims)))
            }
        }
    }

    /// A token verified earlier, unless it has expired since.
    fn recall(&self, token: &str, now: SystemTime) -> Result<Option<Arc<Known>>, Invalid> {
        let mut tokens = self.known();
        let Some(known) = tokens.get(token) else { return Ok(None) };
        if let Err(invalid) = known.claims.check_times(now) {
            tokens.remove(token);
            return Err(invalid);
        }
        Ok(Some(known))
    }

    /// Keeps a token that was just verified.
    fn keep(&self, token: &str, issuer: usize, claims: Claims) -> Arc<Known> {
        let known = Arc::new(Known { key: claims.holder_key(), claims, issuer });
        self.known().insert(token, Arc::clone(&known));
        known
    }

    /// Tries every issuer for the organization `unit` in order, until one vouches for the token or finds that it can be
    /// used by nobody.
    fn first_match<T>(
        &self,
        unit: &str,
        verify: impl Fn(&TrustRoots) -> Result<T, Invalid>,
    ) -> Result<(usize, T), Invalid> {
        let mut refusal = Invalid::NoTrust;
        for (index, (own, issuer)) in self.issuers.iter().enumerate() {
            if own.as_ref().is_some_and(|own| own != unit) {
                refusal = Invalid::UnknownIssuer(unit.chars().take(64).collect());
                continue;
            }
            match verify(issuer) {
                Ok(claims) => return Ok((index, claims)),
                Err(last @ (Invalid::Expired | Invalid::Purpose { .. })) => return Err(last),
                Err(other) if own.is_some() => return Err(other),
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }

    fn known(&self) -> MutexGuard<'_, Bounded<Arc<Known>>> {
        // Nothing panics while holding the lock; what it guards is whole in any case.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claims {
    fn organization(&self) -> &str {
        match self {
            Self::Client(claims) => &claims.organization_unit,
            Self::Server(claims) => &claims.organization_unit,
        }
    }

    fn holder_key(&self) -> Result<PublicKey, Invalid> {
        match self {
            Self::Client(claims) => claims.standard.holder_key(),
            Self::Server(claims) => claims.standard.holder_key(),
        }
    }

    fn check_times(&self, now: SystemTime) -> Result<(), Invalid> {
        match self {
            Self::Client(claims) => claims.check_times(now),
            Self::Server(claims) => claims.check_times(now),
        }
    }
}
