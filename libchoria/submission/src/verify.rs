//! Proving where a received message comes from (spec 04 §5.7).
//!
//! A signature covers the payload alone. What the token says, the identity first of all, is proven as well; id, time,
//! sender and the message's own headers are not: whoever may publish to the subject can change them, and can publish an
//! old payload again under a new id. What must be trusted belongs into the payload.

use crate::timestamp::Timestamp;
use crate::wire::header;
use crate::words::{MessageId, Priority};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use tokens::{Invalid, ServerClaims, Signature, TrustRoots, Verified};

/// How far the clocks of two machines may differ before a message is refused as one from the future.
pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);
/// Longest token that is looked at, in bytes.
const LONGEST_TOKEN: usize = 64 << 10;
/// Most headers that are looked at.
const MOST_HEADERS: usize = 1000;

/// A message whose payload was signed by a server that the organization issuer vouches for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedSubmission {
    /// Proven: the node that signed the payload, of its token.
    pub identity: String,
    /// Proven: all that the node's token says.
    pub claims: Verified<ServerClaims>,
    /// Claimed: the message's id.
    pub id: MessageId,
    /// Claimed: when it was handed in. It is not older than was asked for.
    pub created: SystemTime,
    /// Claimed: who handed it in, empty when not said.
    pub sender: String,
    /// Claimed.
    pub priority: Priority,
    /// Claimed.
    pub reliable: bool,
    /// Claimed: attempts before this one.
    pub tries: u64,
    /// Claimed: the message's own headers.
    pub headers: BTreeMap<String, String>,
}

/// Why a message is not believed. Holds no token and no signature.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing: the message was not signed, or is none of Choria's.
    #[error("the message has no {0} header: it was not signed, or not submitted through Choria")]
    Missing(&'static str),
    /// A header cannot be read or is there more than once.
    #[error("the header {header} cannot be used: {why}")]
    Malformed {
        /// The header.
        header: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The token is not one of a server that a trusted issuer vouches for.
    #[error("the message's token is not trusted: {0}")]
    Untrusted(Invalid),
    /// The token, or that of its issuer, has expired.
    #[error("the message's token has expired: the node needs a new one")]
    Expired,
    /// The payload was changed, or signed by somebody else.
    #[error("the payload was changed or not signed by the holder of the token")]
    Signature,
    /// The message says that it is from another node than the one that signed it.
    #[error("the message says it is from {claimed:?} and was signed by {proven:?}")]
    Identity {
        /// `Choria-Identity`, cut to 64 characters.
        claimed: String,
        /// The identity in the token, cut to 64 characters.
        proven: String,
    },
    /// It was created longer ago than was asked for.
    #[error("the message was created {age_s} s ago and may be {most_s} s old")]
    Stale {
        /// Its age in seconds.
        age_s: u64,
        /// The age allowed, in seconds.
        most_s: u64,
    },
    /// It was created in the future.
    #[error("the message was created {ahead_s} s in the future: compare the clocks")]
    Future {
        /// Seconds from now.
        ahead_s: u64,
    },
}

/// Verifies a message as it was received. `max_age` is counted from `Choria-Created`; messages can wait in a spool for
/// as long as their ttl, so it is as much as the consumer wants to be late, [`crate::LONGEST_TTL`] at most useful.
///
/// The time it takes grows with the sizes of payload and token alone; a token has at most 64 KiB.
///
/// # Errors
/// The first rule that is broken, in the order: headers, token, signature, identity, age.
pub fn verify<N: AsRef<str>, V: AsRef<str>>(
    headers: &[(N, V)],
    payload: &[u8],
    trusted: &TrustRoots,
    max_age: Duration,
    now: SystemTime,
) -> Result<VerifiedSubmission, VerifyError> {
    let fields = Fields::read(headers)?;
    let signature = required(header::SIGNATURE, fields.signature)?;
    let signature = Signature::from_hex(signature)
        .map_err(|_| VerifyError::Malformed { header: header::SIGNATURE, why: "it is not 128 hexadecimal digits" })?;
    let token = required(header::TOKEN, fields.token)?;
    if token.len() > LONGEST_TOKEN {
        return Err(VerifyError::Malformed { header: header::TOKEN, why: "it has more than 64 KiB" });
    }
    let claimed = fields.claimed()?;
    let claims = trusted.verify_server(token.trim(), now).map_err(|invalid| match invalid {
        Invalid::Expired => VerifyError::Expired,
        other => VerifyError::Untrusted(other),
    })?;
    let key = claims.standard.holder_key().map_err(VerifyError::Untrusted)?;
    if !key.verify(payload, &signature) {
        return Err(VerifyError::Signature);
    }
    if let Some(identity) = fields.identity.filter(|identity| *identity != claims.identity) {
        let short = |text: &str| text.chars().take(64).collect();
        return Err(VerifyError::Identity { claimed: short(identity), proven: short(&claims.identity) });
    }
    let (age, ahead) = (claimed.created.age(now), claimed.created.ahead(now));
    if age > max_age {
        return Err(VerifyError::Stale { age_s: age.as_secs(), most_s: max_age.as_secs() });
    }
    if ahead > CLOCK_DIFFERENCE {
        return Err(VerifyError::Future { ahead_s: ahead.as_secs() });
    }
    Ok(VerifiedSubmission {
        identity: claims.identity.clone(),
        claims,
        id: claimed.id,
        created: claimed.created.into(),
        sender: claimed.sender,
        priority: claimed.priority,
        reliable: claimed.reliable,
        tries: claimed.tries,
        headers: fields.own,
    })
}

/// Choria's headers as they stand in the message.
#[derive(Default)]
struct Fields<'a> {
    id: Option<&'a str>,
    priority: Option<&'a str>,
    created: Option<&'a str>,
    sender: Option<&'a str>,
    reliable: Option<&'a str>,
    tries: Option<&'a str>,
    identity: Option<&'a str>,
    token: Option<&'a str>,
    signature: Option<&'a str>,
    own: BTreeMap<String, String>,
}

/// What is claimed about a message, read.
struct Claimed {
    id: MessageId,
    created: Timestamp,
    sender: String,
    priority: Priority,
    reliable: bool,
    tries: u64,
}

impl<'a> Fields<'a> {
    /// Sorts the headers. Which of two equal ones counts, different consumers would answer differently, also when they
    /// differ in case: such a message is refused. Others of the broker's headers are passed over.
    fn read<N: AsRef<str>, V: AsRef<str>>(headers: &'a [(N, V)]) -> Result<Self, VerifyError> {
        let malformed = |header, why| VerifyError::Malformed { header, why };
        if headers.len() > MOST_HEADERS {
            return Err(malformed(header::MESSAGE_ID, "there are more than 1000 headers beside it"));
        }
        let mut fields = Self::default();
        for (name, value) in headers {
            let (name, value) = (name.as_ref(), value.as_ref());
            let known = [
                (header::MESSAGE_ID, &mut fields.id),
                (header::PRIORITY, &mut fields.priority),
                (header::CREATED, &mut fields.created),
                (header::SENDER, &mut fields.sender),
                (header::RELIABLE, &mut fields.reliable),
                (header::TRIES, &mut fields.tries),
                (header::IDENTITY, &mut fields.identity),
                (header::TOKEN, &mut fields.token),
                (header::SIGNATURE, &mut fields.signature),
            ];
            match known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some((known, place)) => {
                    if known != name {
                        return Err(malformed(known, "its name is written in another case"));
                    }
                    if place.replace(value).is_some() {
                        return Err(malformed(known, "it is there twice"));
                    }
                }
                None if crate::words::is_reserved(name) => {}
                None => drop(fields.own.insert(name.to_owned(), value.to_owned())),
            }
        }
        Ok(fields)
    }

    /// Reads what is claimed.
    fn claimed(&self) -> Result<Claimed, VerifyError> {
        let malformed = |header, why| VerifyError::Malformed { header, why };
        let id = required(header::MESSAGE_ID, self.id)?;
        let id = id.parse().map_err(|_| malformed(header::MESSAGE_ID, "it is not 1 to 128 visible characters"))?;
        let created = number::<i64>(header::CREATED, required(header::CREATED, self.created)?)?;
        let priority = self.priority.map_or(Ok(4), |text| number(header::PRIORITY, text))?;
        let priority = Priority::new(priority).map_err(|_| malformed(header::PRIORITY, "it is not 0 to 4"))?;
        let sender = self.sender.unwrap_or_default();
        if crate::words::name_fault(sender).is_some() {
            return Err(malformed(header::SENDER, "it is not one line of at most 255 bytes"));
        }
        let reliable = match self.reliable {
            None => false,
            Some("1") => true,
            Some(_) => return Err(malformed(header::RELIABLE, "it is not 1")),
        };
        let tries = self.tries.map_or(Ok(0), |text| number(header::TRIES, text))?;
        let created = Timestamp::from_unix_nanos(created);
        Ok(Claimed { id, created, sender: sender.to_owned(), priority, reliable, tries })
    }
}

fn required<'a>(header: &'static str, value: Option<&'a str>) -> Result<&'a str, VerifyError> {
    value.filter(|value| !value.is_empty()).ok_or(VerifyError::Missing(header))
}

fn number<T: std::str::FromStr>(header: &'static str, text: &str) -> Result<T, VerifyError> {
    text.parse().map_err(|_| VerifyError::Malformed { header, why: "it is not a number" })
}
