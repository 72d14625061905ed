//! Sealing requests, with the own seed and through a delegate.

mod party;

use choria_security::{Credentials, CredentialsError, Provider, SignError, Trust};
use futures_util::FutureExt;
use party::{
    ALICE, DELEGATE, ISSUER, SERVER, alice, client, client_token, delegate, fleet, issuers, now, request, seed, server,
    server_token, signed_fleet,
};
use protocol::{Headers, INSECURE, Request, SecureRequest, Transport, Version};
use tokens::ClientPermissions;

/// The error of sealing `request` in words, empty when it was sealed.
fn seal(provider: &Provider, request: &Request) -> String {
    let sealed = provider.signer().seal(request).now_or_never().expect("a local signer does not wait");
    sealed.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_is_sealed_here_counts_there() {
    let alice = client(&alice(fleet()), ALICE, Trust::Nobody);
    let request = request("up=alice");
    let sealed = alice.signer().seal(&request).now_or_never().unwrap().unwrap();
    let headers = Headers { reply_to: Some("r".to_owned()), ..Headers::default() };
    let transport = Transport::parse(&sealed.transport(&headers)).unwrap();
    assert_eq!((&transport.headers, transport.data.as_slice()), (&headers, sealed.as_bytes()));
    let verified = server(issuers(), true).verify_request(&transport.secure_request().unwrap(), now()).unwrap();
    assert_eq!(verified.into_inner(), request);
}

#[test]
fn what_would_be_dropped_there_is_refused_here() {
    let with = |permissions| client(&alice(permissions), ALICE, Trust::Nobody);
    let valid = || request("up=alice");
    let provisioner = ClientPermissions { server_provisioner: true, ..ClientPermissions::default() };
    let node = client(&server_token(ISSUER, "n1", SERVER), SERVER, Trust::Nobody);
    let nobody = Provider::provisioning("n1".parse().unwrap());
    let rows = [
        (with(fleet()), valid(), ""),
        (with(provisioner), valid(), ""),
        (node, request("n1"), ""),
        (with(fleet()), request("up=bob"), "the request is of \"up=bob\", but the token is of \"up=alice\""),
        (with(signed_fleet()), valid(), "must be signed by an AAA service"),
        (with(ClientPermissions::default()), valid(), "has neither of the permissions"),
        (with(fleet()), Request { payload: Vec::new(), ..valid() }, "would be dropped"),
        (with(fleet()), Request { ttl: 0, ..valid() }, "would be dropped"),
        (
            with(fleet()),
            Request { version: Version::V1, ..valid() },
            "version 1 protocol requires a x509 based security system",
        ),
        (nobody, valid(), "without a token and seed"),
    ];
    for (provider, request, expected) in rows {
        let error = seal(&provider, &request);
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{error:?} is not {expected:?}");
    }
}

#[test]
fn requests_for_a_signature_are_not_signed() {
    let provider = client(&alice(signed_fleet()), ALICE, Trust::Nobody);
    let request = Request { agent: "aaa_signer".parse().unwrap(), ..request("up=alice") };
    let sealed = provider.signer().seal(&request).now_or_never().unwrap().unwrap();
    let secure = SecureRequest::parse(sealed.as_bytes()).unwrap();
    assert_eq!((secure.signature.as_slice(), secure.caller.as_str()), (INSECURE, provider.token().unwrap()));
}

#[test]
fn a_delegate_signs_in_place_of_the_caller() {
    let alice = client(&alice(signed_fleet()), ALICE, Trust::Nobody);
    let request = request("up=alice");
    // The delegate writes the request anew and does not know the caller's token.
    let answer = party::secure("up=alice", DELEGATE, "unknown", Some(&delegate()));
    let sealed = alice.seal_delegated(&request, &answer.encode()).unwrap();
    let secure = SecureRequest::parse(sealed.as_bytes()).unwrap();
    assert_eq!(secure.caller, alice.token().unwrap());
    assert!(server(issuers(), true).verify_request(&secure, now()).is_ok());

    let other = Request { id: "other".parse().unwrap(), ..request.clone() };
    let alone = SecureRequest { signer: None, ..answer.clone() };
    type Row<'a> = (&'a Request, Vec<u8>, fn(&SignError) -> bool);
    let rows: [Row<'_>; 4] = [
        (&other, answer.encode(), |error| matches!(error, SignError::OtherRequest { .. })),
        (&request, alone.encode(), |error| matches!(error, SignError::NoDelegate)),
        (&request, b"{}".to_vec(), |error| matches!(error, SignError::Answer(_))),
        (&request, SecureRequest { version: Version::V1, ..answer }.encode(), |error| {
            matches!(error, SignError::Version(Version::V1))
        }),
    ];
    for (request, answer, expected) in rows {
        let error = alice.seal_delegated(request, &answer).unwrap_err();
        assert!(expected(&error), "{error}");
    }
}

#[test]
fn a_token_and_the_seed_of_another_are_no_credentials() {
    let rows = [
        (client_token(ISSUER, "up=alice", ALICE, |_| {}), DELEGATE, "the seed does not belong to it"),
        (client_token(ISSUER, "up=alice", ALICE, |claims| claims.standard.public_key = None), ALICE, "no public_key"),
        (
            client_token(ISSUER, "x", ALICE, |claims| claims.caller_id = "a\n".to_owned()),
            ALICE,
            "names no valid holder",
        ),
        ("x.y.z".to_owned(), ALICE, "malformed"),
    ];
    for (token, holder, expected) in rows {
        let error: CredentialsError = Credentials::new(&token, seed(holder)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
