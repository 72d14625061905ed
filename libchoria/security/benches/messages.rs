//! What one message costs: verifying, reading, writing and signing, beside the bare signature operations.
//!
//! Measured in CPU time of the thread, so that other work on the machine counts little. The request is `rpcutil#ping`
//! with an agent filter, the reply its answer; their sizes on the wire are printed.

#[path = "../tests/party/mod.rs"]
mod party;

use choria_security::{LocalSigner, Provider, Trust};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BatchSize, Criterion};
use nix::time::{ClockId, clock_gettime};
use party::{ALICE, ISSUER, SERVER, client, client_token, fleet, issuers, now, seed, server};
use protocol::{Headers, Reply, Request, Transport, Version, transport};
use std::hint::black_box;
use std::time::Duration;

type Bench = Criterion<CpuTime>;

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    requests(&mut criterion);
    replies(&mut criterion);
    signatures(&mut criterion);
    criterion.final_summary();
}

fn requests(c: &mut Bench) {
    let alice = client_token(ISSUER, "up=alice", ALICE, |claims| claims.permissions = Some(fleet()));
    let signer = LocalSigner::new(client(&alice, ALICE, Trust::Nobody));
    let message = publish_request(&signer);
    println!("request: {} bytes", message.len());

    c.bench_function("request: create and sign", |b| b.iter(|| publish_request(black_box(&signer))));
    let provider = server(issuers(), true);
    c.bench_function("request: verify and read, token known", |b| b.iter(|| receive(&provider, black_box(&message))));
    c.bench_function("request: verify and read, token unknown", |b| {
        b.iter_batched(|| server(issuers(), true), |provider| receive(&provider, &message), BatchSize::SmallInput);
    });
    let provider = server(Trust::Insecure, true);
    c.bench_function("request: read unverified", |b| b.iter(|| receive(&provider, black_box(&message))));
}

fn replies(c: &mut Bench) {
    let server = server(issuers(), true);
    let reply = party::request("up=alice").reply("n1".parse().expect("an identity"), payload(), now());
    let message = publish_reply(&server, &reply);
    println!("reply: {} bytes", message.len());

    c.bench_function("reply: create and sign", |b| b.iter(|| publish_reply(&server, black_box(&reply))));
    let alice = client_token(ISSUER, "up=alice", ALICE, |_| {});
    for (name, trust) in [("reply: read, hash", Trust::Nobody), ("reply: verify and read, token known", issuers())] {
        let alice = client(&alice, ALICE, trust);
        c.bench_function(name, |b| b.iter(|| read_reply(&alice, black_box(&message))));
    }
}

fn signatures(c: &mut Bench) {
    let (seed, bytes) = (seed(SERVER), [7; 600]);
    let (key, signature) = (seed.public(), seed.sign(&bytes));
    c.bench_function("ed25519: sign 600 bytes", |b| b.iter(|| seed.sign(black_box(&bytes))));
    c.bench_function("ed25519: verify 600 bytes", |b| b.iter(|| key.verify(black_box(&bytes), &signature)));
}

fn publish_request(signer: &LocalSigner) -> Vec<u8> {
    let mut request: Request = party::request("up=alice");
    request.filter.agents = vec!["rpcutil".to_owned()];
    let mut headers = Headers {
        reply_to: Some("choria.reply.9ff94a8781520105e44481be68e5d47f.2YBXZN2Ey2oglTXj87eEzpGHWSA".to_owned()),
        sender: Some(request.sender.clone()),
        ..Headers::default()
    };
    headers.add_hop("nats://b1:4222", "laptop", "nats://b1:4222");
    signer.seal_now(&request).expect("a sealed request").transport(&headers)
}

fn receive(server: &Provider, message: &[u8]) -> Request {
    let secure = Transport::parse(message).and_then(|transport| transport.secure_request()).expect("a secure request");
    server.verify_request(&secure, now()).expect("a request that counts").into_inner()
}

fn payload() -> Vec<u8> {
    br#"{"action":"ping","statuscode":0,"statusmsg":"OK","data":{"pong":1700000000}}"#.to_vec()
}

fn publish_reply(server: &Provider, reply: &Reply) -> Vec<u8> {
    let mut headers = Headers { sender: Some(reply.sender.clone()), ..Headers::default() };
    headers.add_hop("nats://b1:4222", "n1", "nats://b1:4222");
    transport::encode(Version::V2, &server.seal_reply(reply), &headers)
}

fn read_reply(client: &Provider, message: &[u8]) -> Reply {
    let secure = Transport::parse(message).and_then(|transport| transport.secure_reply()).expect("a secure reply");
    client.verify_reply(&secure, now()).expect("a reply that counts").into_inner()
}

/// CPU time of the measuring thread.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).expect("Linux has this clock")
    }

    fn end(&self, start: Duration) -> Duration {
        self.start().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
