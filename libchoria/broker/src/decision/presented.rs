//! What a connection says about itself, for the record of what was decided.

use super::Request;
use serde_json::{Map, Value};

/// Facts of the token that a connection presented. Read without verifying: after a denial they are a claim, not a fact.
/// Each is bounded and free of control characters, so that a stranger's token cannot forge a line of the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Presented {
    /// `client`, `server`, `provisioning`, `unknown`, or `none` without a token.
    pub purpose: &'static str,
    /// Caller id or identity; else the user name; empty when there is none.
    pub identity: String,
    /// The token's id (`jti`), empty when it has none.
    pub token_id: String,
    /// Who issued it (`iss`): the id of a chain issuer, `I-` and a key for an organization issuer.
    pub issuer: String,
    /// The organization unit (`ou`).
    pub organization: String,
}

impl Presented {
    /// What `request` presents.
    #[must_use]
    pub fn by(request: &Request) -> Self {
        let user = || bounded(&request.user);
        let Some(token) = request.token.as_ref().map(super::Secret::expose) else {
            return Self { purpose: "none", identity: user(), ..Self::default() };
        };
        let Ok(claims) = tokens::claims_of(token) else {
            return Self { purpose: "unknown", identity: user(), ..Self::default() };
        };
        // A provisioning token names nobody; the node does, by the name of its connection.
        let user = || {
            if tokens::purpose_of(token).ok() == Some(tokens::Purpose::Provisioning) {
                bounded(&request.name)
            } else {
                user()
            }
        };
        let identity = ["callerid", "identity"].iter().map(|name| text(&claims, name)).find(|text| !text.is_empty());
        Self {
            purpose: match tokens::purpose_of(token) {
                Ok(tokens::Purpose::Client) => "client",
                Ok(tokens::Purpose::Server) => "server",
                Ok(tokens::Purpose::Provisioning) => "provisioning",
                Ok(tokens::Purpose::Unknown) | Err(_) => "unknown",
            },
            identity: identity.unwrap_or_else(user),
            token_id: text(&claims, "jti"),
            issuer: text(&claims, "iss"),
            organization: text(&claims, "ou"),
        }
    }
}

fn text(claims: &Map<String, Value>, name: &str) -> String {
    claims.get(name).and_then(Value::as_str).map(bounded).unwrap_or_default()
}

/// The first [`LONGEST`] characters of `text`, control characters replaced.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// No honest name is longer.
const LONGEST: usize = 128;
