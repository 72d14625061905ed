//! What a local program may send to a socket: messages come out alike however the bytes arrive, every call has one reply
//! that is JSON, and nothing is accepted that breaks a rule or forges a sender.

use local::submission::{INTERFACE, Submission, SubmitError};
use local::varlink::{About, Answer, Call, Failure, Frames, Interface, Peer, Service, Turn, answer};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};
use submission::{Caller, Limits, Message, MessageId, Rules, Settings};

const LIMIT: usize = 4096;

pub(crate) fn run(input: &[u8]) {
    let whole = messages(input, input.len().max(1));
    for step in [1, 7] {
        assert_eq!(messages(input, step), whole, "{step} bytes at a time");
    }
    for message in whole.0 {
        let peer = Peer { uid: CALLER, gid: CALLER, pid: None };
        let mut answered = pin!(answer(&Spoolless, peer, Turn::default(), &message));
        let Poll::Ready(answered) = answered.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing here waits");
        };
        let Answer::Reply(reply) = answered else { continue };
        assert!(!reply.contains(&0), "a NUL within a reply");
        let reply: Value = serde_json::from_slice(&reply).expect("a reply is JSON");
        assert!(reply["parameters"].is_object(), "{reply}");
        assert!(reply["error"].is_string() || reply.as_object().is_some_and(|reply| reply.len() == 1), "{reply}");
    }
}

/// The messages in `input`, read `step` bytes at a time, and whether one was too long.
fn messages(input: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let mut frames = Frames::new(LIMIT);
    let mut messages = Vec::new();
    for bytes in input.chunks(step) {
        frames.push(bytes);
        loop {
            match frames.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, true),
            }
        }
    }
    (messages, false)
}

/// A service that does everything but store.
struct Spoolless;

/// Nobody special.
const CALLER: u32 = 1000;

impl Service for Spoolless {
    fn about(&self) -> About {
        About { vendor: "Choria", product: "fuzz", version: "1", url: "https://choria.io" }
    }

    fn interface(&self) -> Interface {
        INTERFACE
    }

    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        if call.method != "Submit" {
            return Err(call.unknown(&INTERFACE));
        }
        let draft = call.parameters.parse::<Submission<'_>>()?.into_draft()?;
        let sent = serde_json::to_string(&Submission::of(&draft)).expect("a draft can be sent on");
        let again = serde_json::from_str::<Submission<'_>>(&sent).expect("and read").into_draft();
        // A time of more than a month is only kept as too long.
        if draft.ttl <= submission::LONGEST_TTL {
            assert_eq!(again.as_ref(), Ok(&draft));
        }
        let settings = Settings {
            spool: "/nowhere".into(),
            limits: Limits { max_message_size: 1000, ..Limits::default() },
            rules: Rules::default(),
            socket: "/nowhere".into(),
            identity: "n1.example.net".to_owned(),
        };
        let caller = Caller { uid: call.peer.uid, user: Some("tester"), groups: &[] };
        let (id, now) = (MessageId::generate(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        match settings.accept(draft, &caller, id, now) {
            Ok(message) => {
                check(&message);
                Ok(json!({ "id": message.id }))
            }
            Err(refusal) => {
                let error = SubmitError::from(refusal);
                crate::assert_readable(&error.to_string());
                Err(Failure::because(error.name().expect("a name of the interface"), error))
            }
        }
    }
}

fn check(message: &Message) {
    assert_eq!(message.sender, "user 1000", "a forged sender");
    assert!(message.subject.starts_with("local."), "{:?} is not allowed", message.subject);
    assert!(!message.payload.is_empty() && message.payload.len() <= 1000 && message.max_tries > 0);
    for (name, value) in message.headers.iter().flatten() {
        assert!(
            !name.contains([':', ' ']) && !format!("{name}{value}").contains(char::is_control),
            "{name:?}: {value:?}"
        );
    }
    assert_eq!(Message::parse(&message.to_json()).as_ref(), Ok(message), "the server reads what was stored");
}

/// Calls as clients send them, and some that they should not.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let calls = [
        r#"{"method":"io.choria.Submission.Submit","parameters":{"subject":"local.x","payload":"MQ=="}}"#,
        r#"{"method":"io.choria.Submission.Submit","parameters":{"subject":"local.x","payload":"MQ==","reliable":true,"priority":0,"ttl":3600.5,"max_tries":3,"sign":true,"headers":{"Acme":"1"}}}"#,
        r#"{"method":"io.choria.Submission.Submit","parameters":{"subject":"local.x","payload":"MQ==","sender":"user 0"}}"#,
        r#"{"method":"io.choria.Submission.Submit","parameters":{"subject":"local.x\r\nPUB y","payload":"MQ==","headers":{"a":"b\r\nNats-Msg-Id: 1"}}}"#,
        r#"{"method":"io.choria.Submission.Submit","oneway":true,"parameters":{"subject":"local.x","payload":"MQ==","ttl":1e300}}"#,
        r#"{"method":"io.choria.Submission.Status","more":true,"parameters":{}}"#,
        r#"{"method":"org.varlink.service.GetInfo"}"#,
        r#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.choria.Submission"}}"#,
        r#"{"method":"io.other.X","upgrade":true}"#,
    ];
    let mut seeds: Vec<_> =
        (0..).zip(calls).map(|(n, call): (u32, _)| (format!("call-{n}"), format!("{call}\0").into())).collect();
    seeds.push(("pipelined".to_owned(), calls.map(|call| format!("{call}\0")).concat().into()));
    seeds.push(("long".to_owned(), vec![b' '; LIMIT + 1]));
    seeds
}
