//! Sealing and checking replies (spec 02 §3, §12).

mod party;

use choria_security::{Credentials, Parts, Provider, Rejection, Trust, Verification};
use party::{
    ALICE, DAY, ISSUER, SERVER, alice, client_token, fleet, issuers, now, request, seed, server, server_token,
};
use protocol::{Reply, SecureReply, Version};

fn reply() -> Reply {
    request("up=alice").reply("n1".parse().expect("an identity"), b"{}".to_vec(), now())
}

fn sealed(provider: &Provider) -> SecureReply {
    SecureReply::parse(&provider.seal_reply(&reply())).expect("a secure reply")
}

#[test]
fn replies_are_signed_when_told_and_possible() {
    let rows = [
        ("signed", server(issuers(), true), true),
        ("not told", server(issuers(), false), false),
        ("in provisioning mode", Provider::provisioning("n1".parse().unwrap()), false),
    ];
    for (name, provider, signed) in rows {
        let secure = sealed(&provider);
        assert_eq!((secure.signature.is_some(), secure.sender.is_some()), (signed, signed), "{name}");
        for (trust, expected) in [
            (Trust::Nobody, Verification::Hash),
            (issuers(), if signed { Verification::Signature } else { Verification::Hash }),
        ] {
            let verified =
                server(trust, true).verify_reply(&secure, now()).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(verified.verification(), expected, "{name}");
            assert_eq!(verified.into_inner(), reply(), "{name}");
        }
    }
}

#[test]
fn a_reply_that_is_not_what_it_says_is_refused() {
    let good = || sealed(&server(issuers(), true));
    let client = client_token(ISSUER, "up=alice", SERVER, |_| {});
    let change = |change: &dyn Fn(&mut SecureReply)| {
        let mut secure = good();
        change(&mut secure);
        secure
    };
    let other_node = Provider::new(Parts {
        identity: "n2".parse().unwrap(),
        credentials: Some(Credentials::new(&server_token(ISSUER, "n2", ALICE), seed(ALICE)).unwrap()),
        trust: Trust::Nobody,
        sign_replies: true,
    });
    let rows = [
        ("another hash", change(&|secure| secure.hash[0] ^= 1), "hash", "hash"),
        ("no hash", change(&|secure| secure.hash.clear()), "hash", "hash"),
        ("another signature", change(&|secure| secure.signature = Some(vec![1; 64])), "signature", ""),
        ("a short signature", change(&|secure| secure.signature = Some(vec![1; 63])), "signature_size", ""),
        ("a signature alone", change(&|secure| secure.sender = None), "half_signed", ""),
        ("a token alone", change(&|secure| secure.signature = None), "half_signed", ""),
        ("a broken token", change(&|secure| secure.sender = Some("x".to_owned())), "sender_token", ""),
        (
            "a stranger's token",
            change(&|secure| secure.sender = Some(server_token(9, "n1", SERVER))),
            "sender_token",
            "",
        ),
        ("a client's token", change(&|secure| secure.sender = Some(client.clone())), "sender_token", ""),
        ("another node", sealed(&other_node), "sender_mismatch", ""),
        ("no reply", SecureReply::unsigned(Version::V2, b"{}".to_vec()), "reply", "reply"),
        ("the other generation", SecureReply { version: Version::V1, ..good() }, "version", "version"),
    ];
    for (name, secure, with_trust, without) in rows {
        for (trust, expected) in [(issuers(), with_trust), (Trust::Nobody, without)] {
            let verdict = server(trust, true).verify_reply(&secure, now());
            assert_eq!(verdict.as_ref().map_or_else(Rejection::label, |_| ""), expected, "{name}");
        }
    }
}

#[test]
fn a_server_with_an_expired_token_does_not_answer() {
    let verdict = server(issuers(), true).verify_reply(&sealed(&server(issuers(), true)), now() + DAY);
    assert_eq!(verdict.unwrap_err().label(), "sender_token");
}

#[test]
fn alice_reads_what_the_server_says() {
    let alice = party::client(&alice(fleet()), ALICE, Trust::Nobody);
    assert_eq!(alice.caller().as_str(), "up=alice");
    let verified = alice.verify_reply(&sealed(&server(issuers(), true)), now()).unwrap();
    assert_eq!((verified.sender.as_str(), verified.payload.as_slice()), ("n1", b"{}".as_slice()));
}
