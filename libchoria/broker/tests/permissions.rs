//! Every permission of every kind of token, tried on a real nats-server: each member of the table below publishes to and
//! subscribes to every subject below, and each attempt must be delivered or refused as spec 01 §8 says. What is expected
//! is written here subject by subject, apart from the code that makes the lists.
//!
//! A publish counts as allowed when an observer without limits in the same account receives it, a subscription when it
//! receives what that observer sends; either counts as refused when nats-server says so about that very subject.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test program uses its part of the laboratory")]
mod lab;

use async_nats::{Auth, Client, ConnectOptions, Event};
use futures_util::StreamExt as _;
use lab::{Holder, Lab, PATIENCE};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokens::{ClientClaims, ClientPermissions, ServerClaims, ServerPermissions};

/// What a member is given, beyond which nothing may be possible. A subject is open to a member with any of its grants.
type Grants = &'static [&'static str];

/// Subjects to publish to, and the grants that open them.
const PUBLISH: &[(&str, Grants)] = &[
    ("$SYS.REQ.USER.INFO", &["client"]),
    ("acme.pub.probe", &["pub_subjects"]),
    ("acme.other.probe", &[]),
    // Streams: administration is for administrators.
    ("$JS.API.STREAM.CREATE.NONE", &["streams_admin"]),
    ("$JS.API.STREAM.UPDATE.NONE", &["streams_admin"]),
    ("$JS.API.STREAM.DELETE.NONE", &["streams_admin"]),
    ("$JS.API.STREAM.PURGE.NONE", &["streams_admin"]),
    ("$JS.API.STREAM.SNAPSHOT.NONE", &["streams_admin"]),
    ("$JS.API.META.LEADER.STEPDOWN.NONE", &["streams_admin"]),
    // Streams: use.
    ("$JS.API.INFO", &["streams_admin", "streams_user", "watcher"]),
    ("$JS.API.STREAM.NAMES", &["streams_admin", "streams_user", "watcher"]),
    ("$JS.API.STREAM.LIST", &["streams_admin", "streams_user", "watcher"]),
    ("$JS.API.STREAM.INFO.NONE", &["streams_admin", "streams_user", "server_streams", "watcher"]),
    ("$JS.API.STREAM.MSG.GET.NONE", &["streams_admin", "streams_user", "server_streams", "watcher"]),
    ("$JS.API.STREAM.MSG.DELETE.NONE", &["streams_admin", "streams_user", "server_streams"]),
    ("$JS.API.DIRECT.GET.NONE", &["streams_admin", "streams_user", "server_streams", "watcher"]),
    ("$JS.API.DIRECT.GET.NONE.a.b", &["streams_admin", "streams_user", "server_streams", "watcher"]),
    ("$JS.API.CONSUMER.CREATE.NONE", &["streams_admin", "streams_user", "server_streams"]),
    ("$JS.API.CONSUMER.CREATE.NONE.C.a.b", &["streams_admin", "streams_user", "server_streams"]),
    ("$JS.API.CONSUMER.DURABLE.CREATE.NONE.C", &["streams_admin", "streams_user", "server_streams"]),
    ("$JS.API.CONSUMER.DELETE.NONE.C", &["streams_admin", "streams_user"]),
    ("$JS.API.CONSUMER.NAMES.NONE", &["streams_admin", "streams_user", "watcher"]),
    ("$JS.API.CONSUMER.LIST.NONE", &["streams_admin", "streams_user", "watcher"]),
    ("$JS.API.CONSUMER.INFO.NONE.C", &["streams_admin", "streams_user", "server_streams", "watcher"]),
    ("$JS.API.CONSUMER.MSG.NEXT.NONE.C", &["streams_admin", "streams_user", "server_streams"]),
    ("$JS.ACK.NONE.C.1", &["streams_admin", "streams_user", "server_streams", "server_streams_elsewhere"]),
    ("$JS.FC.NONE.C", &["streams_admin", "streams_user", "server_streams", "server_streams_elsewhere"]),
    ("$KV.BUCKET.probe", &["streams_user"]),
    ("$O.BUCKET.probe", &["streams_user"]),
    ("choria.streams.STREAM.INFO.NONE", &["server_streams_elsewhere"]),
    ("choria.streams.STREAM.MSG.GET.NONE", &["server_streams_elsewhere"]),
    ("choria.streams.STREAM.MSG.DELETE.NONE", &["server_streams_elsewhere"]),
    ("choria.streams.DIRECT.GET.NONE", &["server_streams_elsewhere"]),
    ("choria.streams.DIRECT.GET.NONE.a.b", &["server_streams_elsewhere"]),
    ("choria.streams.CONSUMER.CREATE.NONE", &["server_streams_elsewhere"]),
    ("choria.streams.CONSUMER.CREATE.NONE.C.a", &["server_streams_elsewhere"]),
    ("choria.streams.CONSUMER.DURABLE.CREATE.NONE.C", &["server_streams_elsewhere"]),
    ("choria.streams.CONSUMER.INFO.NONE.C", &["server_streams_elsewhere"]),
    ("choria.streams.CONSUMER.MSG.NEXT.NONE.C", &["server_streams_elsewhere"]),
    ("choria.streams.STREAM.CREATE.NONE", &[]),
    // Elections and governors.
    (
        "$JS.API.STREAM.INFO.KV_CHORIA_LEADER_ELECTION",
        &["streams_admin", "streams_user", "server_streams", "watcher", "election_user"],
    ),
    ("$KV.CHORIA_LEADER_ELECTION.probe", &["streams_user", "election_user"]),
    ("choria.governor.probe", &["governor", "server_governor"]),
    ("other.governor.probe", &["governor", "server_governor_other"]),
    ("choria.lifecycle.event.governor.probe", &["governor", "server", "waiting"]),
    // The fleet.
    ("choria.broadcast.agent.discovery", &["fleet"]),
    ("other.broadcast.agent.discovery", &["fleet"]),
    ("choria.broadcast.service.probe", &["fleet"]),
    ("choria.node.n1", &["fleet"]),
    ("choria.node.n2", &["fleet"]),
    ("choria.federation.alpha.federation", &["fleet"]),
    // What servers do.
    ("choria.lifecycle.event.startup.server", &["server", "waiting"]),
    ("choria.machine.transition", &["server"]),
    ("choria.machine.watcher.file.state", &["server"]),
    ("choria.machine.other", &[]),
    ("choria.broadcast.agent.registration", &["server", "fleet"]),
    ("other.broadcast.agent.registration", &["server_other", "fleet"]),
    ("choria.reply.0123.probe", &["server"]),
    ("other.reply.0123.probe", &["server_other"]),
    ("choria.federation.choria.collective", &["server"]),
    ("choria.federation.other.collective", &["server_other"]),
    ("choria.submission.in.probe", &["submission"]),
    ("other.submission.in.probe", &["submission_other"]),
    ("third.reply.0123.probe", &[]),
    // Provisioning, in whatever account.
    ("provisioning.reply.0123.probe", &["waiting"]),
    ("provisioning.registration.n1", &["waiting"]),
    ("provisioning.node.n1", &["fleet"]),
    ("provisioning.broadcast.agent.choria_provision", &["fleet"]),
    ("choria.streams.$KV.CHORIA_LEADER_ELECTION.provisioner", &[]),
    // nats-server's own services.
    ("$SYS.REQ.SERVER.PING", &[]),
    ("$SYS.REQ.USER.AUTH", &[]),
];

/// Subjects to subscribe to, a message that matches each, and the grants that open them.
const SUBSCRIBE: &[(&str, &str, Grants)] = &[
    ("choria.reply.ALICE.>", "choria.reply.ALICE.a.b", &["client"]),
    ("*.reply.ALICE.>", "other.reply.ALICE.a", &["client"]),
    ("choria.reply.ALICE256.>", "choria.reply.ALICE256.a", &["client"]),
    ("*.reply.ALICE256.>", "other.reply.ALICE256.a", &["client"]),
    // Inboxes are private.
    ("choria.reply.BOB.>", "choria.reply.BOB.a", &[]),
    ("*.reply.BOB.>", "other.reply.BOB.a", &[]),
    ("choria.reply.*.>", "choria.reply.ALICE.c", &[]),
    ("*.reply.>", "choria.reply.ALICE.d", &[]),
    ("choria.>", "choria.reply.ALICE.e", &[]),
    (">", "choria.reply.ALICE.f", &[]),
    ("_INBOX.>", "_INBOX.a", &[]),
    ("acme.sub.>", "acme.sub.probe", &["sub_subjects"]),
    ("acme.other.>", "acme.other.probe", &[]),
    ("$JS.EVENT.>", "$JS.EVENT.ADVISORY.probe", &["streams_admin"]),
    ("$JS.>", "$JS.FC.probe.x", &[]),
    ("$KV.>", "$KV.BUCKET.x", &[]),
    ("choria.republish.>", "choria.republish.probe", &["republish"]),
    ("elsewhere.republish.>", "elsewhere.republish.probe", &["republish_elsewhere"]),
    ("choria.lifecycle.event.>", "choria.lifecycle.event.alive.server", &["events_viewer"]),
    ("choria.lifecycle.>", "choria.lifecycle.other", &[]),
    ("choria.machine.watcher.>", "choria.machine.watcher.exec.state", &["events_viewer"]),
    ("choria.machine.transition", "choria.machine.transition", &["events_viewer"]),
    ("choria.machine.>", "choria.machine.other", &[]),
    ("choria.broadcast.agent.>", "choria.broadcast.agent.rpcutil", &["server"]),
    ("other.broadcast.agent.>", "other.broadcast.agent.rpcutil", &["server_other"]),
    ("third.broadcast.agent.>", "third.broadcast.agent.rpcutil", &[]),
    ("choria.node.n1", "choria.node.n1", &["server"]),
    ("other.node.n1", "other.node.n1", &["server_other"]),
    ("choria.node.n2", "choria.node.n2", &[]),
    ("choria.node.*", "choria.node.n3", &[]),
    ("choria.reply.N1.>", "choria.reply.N1.a", &["server"]),
    ("choria.reply.N1256.>", "choria.reply.N1256.a", &["server"]),
    ("other.reply.N1.>", "other.reply.N1.a", &["server_other"]),
    ("choria.broadcast.service.>", "choria.broadcast.service.x", &["service_host"]),
    ("other.broadcast.service.>", "other.broadcast.service.x", &["service_host_other"]),
    ("choria.submission.>", "choria.submission.in.x", &[]),
    ("provisioning.node.>", "provisioning.node.n1", &["waiting"]),
    ("provisioning.broadcast.agent.discovery", "provisioning.broadcast.agent.discovery", &["waiting"]),
    ("provisioning.broadcast.agent.rpcutil", "provisioning.broadcast.agent.rpcutil", &["waiting"]),
    ("provisioning.broadcast.agent.choria_util", "provisioning.broadcast.agent.choria_util", &["waiting"]),
    ("provisioning.broadcast.agent.choria_provision", "provisioning.broadcast.agent.choria_provision", &["waiting"]),
    ("provisioning.broadcast.agent.other", "provisioning.broadcast.agent.other", &[]),
    ("provisioning.reply.>", "provisioning.reply.x", &[]),
    ("$SYS.>", "$SYS.probe", &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_permission_gives_what_it_says_and_nothing_else() {
    let lab = Lab::new();
    let issuer = lab.issuer_key();
    let two_units = [
        ("plugin.security.issuer.names", "choria, elsewhere"),
        ("plugin.security.issuer.elsewhere.public", issuer.as_str()),
    ];
    let broker = lab.serve(&two_units).await;
    let mut table = Table::open(&lab).await;

    for (name, permissions, extra, grants) in clients() {
        let holder = lab.client_with(|claims| {
            claims.permissions = permissions;
            extra(claims);
        });
        table.member(name, &Access::token(&holder), grants).await;
    }
    for (name, collectives, permissions, extra, grants) in servers() {
        let holder = lab.server_with("n1", |claims| {
            claims.collectives = collectives.iter().map(|text| (*text).to_owned()).collect();
            claims.permissions = permissions;
            extra(claims);
        });
        table.member(name, &Access::token(&holder), grants).await;
    }
    table.finish();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_waits_to_be_provisioned_reaches_only_its_provisioner() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let provisioner = lab.client_permitted(|permissions| permissions.server_provisioner = true);
    let provisioner = Access::token(&provisioner).with_user("provisioner", "s3cret\"}");
    let mut table = Table::observed_by(&lab, &provisioner).await;
    table.member("waiting", &Access::unsigned(&lab.provisioning()), &["waiting"]).await;
    table.finish();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_apart_but_for_lifecycle_events() {
    let lab = Lab::new();
    let broker = lab.serve(&[]).await;
    let admin = Access::token(&lab.client_permitted(|permissions| permissions.org_admin = true));
    let provisioner = lab.client_permitted(|permissions| permissions.server_provisioner = true);
    let provisioner = Access::token(&provisioner).with_user("provisioner", "s3cret\"}");
    let system = lab.client_permitted(|permissions| permissions.system_user = true);
    let system = Access::token(&system).with_user("system", "sysp");
    let (admin, provisioner, system) = (
        Member::connect(&lab, &admin).await,
        Member::connect(&lab, &provisioner).await,
        Member::connect(&lab, &system).await,
    );

    // Whoever has no limits in one account is a stranger in the others.
    let rows = [
        ("provisioner to the fleet", &provisioner, &admin, "choria.broadcast.agent.discovery"),
        ("fleet to provisioning", &admin, &provisioner, "provisioning.broadcast.agent.discovery"),
        ("fleet to system", &admin, &system, "choria.lifecycle.event.x"),
        ("system to the fleet", &system, &admin, "choria.broadcast.agent.discovery"),
        ("system to provisioning", &system, &provisioner, "provisioning.node.n1"),
    ];
    for (name, from, to, subject) in rows {
        let marker = format!("end.{}", name.replace(' ', "_"));
        let mut heard = to.client.subscribe(">").await.unwrap();
        to.settle().await;
        from.client.publish(subject.to_owned(), name.into()).await.unwrap();
        from.settle().await;
        // What crosses accounts has arrived before this does.
        to.client.publish(marker.clone(), "".into()).await.unwrap();
        loop {
            let message = tokio::time::timeout(PATIENCE, heard.next()).await.unwrap().unwrap();
            if message.subject.as_str() == marker {
                break;
            }
            assert_ne!(message.payload, name.as_bytes(), "{name}: {} arrived", message.subject);
        }
        assert_eq!(from.refusals(), Vec::<String>::new(), "{name}: it may speak, but nobody there hears it");
    }
    let mut events = admin.client.subscribe("choria.lifecycle.>").await.unwrap();
    admin.settle().await;
    provisioner.client.publish("choria.lifecycle.event.x", "crosses".into()).await.unwrap();
    let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("lifecycle events cross").unwrap();
    assert_eq!(event.payload, "crosses");

    // The system account answers its user, and nobody else however powerful.
    let answer = system.client.request("$SYS.REQ.SERVER.PING", "".into()).await.expect("the system user is answered");
    assert!(std::str::from_utf8(&answer.payload).unwrap().contains("server"));
    assert!(admin.client.request("$SYS.REQ.SERVER.PING", "".into()).await.is_err(), "an org_admin is not");
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_broker_lets_clients_watch() {
    let lab = Lab::new();
    let broker = lab.serve(&[("plugin.choria.network.read_only", "true")]).await;
    // Nobody may publish freely there, so only what members publish is tried; they subscribe as ever.
    let rows: Vec<WatcherRow> = vec![
        ("none", |_| {}, false),
        ("org_admin", |p| p.org_admin = true, true),
        ("streams_admin", |p| p.streams_admin = true, true),
        ("streams_user", |p| p.streams_user = true, true),
        ("fleet_management", |p| p.fleet_management = true, false),
        ("signed_fleet_management", |p| p.signed_fleet_management = true, false),
        ("election_user", |p| p.election_user = true, false),
        ("governor", |p| (p.governor, p.streams_user) = (true, true), true),
    ];
    let admin = Access::token(&lab.client_permitted(|permissions| permissions.org_admin = true));
    let observer = Member::connect(&lab, &admin).await;
    let mut table = Table::with(&lab, observer, false).await;
    for (name, change, watches) in rows {
        let holder = lab.client_with(|claims| {
            let mut permissions = ClientPermissions::default();
            change(&mut permissions);
            claims.permissions = Some(permissions);
            claims.additional_publish_subjects = vec!["acme.pub.>".to_owned()];
        });
        let grants: Grants = if watches { &["client", "watcher"] } else { &["client"] };
        table.member(name, &Access::token(&holder), grants).await;
    }
    let server = lab.server_with("n1", |_| {});
    table.member("server", &Access::token(&server), &["server"]).await;
    table.finish();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_servers_connect_and_may_do_nothing() {
    let lab = Lab::new();
    let broker = lab.serve(&[("plugin.choria.network.deny_server_connections", "true")]).await;
    let mut table = Table::open(&lab).await;
    let permissions = Some(ServerPermissions { submission: true, streams: true, governor: true, service_host: true });
    let server = lab.server_with("n1", |claims| claims.permissions = permissions);
    table.member("denied server", &Access::token(&server), &[]).await;
    let client = lab.client_permitted(|permissions| permissions.fleet_management = true);
    table.member("client", &Access::token(&client), &["client", "fleet"]).await;
    table.finish();
    broker.end().await;
}

/// What connections with a certificate and no token publish: `unlimited` without issuers, `messaging` on a network of
/// issuers, `server` where `client_hosts` is set, `watch` on a read-only broker.
const CERTIFICATE_PUBLISH: &[(&str, Grants)] = &[
    ("choria.broadcast.agent.discovery", &["unlimited"]),
    ("choria.broadcast.agent.registration", &["unlimited", "watch"]),
    ("choria.broadcast.service.x", &["unlimited"]),
    ("choria.broadcast.other", &["unlimited", "server"]),
    ("choria.node.n1", &["unlimited"]),
    ("choria.federation.a.federation", &["unlimited"]),
    ("choria.federation.a.collective", &["unlimited", "server", "watch"]),
    ("choria.reply.x.y", &["unlimited", "server", "watch"]),
    ("choria.lifecycle.event.x", &["unlimited", "server", "watch"]),
    ("choria.machine.transition", &["unlimited", "server", "watch"]),
    ("acme.orders", &["unlimited", "server", "messaging"]),
    ("$JS.API.STREAM.NAMES", &["unlimited", "server", "messaging"]),
    ("$KV.BUCKET.x", &["unlimited", "server", "messaging"]),
];

/// What they subscribe to; a read-only broker changes nothing about that.
const CERTIFICATE_SUBSCRIBE: &[(&str, &str, Grants)] = &[
    ("choria.reply.x.>", "choria.reply.x.y", &["unlimited"]),
    ("choria.federation.a.federation", "choria.federation.a.federation", &["unlimited"]),
    ("choria.lifecycle.event.>", "choria.lifecycle.event.x", &["unlimited"]),
    ("choria.node.n1", "choria.node.n1", &["unlimited", "server"]),
    ("choria.broadcast.agent.>", "choria.broadcast.agent.x", &["unlimited", "server"]),
    ("choria.machine.transition", "choria.machine.transition", &["unlimited", "server"]),
    ("acme.orders", "acme.orders", &["unlimited", "server", "messaging"]),
    ("$JS.EVENT.>", "$JS.EVENT.x", &["unlimited", "server", "messaging"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn certificates_without_tokens_get_the_fixed_lists() {
    let issuer = Lab::new().issuer_key();
    let hosts = ("plugin.choria.network.client_hosts", "127.0.0.1");
    let signers = [
        ("plugin.security.issuer.names", ""),
        ("plugin.choria.network.client_signer_cert", issuer.as_str()),
        ("plugin.choria.network.server_signer_cert", issuer.as_str()),
    ];
    let rows: [CertificateRow<'_>; 5] = [
        ("on a network of issuers", vec![], &["messaging"]),
        ("with client_hosts", vec![hosts], &["server"]),
        ("with client_hosts, servers denied", vec![hosts, ("plugin.choria.network.deny_server_connections", "1")], &[]),
        ("without issuers", signers.to_vec(), &["unlimited"]),
        (
            "without issuers, read-only",
            [&signers[..], &[("plugin.choria.network.read_only", "1")]].concat(),
            &["watch"],
        ),
    ];
    for (name, mut changes, grants) in rows {
        let lab = Lab::new();
        let (authority, tls) = certified(&lab);
        changes.extend([("plugin.choria.network.tls_front", "1"), ("plugin.security.choria.ca", authority.as_str())]);
        let broker = lab.serve(&changes).await;
        let admin = Access::token(&lab.client_permitted(|permissions| permissions.org_admin = true));
        let observer = Member::connect(&lab, &admin).await;
        let mut table = Table::with(&lab, observer, !name.contains("read-only")).await;
        let member = Member::connect(&lab, &Access::certificate(&tls)).await;
        table.publish(name, &member, CERTIFICATE_PUBLISH, grants).await;
        if table.sends {
            table.subscribe(name, &member, CERTIFICATE_SUBSCRIBE, grants).await;
        }
        table.finish();
        broker.end().await;
    }
}

/// The file of a new authority, and TLS with a certificate that it signed.
fn certified(lab: &Lab) -> (String, network::Tls) {
    let key = || rcgen::KeyPair::generate().unwrap();
    let (authority_key, member_key) = (key(), key());
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = authority.self_signed(&authority_key).unwrap();
    let mut member = rcgen::CertificateParams::new(vec!["n9.example.net".to_owned()]).unwrap();
    member.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let member = member.signed_by(&member_key, &authority, &authority_key).unwrap();
    let file = |name: &str, text: String| {
        std::fs::write(lab.path(name), text).unwrap();
        lab.path(name)
    };
    let identity = Some((file("member.pem", member.pem()), file("member.key", member_key.serialize_pem())));
    let files = network::TlsFiles { trust: network::Trust::Anyone, identity, ..network::TlsFiles::default() };
    (file("ca.pem", authority.pem()).display().to_string(), network::Tls::new(&files).unwrap())
}

// Members

/// Name, changes of the configuration, grants.
type CertificateRow<'a> = (&'a str, Vec<(&'a str, &'a str)>, Grants);

/// Name, change of the permissions, whether streams may be watched.
type WatcherRow = (&'static str, fn(&mut ClientPermissions), bool);

/// Name, permissions, change of other claims, grants.
type ClientRow = (&'static str, Option<ClientPermissions>, fn(&mut ClientClaims), Grants);

/// Name, collectives, permissions, change of other claims, grants.
type ServerRow = (&'static str, &'static [&'static str], Option<ServerPermissions>, fn(&mut ServerClaims), Grants);

/// Client tokens: their permissions, other claims, and the grants that must follow from them.
fn clients() -> Vec<ClientRow> {
    let none = ClientPermissions::default();
    let plain: fn(&mut ClientClaims) = |_| {};
    let admin = ClientPermissions { streams_admin: true, ..none };
    let user = ClientPermissions { streams_user: true, ..none };
    vec![
        ("no permissions", None, plain, &["client"]),
        ("empty permissions", Some(none), plain, &["client"]),
        ("org_admin", Some(ClientPermissions { org_admin: true, ..none }), plain, &[EVERYTHING]),
        ("streams_admin", Some(admin), plain, &["client", "streams_admin"]),
        ("streams_user", Some(user), plain, &["client", "streams_user", "republish"]),
        (
            "streams_user elsewhere",
            Some(user),
            |claims| claims.organization_unit = "elsewhere".to_owned(),
            &["client", "streams_user", "republish_elsewhere"],
        ),
        ("events_viewer", Some(ClientPermissions { events_viewer: true, ..none }), plain, &["client", "events_viewer"]),
        ("election_user", Some(ClientPermissions { election_user: true, ..none }), plain, &["client", "election_user"]),
        ("governor alone", Some(ClientPermissions { governor: true, ..none }), plain, &["client"]),
        (
            "governor, streams_user",
            Some(ClientPermissions { governor: true, ..user }),
            plain,
            &["client", "streams_user", "republish", "governor"],
        ),
        (
            "governor, streams_admin",
            Some(ClientPermissions { governor: true, ..admin }),
            plain,
            &["client", "streams_admin", "governor"],
        ),
        ("fleet_management", Some(ClientPermissions { fleet_management: true, ..none }), plain, &["client", "fleet"]),
        (
            "signed_fleet_management",
            Some(ClientPermissions { signed_fleet_management: true, ..none }),
            plain,
            &["client", "fleet"],
        ),
        ("system_user", Some(ClientPermissions { system_user: true, ..none }), plain, &["client"]),
        ("service", Some(ClientPermissions { extended_service_lifetime: true, ..none }), plain, &["client"]),
        ("delegator", Some(ClientPermissions { authentication_delegator: true, ..none }), plain, &["client"]),
        ("provisioner", Some(ClientPermissions { server_provisioner: true, ..none }), plain, &["client"]),
        (
            "pub_subjects",
            None,
            // One that is no subject must not take the others along.
            |claims| claims.additional_publish_subjects = vec!["a b".to_owned(), "acme.pub.>".to_owned()],
            &["client", "pub_subjects"],
        ),
        (
            "sub_subjects",
            None,
            |claims| claims.additional_subscribe_subjects = vec!["acme..x".to_owned(), "acme.sub.>".to_owned()],
            &["client", "sub_subjects"],
        ),
    ]
}

/// Server tokens: collectives, permissions, other claims, and the grants that must follow from them.
fn servers() -> Vec<ServerRow> {
    let none = ServerPermissions::default();
    let plain: fn(&mut ServerClaims) = |_| {};
    let elsewhere: fn(&mut ServerClaims) = |claims| claims.organization_unit = "elsewhere".to_owned();
    let one: &[&str] = &["choria"];
    let two: &[&str] = &["choria", "other"];
    let streams = ServerPermissions { streams: true, ..none };
    let governor = ServerPermissions { governor: true, ..none };
    let both = ServerPermissions { governor: true, ..streams };
    let service = ServerPermissions { service_host: true, ..none };
    let submission = ServerPermissions { submission: true, ..none };
    vec![
        ("no collective", &[], Some(both), plain, &[]),
        ("no valid collective", &["*", "a.>"], Some(both), plain, &[]),
        ("one collective", one, None, plain, &["server"]),
        ("two collectives", two, Some(none), plain, &["server", "server_other"]),
        ("service_host", one, Some(service), plain, &["server", "service_host"]),
        (
            "service_host in two",
            two,
            Some(service),
            plain,
            &["server", "server_other", "service_host", "service_host_other"],
        ),
        ("submission", one, Some(submission), plain, &["server", "submission"]),
        (
            "submission in two",
            two,
            Some(submission),
            plain,
            &["server", "server_other", "submission", "submission_other"],
        ),
        ("governor alone, server", one, Some(governor), plain, &["server"]),
        ("streams", one, Some(streams), plain, &["server", "server_streams", "republish"]),
        (
            "streams elsewhere",
            one,
            Some(streams),
            elsewhere,
            &["server", "server_streams_elsewhere", "republish_elsewhere"],
        ),
        ("governor and streams", one, Some(both), plain, &["server", "server_streams", "republish", "server_governor"]),
        (
            "governor and streams in two",
            two,
            Some(both),
            plain,
            &["server", "server_other", "server_streams", "republish", "server_governor", "server_governor_other"],
        ),
        (
            "pub_subjects, server",
            one,
            None,
            |claims| claims.additional_publish_subjects = vec!["acme.pub.>".to_owned()],
            &["server", "pub_subjects"],
        ),
    ]
}

/// The grant of those that have no limits.
const EVERYTHING: &str = "everything";

// Trying

/// What a member logs in with.
#[derive(Clone)]
struct Access {
    token: Option<Arc<str>>,
    seed: Option<Arc<tokens::Seed>>,
    user: Option<(&'static str, &'static str)>,
    tls: network::Tls,
}

/// A connection and what nats-server complained about on it.
struct Member {
    client: Client,
    complaints: Arc<Mutex<BTreeSet<String>>>,
}

/// The table while it is filled.
struct Table<'lab> {
    lab: &'lab Lab,
    observer: Member,
    /// Texts of the messages that the observer received.
    observed: Arc<Mutex<BTreeSet<String>>>,
    /// Whether the observer may send what subscriptions should receive.
    sends: bool,
    tried: usize,
    failures: Vec<String>,
}

/// What became of one attempt.
#[derive(Debug, PartialEq)]
enum Outcome {
    Delivered,
    Refused,
}

impl Access {
    fn token(holder: &Holder) -> Self {
        Self { seed: Some(Arc::clone(&holder.seed)), ..Self::unsigned(&holder.token) }
    }

    fn unsigned(token: &Arc<str>) -> Self {
        Self { token: Some(Arc::clone(token)), ..Self::certificate(&network::Tls::unverified().unwrap()) }
    }

    /// Nothing but the certificate that `tls` presents.
    fn certificate(tls: &network::Tls) -> Self {
        Self { token: None, seed: None, user: None, tls: tls.clone() }
    }

    fn with_user(mut self, user: &'static str, password: &'static str) -> Self {
        self.user = Some((user, password));
        self
    }

    fn answer(&self, nonce: &[u8]) -> Auth {
        let mut auth = Auth::new();
        auth.token = self.token.as_deref().map(str::to_owned);
        auth.signature = self.seed.as_ref().map(|seed| seed.sign(nonce).as_bytes().to_vec());
        auth.username = self.user.map(|(user, _)| user.to_owned());
        auth.password = self.user.map(|(_, password)| password.to_owned());
        auth
    }
}

impl Member {
    async fn connect(lab: &Lab, access: &Access) -> Self {
        let complaints = Arc::<Mutex<BTreeSet<String>>>::default();
        let (heard, access) = (Arc::clone(&complaints), access.clone());
        let tls = access.tls.config().as_ref().clone();
        let client = ConnectOptions::with_auth_callback(move |nonce| {
            let auth = access.answer(&nonce);
            async move { Ok(auth) }
        })
        .tls_client_config(tls)
        .require_tls(true)
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .custom_inbox_prefix(subject("choria.reply.ALICE"))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                heard.lock().unwrap().insert(error.to_string());
            }
            async {}
        })
        .connect(format!("tls://127.0.0.1:{}", lab.port))
        .await
        .unwrap();
        Self { client, complaints }
    }

    /// Returns when nats-server has taken everything sent so far.
    async fn settle(&self) {
        self.client.request("$SYS.REQ.USER.INFO", "".into()).await.unwrap();
    }

    fn refusals(&self) -> Vec<String> {
        self.complaints.lock().unwrap().iter().filter(|text| text.contains("ermissions")).cloned().collect()
    }

    /// Whether nats-server refused `what` ("Publish" or "Subscription") of exactly `subject`.
    fn was_refused(&self, what: &str, subject: &str) -> bool {
        let sentence = format!("permissions violation for {what} to \"{subject}\"").to_lowercase();
        self.complaints.lock().unwrap().iter().any(|text| text.to_lowercase().contains(&sentence))
    }
}

impl<'lab> Table<'lab> {
    /// A table whose observer is without limits in the fleet's account.
    async fn open(lab: &'lab Lab) -> Self {
        let admin = lab.client_permitted(|permissions| permissions.org_admin = true);
        Self::observed_by(lab, &Access::token(&admin)).await
    }

    async fn observed_by(lab: &'lab Lab, access: &Access) -> Self {
        let observer = Member::connect(lab, access).await;
        Self::with(lab, observer, true).await
    }

    async fn with(lab: &'lab Lab, observer: Member, sends: bool) -> Self {
        let observed = Arc::<Mutex<BTreeSet<String>>>::default();
        let mut messages = observer.client.subscribe(">").await.unwrap();
        observer.settle().await;
        let seen = Arc::clone(&observed);
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                seen.lock().unwrap().insert(String::from_utf8_lossy(&message.payload).into_owned());
            }
        });
        Self { lab, observer, observed, sends, tried: 0, failures: Vec::new() }
    }

    /// Tries everything as one member.
    async fn member(&mut self, name: &str, access: &Access, grants: Grants) {
        let member = Member::connect(self.lab, access).await;
        for rows in PUBLISH.chunks(AT_A_TIME) {
            self.publish(name, &member, rows, grants).await;
        }
        if self.sends {
            for rows in SUBSCRIBE.chunks(AT_A_TIME) {
                self.subscribe(name, &member, rows, grants).await;
            }
        }
    }

    async fn publish(&mut self, name: &str, member: &Member, rows: &[(&str, Grants)], grants: Grants) {
        let text = |to: &str| format!("{name} publishes to {to}");
        for (to, _) in rows {
            member.client.publish((*to).to_owned(), text(to).into()).await.unwrap();
        }
        let mut outcomes = BTreeMap::new();
        let deadline = Instant::now() + PATIENCE;
        while outcomes.len() < rows.len() && Instant::now() < deadline {
            for (to, _) in rows {
                if self.observed.lock().unwrap().contains(&text(to)) {
                    outcomes.insert(text(to), Outcome::Delivered);
                } else if member.was_refused("Publish", to) {
                    outcomes.insert(text(to), Outcome::Refused);
                }
            }
            tokio::time::sleep(POLL).await;
        }
        for (to, open_to) in rows {
            self.judge(&text(to), outcomes.get(&text(to)), open_to, grants);
        }
    }

    async fn subscribe(&mut self, name: &str, member: &Member, rows: &[(&str, &str, Grants)], grants: Grants) {
        let text = |to: &str| format!("{name} subscribes to {to}");
        let received = Arc::<Mutex<BTreeSet<String>>>::default();
        let mut tasks = tokio::task::JoinSet::new();
        for (to, _, _) in rows {
            let mut messages = member.client.subscribe(subject(to)).await.unwrap();
            let (received, own) = (Arc::clone(&received), text(to));
            tasks.spawn(async move {
                while let Some(message) = messages.next().await {
                    // Other subscriptions of this table may match too.
                    if message.payload == own.as_bytes() {
                        received.lock().unwrap().insert(own.clone());
                    }
                }
            });
        }
        let mut outcomes = BTreeMap::new();
        let deadline = Instant::now() + PATIENCE;
        while outcomes.len() < rows.len() && Instant::now() < deadline {
            for (to, matching, _) in rows {
                if received.lock().unwrap().contains(&text(to)) {
                    outcomes.insert(text(to), Outcome::Delivered);
                } else if member.was_refused("Subscription", &subject(to)) {
                    outcomes.insert(text(to), Outcome::Refused);
                } else {
                    self.observer.client.publish(subject(matching), text(to).into()).await.unwrap();
                }
            }
            tokio::time::sleep(POLL).await;
        }
        for (to, _, open_to) in rows {
            self.judge(&text(to), outcomes.get(&text(to)), open_to, grants);
        }
    }

    fn judge(&mut self, what: &str, outcome: Option<&Outcome>, open_to: Grants, grants: Grants) {
        let open = grants.contains(&EVERYTHING) || open_to.iter().any(|grant| grants.contains(grant));
        let expected = if open { Outcome::Delivered } else { Outcome::Refused };
        self.tried += 1;
        if outcome != Some(&expected) {
            self.failures.push(format!("{what}: {outcome:?}, and {expected:?} was expected"));
        }
    }

    fn finish(self) {
        assert!(self.failures.is_empty(), "{} of {}:\n{}", self.failures.len(), self.tried, self.failures.join("\n"));
        assert!(self.tried >= CERTIFICATE_PUBLISH.len(), "something was tried");
    }
}

/// A subject of the tables with the ids of their owners in place.
fn subject(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let short = |owner: &str| names::NetworkId::of(owner).to_string();
    let long = |owner: &str| hex::encode(Sha256::digest(owner.as_bytes()));
    text.replace("ALICE256", &long("up=alice"))
        .replace("ALICE", &short("up=alice"))
        .replace("BOB", &short("up=bob"))
        .replace("N1256", &long("n1"))
        .replace("N1", &short("n1"))
}

/// The client library keeps this many complaints until they are read, and drops more.
const AT_A_TIME: usize = 50;

/// Between two looks at what arrived.
const POLL: Duration = Duration::from_millis(5);
