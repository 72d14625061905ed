//! A message as it is published: subject, headers, and the payload as it is (spec 04 §5.4).

use crate::message::Message;
use names::Collective;
use tokens::{Seed, Signature};

/// Names of the headers.
pub mod header {
    /// The message's id; JetStream drops what it has already by it.
    pub const MESSAGE_ID: &str = "Nats-Msg-Id";
    /// 0 to 4.
    pub const PRIORITY: &str = "Choria-Priority";
    /// Nanoseconds since 1970.
    pub const CREATED: &str = "Choria-Created";
    /// Who handed it in.
    pub const SENDER: &str = "Choria-Sender";
    /// `1` for reliable messages, else absent.
    pub const RELIABLE: &str = "Choria-Reliable";
    /// Attempts that failed; absent when none did.
    pub const TRIES: &str = "Choria-Tries";
    /// The node it was handed in at; absent when unknown.
    pub const IDENTITY: &str = "Choria-Identity";
    /// The server's token, in signed messages.
    pub const TOKEN: &str = "Choria-Token";
    /// The signature of the payload, hexadecimal, in signed messages.
    pub const SIGNATURE: &str = "Choria-Signature";
}

/// The proof that a signed message carries.
#[derive(Clone, Debug)]
pub struct Signed<'a> {
    /// Over the payload alone.
    pub signature: Signature,
    /// The server's token; white space around it is not sent. Without one nobody can verify the signature.
    pub token: Option<&'a str>,
}

impl<'a> Signed<'a> {
    /// Signs the payload of a message. Subject, headers and time are not signed (spec 04 §5.4).
    #[must_use]
    pub fn new(message: &Message, seed: &Seed, token: Option<&'a str>) -> Self {
        Self { signature: seed.sign(&message.payload), token }
    }
}

/// The subject to publish to: `<collective>.submission.in.<subject>`, in the main collective of the server.
#[must_use]
pub fn subject(collective: &Collective, message: &Message) -> String {
    format!("{collective}.submission.in.{}", message.subject)
}

/// The headers to publish with: the message's own, then Choria's. The data are `message.payload`. The proof goes with a
/// message that wants to be signed; another message takes none.
#[must_use]
pub fn encode(message: &Message, signed: Option<&Signed<'_>>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::with_capacity(9);
    let own = message.headers.iter().flatten();
    headers.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    add(header::MESSAGE_ID, message.id.to_string());
    add(header::PRIORITY, message.priority.to_string());
    add(header::CREATED, message.created.unix_nanos().to_string());
    add(header::SENDER, message.sender.clone());
    if message.reliable {
        add(header::RELIABLE, "1".to_owned());
    }
    if message.tries > 0 {
        add(header::TRIES, message.tries.to_string());
    }
    if !message.identity.is_empty() {
        add(header::IDENTITY, message.identity.clone());
    }
    if let Some(Signed { signature, token }) = signed.filter(|_| message.sign) {
        if let Some(token) = token {
            add(header::TOKEN, token.trim().to_owned());
        }
        add(header::SIGNATURE, signature.to_hex());
    }
    headers
}
