//! Whether a request is signed: every rule of spec 07 §6.1 in its order.

use super::authorize::{Authorization, Refused};
use super::keys::{KeyFault, Keys};
use crate::audit::NoRoom;
use crate::metrics::{Metrics, Signature as Outcome};
use names::CallerId;
use protocol::{Request, Version};
use security::DelegatorError;
use std::time::SystemTime;
use tokens::Signature;

/// What somebody asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// The request, JSON text.
    pub(super) request: &'a [u8],
    /// The caller's token.
    pub(super) token: &'a str,
    /// By the token's key over the bytes of `request`, hexadecimal; empty when there is none.
    pub(super) signature: &'a str,
    /// Whether a missing signature is borne.
    pub(super) bearer_tokens: bool,
}

/// A request that is signed once it is audited.
#[derive(Debug)]
pub(super) struct Allowed {
    /// With the caller that the token names.
    pub(super) request: Request,
    /// `agent.action`, for the log.
    pub(super) action: String,
}

/// A request that is not signed.
#[derive(Debug)]
pub(super) struct NotAllowed {
    pub(super) denial: Denial,
    /// The request as far as it was read, for the audit; a request that cannot be read is not audited.
    pub(super) request: Option<Request>,
}

/// Why a request is not signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denial {
    #[error("invalid request: {0}")]
    Request(protocol::Invalid),
    #[error("unsupported request version '{0}': this service signs version 2 requests, whose signers are tokens")]
    Version(Version),
    #[error("the files of basicjwt_signer cannot be used: {0}")]
    Keys(#[from] KeyFault),
    #[error("invalid token: {0}")]
    Token(tokens::Invalid),
    #[error("invalid token: invalid claims: expiry is not set or it is too far in the future")]
    Lifetime,
    #[error("invalid signature: no signature")]
    NoSignature,
    #[error("invalid signature: invalid public key in token: {0}")]
    HolderKey(tokens::Invalid),
    #[error("invalid signature: invalid signature in request")]
    SignatureForm,
    #[error("invalid signature: invalid request signature")]
    Signature,
    #[error("could not set caller id: no caller received in claims")]
    NoCaller,
    #[error("could not set caller id: {0}")]
    Caller(names::InvalidName),
    #[error("{request}: {refused}")]
    Refused { request: String, refused: Box<Refused> },
    #[error("{0}")]
    Audit(#[from] NoRoom),
    #[error("secure request failed: {0}")]
    Seal(DelegatorError),
}

impl Denial {
    /// Whether this is more than the authorizer's plain no.
    pub(super) fn is_error(&self) -> bool {
        !matches!(self, Self::Refused { refused, .. } if matches!(**refused, Refused::Plain))
    }

    /// The reason as one word for the log.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Request(_) | Self::Version(_) => "request",
            Self::Token(_) | Self::Lifetime => "token",
            Self::NoSignature | Self::HolderKey(_) | Self::SignatureForm | Self::Signature => "signature",
            Self::NoCaller | Self::Caller(_) => "caller",
            Self::Refused { .. } => "authorization",
            Self::Audit(_) => "audit",
            Self::Keys(_) | Self::Seal(_) => "setup",
        }
    }
}

impl Question<'_> {
    /// Decides.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(super) async fn decide(
        self,
        keys: &Keys,
        authorization: &Authorization,
        metrics: &Metrics,
        now: SystemTime,
    ) -> Result<Allowed, NotAllowed> {
        let unread = |denial| NotAllowed { denial, request: None };
        let mut request = Request::parse(self.request).map_err(|invalid| unread(Denial::Request(invalid)))?;
        if request.version != Version::V2 {
            return Err(unread(Denial::Version(request.version)));
        }
        match self.judge(&mut request, keys, authorization, metrics, now).await {
            Ok(action) => Ok(Allowed { request, action }),
            Err(denial) => Err(NotAllowed { denial, request: Some(request) }),
        }
    }

    async fn judge(
        self,
        request: &mut Request,
        keys: &Keys,
        authorization: &Authorization,
        metrics: &Metrics,
        now: SystemTime,
    ) -> Result<String, Denial> {
        let trusted = keys.trusted()?;
        let holder = trusted.verify(self.token, now).map_err(|invalid| {
            metrics.signature(Outcome::InvalidToken);
            Denial::Token(invalid)
        })?;
        if !holder.is_short_lived(keys.max_validity(), now) {
            metrics.signature(Outcome::InvalidToken);
            return Err(Denial::Lifetime);
        }
        if !self.signature.is_empty() {
            let key = holder.key.as_ref().map_err(|invalid| Denial::HolderKey(invalid.clone()))?;
            let signature = Signature::from_hex(self.signature).map_err(|_| Denial::SignatureForm)?;
            if !key.verify(self.request, &signature) {
                return Err(Denial::Signature);
            }
        } else if !self.bearer_tokens {
            return Err(Denial::NoSignature);
        }
        request.caller = caller(&holder.claims.caller_id)?;
        let decided = authorization.decide(request, &holder.claims, metrics, now).await;
        decided.map_err(|refused| Denial::Refused {
            request: format!("request {} of {}@{} for {}", request.id, request.caller, request.sender, request.agent),
            refused: Box::new(refused),
        })
    }
}

/// The caller of the signed request: that of the token, with `@` and `.` replaced, as receivers expect.
fn caller(claim: &str) -> Result<CallerId, Denial> {
    if claim.is_empty() {
        return Err(Denial::NoCaller);
    }
    claim.replace(['@', '.'], "_").parse().map_err(Denial::Caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_rewritten() {
        let rows = [
            ("up=jo", Some("up=jo")),
            ("up=jo@ex.net", Some("up=jo_ex_net")),
            ("okta=jo.e@ex.net", Some("okta=jo_e_ex_net")),
            ("", None),
            ("up=jo\n", None),
        ];
        for (claim, expected) in rows {
            assert_eq!(caller(claim).ok().map(|caller| caller.to_string()).as_deref(), expected, "{claim:?}");
        }
    }
}
