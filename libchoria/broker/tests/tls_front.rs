//! The TLS front before a real nats-server: who gets in, as whom, and what a stranger can do to it.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

#[allow(dead_code, reason = "this test uses a part of it")]
mod lab;

use bytes::Bytes;
use choria_broker_role::Metrics;
use lab::{Holder, Lab, PATIENCE, Served, until};
use network::{Failure, Login, Options, Scheme, ServerAddress, Servers, Tls, TlsFiles, Trust};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokens::ClientPermissions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const FRONT: (&str, &str) = ("plugin.choria.network.tls_front", "true");

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_certificates_share_one_port() {
    let lab = Lab::new();
    let site = Site::new(&lab);
    let broker = lab.serve(&[FRONT, ("plugin.security.choria.ca", &site.authorities)]).await;

    let fleet = lab.client(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    let node = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    let client = lab.connect(as_alice(lab.options("client", fleet.login()))).await.unwrap();
    let certified = lab.connect(site.options(&lab, "member")).await.unwrap();
    for (connection, user) in [(&client, "up=alice"), (&certified, "n9.example.net")] {
        let info = connection.request("$SYS.REQ.USER.INFO", Bytes::new(), PATIENCE).await.unwrap();
        let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
        assert_eq!((&info["data"]["user"], &info["data"]["account"]), (&user.into(), &"choria".into()), "{info}");
    }
    let mut inbox = node.subscribe("choria.node.n1", None).await.unwrap();
    node.flush().await.unwrap();
    client.publish("choria.node.n1", Bytes::from_static(b"ping")).await.unwrap();
    assert_eq!(inbox.recv().await.unwrap().payload, "ping");

    let rows = [("no certificate, no token", lab.options("x", Login::Anonymous), Failure::Unauthorized)];
    for (name, options, expected) in rows {
        assert_eq!(lab.connect(options).await.expect_err(name), expected, "{name}");
    }
    // A certificate that is not verified ends the handshake: it is not taken for none.
    let stranger = Site::make(&lab, "stranger");
    assert!(lab.connect(stranger.options(&lab, "stranger")).await.is_err());
    assert_eq!(denied(&broker.metrics), [("no_token", 1)]);
    broker.end().await;
}

/// nats-server sees only the front; the callout is told who is behind it.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_that_is_judged_is_the_members_own() {
    let lab = Lab::new();
    let broker = lab.serve(&[FRONT, ("plugin.choria.network.client_hosts", "127.0.0.77")]).await;
    let member = lab.client(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    for (source, welcome) in [([127, 0, 0, 77], true), ([127, 0, 0, 78], false)] {
        let mut stream = dial_from(source, lab.port).await;
        let info = line_of(&mut stream).await;
        let info: serde_json::Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        assert_eq!(info["client_ip"], std::net::IpAddr::from(source).to_string());
        let mut stream = handshake(stream).await.unwrap();
        stream.write_all(login(&member, &info).as_bytes()).await.unwrap();
        let heard = first_answer(&mut stream).await;
        assert_eq!(heard.contains("PONG"), welcome, "{source:?}: {heard}");
    }
    broker.end().await;
}

/// The loopback port of nats-server gives nothing to anybody, whatever they say there.
#[tokio::test(flavor = "multi_thread")]
async fn who_goes_around_the_front_is_denied() {
    let lab = Lab::new();
    let broker = lab.serve(&[FRONT]).await;
    let backend = backend_of(&lab);
    let member = lab.client(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
    // Another member is connected through the front, so that there is something to take.
    let connected = lab.connect(as_alice(lab.options("client", member.login()))).await.unwrap();
    for (name, lang) in [("nothing", "rust"), ("a ticket", "rust|t=00112233445566778899aabbccddeeff")] {
        let mut stream = TcpStream::connect(backend).await.unwrap();
        let info = line_of(&mut stream).await;
        assert!(!info.contains("tls_required"), "{name}: {info}");
        let info: serde_json::Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        stream
            .write_all(login(&member, &info).replace("\"lang\":\"x\"", &format!("\"lang\":{lang:?}")).as_bytes())
            .await
            .unwrap();
        let heard = rest_of(&mut stream).await;
        assert!(heard.contains("Authorization Violation") && !heard.contains("PONG"), "{name}: {heard}");
    }
    assert_eq!(denied(&broker.metrics), [("no_tls", 2)]);
    connected.flush().await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_does_not_hold_up_others() {
    let lab = Lab::new();
    let broker = lab.serve(&[FRONT, ("plugin.choria.network.tls_timeout", "1s")]).await;
    let plain = |bytes: Vec<u8>| async move {
        let mut stream = TcpStream::connect(("127.0.0.1", lab.port)).await.unwrap();
        line_of(&mut stream).await;
        // The other side may have closed already.
        let _ = stream.write_all(&bytes).await;
        rest_of(&mut stream).await
    };
    let before = broker.metrics.snapshot().front_failed;
    for (name, bytes) in [
        ("no TLS at all", b"CONNECT {}\r\nPING\r\n".to_vec()),
        ("random bytes", (0..5000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("a record that never ends", [&[22, 3, 1, 0x40, 0][..], &[0; 100]].concat()),
        ("silence", Vec::new()),
    ] {
        let heard = plain(bytes).await;
        assert!(!heard.contains("PONG") && !heard.contains("-ERR"), "{name}: {heard:?}");
    }
    assert_eq!(broker.metrics.snapshot().front_failed - before, 4);

    let mut long = encrypted(TcpStream::connect(("127.0.0.1", lab.port)).await.unwrap()).await;
    let _ = long.write_all(format!("CONNECT {{\"name\":\"{}\"}}\r\n", "x".repeat(100_000)).as_bytes()).await;
    assert!(!rest_of(&mut long).await.contains("PONG"), "a line that is too long");

    let good = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    good.flush().await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_many_pieces_is_a_login() {
    let lab = Lab::new();
    let broker = lab.serve(&[FRONT]).await;
    let member = lab.server("n1");
    let mut stream = TcpStream::connect(("127.0.0.1", lab.port)).await.unwrap();
    let info = line_of(&mut stream).await;
    let info: serde_json::Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
    assert_eq!(info["tls_required"], true);
    assert_eq!(info["client_ip"], "127.0.0.1");
    assert_eq!(info["port"], lab.port, "the loopback port is nobody's business: {info}");
    let mut stream = handshake(stream).await.unwrap();
    for piece in login(&member, &info).as_bytes().chunks(37) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(first_answer(&mut stream).await.contains("PONG"));
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_presented_and_nobody_is_disconnected() {
    let lab = Lab::new();
    let write = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(lab.path("front.key"), key.serialize_pem()).unwrap();
        std::fs::write(lab.path("front.pem"), certificate.pem()).unwrap();
        certificate.der().to_vec()
    };
    let first = write("first.example.net");
    let (certificate, key) = (lab.path("front.pem").display().to_string(), lab.path("front.key").display().to_string());
    let files = [("plugin.security.choria.certificate", &*certificate), ("plugin.security.choria.key", &*key), FRONT];
    let (broker, metrics) = lab.build(&files).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let mut running = broker.checking_every(Duration::from_millis(100)).start(stop.clone());
    running.ready().await.unwrap();
    let broker = Served { running, metrics, stop };

    let node = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    assert_eq!(presented(lab.port).await, first);
    let second = write("second.example.net");
    until("the new certificate is presented", async || presented(lab.port).await == second).await;
    // Half a replacement is not used, and does not end what works.
    std::fs::write(lab.path("front.pem"), "not a certificate").unwrap();
    let checks = broker.metrics.snapshot().allowed;
    until("a check passed since", async || broker.metrics.snapshot().allowed > checks + 2).await;
    assert_eq!(presented(lab.port).await, second);
    assert_eq!(node.status().reconnects, 0);
    node.flush().await.unwrap();
    broker.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_arrive_whole_both_ways() {
    let lab = Lab::new();
    let broker = lab.serve(&[FRONT]).await;
    let node = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    let subject = format!("choria.reply.{}.large", names::NetworkId::of("n1"));
    let mut own = node.subscribe(&subject, None).await.unwrap();
    for round in 0..20_u32 {
        let content: Vec<u8> =
            (0..900_000_u32).map(|n| ((n ^ round).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        node.publish(&subject, Bytes::from(content.clone())).await.unwrap();
        let received = tokio::time::timeout(PATIENCE, own.recv()).await.unwrap().unwrap();
        assert!(received.payload == content, "round {round}");
    }
    broker.end().await;
}

/// nats-server dies: the port stays open, and members come back to the next one.
#[tokio::test(flavor = "multi_thread")]
async fn the_port_outlives_nats_server() {
    let lab = Lab::new();
    let broker = lab.serve(&[FRONT]).await;
    let node = lab.connect(lab.options("n1", lab.server("n1").login())).await.unwrap();
    let (child, first) = (child_of(&lab), backend_of(&lab));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the node is back", async || node.status().reconnects > 0).await;
    assert_ne!(backend_of(&lab), first);
    broker.end().await;
}

// What the tests ask

/// Certificates of a site: an authority and a member's certificate signed by it.
struct Site {
    authorities: String,
    certificate: std::path::PathBuf,
    key: std::path::PathBuf,
}

impl Site {
    fn new(lab: &Lab) -> Self {
        Self::make(lab, "site")
    }

    fn make(lab: &Lab, name: &str) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = authority.self_signed(&authority_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut member = CertificateParams::new(vec!["n9.example.net".to_owned()]).unwrap();
        member.distinguished_name = rcgen::DistinguishedName::new();
        member.distinguished_name.push(rcgen::DnType::CommonName, "n9.example.net");
        member.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let member = member.signed_by(&key, &authority, &authority_key).unwrap();
        let write = |ending: &str, text: String| {
            let path = lab.path(&format!("{name}.{ending}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let authorities = write("ca", authority.pem()).display().to_string();
        Self { authorities, certificate: write("pem", member.pem()), key: write("key", key.serialize_pem()) }
    }

    /// Options of a connection with the certificate and without a token.
    fn options(&self, lab: &Lab, name: &str) -> Options {
        let identity = Some((self.certificate.clone(), self.key.clone()));
        let files = TlsFiles { trust: Trust::Anyone, identity, ..TlsFiles::default() };
        let address = ServerAddress::new(Scheme::Tls, "127.0.0.1", lab.port);
        let servers = Servers::Fixed(vec![address]);
        let mut options = Options::new(network::Role::Client, name, servers, Tls::new(&files).unwrap());
        options.patience = Some(Duration::from_secs(5));
        options
    }
}

fn as_alice(options: Options) -> Options {
    Options { inbox_prefix: format!("choria.reply.{}", names::NetworkId::of("up=alice")), ..options }
}

fn denied(metrics: &Metrics) -> Vec<(&'static str, u64)> {
    metrics.snapshot().denied.into_iter().collect()
}

async fn dial_from(source: [u8; 4], port: u16) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap()
}

async fn encrypted(mut stream: TcpStream) -> TlsStream<TcpStream> {
    line_of(&mut stream).await;
    handshake(stream).await.unwrap()
}

async fn handshake(stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let tls = TlsConnector::from(Arc::clone(Tls::unverified().unwrap().config()));
    tls.connect(ServerName::from(std::net::Ipv4Addr::LOCALHOST), stream).await
}

/// What a member of the fleet sends after the handshake.
fn login(member: &Holder, info: &serde_json::Value) -> String {
    let signature = member.seed.sign(info["nonce"].as_str().unwrap().as_bytes()).to_base64();
    let token = &*member.token;
    let connect =
        serde_json::json!({"auth_token": token, "jwt": token, "sig": signature, "lang": "x", "tls_required": true});
    format!("CONNECT {connect}\r\nPING\r\n")
}

/// What is said first: `PONG`, or an error and the end.
async fn first_answer(stream: &mut TlsStream<TcpStream>) -> String {
    let mut heard = String::new();
    while !heard.contains("PONG") && !heard.contains("-ERR") {
        let mut buffer = [0; 100];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(count > 0, "{heard}");
        heard.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    heard
}

/// The certificate that the port presents.
async fn presented(port: u16) -> Vec<u8> {
    let stream = encrypted(TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await;
    let certificates: &[CertificateDer<'_>] = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].to_vec()
}

/// One line, byte by byte: nothing behind it is taken.
async fn line_of(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(line).unwrap()
}

/// Everything until the other side closes, as text.
async fn rest_of(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut heard = Vec::new();
    // A reset instead of an orderly end is as good.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("the other side closes");
    String::from_utf8_lossy(&heard).into_owned()
}

/// The loopback port that nats-server chose for the front.
fn backend_of(lab: &Lab) -> SocketAddr {
    let text = std::fs::read(ports_file(lab)).unwrap();
    let ports: serde_json::Value = serde_json::from_slice(&text).unwrap();
    ports["nats"][0].as_str().unwrap().strip_prefix("nats://").unwrap().parse().unwrap()
}

fn child_of(lab: &Lab) -> i32 {
    let name = ports_file(lab).file_stem().unwrap().to_string_lossy().into_owned();
    name.rsplit_once('_').unwrap().1.parse().unwrap()
}

/// The file of the nats-server that runs.
fn ports_file(lab: &Lab) -> std::path::PathBuf {
    let entries =
        |directory: &std::path::Path| std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let private =
        entries(lab.directory.path()).find(|path| path.is_dir() && path.to_string_lossy().contains("choria-broker-"));
    let files = entries(&private.unwrap()).filter(|path| path.extension().is_some_and(|ending| ending == "ports"));
    let runs = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        std::path::Path::new(&format!("/proc/{}/exe", name.rsplit_once('_').unwrap().1)).exists()
    };
    files.into_iter().find(runs).expect("a nats-server runs")
}
