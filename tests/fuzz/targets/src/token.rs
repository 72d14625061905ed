//! Tokens: a text as a token of somebody unknown, or claims that the trusted organization signs.

use crate::assert_readable;
use crate::party::{CHAIN_ISSUER, ORGANIZATION, STRANGER, chain_issuer, key, now, trust};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use tokens::{Invalid, Seed, TrustRoots, read_client, read_provisioning, read_server};

/// A text that begins with `{` is taken for claims, any other for a token.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.starts_with('{') {
        signed_by_the_organization(text);
    } else {
        foreign(text);
    }
}

fn foreign(token: &str) {
    readable(tokens::purpose_of(token));
    readable(tokens::algorithm_of(token));
    readable(tokens::claims_of(token));
    if let Ok(claims) = read_client(token) {
        let standard = &claims.standard;
        let _ = standard.is_chain_issuer();
        if let Err(fault) = standard.chain_link() {
            assert_readable(&fault.to_string());
        }
        let fault = standard.check_chain_issuer(&Seed::from_bytes(ORGANIZATION).public());
        assert_readable(&fault.expect_err("the organization appointed nobody").to_string());
    }
    let organization = Seed::from_bytes(ORGANIZATION).public();
    let roots = [
        trust(ORGANIZATION),
        trust(ORGANIZATION).with_chain_issuers(),
        TrustRoots::issuers(BTreeMap::from([("choria".to_owned(), organization), (String::new(), organization)])),
    ];
    for roots in roots {
        refused(&roots, token);
    }
}

fn signed_by_the_organization(claims: &str) {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(br#"{"alg":"EdDSA"}"#), URL_SAFE_NO_PAD.encode(claims));
    let signature = Seed::from_bytes(ORGANIZATION).sign(signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_bytes()));
    refused(&trust(STRANGER), &token);
    // The last character holds unused bits, so an earlier one is changed.
    let place = token.len() - 20;
    let other = if token.as_bytes()[place] == b'A' { "B" } else { "A" };
    refused(&trust(ORGANIZATION), &format!("{}{other}{}", &token[..place], &token[place + 1..]));

    let roots = trust(ORGANIZATION);
    if let Ok(verified) = roots.verify_client(&token, now()) {
        assert_eq!(read_client(&token).as_ref(), Ok(&*verified));
        assert_eq!(verified.check_times(now()), Ok(()));
        assert!(verified.standard.expires.is_none_or(|expires| expires > now()));
    }
    if let Ok(verified) = roots.verify_server(&token, now()) {
        assert!(read_server(&token).is_ok() && verified.check_times(now()).is_ok());
    }
    if let Ok(verified) = roots.verify_provisioning(&token, now()) {
        assert!(read_provisioning(&token).is_ok() && verified.check_times(now()).is_ok());
    }
    if let Ok(claims) = read_client(&token) {
        let again = claims.sign(&key(ORGANIZATION)).expect("what was read can be signed");
        assert_eq!(read_client(&again), Ok(claims.clone()), "{again}");
        chained(claims);
    }
    if let Ok(claims) = read_server(&token) {
        let again = claims.sign(&key(ORGANIZATION)).expect("what was read can be signed");
        assert_eq!(read_server(&again), Ok(claims), "{again}");
    }
    if let Ok(claims) = read_provisioning(&token) {
        // One that leads nowhere can be read, but not issued.
        if let Ok(again) = claims.sign(&key(ORGANIZATION)) {
            assert!(read_provisioning(&again) == Ok(claims), "{again}");
        }
    }
}

/// The same claims, issued by the chain issuer.
fn chained(mut claims: tokens::ClientClaims) {
    let issuer = chain_issuer();
    if claims.standard.add_chain_issuer(&issuer, &Seed::from_bytes(CHAIN_ISSUER)).is_err() {
        return;
    }
    let token = claims.sign(&key(CHAIN_ISSUER)).expect("claims of a chain");
    refused(&trust(STRANGER), &token);
    if let Ok(verified) = trust(ORGANIZATION).verify_client(&token, now()) {
        assert!(verified.standard.expires <= issuer.standard.expires, "it outlives its issuer");
    }
    let forged = claims.sign(&key(STRANGER)).expect("claims of a chain");
    refused(&trust(ORGANIZATION), &forged);
    refused(&trust(ORGANIZATION).with_chain_issuers(), &forged);
}

/// No kind of token is believed, and the reason is fit to be read.
fn refused(roots: &TrustRoots, token: &str) {
    let verdicts = [
        roots.verify_client(token, now()).err(),
        roots.verify_server(token, now()).err(),
        roots.verify_provisioning(token, now()).err(),
    ];
    for verdict in verdicts {
        assert_readable(&verdict.expect("a token that nobody trusted signed is believed").to_string());
    }
}

fn readable<T>(read: Result<T, Invalid>) {
    if let Err(why) = read {
        assert_readable(&why.to_string());
    }
}
