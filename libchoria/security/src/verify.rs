//! The rules for requests and replies (spec 02 §12), over the exact bytes that were signed.

use crate::rejection::{Holder, Rejection};
use crate::trust::{Claims, Known, TrustedTokens};
use protocol::{INSECURE, Reply, Request, SecureReply, SecureRequest, Version};
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;
use tokens::{ClientClaims, Signature};

/// A message that passed the rules of the provider. Made by [`crate::Provider`] only.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    message: T,
    verification: Verification,
    /// The caller's token.
    caller: Option<Arc<Known>>,
}

/// What shows where a message comes from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verification {
    /// Nothing: this process verifies no requests, see [`crate::Trust::Insecure`].
    Nothing,
    /// The hash of a reply: it is undamaged, but anybody could have sent it.
    Hash,
    /// The signature of the holder of a trusted token.
    Signature,
}

impl<T> Verified<T> {
    pub(crate) fn new(message: T, verification: Verification) -> Self {
        Self { message, verification, caller: None }
    }

    /// The claims of the token of who made a request; `None` for replies, and where nothing is verified.
    #[must_use]
    pub fn caller_claims(&self) -> Option<&ClientClaims> {
        match &self.caller.as_ref()?.claims {
            Claims::Client(claims) => Some(claims),
            Claims::Server(_) => None,
        }
    }

    /// What was verified.
    #[must_use]
    pub fn verification(&self) -> Verification {
        self.verification
    }

    /// The message, apart from its proof.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.message
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}

/// Verifies a request by the tokens it carries.
pub(crate) fn request(
    trusted: &TrustedTokens,
    secure: &SecureRequest,
    now: SystemTime,
) -> Result<Verified<Request>, Rejection> {
    let signature = signature(&secure.signature)?;
    let (request, caller) = match &secure.signer {
        None => request_of_caller(trusted, secure, &signature, now)?,
        Some(signer) => request_of_delegate(trusted, secure, signer, &signature, now)?,
    };
    Ok(Verified { caller: Some(caller), ..Verified::new(request, Verification::Signature) })
}

/// One token: the caller signed.
fn request_of_caller(
    trusted: &TrustedTokens,
    secure: &SecureRequest,
    signature: &Signature,
    now: SystemTime,
) -> Result<(Request, Arc<Known>), Rejection> {
    let known = trusted.verify(&secure.caller, now).map_err(|reason| token(Holder::Caller, reason))?;
    if let Claims::Client(claims) = &known.claims {
        let granted = claims.granted();
        if granted.signed_fleet_management {
            return Err(Rejection::NeedsDelegate { caller: claims.caller_id.clone() });
        }
        if !granted.fleet_management {
            return Err(Rejection::NoFleetManagement { caller: claims.caller_id.clone() });
        }
    }
    check_signature(&known, Holder::Caller, &secure.request, signature)?;
    let request = secure.unverified_request().map_err(Rejection::Request)?;
    match &known.claims {
        Claims::Server(claims) => Err(Rejection::NotAClient { identity: claims.identity.clone() }),
        Claims::Client(claims) if *claims.caller_id == *request.caller.as_str() => Ok((request, known)),
        Claims::Client(claims) => {
            Err(Rejection::CallerMismatch { token: claims.caller_id.clone(), request: request.caller.to_string() })
        }
    }
}

/// Two tokens: a delegate signed, and may name any caller it has a reason to name. Both tokens must be of one issuer.
fn request_of_delegate(
    trusted: &TrustedTokens,
    secure: &SecureRequest,
    signer: &str,
    signature: &Signature,
    now: SystemTime,
) -> Result<(Request, Arc<Known>), Rejection> {
    let delegate = trusted.verify(signer, now).map_err(|reason| token(Holder::Delegate, reason))?;
    let claims = client(&delegate, Holder::Delegate)?;
    if !claims.granted().authentication_delegator {
        return Err(Rejection::NotADelegate { signer: claims.caller_id.clone() });
    }
    let caller = trusted.verify_by(delegate.issuer, &secure.caller, now);
    let caller = caller.map_err(|reason| token(Holder::Caller, reason))?;
    let claims = client(&caller, Holder::Caller)?;
    let granted = claims.granted();
    if !(granted.fleet_management || granted.signed_fleet_management) {
        return Err(Rejection::NoFleetManagement { caller: claims.caller_id.clone() });
    }
    check_signature(&delegate, Holder::Delegate, &secure.request, signature)?;
    Ok((secure.unverified_request().map_err(Rejection::Request)?, caller))
}

/// Verifies a reply: its hash always, its signature when it has one and `trusted` says who may issue tokens.
pub(crate) fn reply(
    trusted: Option<&TrustedTokens>,
    secure: &SecureReply,
    now: SystemTime,
) -> Result<Verified<Reply>, Rejection> {
    if !secure.hash_matches() {
        return Err(Rejection::Hash);
    }
    let known = match (trusted, &secure.signature, &secure.sender) {
        (None, _, _) | (_, None, None) => None,
        (Some(_), Some(_), None) | (Some(_), None, Some(_)) => return Err(Rejection::HalfSigned),
        (Some(trusted), Some(bytes), Some(sender)) => {
            let known = trusted.verify(sender, now).map_err(|reason| token(Holder::Sender, reason))?;
            check_signature(&known, Holder::Sender, &secure.reply, &signature(bytes)?)?;
            Some(known)
        }
    };
    let reply = secure.unverified_reply().map_err(Rejection::Reply)?;
    let Some(known) = known else { return Ok(Verified::new(reply, Verification::Hash)) };
    let Claims::Server(claims) = &known.claims else {
        let reason = tokens::Invalid::Purpose { expected: tokens::Purpose::Server, found: tokens::Purpose::Client };
        return Err(token(Holder::Sender, reason));
    };
    if *claims.identity != *reply.sender.as_str() {
        return Err(Rejection::SenderMismatch { token: claims.identity.clone(), reply: reply.sender.to_string() });
    }
    Ok(Verified::new(reply, Verification::Signature))
}

/// Refuses messages of the generation that needs certificates.
pub(crate) fn version(version: Version) -> Result<(), Rejection> {
    if version == Version::V2 { Ok(()) } else { Err(Rejection::Version(version)) }
}

fn signature(bytes: &[u8]) -> Result<Signature, Rejection> {
    if bytes == INSECURE {
        return Err(Rejection::Unsigned);
    }
    Signature::from_slice(bytes).map_err(|_| Rejection::SignatureSize(bytes.len()))
}

fn check_signature(known: &Known, holder: Holder, bytes: &[u8], signature: &Signature) -> Result<(), Rejection> {
    let key = known.key.as_ref().map_err(|reason| token(holder, reason.clone()))?;
    if key.verify(bytes, signature) { Ok(()) } else { Err(Rejection::Signature { holder }) }
}

fn client(known: &Known, holder: Holder) -> Result<&ClientClaims, Rejection> {
    match &known.claims {
        Claims::Client(claims) => Ok(claims),
        Claims::Server(_) => {
            let reason = tokens::Invalid::Purpose { expected: tokens::Purpose::Client, found: tokens::Purpose::Server };
            Err(token(holder, reason))
        }
    }
}

fn token(holder: Holder, reason: tokens::Invalid) -> Rejection {
    Rejection::Token { holder, reason }
}
