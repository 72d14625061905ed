//! An answer to nats-server: an outer JWT that holds either the user's JWT or the error (spec 01 §14.3).

use super::nkey_jwt::{self, InvalidJwt};
use super::{CurveError, Keys, Question};
use crate::decision::{Decision, Grant};
use crate::permissions::Side;
use serde::Serialize;
use std::time::SystemTime;

/// What is answered about one connection.
#[derive(Debug)]
pub enum Answer<'a> {
    /// It is placed in an account with these permissions.
    User(&'a Grant),
    /// It is denied; the text goes to nats-server's log.
    Error(String),
}

/// An answer could not be made; carries the cause.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// Signing failed.
    #[error("the answer could not be signed: {0}")]
    Sign(#[from] InvalidJwt),
    /// Sealing failed.
    #[error("the answer could not be sealed: {0}")]
    Seal(#[from] CurveError),
}

impl<'a> From<&'a Decision> for Answer<'a> {
    fn from(decision: &'a Decision) -> Self {
        match decision {
            Decision::Allow(grant) => Self::User(grant),
            Decision::Deny(reason) => Self::Error(reason.to_string()),
        }
    }
}

impl Answer<'_> {
    /// The JWT that answers `question`, made at `now`.
    ///
    /// # Errors
    /// [`InvalidJwt`] when signing fails, which needs a key without its seed.
    pub fn to_jwt(&self, question: &Question, keys: &Keys, now: SystemTime) -> Result<String, InvalidJwt> {
        let (jwt, error) = match self {
            Self::User(grant) => (Some(user_jwt(grant, question, keys, now)?), None),
            Self::Error(text) => (None, Some(text.as_str())),
        };
        let claims = Claims {
            aud: &question.server,
            jti: new_id(),
            iat: seconds(now),
            exp: None,
            iss: &keys.issuer.public_key(),
            name: None,
            sub: &question.user_key,
            nats: Outer { jwt, error, kind: "authorization_response", version: VERSION },
        };
        nkey_jwt::encode(&claims, &keys.issuer)
    }

    /// The message body: [`Answer::to_jwt`] sealed to the nats-server's public curve key `server_curve`.
    ///
    /// # Errors
    /// [`ResponseError`].
    pub fn seal(
        &self,
        question: &Question,
        server_curve: &str,
        keys: &Keys,
        now: SystemTime,
    ) -> Result<Vec<u8>, ResponseError> {
        let jwt = self.to_jwt(question, keys, now)?;
        Ok(keys.curve.seal(jwt.as_bytes(), server_curve)?)
    }
}

/// The user's JWT. It expires only when the grant does, and then nats-server closes the connection; else, like in the
/// original system, a connection outlives its token until it reconnects.
fn user_jwt(grant: &Grant, question: &Question, keys: &Keys, now: SystemTime) -> Result<String, InvalidJwt> {
    let permissions = &grant.permissions;
    let claims = Claims {
        aud: grant.account.name(),
        jti: new_id(),
        iat: seconds(now),
        exp: grant.expires.map(seconds),
        iss: &keys.issuer.public_key(),
        name: Some(&grant.name),
        sub: &question.user_key,
        nats: User {
            publish: (&permissions.publish).into(),
            subscribe: (&permissions.subscribe).into(),
            subs: UNLIMITED,
            data: UNLIMITED,
            payload: UNLIMITED,
            kind: "user",
            version: VERSION,
        },
    };
    nkey_jwt::encode(&claims, &keys.issuer)
}

fn new_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[derive(Serialize)]
struct Claims<'a, T> {
    aud: &'a str,
    jti: String,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    sub: &'a str,
    nats: T,
}

#[derive(Serialize)]
struct Outer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
}

#[derive(Serialize)]
struct User<'a> {
    #[serde(rename = "pub")]
    publish: Limits<'a>,
    #[serde(rename = "sub")]
    subscribe: Limits<'a>,
    subs: i64,
    data: i64,
    payload: i64,
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
}

#[derive(Serialize)]
struct Limits<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allow: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    deny: &'a [String],
}

impl<'a> From<&'a Side> for Limits<'a> {
    fn from(side: &'a Side) -> Self {
        Self { allow: &side.allow, deny: &side.deny }
    }
}

/// The version of NATS JWTs.
const VERSION: u32 = 2;

/// How NATS JWTs write "no limit".
const UNLIMITED: i64 = -1;
