//! The claims that tokens of every kind carry (spec 01 §2).

use super::json::{self, Claims};
use crate::invalid::Invalid;
use crate::key::PublicKey;
use serde::de::MapAccess;
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::SystemTime;

/// What a token is for.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Purpose {
    /// Identifies a client: `choria_client_id`.
    Client,
    /// Identifies a server: `choria_server`.
    Server,
    /// Tells an unprovisioned server where to go: `choria_provisioning`.
    Provisioning,
    /// None of these, or no purpose at all.
    #[default]
    Unknown,
}

/// The claims that tokens of every kind carry. Times are whole seconds.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct StandardClaims {
    /// `purpose`.
    pub purpose: Purpose,
    /// `tcs`: signatures that tie the token to the organization issuer, hexadecimal, one or two joined by `.`
    /// (spec 01 §4).
    #[serde(rename = "tcs", skip_serializing_if = "Option::is_none")]
    pub trust_chain_signature: Option<String>,
    /// `public_key`: the holder's ed25519 public key as it stands in the token; [`StandardClaims::holder_key`] reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// `issexp`: when the chain issuer expires.
    #[serde(rename = "issexp", skip_serializing_if = "Option::is_none", serialize_with = "json::write_time")]
    pub issuer_expires: Option<SystemTime>,
    /// `iss`: free text, `I-…` for chain issuers, `C-…` for what those issued. Empty when absent.
    #[serde(rename = "iss", skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// `sub`. Empty when absent; only provisioning tokens set it.
    #[serde(rename = "sub", skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// `aud`; a single text is read as a list of one.
    #[serde(rename = "aud", skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// `exp`: the token is valid before this time.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none", serialize_with = "json::write_time")]
    pub expires: Option<SystemTime>,
    /// `nbf`: the token is valid from this time on.
    #[serde(rename = "nbf", skip_serializing_if = "Option::is_none", serialize_with = "json::write_time")]
    pub not_before: Option<SystemTime>,
    /// `iat`: when the token was made.
    #[serde(rename = "iat", skip_serializing_if = "Option::is_none", serialize_with = "json::write_time")]
    pub issued_at: Option<SystemTime>,
    /// `jti`: a KSUID in tokens made since 2023. Empty when absent.
    #[serde(rename = "jti", skip_serializing_if = "String::is_empty")]
    pub id: String,
}

impl StandardClaims {
    /// When the token stops being usable: the earlier of its own and its chain issuer's expiry. `None` when neither is
    /// set.
    #[must_use]
    pub fn effective_expiry(&self) -> Option<SystemTime> {
        match (self.issuer_expires, self.expires) {
            (Some(issuer), Some(own)) => Some(issuer.min(own)),
            (issuer, own) => issuer.or(own),
        }
    }

    /// Whether a holder must not use the token any more. True without any expiry: such tokens verify, but other
    /// implementations refuse to connect with them (spec 01 §2).
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.effective_expiry().is_none_or(|expiry| now > expiry)
    }

    /// The holder's public key.
    ///
    /// # Errors
    /// [`Invalid::NoPublicKey`] or [`Invalid::PublicKey`].
    pub fn holder_key(&self) -> Result<PublicKey, Invalid> {
        let text = self.public_key.as_deref().ok_or(Invalid::NoPublicKey)?;
        text.parse().map_err(Invalid::PublicKey)
    }

    /// The purpose, with which older provisioning tokens are recognised by their subject.
    pub(crate) fn stated_purpose(&self) -> Purpose {
        if self.purpose == Purpose::Unknown && self.is_provisioning() { Purpose::Provisioning } else { self.purpose }
    }

    /// Whether these are claims of a provisioning token, by purpose or by subject.
    pub(crate) fn is_provisioning(&self) -> bool {
        self.purpose == Purpose::Provisioning || self.subject == Purpose::Provisioning.claim()
    }
}

impl Claims for StandardClaims {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<bool, A::Error> {
        match name {
            "purpose" => self.purpose = Purpose::of_claim(&json::value::<String, _>(values)?),
            "tcs" => self.trust_chain_signature = json::text(values)?,
            "public_key" => self.public_key = json::text(values)?,
            "issexp" => self.issuer_expires = json::time(values)?,
            "iss" => self.issuer = json::value(values)?,
            "sub" => self.subject = json::value(values)?,
            "aud" => self.audience = values.next_value::<Option<Audience>>()?.map_or_else(Vec::new, Audience::list),
            "exp" => self.expires = json::time(values)?,
            "nbf" => self.not_before = json::time(values)?,
            "iat" => self.issued_at = json::time(values)?,
            "jti" => self.id = json::value(values)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Purpose {
    /// The value of the `purpose` claim, empty for [`Purpose::Unknown`].
    #[must_use]
    pub fn claim(self) -> &'static str {
        match self {
            Self::Client => "choria_client_id",
            Self::Server => "choria_server",
            Self::Provisioning => "choria_provisioning",
            Self::Unknown => "",
        }
    }

    fn of_claim(text: &str) -> Self {
        let all = [Self::Client, Self::Server, Self::Provisioning];
        all.into_iter().find(|purpose| purpose.claim() == text).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Provisioning => "provisioning",
            Self::Unknown => "unknown",
        })
    }
}

impl Serialize for Purpose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.claim())
    }
}

/// The two forms of `aud`.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(list) => list,
        }
    }
}
