//! Every reason for which a received message is not believed, each told apart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use choria_submission::{
    CLOCK_DIFFERENCE, Draft, MessageId, Replays, Sender, VerifiedSubmission, VerifyError, accept, verify, wire,
};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, Seed, ServerClaims, SigningKey, TrustRoots};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_252_658)
}

fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

fn roots() -> TrustRoots {
    TrustRoots::issuers([("choria".to_owned(), seed(1).public())].into())
}

fn claims(identity: &str) -> ServerClaims {
    let random = &mut rand::rngs::OsRng;
    let mut claims =
        ServerClaims::new(identity, vec!["choria".to_owned()], seed(9).public(), 30 * DAY, now() - SECOND, random)
            .unwrap();
    claims.organization_unit = "choria".to_owned();
    claims
}

fn issued(claims: &ServerClaims, by: u8) -> String {
    claims.sign(&SigningKey::Ed25519(seed(by))).unwrap()
}

/// A received message that can be spoilt.
struct Received {
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
    now: SystemTime,
}

impl Received {
    fn new() -> Self {
        let draft = Draft {
            reliable: true,
            sign: true,
            headers: [("Acme".to_owned(), "1".to_owned())].into(),
            ..Draft::new("jobs.a", "payload")
        };
        let id: MessageId = "id-1".parse().unwrap();
        let message = accept(draft, Sender::user(5), "n1.example.net", id, now()).unwrap();
        let token = issued(&claims("n1.example.net"), 1);
        let signed = wire::Signed::new(&message, &seed(9), Some(&token));
        Self { headers: wire::encode(&message, Some(&signed)), payload: message.payload, now: now() }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.add(name, value)
    }

    fn add(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    fn token(self, claims: &ServerClaims, by: u8) -> Self {
        self.set("Choria-Token", &issued(claims, by))
    }

    fn at(self, now: SystemTime) -> Self {
        Self { now, ..self }
    }

    fn verify(&self) -> Result<VerifiedSubmission, VerifyError> {
        verify(&self.headers, &self.payload, &roots(), DAY, self.now)
    }
}

#[test]
fn what_is_proven_and_what_is_claimed() {
    let verified = Received::new().verify().unwrap();
    assert_eq!(verified.identity, "n1.example.net");
    assert_eq!(verified.claims.standard.public_key, Some(seed(9).public().to_string()));
    assert_eq!((verified.id.as_str(), &*verified.sender, verified.created), ("id-1", "user 5", now()));
    assert_eq!((verified.priority.number(), verified.reliable, verified.tries), (4, true, 0));
    assert_eq!(verified.headers, [("Acme".to_owned(), "1".to_owned())].into());
}

/// Server claims signed through a chain issuer, which can be spoilt.
fn chained(spoil: impl Fn(&mut ServerClaims)) -> ServerClaims {
    let mut issuer = ClientClaims::new("up=provisioner", 30 * DAY, now() - SECOND, &mut rand::rngs::OsRng).unwrap();
    issuer.standard.public_key = Some(seed(2).public().to_string());
    issuer.standard.add_org_issuer(&seed(1)).unwrap();
    let mut server = claims("n1.example.net");
    server.standard.add_chain_issuer(&issuer, &seed(2)).unwrap();
    spoil(&mut server);
    server
}

#[test]
fn each_reason_is_told_apart() {
    let good = Received::new;
    let client = ClientClaims::new("up=alice", DAY, now() - SECOND, &mut rand::rngs::OsRng).unwrap();
    let client = client.sign(&SigningKey::Ed25519(seed(1))).unwrap();
    let other_unit = ServerClaims { organization_unit: "acme".to_owned(), ..claims("n1.example.net") };
    let mut keyless = claims("n1.example.net");
    keyless.standard.public_key = None;
    let zeros = "0".repeat(128);
    let rows: Vec<(&str, Received, &str)> = vec![
        ("good", good(), "ok"),
        ("by a chain issuer", good().token(&chained(|_| ()), 2), "ok"),
        (
            "white space around the token",
            good().set("Choria-Token", &format!(" {}\n", issued(&claims("n1.example.net"), 1))),
            "ok",
        ),
        ("no identity claimed", good().without("Choria-Identity"), "ok"),
        ("a header of the broker", good().add("Nats-Sequence", "7"), "ok"),
        ("no signature", good().without("Choria-Signature"), "missing Choria-Signature"),
        ("empty signature", good().set("Choria-Signature", ""), "missing Choria-Signature"),
        ("no token", good().without("Choria-Token"), "missing Choria-Token"),
        ("no id", good().without("Nats-Msg-Id"), "missing Nats-Msg-Id"),
        ("no time", good().without("Choria-Created"), "missing Choria-Created"),
        ("short signature", good().set("Choria-Signature", "00"), "malformed Choria-Signature"),
        ("two tokens", good().add("Choria-Token", "x"), "malformed Choria-Token"),
        ("two identities in other case", good().add("choria-identity", "n2"), "malformed Choria-Identity"),
        ("long token", good().set("Choria-Token", &"a".repeat(70_000)), "malformed Choria-Token"),
        ("a line in the id", good().set("Nats-Msg-Id", "a\nb"), "malformed Nats-Msg-Id"),
        ("words as time", good().set("Choria-Created", "now"), "malformed Choria-Created"),
        ("priority 5", good().set("Choria-Priority", "5"), "malformed Choria-Priority"),
        ("reliable 2", good().set("Choria-Reliable", "2"), "malformed Choria-Reliable"),
        ("tries -1", good().set("Choria-Tries", "-1"), "malformed Choria-Tries"),
        ("a line in the sender", good().set("Choria-Sender", "a\nb"), "malformed Choria-Sender"),
        ("no token at all in it", good().set("Choria-Token", "x"), "untrusted malformed"),
        ("a client's token", good().set("Choria-Token", &client), "untrusted purpose"),
        ("another issuer", good().token(&claims("n1.example.net"), 3), "untrusted signature"),
        ("another organization", good().token(&other_unit, 1), "untrusted unverifiable"),
        (
            "chain issuer of nobody",
            good().token(&chained(|claims| claims.standard.trust_chain_signature = None), 2),
            "untrusted chain",
        ),
        (
            "chain issuer not of this token",
            good().token(&chained(|claims| claims.standard.id = "other".to_owned()), 2),
            "untrusted chain",
        ),
        ("not signed by its chain issuer", good().token(&chained(|_| ()), 3), "untrusted signature"),
        (
            "chain issuer without an end",
            good().token(&chained(|claims| claims.standard.issuer_expires = None), 2),
            "untrusted chain",
        ),
        (
            "chain issuer at its end",
            good().token(&chained(|claims| claims.standard.issuer_expires = Some(now() - SECOND)), 2),
            "expired",
        ),
        ("token at its end", good().at(now() + 30 * DAY), "expired"),
        ("token before its beginning", good().at(now() - 2 * SECOND), "untrusted not_yet_valid"),
        ("token without a key", good().token(&keyless, 1), "untrusted holder"),
        ("another payload", Received { payload: b"payloae".to_vec(), ..good() }, "signature"),
        ("signature of zeros", good().set("Choria-Signature", &zeros), "signature"),
        ("another node's token", good().token(&claims("n2.example.net"), 1), "identity"),
        ("another identity claimed", good().set("Choria-Identity", "n2.example.net"), "identity"),
        ("as old as it may be", good().at(now() + DAY), "ok"),
        ("older", good().at(now() + DAY + SECOND), "stale"),
        ("claimed very old", good().set("Choria-Created", "-9223372036854775808"), "stale"),
        ("clocks that differ", good().set("Choria-Created", &nanos(now() + CLOCK_DIFFERENCE)), "ok"),
        ("from the future", good().set("Choria-Created", &nanos(now() + CLOCK_DIFFERENCE + SECOND)), "future"),
    ];
    for (name, received, expected) in rows {
        let got = match received.verify() {
            Ok(_) => "ok".to_owned(),
            Err(VerifyError::Missing(header)) => format!("missing {header}"),
            Err(VerifyError::Malformed { header, .. }) => format!("malformed {header}"),
            Err(VerifyError::Untrusted(invalid)) => format!("untrusted {}", invalid.category().as_str()),
            Err(VerifyError::Expired) => "expired".to_owned(),
            Err(VerifyError::Signature) => "signature".to_owned(),
            Err(VerifyError::Identity { .. }) => "identity".to_owned(),
            Err(VerifyError::Stale { .. }) => "stale".to_owned(),
            Err(VerifyError::Future { .. }) => "future".to_owned(),
        };
        assert_eq!(got, expected, "{name}");
    }
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos().to_string()
}

#[test]
fn a_refusal_shows_neither_token_nor_signature() {
    for received in
        [Received::new().token(&claims("n1.example.net"), 3), Received::new().set("Choria-Signature", "secret")]
    {
        let error = format!("{0} {0:?}", received.verify().unwrap_err());
        assert!(!error.contains("eyJ") && !error.contains("secret"), "{error}");
    }
}

#[test]
fn a_message_is_seen_once_within_what_is_remembered() {
    let mut replays = Replays::new(2);
    let rows = [
        ("n1", "a", true),
        ("n1", "a", false),
        ("n2", "a", true),
        ("n1", "b", true),
        ("n1", "b", false),
        ("n1", "a", true),
    ];
    for (position, (identity, id, first)) in rows.into_iter().enumerate() {
        assert_eq!(replays.first_of(identity, id), first, "row {position}");
    }
    assert_eq!((replays.len(), replays.forgotten()), (2, 2));
    let mut verified = Received::new().verify().unwrap();
    (verified.identity, verified.id) = ("n1".to_owned(), "a".parse().unwrap());
    assert!(!replays.first(&verified), "a verified submission counts the same");
}

proptest! {
    #[test]
    fn a_changed_message_is_never_believed(bit in 0usize..56, place in any::<prop::sample::Index>(), other in any::<u8>()) {
        let mut payload = Received::new();
        payload.payload[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(payload.verify().err(), Some(VerifyError::Signature));

        let mut token = Received::new();
        let (_, value) = token.headers.iter_mut().find(|(name, _)| name == "Choria-Token").unwrap();
        let place = place.index(value.len());
        let mut bytes = value.clone().into_bytes();
        let changed = b"ABCDabcd0123-_."[usize::from(other) % 15];
        // The last character of a segment has bits that mean nothing.
        let last = place + 1 == bytes.len() || bytes[place + 1] == b'.';
        prop_assume!(bytes[place] != changed && !last);
        bytes[place] = changed;
        *value = String::from_utf8(bytes).unwrap();
        prop_assert!(token.verify().is_err());
    }
}
