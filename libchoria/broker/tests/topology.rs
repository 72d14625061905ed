//! Brokers joined with each other over real nats-servers: clusters, gateways, leaf nodes, web sockets, certificates.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "each test uses a part of the lab")]
mod lab;

use bytes::Bytes;
use choria_broker_role::Broker;
use lab::member::{Member, ask, kill, store, until_answered};
use lab::{Lab, PATIENCE, free_port, until};
use network::{Connection, Failure, Login, Options, Scheme, ServerAddress, Servers, Tls, TlsFiles};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_carries_requests_and_keeps_acknowledged_messages_when_a_member_is_killed() {
    let lab = Lab::new();
    let ports = [(); 3].map(|()| free_port());
    let peers = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let mut members = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let changes = [
            ("plugin.choria.network.peers", peers.clone()),
            ("plugin.choria.network.peer_port", port.to_string()),
            ("plugin.choria.network.peer_user", "peer".to_owned()),
            ("plugin.choria.network.peer_password", "p@ss/w\"rd}".to_owned()),
        ];
        members.push(Member::start(&lab, &format!("b{number}"), &changes).await);
    }
    streams_are_there(&members).await;
    let node = members[0].connect(&lab, lab.server("n1").login()).await;
    let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
    let client = members[2].admin(&lab).await;
    until("a request crosses the cluster", async || {
        client.publish("choria.node.n1", Bytes::from_static(b"ping")).await.unwrap();
        tokio::time::timeout(Duration::from_millis(200), inbox.recv()).await.is_ok()
    })
    .await;
    let info = ask(&client, "$JS.API.STREAM.INFO.CHORIA_EVENTS").await;
    assert_eq!(info["config"]["num_replicas"], 3, "{info}");

    let mut acknowledged = Vec::new();
    store(&client, &mut acknowledged, 30).await;
    let leader = info["cluster"]["leader"].as_str().unwrap().to_owned();
    // The client's own member stays, so that what is measured is the loss of the stream's leader where they differ.
    let victim = members.iter().position(|member| leader.starts_with(&member.name())).unwrap().min(1);
    let killed = members[victim].nats_server();
    kill(killed);
    store(&client, &mut acknowledged, 60).await;
    until("the killed nats-server is back", async || members[victim].running().is_some_and(|now| now != killed)).await;
    store(&client, &mut acknowledged, 90).await;
    let restarts: u64 = members.iter().map(|member| member.served.metrics.snapshot().restarts).sum();
    assert_eq!(restarts, 1, "one nats-server was started again, by its own broker");
    // A broker that is killed takes its nats-server with it, and two of three members still store.
    let gone = members.remove(0);
    let its_nats_server = gone.nats_server();
    drop(gone);
    until("its nats-server is gone", async || !Path::new(&format!("/proc/{its_nats_server}/exe")).exists()).await;
    store(&client, &mut acknowledged, 120).await;
    for (sequence, text) in &acknowledged {
        assert_stored(&client, *sequence, text).await;
    }
    for member in members {
        member.served.end().await;
    }
}

/// Waits until every member has all streams and says so.
async fn streams_are_there(members: &[Member]) {
    let there = async {
        for member in members {
            while member.served.metrics.snapshot().streams_missing > 0 || member.status().contains("missing") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, there).await.is_err() {
        panic!("no streams: {:#?}", members.iter().map(Member::status).collect::<Vec<_>>());
    }
}

/// As often as a leader has to be elected first.
async fn assert_stored(client: &Connection, sequence: u64, text: &str) {
    use base64::Engine as _;
    let question = format!("{{\"seq\":{sequence}}}");
    let found = until_answered(client, "$JS.API.STREAM.MSG.GET.CHORIA_EVENTS", question).await;
    let data = found["message"]["data"].as_str().unwrap_or_else(|| panic!("message {sequence} is lost: {found}"));
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(data).unwrap(), text.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_without_the_password_is_no_member() {
    let lab = Lab::new();
    let ports = [free_port(), free_port()];
    let changes = |own: u16, peer: u16, password: &str| {
        [
            ("plugin.choria.network.peers", format!("127.0.0.1:{peer}")),
            ("plugin.choria.network.peer_port", own.to_string()),
            ("plugin.choria.network.peer_user", "peer".to_owned()),
            ("plugin.choria.network.peer_password", password.to_owned()),
        ]
    };
    let inside = Member::start(&lab, "b1", &changes(ports[0], ports[1], "right")).await;
    let stranger = Member::start(&lab, "b2", &changes(ports[1], ports[0], "wrong")).await;
    let node = inside.connect(&lab, lab.server("n1").login()).await;
    let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
    let outside = stranger.admin(&lab).await;
    let within = inside.admin(&lab).await;
    for _ in 0..20 {
        outside.publish("choria.node.n1", Bytes::from_static(b"outside")).await.unwrap();
        // Only an answer says that the message before it has passed.
        ask(&outside, "$SYS.REQ.USER.INFO").await;
        within.publish("choria.node.n1", Bytes::from_static(b"within")).await.unwrap();
        assert_eq!(inbox.recv().await.unwrap().payload, "within");
    }
    inside.served.end().await;
    stranger.served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_node_carries_requests_both_ways_and_strangers_are_refused() {
    let lab = Lab::new();
    let port = free_port();
    let listener = ("plugin.choria.network.leafnode_port", port.to_string());
    let login = [
        ("plugin.choria.network.leafnode_user", "leaf".to_owned()),
        ("plugin.choria.network.leafnode_password", "l3af".to_owned()),
    ];
    let hub = Member::start(&lab, "hub", &[listener, login[0].clone(), login[1].clone()]).await;
    let remote = |url: String| {
        [
            ("plugin.choria.network.leafnode_remotes", "hub".to_owned()),
            ("plugin.choria.network.leafnode_remote.hub.url", url),
        ]
    };
    let leaf = Member::start(&lab, "leaf", &remote(format!("leafnode://leaf:l3af@127.0.0.1:{port}"))).await;
    for (at, from) in [(&leaf, &hub), (&hub, &leaf)] {
        let node = at.connect(&lab, lab.server("n1").login()).await;
        let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
        let client = from.admin(&lab).await;
        until("a request crosses", async || {
            client.publish("choria.node.n1", Bytes::from_static(b"ping")).await.unwrap();
            tokio::time::timeout(Duration::from_millis(200), inbox.recv()).await.is_ok()
        })
        .await;
        node.close(PATIENCE).await;
    }
    // Each side keeps streams of its own.
    for member in [&hub, &leaf] {
        let info = ask(&member.admin(&lab).await, "$JS.API.STREAM.INFO.CHORIA_EVENTS").await;
        assert_eq!(info["config"]["num_replicas"], 1, "{info}");
    }

    let stranger = Member::start(&lab, "stranger", &remote(format!("leafnode://leaf:wrong@127.0.0.1:{port}"))).await;
    let node = stranger.connect(&lab, lab.server("n2").login()).await;
    let mut inbox = node.subscribe("choria.node.n2", None).await.unwrap();
    let (outside, within) = (hub.admin(&lab).await, stranger.admin(&lab).await);
    for _ in 0..10 {
        outside.publish("choria.node.n2", Bytes::from_static(b"outside")).await.unwrap();
        ask(&outside, "$SYS.REQ.USER.INFO").await;
        within.publish("choria.node.n2", Bytes::from_static(b"within")).await.unwrap();
        assert_eq!(inbox.recv().await.unwrap().payload, "within");
    }
    for member in [hub, leaf, stranger] {
        member.served.end().await;
    }
}

/// A listener for leaf nodes without any way to prove themselves leaves them to the callout, which knows their kind.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_node_that_proves_nothing_is_denied_by_the_callout() {
    let lab = Lab::new();
    let port = free_port();
    let hub = Member::start(&lab, "hub", &[("plugin.choria.network.leafnode_port", port.to_string())]).await;
    let remote = [
        ("plugin.choria.network.leafnode_remotes", "hub".to_owned()),
        ("plugin.choria.network.leafnode_remote.hub.url", format!("127.0.0.1:{port}")),
    ];
    let leaf = Member::start(&lab, "leaf", &remote).await;
    until("the hub denies it", async || !hub.served.metrics.snapshot().denied.is_empty()).await;
    for member in [hub, leaf] {
        member.served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_are_joined_by_their_gateways() {
    let lab = Lab::new();
    let ports = [free_port(), free_port()];
    let names = ["EAST", "WEST"];
    let changes = |own: usize| {
        let other = 1 - own;
        [
            ("plugin.choria.network.gateway_name".to_owned(), names[own].to_owned()),
            ("plugin.choria.network.gateway_port".to_owned(), ports[own].to_string()),
            ("plugin.choria.network.gateway_remotes".to_owned(), names[other].to_owned()),
            // nats-server keeps streams of several clusters only where each has members to spare.
            ("plugin.choria.network.stream.store".to_owned(), String::new()),
            (
                format!("plugin.choria.network.gateway_remote.{}.urls", names[other]),
                format!("127.0.0.1:{}", ports[other]),
            ),
        ]
    };
    let mut members = Vec::new();
    for (own, name) in ["b1", "b2"].into_iter().enumerate() {
        let changes = changes(own);
        let changes: Vec<_> = changes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        members.push(Member::start(&lab, name, &changes).await);
    }
    let node = members[0].connect(&lab, lab.server("n1").login()).await;
    let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
    let client = members[1].admin(&lab).await;
    until("a request crosses", async || {
        client.publish("choria.node.n1", Bytes::from_static(b"ping")).await.unwrap();
        tokio::time::timeout(Duration::from_millis(200), inbox.recv()).await.is_ok()
    })
    .await;
    for member in members {
        member.served.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_alone_with_streams_has_no_gateway() {
    let lab = Lab::new();
    let settings = lab.settings(&[
        ("plugin.choria.network.gateway_port", "7222"),
        ("plugin.choria.network.gateway_remotes", "WEST"),
        ("plugin.choria.network.gateway_remote.WEST.urls", "127.0.0.1:7223"),
    ]);
    let built = Broker::build(settings, &lab.surroundings(), Arc::default()).await;
    let error = built.expect_err("nats-server would not start").to_string();
    assert!(error.contains("plugin.choria.network.gateway_port") && error.contains("network.peers"), "{error}");
}

/// Which connection gets in at which port, by what the ports demand.
#[tokio::test(flavor = "multi_thread")]
async fn ports_demand_certificates_as_configured() {
    let lab = Lab::new();
    let authority = Authority::make(&lab);
    let rows = [
        // demand, [token on the port of clients, token on wss, certificate on the port of clients, certificate on wss]
        ("none", [true, true, false, false]),
        ("websocket", [true, false, false, true]),
        ("required", [false, false, true, true]),
    ];
    for (demand, expected) in rows {
        let websocket = free_port();
        let changes = [
            ("plugin.security.choria.ca", lab.path("ca.pem").display().to_string()),
            ("plugin.choria.network.websocket_port", websocket.to_string()),
            ("plugin.choria.network.client_certificates", demand.to_owned()),
        ];
        let broker = Member::start(&lab, demand, &changes).await;
        let anyone = Tls::unverified().unwrap();
        let ports = [(Scheme::Tls, broker.port), (Scheme::Wss, websocket)];
        let rows = [(lab.server("n1").login(), anyone), (Login::Anonymous, authority.tls.clone())];
        let mut found = Vec::new();
        for (login, tls) in rows {
            for (scheme, port) in ports {
                let address = ServerAddress::new(scheme, "127.0.0.1", port);
                let servers = Servers::Fixed(vec![address]);
                let patience = Some(Duration::from_secs(4));
                let options = Options { servers, tls: tls.clone(), patience, ..lab.options("row", login.clone()) };
                found.push(lab.connect(options).await.map(|_| ()));
            }
        }
        let allowed: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(allowed, expected, "{demand}: {found:?}");
        assert!(found.iter().all(|found| found != &Err(Failure::TimedOut)), "{demand}: {found:?}");
        broker.served.end().await;
    }
}

/// A certificate authority of the site, and a client of it.
struct Authority {
    tls: Tls,
}

impl Authority {
    /// Leaves `ca.pem` in the lab.
    fn make(lab: &Lab) -> Self {
        let signer = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&signer).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let client = rcgen::CertificateParams::new(["n9.example.net".to_owned()]).unwrap();
        let client = client.signed_by(&key, &authority, &signer).unwrap();
        std::fs::write(lab.path("ca.pem"), authority.pem()).unwrap();
        std::fs::write(lab.path("n9.pem"), client.pem()).unwrap();
        std::fs::write(lab.path("n9.key"), key.serialize_pem()).unwrap();
        let identity = Some((lab.path("n9.pem"), lab.path("n9.key")));
        Self { tls: Tls::new(&TlsFiles { identity, ..TlsFiles::default() }).unwrap() }
    }
}
