//! What holds for every damaged message: it is refused, or it says the same as before.

mod party;

use choria_security::{LocalSigner, Trust};
use party::{ALICE, alice, client, fleet, issuers, now, request, server};
use proptest::prelude::*;
use protocol::{Headers, Transport, Version, transport};
use std::sync::LazyLock;

/// A signed request and a signed reply, as they travel.
static MESSAGES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let signer = LocalSigner::new(client(&alice(fleet()), ALICE, Trust::Nobody));
    let request = request("up=alice");
    let reply = request.reply("n1".parse().expect("an identity"), b"{}".to_vec(), now());
    let sealed = server(issuers(), true).seal_reply(&reply);
    [
        signer.seal_now(&request).expect("a sealed request").transport(&Headers::default()),
        transport::encode(Version::V2, &sealed, &Headers::default()),
    ]
});

proptest! {
    #[test]
    fn a_damaged_request_never_says_something_else(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut message = MESSAGES[0].clone();
        let place = place.index(message.len());
        message[place] = byte;
        let secure = Transport::parse(&message).and_then(|transport| transport.secure_request());
        if let Some(verified) = secure.ok().and_then(|secure| server(issuers(), true).verify_request(&secure, now()).ok()) {
            prop_assert_eq!(verified.into_inner(), request("up=alice"));
        }
    }

    #[test]
    fn a_damaged_reply_never_says_something_else(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut message = MESSAGES[1].clone();
        let place = place.index(message.len());
        message[place] = byte;
        let secure = Transport::parse(&message).and_then(|transport| transport.secure_reply());
        if let Some(verified) = secure.ok().and_then(|secure| server(issuers(), true).verify_reply(&secure, now()).ok()) {
            prop_assert_eq!(verified.payload.as_slice(), b"{}".as_slice());
        }
    }

    #[test]
    fn no_tokens_make_it_panic(caller in ".{0,40}", signer in proptest::option::of(".{0,40}"), signature in proptest::collection::vec(any::<u8>(), 0..70)) {
        let mut secure = party::secure("up=alice", ALICE, &caller, signer.as_deref());
        secure.signature = signature;
        prop_assert!(server(issuers(), true).verify_request(&secure, now()).is_err());
    }
}
