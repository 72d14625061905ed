//! Every permission of every kind of token, tried on a real nats-server: each member of the table below publishes to and
//! subscribes to every subject below, and each attempt must be delivered or refused as spec 01 §8 says. What is expected
//! is written here subject by subject, apart from the code that makes the lists.
//!
//! How that is tried is in `lab/table.rs`.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test program uses its part of the laboratory")]
mod lab;

use futures_util::StreamExt as _;
use lab::table::{Access, EVERYTHING, Grants, Member, Rows, Table};
use lab::{Lab, PATIENCE};
use tokens::{ClientClaims, ClientPermissions, ServerClaims, ServerPermissions};

/// What is tried with tokens.
const ROWS: Rows = Rows { publish: PUBLISH, subscribe: SUBSCRIBE };

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
    ("choria.lifecycle.event.governor.probe", &["governor", "server"]),
    // The fleet.
    ("choria.broadcast.agent.discovery", &["fleet"]),
    ("other.broadcast.agent.discovery", &["fleet"]),
    ("choria.broadcast.service.probe", &["fleet"]),
    ("choria.node.n1", &["fleet"]),
    ("choria.node.n2", &["fleet"]),
    ("choria.federation.alpha.federation", &["fleet"]),
    // What servers do.
    ("choria.lifecycle.event.startup.server", &["server"]),
    ("choria.lifecycle.event.startup.provision_mode_server", &["server", "waiting"]),
    ("choria.lifecycle.event.alive.provision_mode_server", &["server", "waiting"]),
    ("choria.lifecycle.event.provisioned.provision_mode_server", &["server", "waiting"]),
    ("choria.lifecycle.event.upgraded.provision_mode_server", &["server", "waiting"]),
    ("choria.lifecycle.event.shutdown.provision_mode_server", &["server", "waiting"]),
    ("choria.lifecycle.event.governor.provision_mode_server", &["server", "governor"]),
    ("choria.lifecycle.event.startup.provisioner", &["server"]),
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
    // What the broker renames submitted events of the executor to.
    ("choria.executor.probe", &["submission"]),
    ("other.submission.in.probe", &["submission_other"]),
    ("third.reply.0123.probe", &[]),
    // Provisioning, in whatever account.
    ("provisioning.reply.0123.probe", &["waiting"]),
    ("provisioning.reply.0123", &[]),
    ("provisioning.reply.0123.probe.more", &[]),
    ("provisioning.registration.data", &["waiting"]),
    ("provisioning.registration.n1", &[]),
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
    ("provisioning.node.n1", "provisioning.node.n1", &["waiting"]),
    ("provisioning.node.n2", "provisioning.node.n2", &[]),
    ("provisioning.node.n1.example.net", "provisioning.node.n1.example.net", &[]),
    ("provisioning.node.*", "provisioning.node.n3", &[]),
    ("provisioning.node.>", "provisioning.node.n4", &[]),
    ("provisioning.broadcast.agent.*", "provisioning.broadcast.agent.any", &[]),
    ("provisioning.>", "provisioning.other", &[]),
    ("provisioning.broadcast.agent.discovery", "provisioning.broadcast.agent.discovery", &["waiting"]),
    ("provisioning.broadcast.agent.rpcutil", "provisioning.broadcast.agent.rpcutil", &["waiting"]),
    ("provisioning.broadcast.agent.choria_util", "provisioning.broadcast.agent.choria_util", &["waiting"]),
    ("provisioning.broadcast.agent.choria_provision", "provisioning.broadcast.agent.choria_provision", &["waiting"]),
    ("provisioning.broadcast.agent.other", "provisioning.broadcast.agent.other", &[]),
    ("provisioning.reply.>", "provisioning.reply.x", &[]),
    ("provisioning.reply.*.*", "provisioning.reply.x.y", &[]),
    ("provisioning.registration.data", "provisioning.registration.data", &[]),
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
        table.member(&ROWS, name, &Access::token(&holder), grants).await;
    }
    for (name, collectives, permissions, extra, grants) in servers() {
        let holder = lab.server_with("n1", |claims| {
            claims.collectives = collectives.iter().map(|text| (*text).to_owned()).collect();
            claims.permissions = permissions;
            extra(claims);
        });
        table.member(&ROWS, name, &Access::token(&holder), grants).await;
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
    table.member(&ROWS, "waiting", &Access::unsigned(&lab.provisioning()), &["waiting"]).await;
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
        table.member(&ROWS, name, &Access::token(&holder), grants).await;
    }
    let server = lab.server_with("n1", |_| {});
    table.member(&ROWS, "server", &Access::token(&server), &["server"]).await;
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
    table.member(&ROWS, "denied server", &Access::token(&server), &[]).await;
    let client = lab.client_permitted(|permissions| permissions.fleet_management = true);
    table.member(&ROWS, "client", &Access::token(&client), &["client", "fleet"]).await;
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
        let (authority, tls) = lab.certified();
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
