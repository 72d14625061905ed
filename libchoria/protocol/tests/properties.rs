//! What holds for every message: it survives writing and reading, and no bytes make a reader panic.

use choria_protocol::filter::{Compound, FactFilter, Operator};
use choria_protocol::{Filter, Headers, Reply, Request, SecureReply, SecureRequest, Transport, Version};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let operators = prop_oneof![
        Just(Operator::Equal),
        Just(Operator::NotEqual),
        Just(Operator::Matches),
        Just(Operator::Less),
        Just(Operator::LessOrEqual),
        Just(Operator::Greater),
        Just(Operator::GreaterOrEqual),
    ];
    let fact = (".{1,8}", operators, ".{1,8}").prop_map(|(fact, operator, value)| FactFilter { fact, operator, value });
    let statement = proptest::collection::btree_map("[a-d]{1,4}", ".{0,8}", 0..3);
    let unsupported = proptest::collection::vec(statement, 0..3).prop_map(Compound::Unsupported);
    let compound = prop_oneof![".{0,20}".prop_map(Compound::Expression), unsupported];
    let texts = || proptest::collection::vec(".{0,8}", 0..3);
    (proptest::collection::vec(fact, 0..3), texts(), texts(), texts(), proptest::collection::vec(compound, 0..3))
        .prop_map(|(facts, classes, agents, identities, compound)| Filter {
            facts,
            classes,
            agents,
            identities,
            compound,
        })
}

fn any_request() -> impl Strategy<Value = Request> {
    let v1 = (Just(Version::V1), "[0-9a-f]{32}", 30..100_u32, ".{1,40}".prop_map(String::into_bytes));
    let v2 = (Just(Version::V2), "[0-9A-Za-z]{27}", 1..100_u32, proptest::collection::vec(any::<u8>(), 1..40));
    let caller = "[^\\pC]{1,20}";
    (prop_oneof![v1, v2], "[a-z0-9]{1,5}(\\.[a-z0-9]{1,5}){0,2}", caller, any_filter(), 1..4_000_000_000_u64).prop_map(
        |((version, id, ttl, payload), sender, caller, filter, seconds)| Request {
            version,
            id: id.parse().expect("an id"),
            sender: sender.parse().expect("an identity"),
            caller: caller.parse().expect("a caller"),
            collective: "choria".parse().expect("a collective"),
            agent: "rpcutil".parse().expect("an agent"),
            ttl,
            time: time(seconds),
            filter,
            payload,
        },
    )
}

proptest! {
    #[test]
    fn requests_survive_writing_and_reading(request in any_request()) {
        prop_assert_eq!(Request::parse(&request.encode()), Ok(request));
    }

    #[test]
    fn replies_survive_all_layers(request in any_request(), payload in ".{0,40}", hop in ".{0,9}") {
        let reply = request.reply("n1".parse().unwrap(), payload.into_bytes(), time(5));
        let secure = SecureReply::unsigned(reply.version, reply.encode());
        let mut headers = Headers { sender: Some("n1".parse().unwrap()), ..Headers::default() };
        headers.add_hop(&hop, "b", "c");
        let transport = Transport { version: reply.version, data: secure.encode(), headers };
        let read = Transport::parse(&transport.encode()).unwrap();
        prop_assert_eq!(&read, &transport);
        let read = read.secure_reply().unwrap();
        prop_assert!(read.hash_matches());
        prop_assert_eq!(read.unverified_reply(), Ok(reply));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        parse_all(&bytes);
    }

    #[test]
    fn no_damage_makes_a_parser_panic(request in any_request(), position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let secure = SecureRequest {
            version: request.version,
            request: request.encode(),
            signature: vec![7; 64],
            caller: "token".to_owned(),
            signer: None,
        };
        let transport = Transport { version: request.version, data: secure.encode(), headers: Headers::default() };
        for mut bytes in [transport.encode(), transport.data, secure.request] {
            let position = position.index(bytes.len());
            bytes[position] = byte;
            parse_all(&bytes);
        }
    }
}

/// Reads `bytes` as everything it could be; only panics matter.
fn parse_all(bytes: &[u8]) {
    let read = (
        Transport::parse(bytes).is_ok(),
        SecureRequest::parse(bytes).is_ok(),
        SecureReply::parse(bytes).is_ok(),
        Request::parse(bytes).is_ok(),
        Reply::parse(bytes).is_ok(),
    );
    std::hint::black_box(read);
}
