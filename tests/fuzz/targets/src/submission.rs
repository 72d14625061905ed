//! Submitted messages: a file of the spool, the headers of a received message, or rules of who may submit.

use crate::assert_readable;
use crate::party::{ORGANIZATION, STRANGER, key, now, trust};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::time::Duration;
use submission::{Caller, LONGEST_TTL, Message, Rules, VerifyError, verify, wire};
use tokens::{Seed, ServerClaims};

/// The server's key.
const SERVER: [u8; 32] = [0x62; 32];

/// What begins with `{` is taken for a message, what begins with `NATS/1.0` for headers, anything else for rules.
pub(crate) fn run(data: &[u8]) {
    if data.starts_with(b"{") {
        message(data);
    } else if let Ok(text) = std::str::from_utf8(data) {
        match text.strip_prefix("NATS/1.0") {
            Some(block) => headers(block),
            None => rules(text),
        }
    }
}

fn message(data: &[u8]) {
    let message = match Message::parse(data) {
        Ok(message) => message,
        Err(refused) => return assert_readable(&refused.to_string()),
    };
    let written = message.to_json();
    assert_eq!(Message::parse(&written).as_ref(), Ok(&message), "read again");
    assert_eq!(Message::parse(&written).map(|message| message.to_json()).as_ref(), Ok(&written), "written again");
    assert!(message.max_tries > 0 && !message.payload.is_empty() && message.lifetime() <= LONGEST_TTL);

    let collective = "choria".parse().expect("a collective");
    let subject = wire::subject(&collective, &message);
    assert!(!subject.contains(['*', '>', ' ', '\r', '\n']) && subject.split('.').all(|part| !part.is_empty()));
    let token = token();
    let signed = wire::Signed::new(&message, &Seed::from_bytes(SERVER), Some(&token));
    let headers = wire::encode(&message, Some(&signed));
    for (name, value) in &headers {
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'), "{name:?}");
        assert!(!value.contains(char::is_control), "two lines in {name}: {value:?}");
    }
    let judge = |payload: &[u8]| verify(&headers, payload, &trust(ORGANIZATION), LONGEST_TTL, now());
    match judge(&message.payload) {
        Ok(verified) => {
            assert!(message.sign && verified.id == message.id);
            assert!(message.identity.is_empty() || message.identity == verified.identity);
            assert_eq!(verified.headers, message.headers.clone().unwrap_or_default());
            let other = [&message.payload[..], b"x"].concat();
            assert_eq!(judge(&other).err(), Some(VerifyError::Signature));
            let verdict = verify(&headers, &message.payload, &trust(STRANGER), LONGEST_TTL, now());
            assert!(verdict.is_err(), "nobody trusted signed this");
        }
        Err(refused) => {
            assert_readable(&refused.to_string());
            let explained = match refused {
                VerifyError::Missing(_) => !message.sign,
                VerifyError::Identity { .. } => message.identity != "n1.example.net",
                VerifyError::Stale { .. } | VerifyError::Future { .. } => true,
                _ => false,
            };
            assert!(explained, "{refused}");
        }
    }
}

/// The token of a server, issued by the organization.
fn token() -> String {
    let random = &mut StdRng::seed_from_u64(1);
    let public = Seed::from_bytes(SERVER).public();
    let validity = Duration::from_secs(86_400);
    let claims = ServerClaims::new("n1.example.net", vec!["choria".to_owned()], public, validity, now(), random);
    claims.expect("claims").sign(&key(ORGANIZATION)).expect("a token")
}

fn headers(block: &str) {
    let fields: Vec<(&str, &str)> = block.lines().filter_map(|line| line.split_once(": ")).collect();
    let refused = verify(&fields, b"payload", &trust(ORGANIZATION), LONGEST_TTL, now());
    assert_readable(&refused.expect_err("nobody trusted signed this").to_string());
}

fn rules(text: &str) {
    let rules = match Rules::parse(text) {
        Ok(rules) => rules,
        Err(refused) => return assert_readable(&refused.to_string()),
    };
    assert_eq!(Rules::parse(&rules.to_string()).as_ref(), Ok(&rules), "read again");
    let somebody = Caller { uid: 4_294_967_294, user: None, groups: &[] };
    for subject in ["local.a", "jobs", "a.b.c"] {
        if let Err(refused) = rules.allows(&somebody, subject) {
            assert_readable(&refused.to_string());
        }
        assert!(rules.allows(&Caller { uid: 0, ..somebody }, subject).is_ok(), "root may");
    }
    let everybody = text.contains('*') || text.contains("4294967294");
    assert!(everybody || rules.allows(&somebody, "local.a").is_err(), "a rule for nobody allows somebody");
}
