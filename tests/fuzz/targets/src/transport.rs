//! Messages as they come from the network, both generations, down to the verdict about who sent them.

use crate::assert_readable;
use crate::party::{alice, now};
use protocol::{SecureReply, SecureRequest, Transport, Version};
use security::{LocalSigner, Provider};
use std::cell::LazyCell;

thread_local! {
    static ALICE: LazyCell<Provider> = const { LazyCell::new(alice) };
}

/// The bytes are tried as each of the outer layers.
pub(crate) fn run(data: &[u8]) {
    ALICE.with(|alice| {
        match Transport::parse(data) {
            Ok(transport) => message(alice, &transport),
            Err(why) => assert_readable(&why.to_string()),
        }
        match SecureRequest::parse(data) {
            Ok(secure) => request(alice, &secure),
            Err(why) => assert_readable(&why.to_string()),
        }
        match SecureReply::parse(data) {
            Ok(secure) => reply(alice, &secure),
            Err(why) => assert_readable(&why.to_string()),
        }
    });
}

fn message(alice: &Provider, transport: &Transport) {
    assert_eq!(Transport::parse(&transport.encode()).as_ref(), Ok(transport));
    let mut headers = transport.headers.for_reply(alice.identity().clone());
    headers.add_hop("nats://a.example.net:4222", "b.example.net", "nats://c.example.net:4222");
    let passed_on = Transport { headers, ..transport.clone() };
    assert_eq!(Transport::parse(&passed_on.encode()), Ok(passed_on));
    if let Ok(secure) = transport.secure_request() {
        request(alice, &secure);
    }
    if let Ok(secure) = transport.secure_reply() {
        reply(alice, &secure);
    }
}

fn request(alice: &Provider, secure: &SecureRequest) {
    assert_eq!(SecureRequest::parse(&secure.encode()).as_ref(), Ok(secure));
    let why = alice.verify_request(secure, now()).expect_err("a request that nobody trusted signed is believed");
    assert_readable(&why.to_string());
    let Ok(mut request) = secure.unverified_request() else { return };
    // The same request, asked by somebody who may.
    request.version = Version::V2;
    request.caller = alice.caller().clone();
    let Ok(sealed) = LocalSigner::new(alice.clone()).seal_now(&request) else { return };
    let sent = Transport::parse(&sealed.transport(&protocol::Headers::default())).expect("what is sent can be read");
    let mut secure = sent.secure_request().expect("what is sealed can be read");
    if secure.signature == protocol::INSECURE {
        return;
    }
    let verified = alice.verify_request(&secure, now()).expect("what an allowed client signs is believed");
    assert_eq!(*verified, request);
    secure.signature[0] ^= 1;
    assert!(alice.verify_request(&secure, now()).is_err(), "a changed signature is believed");
}

fn reply(alice: &Provider, secure: &SecureReply) {
    assert_eq!(SecureReply::parse(&secure.encode()).as_ref(), Ok(secure));
    match alice.verify_reply(secure, now()) {
        Ok(_) => assert!(secure.hash_matches(), "a damaged reply is believed"),
        Err(why) => assert_readable(&why.to_string()),
    }
    let Ok(mut reply) = secure.unverified_reply() else { return };
    reply.version = Version::V2;
    let sealed = SecureReply::parse(&alice.seal_reply(&reply)).expect("what is sealed can be read");
    assert!(sealed.hash_matches());
    assert_eq!(sealed.unverified_reply(), Ok(reply));
}
