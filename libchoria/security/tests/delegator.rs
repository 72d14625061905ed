//! What an AAA service signs is taken by servers, and by the client that asked for it.

mod party;

use choria_security::{Delegator, DelegatorError, Verification};
use party::{ALICE, DAY, DELEGATE, ISSUER, SERVER, alice, client, client_token, delegate, fleet, issuers, now};
use party::{request, seed, server, server_token, signed_fleet};
use protocol::{SecureRequest, Transport, Version};

#[test]
fn what_it_seals_counts_with_the_callers_token() {
    let token = delegate();
    let delegator = Delegator::new(&token, seed(DELEGATE)).expect("a delegator");
    let mut rewritten = request("up=alice");
    rewritten.caller = "up=alice_example_net".parse().expect("a caller");
    let sealed = delegator.seal(&rewritten).expect("sealed");
    let before = SecureRequest::parse(&sealed).expect("a secure request");
    assert_eq!((before.signer.as_deref(), before.caller.as_str()), (Some(&*token), &*token));

    let alice = client(&alice(signed_fleet()), ALICE, issuers());
    let asked = alice.seal_delegated(&request("up=alice"), &sealed).expect("taken by the client");
    let transport = asked.transport(&protocol::Headers::default());
    let secure = Transport::parse(&transport).expect("a message").secure_request().expect("a secure request");
    let verified = server(issuers(), true).verify_request(&secure, now()).expect("taken by the server");
    assert_eq!(verified.verification(), Verification::Signature);
    assert_eq!(verified.caller.as_str(), "up=alice_example_net");
}

#[test]
fn others_are_no_delegators() {
    let fleet = client_token(ISSUER, "up=alice", ALICE, |claims| claims.permissions = Some(fleet()));
    let none = client_token(ISSUER, "up=alice", ALICE, |_| {});
    let rows = [
        ("another permission", Delegator::new(&fleet, seed(ALICE)), "lacks the permission authentication_delegator"),
        ("no permission", Delegator::new(&none, seed(ALICE)), "lacks the permission authentication_delegator"),
        ("a server", Delegator::new(&server_token(ISSUER, "n1", SERVER), seed(SERVER)), "it is a server token"),
        ("another seed", Delegator::new(&delegate(), seed(ALICE)), "the seed does not belong to it"),
        ("no token", Delegator::new("x", seed(ALICE)), "malformed"),
    ];
    for (name, result, expected) in rows {
        let error = result.expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn its_time_is_looked_at_and_old_requests_are_refused() {
    let delegator = Delegator::new(&delegate(), seed(DELEGATE)).expect("a delegator");
    for (offset, valid) in [(0, true), (86_399, true), (86_400, false)] {
        let verdict = delegator.check_times(now() + std::time::Duration::from_secs(offset));
        assert_eq!(verdict.is_ok(), valid, "{offset} s later");
    }
    assert!(delegator.check_times(now() - DAY).is_err(), "before its beginning");
    let old = protocol::Request { version: Version::V1, ..request("up=alice") };
    assert!(matches!(delegator.seal(&old), Err(DelegatorError::Version(Version::V1))));
}
