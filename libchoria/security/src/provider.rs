//! What a process does with messages under the provider `choria`.

use crate::credentials::Credentials;
use crate::rejection::Rejection;
use crate::setup::{Role, SetupErrors};
use crate::signer::{LocalSigner, Sealed, SignError, Signer};
use crate::trust::TrustedTokens;
use crate::verify::{self, Verification, Verified};
use config::Settings;
use names::{CallerId, Identity};
use protocol::{Reply, Request, SecureReply, SecureRequest, Version};
use std::sync::Arc;
use std::time::SystemTime;
use tokens::{Signature, TrustRoots};

/// Signs and verifies messages for one process or one of many servers in it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Provider(Arc<Inner>);

/// What a [`Provider`] is made of; [`Parts::from_settings`] reads it from the configuration.
#[derive(Debug)]
pub struct Parts {
    /// The node or user, as configured.
    pub identity: Identity,
    /// Token and seed; without them requests cannot be made and replies stay unsigned.
    pub credentials: Option<Credentials>,
    /// Whose requests and signed replies count.
    pub trust: Trust,
    /// Whether replies are signed (`plugin.security.choria.sign_replies`).
    pub sign_replies: bool,
}

/// Whose messages count.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of holders of tokens from trusted issuers. Share it between providers that trust the same ones.
    Tokens(Arc<TrustedTokens>),
    /// No issuer is known: no request counts, replies are only checked for damage. The usual case for clients.
    Nobody,
    /// Every request counts unverified: servers in provisioning mode, whose agent asks for a secret of its own, and
    /// tests.
    Insecure,
}

#[derive(Debug)]
struct Inner {
    parts: Parts,
    caller: CallerId,
}

impl Provider {
    /// Reads everything that the configuration names.
    ///
    /// # Errors
    /// Every mistake found, as from [`Parts::from_settings`].
    pub fn from_settings(settings: &Settings, role: Role, now: SystemTime) -> Result<Self, SetupErrors> {
        Parts::from_settings(settings, role, now).map(Self::new)
    }

    /// A provider of these parts.
    ///
    /// # Panics
    /// Never: every identity is a valid caller id.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let own = parts.credentials.as_ref().map(|credentials| credentials.caller().clone());
        let caller = own.or_else(|| format!("choria={}", parts.identity).parse().ok()).unwrap_or_else(|| {
            // Only an identity of nearly 255 bytes is too long for the prefix.
            parts.identity.as_str().parse().expect("every identity is a valid caller id")
        });
        Self(Arc::new(Inner { parts, caller }))
    }

    /// The provider of a server in provisioning mode: it has no token yet, takes requests unverified and does not sign
    /// its replies (spec 02 §3, §12).
    #[must_use]
    pub fn provisioning(identity: Identity) -> Self {
        Self::new(Parts { identity, credentials: None, trust: Trust::Insecure, sign_replies: false })
    }

    /// Who asks when this process asks: the caller id of a client's token, the identity of a server's, else
    /// `choria=<identity>`.
    #[must_use]
    pub fn caller(&self) -> &CallerId {
        &self.0.caller
    }

    /// The node or user, as configured; the sender of its messages.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.parts.identity
    }

    /// Token and seed, if there are any.
    #[must_use]
    pub fn credentials(&self) -> Option<&Credentials> {
        self.0.parts.credentials.as_ref()
    }

    /// The token, without white space around.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.credentials().map(Credentials::token)
    }

    /// Signs `bytes` with the seed, as remote signers ask for; nothing without a seed.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Option<Signature> {
        self.credentials().map(|credentials| credentials.sign(bytes))
    }

    /// Whose messages count.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.0.parts.trust
    }

    /// Who is trusted to issue tokens, if anybody is.
    #[must_use]
    pub fn roots(&self) -> Option<&TrustRoots> {
        self.trusted().map(TrustedTokens::roots)
    }

    /// Decides whether a request counts (spec 02 §12). Its time to live and filter are not looked at.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn verify_request(&self, secure: &SecureRequest, now: SystemTime) -> Result<Verified<Request>, Rejection> {
        verify::version(secure.version)?;
        match &self.0.parts.trust {
            Trust::Tokens(trusted) => verify::request(trusted, secure, now),
            Trust::Nobody => Err(Rejection::NoTrust),
            Trust::Insecure => {
                let request = secure.unverified_request().map_err(Rejection::Request)?;
                Ok(Verified::new(request, Verification::Nothing))
            }
        }
    }

    /// Decides whether a reply counts: its hash must fit; a signature, where there is one and an issuer is trusted, must
    /// be that of the server it names.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn verify_reply(&self, secure: &SecureReply, now: SystemTime) -> Result<Verified<Reply>, Rejection> {
        verify::version(secure.version)?;
        verify::reply(self.trusted(), secure, now)
    }

    /// The secure reply around `reply` as JSON text, signed if this process has a seed and is told to sign.
    #[must_use]
    pub fn seal_reply(&self, reply: &Reply) -> Vec<u8> {
        let mut secure = SecureReply::unsigned(reply.version, reply.encode());
        if let (Version::V2, true, Some(credentials)) = (reply.version, self.0.parts.sign_replies, self.credentials()) {
            secure.signature = Some(credentials.sign(&secure.reply).as_bytes().to_vec());
            secure.sender = Some(credentials.token().to_owned());
        }
        secure.encode()
    }

    /// A signer that uses this process's own seed.
    #[must_use]
    pub fn signer(&self) -> Arc<dyn Signer> {
        Arc::new(LocalSigner::new(self.clone()))
    }

    /// The sealed form of `request` from `answer`, the secure request as JSON text that a remote signer made of it
    /// (spec 02 §13).
    ///
    /// # Errors
    /// An answer that is none, is not signed by a delegate or is for another request.
    pub fn seal_delegated(&self, request: &Request, answer: &[u8]) -> Result<Sealed, SignError> {
        Sealed::delegated(self, request, answer)
    }

    fn trusted(&self) -> Option<&TrustedTokens> {
        match self.trust() {
            Trust::Tokens(trusted) => Some(trusted),
            Trust::Nobody | Trust::Insecure => None,
        }
    }
}
