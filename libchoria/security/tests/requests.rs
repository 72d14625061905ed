//! Whose requests count: the table of spec 02 §12, one row per rule, under issuers and under trusted signers.

mod party;

use choria_security::{Holder, Rejection, Trust, Verification};
use party::{
    ALICE, DAY, DELEGATE, ISSUER, OTHER_ISSUER, SERVER, alice, client_token, delegate, fleet, issuers, now, secure,
    seed, server, server_token, signed_fleet, signers,
};
use protocol::{Counter, INSECURE, SecureRequest, Version};
use std::time::Duration;
use tokens::{ClientPermissions, Seed};

/// Name, message, and the label of the refusal; an empty label is for what counts.
type Row = (&'static str, SecureRequest, &'static str);

fn verdict(trust: Trust, secure: &SecureRequest) -> &'static str {
    match server(trust, true).verify_request(secure, now()) {
        Ok(verified) => {
            assert_eq!((verified.verification(), verified.agent.as_str()), (Verification::Signature, "rpcutil"));
            ""
        }
        Err(rejection) => rejection.label(),
    }
}

fn check(rows: Vec<Row>) {
    for (name, secure, expected) in rows {
        for trust in [issuers(), signers()] {
            assert_eq!(verdict(trust.clone(), &secure), expected, "{name}, under {trust:?}");
            assert_eq!(
                verdict(trust.clone(), &secure),
                expected,
                "{name} again, with the tokens known, under {trust:?}"
            );
        }
    }
}

#[test]
fn one_token_is_that_of_the_caller() {
    let both = ClientPermissions { fleet_management: true, ..signed_fleet() };
    let admin = ClientPermissions { org_admin: true, ..ClientPermissions::default() };
    let expired = client_token(ISSUER, "up=alice", ALICE, |claims| claims.standard.expires = Some(now() - DAY));
    let early = client_token(ISSUER, "up=alice", ALICE, |claims| claims.standard.not_before = Some(now() + DAY));
    let keyless = client_token(ISSUER, "up=alice", ALICE, |claims| {
        (claims.permissions, claims.standard.public_key) = (Some(fleet()), None);
    });
    let mut changed = secure("up=alice", ALICE, &alice(fleet()), None);
    changed.request[20] ^= 1;
    let mut unsigned = secure("up=alice", ALICE, &alice(fleet()), None);
    unsigned.signature = INSECURE.to_vec();
    let mut short = secure("up=alice", ALICE, &alice(fleet()), None);
    short.signature.pop();
    let mut garbage = secure("up=alice", ALICE, &alice(fleet()), None);
    garbage.request = b"{}".to_vec();
    garbage.signature = seed(ALICE).sign(b"{}").as_bytes().to_vec();
    let spaced = format!(" {}\n", alice(fleet()));
    check(vec![
        ("fleet management", secure("up=alice", ALICE, &alice(fleet()), None), ""),
        ("white space around the token", secure("up=alice", ALICE, &spaced, None), ""),
        ("signed fleet management", secure("up=alice", ALICE, &alice(signed_fleet()), None), "needs_delegate"),
        ("both permissions", secure("up=alice", ALICE, &alice(both), None), "needs_delegate"),
        ("other permissions", secure("up=alice", ALICE, &alice(admin), None), "no_fleet_management"),
        ("another caller", secure("up=bob", ALICE, &alice(fleet()), None), "caller_mismatch"),
        ("another case", secure("up=Alice", ALICE, &alice(fleet()), None), "caller_mismatch"),
        ("another key", secure("up=alice", DELEGATE, &alice(fleet()), None), "signature"),
        ("a changed request", changed, "signature"),
        ("no signature", unsigned, "unsigned"),
        ("a short signature", short, "signature_size"),
        ("a server", secure("n1", SERVER, &server_token(ISSUER, "n1", SERVER), None), "not_a_client"),
        ("a server's false signature", secure("n1", ALICE, &server_token(ISSUER, "n1", SERVER), None), "signature"),
        ("an expired token", secure("up=alice", ALICE, &expired, None), "caller_token"),
        ("a token of tomorrow", secure("up=alice", ALICE, &early, None), "caller_token"),
        ("a token without key", secure("up=alice", ALICE, &keyless, None), "caller_token"),
        ("no token", secure("up=alice", ALICE, "x", None), "caller_token"),
        (
            "a stranger's issuer",
            secure("up=alice", ALICE, &client_token(9, "up=alice", ALICE, |_| {}), None),
            "caller_token",
        ),
        ("no request", garbage, "request"),
    ]);
}

#[test]
fn two_tokens_are_those_of_caller_and_delegate() {
    let alice_of = |issuer| client_token(issuer, "up=alice", ALICE, |claims| claims.permissions = Some(fleet()));
    let powerless = client_token(ISSUER, "aaa", DELEGATE, |claims| claims.permissions = Some(fleet()));
    let server_caller = server_token(ISSUER, "n1", SERVER);
    let (delegate, alice_signed) = (delegate(), alice(signed_fleet()));
    let request = |caller: &str, by: u8, token: &str, signer: &str| secure(caller, by, token, Some(signer));
    check(vec![
        ("signed fleet management", request("up=alice", DELEGATE, &alice_signed, &delegate), ""),
        ("fleet management", request("up=alice", DELEGATE, &alice(fleet()), &delegate), ""),
        ("a caller that the delegate sets", request("up=other", DELEGATE, &alice_signed, &delegate), ""),
        ("signed by the caller", request("up=alice", ALICE, &alice_signed, &delegate), "signature"),
        ("a delegate that is none", request("up=alice", DELEGATE, &alice_signed, &powerless), "not_a_delegate"),
        ("two tokens of the caller", request("up=alice", ALICE, &alice(fleet()), &alice(fleet())), "not_a_delegate"),
        (
            "no permission",
            request("up=alice", DELEGATE, &alice(ClientPermissions::default()), &delegate),
            "no_fleet_management",
        ),
        ("another issuer", request("up=alice", DELEGATE, &alice_of(OTHER_ISSUER), &delegate), "caller_token"),
        ("a server as delegate", request("up=alice", SERVER, &alice_signed, &server_caller), "delegate_token"),
        ("a server as caller", request("up=alice", DELEGATE, &server_caller, &delegate), "caller_token"),
        ("no delegate's token", request("up=alice", DELEGATE, &alice_signed, "x"), "delegate_token"),
        ("no caller's token", request("up=alice", DELEGATE, "x", &delegate), "caller_token"),
    ]);
}

#[test]
fn a_token_known_through_a_delegate_does_not_count_alone() {
    // Without `ou` no issuer vouches for it, except the one that vouches for its delegate.
    let stray = client_token(ISSUER, "up=alice", ALICE, |claims| {
        (claims.permissions, claims.organization_unit) = (Some(fleet()), String::new());
    });
    let provider = server(issuers(), true);
    let delegated = secure("up=alice", DELEGATE, &stray, Some(&delegate()));
    assert!(provider.verify_request(&delegated, now()).is_ok());
    let alone = secure("up=alice", ALICE, &stray, None);
    assert_eq!(provider.verify_request(&alone, now()).unwrap_err().label(), "caller_token");
}

#[test]
fn a_token_known_alone_does_not_count_under_the_delegate_of_another_issuer() {
    let other = client_token(OTHER_ISSUER, "up=alice", ALICE, |claims| {
        (claims.permissions, claims.organization_unit) = (Some(fleet()), "other".to_owned());
    });
    for trust in [issuers(), signers()] {
        let provider = server(trust, true);
        assert!(provider.verify_request(&secure("up=alice", ALICE, &other, None), now()).is_ok());
        let delegated = secure("up=alice", DELEGATE, &other, Some(&delegate()));
        assert_eq!(provider.verify_request(&delegated, now()).unwrap_err().label(), "caller_token");
    }
}

#[test]
fn a_known_token_expires_all_the_same() {
    let trust = issuers();
    let Trust::Tokens(tokens) = &trust else { panic!("issuers are tokens") };
    let provider = server(trust.clone(), true);
    let secure = secure("up=alice", ALICE, &alice(fleet()), None);
    assert!(provider.verify_request(&secure, now()).is_ok());
    assert_eq!(tokens.len(), 1);
    assert!(provider.verify_request(&secure, now() + DAY - Duration::from_secs(1)).is_ok());
    let later = provider.verify_request(&secure, now() + DAY);
    let expected = Rejection::Token { holder: Holder::Caller, reason: tokens::Invalid::Expired };
    assert_eq!(later.map(|_| ()), Err(expected));
    assert!(tokens.is_empty(), "an expired token is not kept");
}

#[test]
fn known_tokens_are_few_and_only_valid_ones() {
    let trust = issuers();
    let Trust::Tokens(tokens) = &trust else { panic!("issuers are tokens") };
    let provider = server(trust.clone(), true);
    for number in 0..140 {
        let caller = format!("up=u{number}");
        let token = client_token(ISSUER, &caller, ALICE, |claims| claims.permissions = Some(fleet()));
        assert!(provider.verify_request(&secure(&caller, ALICE, &token, None), now()).is_ok(), "{number}");
        let forged = client_token(9, &caller, ALICE, |claims| claims.permissions = Some(fleet()));
        assert!(provider.verify_request(&secure(&caller, ALICE, &forged, None), now()).is_err(), "{number}");
    }
    assert_eq!(tokens.len(), 128);
}

#[test]
fn without_trust_nothing_counts_and_without_security_everything() {
    let mut secure = secure("up=alice", ALICE, &alice(fleet()), None);
    assert_eq!(server(Trust::Nobody, true).verify_request(&secure, now()).unwrap_err().label(), "no_trust");
    secure.signature = INSECURE.to_vec();
    let verified = server(Trust::Insecure, true).verify_request(&secure, now()).unwrap();
    assert_eq!(verified.verification(), Verification::Nothing);
    secure.version = Version::V1;
    for trust in [Trust::Nobody, Trust::Insecure, issuers()] {
        assert_eq!(server(trust, true).verify_request(&secure, now()).unwrap_err().label(), "version");
    }
}

#[test]
fn what_is_found_before_the_signature_makes_a_message_invalid() {
    let provider = server(issuers(), true);
    let rows = [
        (secure("up=alice", DELEGATE, &alice(fleet()), None), Counter::Invalid),
        (secure("up=alice", ALICE, &alice(signed_fleet()), None), Counter::Invalid),
        (secure("up=bob", ALICE, &alice(fleet()), None), Counter::Error),
    ];
    for (secure, counter) in rows {
        let rejection = provider.verify_request(&secure, now()).unwrap_err();
        assert_eq!(rejection.counters(), [counter], "{rejection}");
    }
}

#[test]
fn signatures_are_the_documented_ones() {
    let seed = Seed::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()));
    assert_eq!(seed.public().to_string(), "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    let request = br#"{"protocol":"io.choria.protocol.v2.request"}"#.to_vec();
    let signature = seed.sign(&request).as_bytes().to_vec();
    let secure = SecureRequest { version: Version::V2, request, signature, caller: "x".to_owned(), signer: None };
    let written = String::from_utf8(secure.encode()).unwrap();
    let expected = "bdKcbv/2XT4U6HCsg+tcqf1vWvSxt6PTSble93tOjkif+HgCmOU1nsQ+YLnVmmUtzoDeXMzt8MpQe3RS0d6/CA==";
    assert!(written.contains(&format!(r#""signature":"{expected}""#)), "{written}");
}
