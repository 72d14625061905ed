//! Nodes that wait to be provisioned, against each other and against the broker, on a real nats-server: whoever holds a
//! provisioning token may pretend to be any node, and must neither hear nor end what is said to another.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test program uses its part of the laboratory")]
mod lab;

use async_nats::connection::State;
use async_nats::jetstream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use lab::table::{Access, Member};
use lab::{Holder, Lab, PATIENCE, Served, until};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ProvisioningClaims, Seed, SigningKey};

const FRONT: (&str, &str) = ("plugin.choria.network.tls_front", "1");

/// With and without the TLS front.
const WAYS: [&[(&str, &str)]; 2] = [&[], &[FRONT]];

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_only_what_is_said_to_it() {
    for way in WAYS {
        let lab = Lab::new();
        let broker = lab.serve(way).await;
        let waiting = Access::unsigned(&lab.provisioning());
        let provisioner = Member::connect(&lab, &provisioner(&lab)).await;
        let node = Member::connect(&lab, &waiting.clone().named("a.example.net")).await;
        let thief = Member::connect(&lab, &waiting.clone().named("b.example.net")).await;

        let mut heard = node.client.subscribe("provisioning.node.a.example.net").await.unwrap();
        let mut answers = provisioner.client.subscribe("provisioning.reply.>").await.unwrap();
        let targets = [
            "provisioning.node.a.example.net",
            "provisioning.node.*.example.net",
            "provisioning.node.>",
            "provisioning.reply.>",
            "provisioning.reply.22ec67b1822edddbee1f71725ee3827c.*",
            "_INBOX.>",
            ">",
        ];
        for target in targets {
            let alone = thief.client.subscribe(target).await.unwrap();
            let queued = thief.client.queue_subscribe(target, "q".to_owned()).await.unwrap();
            until(&format!("{target} is refused"), async || {
                thief.refusals().iter().filter(|text| text.contains(&format!("\"{target}\""))).count() >= 2
                    || thief.was_refused("Subscription", target)
            })
            .await;
            drop((alone, queued));
        }
        // What it could not subscribe to does not arrive at it; what is meant for the node does.
        let mut own = thief.client.subscribe("provisioning.node.b.example.net").await.unwrap();
        thief.flush().await;
        node.flush().await;
        provisioner.settle().await;
        provisioner.client.publish("provisioning.node.a.example.net", "for a".into()).await.unwrap();
        provisioner.client.publish("provisioning.node.b.example.net", "for b".into()).await.unwrap();
        assert_eq!(next(&mut heard).await, "for a");
        assert_eq!(next(&mut own).await, "for b");

        // It speaks as a node, and as nothing else.
        for refused in [
            "provisioning.node.a.example.net",
            "provisioning.broadcast.agent.choria_provision",
            "choria.lifecycle.event.startup.server",
            "choria.lifecycle.event.governor.x",
            "choria.broadcast.agent.discovery",
            "choria.streams.$KV.CHORIA_LEADER_ELECTION.provisioner",
            "$KV.CHORIA_LEADER_ELECTION.provisioner",
        ] {
            thief.client.publish(refused, "forged".into()).await.unwrap();
            until(&format!("{refused} is refused"), async || thief.was_refused("Publish", refused)).await;
        }
        let reply = "provisioning.reply.22ec67b1822edddbee1f71725ee3827c.3MPUt5ksN0D0hFf7Sjy1JW33lKb";
        node.client.publish(reply, "answer of a".into()).await.unwrap();
        assert_eq!(next(&mut answers).await, "answer of a");
        broker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_of_a_node_is_refused_while_the_first_lives() {
    for way in WAYS {
        let lab = Lab::new();
        let broker = lab.serve(way).await;
        let waiting = Access::unsigned(&lab.provisioning()).named("a.example.net");
        let first = Member::connect(&lab, &waiting).await;
        let mut heard = first.client.subscribe("provisioning.node.a.example.net").await.unwrap();
        first.flush().await;
        for attempt in 1..=3 {
            assert!(Member::try_connect(&lab, &waiting).await.is_err(), "attempt {attempt}");
            assert_eq!(denied(&broker, "name_in_use"), attempt);
        }
        let provisioner = Member::connect(&lab, &provisioner(&lab)).await;
        provisioner.client.publish("provisioning.node.a.example.net", "still".into()).await.unwrap();
        assert_eq!(next(&mut heard).await, "still", "the first keeps its name");
        // Another node is not concerned, nor is a name that only looks alike.
        let other = Member::connect(&lab, &waiting.clone().named("A.example.net")).await;
        // It ended, so the node comes in again.
        drop((heard, first));
        until("the name is free again", async || Member::try_connect(&lab, &waiting).await.is_ok()).await;
        drop(other);
        broker.end().await;
    }
}

/// The connections of all nodes are lost with nats-server, and nothing tells that they ended.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_free_when_nats_server_was_started_again() {
    let lab = Lab::new();
    let member = lab::member::Member::start(&lab, "b1", &[]).await;
    let login = || network::Login::Provisioning { token: lab.provisioning() };
    let node = member.connect(&lab, login()).await;
    let killed = member.nats_server();
    lab::member::kill(killed);
    until("nats-server runs again", async || member.running().is_some_and(|now| now != killed)).await;
    // The node itself, under the name it has had.
    until("the node is back", async || node.flush().await.is_ok()).await;
    member.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_gives_a_name_to_one_connection() {
    let lab = Lab::new();
    let ports = [(); 2].map(|()| lab::free_port());
    let peers = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let mut members = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let changes = [
            ("plugin.choria.network.peers", peers.clone()),
            ("plugin.choria.network.peer_port", port.to_string()),
            ("plugin.choria.network.stream.store", String::new()),
        ];
        members.push(lab::member::Member::start(&lab, &format!("b{number}"), &changes).await);
    }
    let waiting = Access::unsigned(&lab.provisioning()).named("a.example.net");
    let first = Member::connect_to(members[0].port, &waiting).await.unwrap();
    until("the other broker knows", async || {
        // A connection that was let in before that is ended by the brokers.
        drop(Member::connect_to(members[1].port, &waiting).await);
        denied(&members[1].served, "name_in_use") > 0
    })
    .await;
    assert!(Member::connect_to(members[1].port, &waiting).await.is_err());
    first.flush().await;
    drop(first);
    until("the name is free everywhere", async || Member::connect_to(members[1].port, &waiting).await.is_ok()).await;
    one_of_two_stays(&members, &lab).await;
    for member in members {
        member.served.end().await;
    }
}

/// Both brokers are asked for one name at the same moment, until both give it away: then one of the two connections ends.
async fn one_of_two_stays(members: &[lab::member::Member], lab: &Lab) {
    let waiting = Access::unsigned(&lab.provisioning());
    let deadline = std::time::Instant::now() + PATIENCE;
    for name in NAMES.iter().cycle() {
        let access = waiting.clone().named(name);
        let (one, two) =
            tokio::join!(Member::connect_to(members[0].port, &access), Member::connect_to(members[1].port, &access));
        if let (Ok(one), Ok(two)) = (one, two) {
            let lives = |member: &Member| member.client.connection_state() == State::Connected;
            // It comes again by itself, and is refused then.
            until("one of them stays", async || lives(&one) != lives(&two)).await;
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the brokers never gave a name away twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_waiting_node_or_a_provisioner_is_refused() {
    for way in WAYS {
        let lab = Lab::new();
        let (authority, certified) = lab.certified();
        let mut changes = way.to_vec();
        changes.push(("plugin.security.choria.ca", authority.as_str()));
        let broker = lab.serve(&changes).await;
        let good = lab.provisioning();
        let permitted = lab.client_permitted(|permissions| permissions.server_provisioner = true);
        let plain = lab.client_permitted(|permissions| permissions.org_admin = true);
        let stolen = Holder { seed: Arc::new(Seed::generate()), ..permitted.clone() };
        let other = SigningKey::Ed25519(Seed::from_bytes([9; 32]));
        let made = |change: fn(&mut ProvisioningClaims), key: &SigningKey, age: u64| -> Arc<str> {
            let made = SystemTime::now() - Duration::from_secs(age);
            let validity = Duration::from_secs(3600);
            let mut claims = ProvisioningClaims::new("access", validity, made, &mut rand::thread_rng()).unwrap();
            claims.urls = "nats://127.0.0.1:4222".to_owned();
            change(&mut claims);
            claims.sign(key).unwrap().into()
        };
        let node = |token: &Arc<str>| Access::unsigned(token).named("a.example.net");
        let user = |holder: &Holder, password| Access::token(holder).with_user("provisioner", password);
        let mut rows: Vec<(&str, Access, &str)> = vec![
            ("expired", node(&made(|_| {}, &lab.issuer, 7200)), "token"),
            ("of another signer", node(&made(|_| {}, &other, 0)), "token"),
            (
                "of an unknown organization",
                node(&made(|claims| claims.organization_unit = "elsewhere".to_owned(), &lab.issuer, 0)),
                "token",
            ),
            ("named >", Access::unsigned(&good).named(">"), "node_name"),
            ("named *", Access::unsigned(&good).named("a.*.net"), "node_name"),
            ("with a space in its name", Access::unsigned(&good).named("a b"), "node_name"),
            ("without a name", Access::unsigned(&good).named(""), "node_name"),
            ("provisioner, wrong password", user(&permitted, "s3cret"), "password"),
            ("provisioner, empty password", user(&permitted, ""), "password"),
            ("provisioner without the permission", user(&plain, PASSWORD), "provisioner"),
            ("provisioner with a node's token", node(&good).with_user("provisioner", PASSWORD), "token"),
            ("provisioner, a stolen token", user(&stolen, PASSWORD), "nonce"),
            (
                "provisioner, token not proven",
                Access::unsigned(&permitted.token).with_user("provisioner", PASSWORD),
                "nonce",
            ),
        ];
        if way.contains(&FRONT) {
            // Only the front verifies a certificate where one is given.
            rows.push(("with a certificate", node(&good).over(&certified), "purpose"));
        }
        for (name, access, label) in rows {
            let before = denied(&broker, label);
            assert!(Member::try_connect(&lab, &access).await.is_err(), "{name}");
            assert_eq!(denied(&broker, label), before + 1, "{name}: {:?}", broker.metrics.snapshot().denied);
        }
        // And those that are, are not.
        drop(Member::connect(&lab, &node(&good)).await);
        drop(Member::connect(&lab, &user(&permitted, PASSWORD)).await);
        broker.end().await;
    }
}

/// The provisioner elects its leader in a bucket of another account, through imported subjects (spec 01 §9, 08 §6).
#[tokio::test(flavor = "multi_thread")]
async fn provisioners_elect_a_leader_from_their_account() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let access = provisioner(&lab);
    let (one, two) = (Member::connect(&lab, &access).await, Member::connect(&lab, &access).await);
    let bucket = async |member: &Member| {
        let streams = jetstream::with_prefix(member.client.clone(), "choria.streams");
        streams.get_key_value("CHORIA_LEADER_ELECTION").await.unwrap()
    };
    let (first, second) = (bucket(&one).await, bucket(&two).await);
    let mut revision = first.create("provisioner", "one".into()).await.unwrap();
    assert!(second.create("provisioner", "two".into()).await.is_err(), "there is a leader");
    for _ in 0..2 {
        let renewed = first.update("provisioner", "one".into(), revision).await.unwrap();
        assert!(renewed > revision);
        assert!(
            second.update("provisioner", "two".into(), revision).await.is_err(),
            "of a revision that is not the last"
        );
        revision = renewed;
    }
    second.update("provisioner", "two".into(), revision).await.unwrap();
    // Other elections and buckets are the fleet's.
    assert!(first.create("other", "one".into()).await.is_err());
    let streams = jetstream::with_prefix(one.client.clone(), "choria.streams");
    assert!(streams.get_stream("CHORIA_EVENTS").await.is_err());
    broker.end().await;
}

fn provisioner(lab: &Lab) -> Access {
    let holder = lab.client_permitted(|permissions| permissions.server_provisioner = true);
    Access::token(&holder).with_user("provisioner", PASSWORD).named("provisioner.example.net")
}

fn denied(broker: &Served, label: &str) -> u64 {
    broker.metrics.snapshot().denied.get(label).copied().unwrap_or_default()
}

async fn next(messages: &mut async_nats::Subscriber) -> Bytes {
    tokio::time::timeout(PATIENCE, messages.next()).await.expect("a message").unwrap().payload
}

/// Nodes of the same two moments.
const NAMES: [&str; 4] = ["d1.example.net", "d2.example.net", "d3.example.net", "d4.example.net"];

/// As the lab's broker is configured.
const PASSWORD: &str = "s3cret\"}";
