//! Tokens and received submissions, good ones and others.

use crate::*;
use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use submission::wire::{Signed, encode};
use submission::{Draft, MessageId, Sender, accept};
use tokens::{Seed, ServerClaims, SigningKey};

/// When everything here happens, Unix seconds.
const NOW: i64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs())
}

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

/// The token of n1, issued by the seed 1 for an hour.
fn token() -> String {
    let collectives = vec!["choria".to_owned()];
    let hour = Duration::from_secs(3600);
    let claims = ServerClaims::new("n1", collectives, seed(2).public(), hour, now(), &mut rand::rngs::OsRng);
    let mut claims = claims.expect("claims");
    claims.permissions = Some(tokens::ServerPermissions { submission: true, ..Default::default() });
    claims.sign(&SigningKey::Ed25519(seed(1))).expect("a token")
}

/// Trust in the seed `number` as issuer of `organization`.
fn trust(organization: &str, number: u8) -> *mut choria_trust {
    let mut trust = null_mut();
    // SAFETY: valid texts and places.
    unsafe {
        assert_eq!(choria_trust_new(&mut trust), choria_result::CHORIA_OK);
        let key = c(&seed(number).public().to_string());
        let added = choria_trust_add_issuer(trust, c(organization).as_ptr(), key.as_ptr());
        assert_eq!(added, choria_result::CHORIA_OK);
    }
    trust
}

/// A borrowed text.
fn text(pointer: *const c_char) -> String {
    // SAFETY: accessors give NULL or a text of their handle.
    unsafe { CStr::from_ptr(pointer) }.to_str().expect("UTF-8").to_owned()
}

#[test]
fn tokens_are_judged() {
    let good = token();
    let rows: [(&str, String, &str, u8, i64, choria_result); 8] = [
        ("good", good.clone(), "choria", 1, NOW, choria_result::CHORIA_OK),
        ("a newline after it", format!("{good}\n"), "choria", 1, NOW, choria_result::CHORIA_OK),
        ("another issuer", good.clone(), "choria", 3, NOW, choria_result::CHORIA_TOKEN_UNTRUSTED),
        ("another organization", good.clone(), "other", 1, NOW, choria_result::CHORIA_TOKEN_UNTRUSTED),
        ("too late", good.clone(), "choria", 1, NOW + 3600, choria_result::CHORIA_TOKEN_EXPIRED),
        ("too early", good.clone(), "choria", 1, NOW - 3600, choria_result::CHORIA_TOKEN_EXPIRED),
        ("no time", good, "choria", 1, -1, choria_result::CHORIA_INVALID_ARGUMENT),
        ("no token", "a.b.c".to_owned(), "choria", 1, NOW, choria_result::CHORIA_TOKEN_INVALID),
    ];
    for (name, token, organization, issuer, now, expected) in rows {
        let (trust, mut verified) = (trust(organization, issuer), null_mut());
        // SAFETY: valid texts, places and handles.
        unsafe {
            assert_eq!(choria_token_verify(trust, c(&token).as_ptr(), now, &mut verified), expected, "{name}");
            assert_eq!(verified.is_null(), expected != choria_result::CHORIA_OK, "{name}");
            choria_token_free(verified);
            choria_trust_free(trust);
        }
    }
}

#[test]
fn a_token_tells_what_it_says_and_grants_only_when_verified() {
    let (token, trust, mut verified, mut read, mut length) =
        (c(&token()), trust("choria", 1), null_mut(), null_mut(), 0);
    // SAFETY: valid texts, places and handles.
    unsafe {
        assert_eq!(choria_token_verify(trust, token.as_ptr(), NOW, &mut verified), choria_result::CHORIA_OK);
        assert_eq!(choria_token_read(token.as_ptr(), &mut read), choria_result::CHORIA_OK);
        for (token, is_verified) in [(verified, true), (read, false)] {
            assert_eq!(choria_token_get_kind(token), choria_token_kind::CHORIA_TOKEN_SERVER as u32);
            assert_eq!(choria_token_is_verified(token), is_verified);
            assert_eq!(text(choria_token_identity(token)), "n1");
            assert_eq!(text(choria_token_organization(token)), "choria");
            assert_eq!(text(choria_token_public_key(token)), seed(2).public().to_string());
            assert_eq!(choria_token_expires(token), NOW + 3600);
            assert_eq!(choria_token_permits(token, c"submission".as_ptr()), is_verified);
            assert!(!choria_token_permits(token, c"streams".as_ptr()));
            let claims = text(choria_token_claims(token, &mut length));
            assert_eq!(claims.len(), length);
            assert!(claims.contains(r#""identity":"n1""#), "{claims}");
            choria_token_free(token);
        }
        assert_eq!(text(choria_token_claims(null(), &mut length)), "");
        assert_eq!(length, 0);
        choria_trust_free(trust);
    }
}

#[test]
fn received_submissions_are_judged() {
    let (draft, id) = (Draft { sign: true, reliable: true, ..Draft::new("a.b", "payload") }, MessageId::generate());
    let message = accept(draft, Sender::user(7), "n1", id.clone(), now()).expect("a message");
    let token = token();
    let headers = encode(&message, Some(&Signed::new(&message, &seed(2), Some(&token))));
    let without = |name: &str| headers.iter().filter(|(known, _)| known != name).cloned().collect::<Vec<_>>();
    let with = |name: &str, value: &str| [without(name), vec![(name.to_owned(), value.to_owned())]].concat();
    let twice = [headers.clone(), vec![("choria-identity".to_owned(), "n1".to_owned())]].concat();
    let other = seed(3).sign(b"payload").to_hex();
    type Row<'a> = (&'a str, Vec<(String, String)>, &'a str, u8, f64, i64, choria_result);
    let rows: [Row<'_>; 11] = [
        ("good", headers.clone(), "payload", 1, 60.0, NOW + 59, choria_result::CHORIA_OK),
        ("any age", headers.clone(), "payload", 1, 0.0, NOW + 3599, choria_result::CHORIA_OK),
        ("old", headers.clone(), "payload", 1, 60.0, NOW + 61, choria_result::CHORIA_STALE),
        ("payload changed", headers.clone(), "Payload", 1, 0.0, NOW, choria_result::CHORIA_SIGNATURE_INVALID),
        ("unsigned", without("Choria-Signature"), "payload", 1, 0.0, NOW, choria_result::CHORIA_SIGNATURE_INVALID),
        (
            "signed by another",
            with("Choria-Signature", &other),
            "payload",
            1,
            0.0,
            NOW,
            choria_result::CHORIA_SIGNATURE_INVALID,
        ),
        (
            "another identity",
            with("Choria-Identity", "n2"),
            "payload",
            1,
            0.0,
            NOW,
            choria_result::CHORIA_SIGNATURE_INVALID,
        ),
        ("two identities", twice, "payload", 1, 0.0, NOW, choria_result::CHORIA_INVALID_MESSAGE),
        ("another issuer", headers.clone(), "payload", 3, 0.0, NOW, choria_result::CHORIA_TOKEN_UNTRUSTED),
        ("token expired", headers.clone(), "payload", 1, 0.0, NOW + 3600, choria_result::CHORIA_TOKEN_EXPIRED),
        ("no age", headers.clone(), "payload", 1, f64::NAN, NOW, choria_result::CHORIA_INVALID_ARGUMENT),
    ];
    for (name, headers, payload, issuer, age, now, expected) in rows {
        let (trust, mut received, mut length) = (trust("choria", issuer), null_mut(), 0);
        // SAFETY: valid texts, bytes, places and handles.
        unsafe {
            let made = choria_received_new(c"a.b".as_ptr(), payload.as_ptr(), payload.len(), &mut received);
            assert_eq!(made, choria_result::CHORIA_OK);
            for (header, value) in &headers {
                let added = choria_received_add_header(received, c(header).as_ptr(), c(value).as_ptr());
                assert_eq!(added, choria_result::CHORIA_OK);
            }
            assert_eq!(choria_received_verify(received, trust, age, now), expected, "{name}");
            assert_eq!(choria_received_is_verified(received), expected == choria_result::CHORIA_OK, "{name}");
            assert_eq!(text(choria_received_id(received)), id.as_str(), "{name}");
            assert_eq!(text(choria_received_sender(received)), "user 7", "{name}");
            assert_eq!(choria_received_created(received), NOW as f64, "{name}");
            assert_eq!(text(choria_received_header(received, c"choria-RELIABLE".as_ptr())), "1", "{name}");
            assert!(choria_received_header(received, c"X".as_ptr()).is_null(), "{name}");
            let bytes = choria_received_payload(received, &mut length);
            assert_eq!(std::slice::from_raw_parts(bytes, length), payload.as_bytes(), "{name}");
            assert_eq!(choria_received_sequence(received), 0, "{name}");
            choria_received_free(received);
            choria_trust_free(trust);
        }
    }
}
