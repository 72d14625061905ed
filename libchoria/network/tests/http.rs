//! One bounded HTTP request, against stand-ins that behave and stand-ins that do not.

mod support;

use bytes::Bytes;
use choria_network::http::{HttpError, Limits, Request, Url, post, send};
use choria_network::{Tls, TlsFiles, Trust};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use support::within;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const LIMITS: Limits = Limits { time: Duration::from_secs(20), body: 1024 };

/// Serves one connection: reads a request up to its body, writes `answer`, hangs up unless told to `stay`.
async fn stand_in(tls: Option<TlsAcceptor>, answer: Vec<u8>, stay: bool) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("localhost:{}", listener.local_addr().expect("an address").port());
    let task = tokio::spawn(async move {
        let (stream, _peer) = listener.accept().await.expect("a client");
        match tls {
            None => talk(stream, &answer, stay).await,
            Some(acceptor) => match acceptor.accept(stream).await {
                Ok(stream) => talk(stream, &answer, stay).await,
                Err(error) => error.to_string(),
            },
        }
    });
    (address, task)
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], stay: bool) -> String {
    let mut heard = Vec::new();
    let whole = |heard: &[u8]| {
        let text = String::from_utf8_lossy(heard).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().expect("a number"))
    };
    // A TLS greeting where none is expected is answered at once.
    while !whole(&heard) && heard.first() != Some(&0x16) {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => heard.extend_from_slice(&buffer[..read]),
        }
    }
    // The client may have hung up by then, which is the point of some rows.
    stream.write_all(answer).await.ok();
    stream.flush().await.ok();
    if stay {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await.ok();
    String::from_utf8_lossy(&heard).into_owned()
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn bodies_go_out_and_answers_come_back() {
    let tls = Tls::unverified().expect("TLS");
    for (status, code) in [("200 OK", 200), ("404 Not Found", 404), ("302 Found", 302), ("500 Oops", 500)] {
        let (address, server) = stand_in(None, answer(status, "{\"token\":\"t\"}"), false).await;
        let url: Url = format!("http://{address}/choria/v1/login?x=y").parse().expect("a URL");
        let got =
            within("an answer", post(&url, "application/json", "{\"a\":1}", &tls, LIMITS)).await.expect("it answers");
        assert_eq!((got.status, got.body), (code, Bytes::from_static(b"{\"token\":\"t\"}")));
        let heard = within("the request", server).await.expect("it ends").to_ascii_lowercase();
        assert!(heard.starts_with("post /choria/v1/login?x=y http/1.1\r\n"), "{heard}");
        for part in [&format!("host: {address}\r\n"), "content-type: application/json\r\n", "\r\n\r\n{\"a\":1}"] {
            assert!(heard.contains(part), "{part} is missing in {heard}");
        }
    }
    let (address, server) = stand_in(None, answer("200 OK", ""), false).await;
    let url: Url = format!("http://{address}").parse().expect("a URL");
    let request = Request { body: None, authorization: Some("SSWS secret".to_owned()) };
    assert!(!format!("{request:?}").contains("secret"));
    within("an answer", send(&url, request, &tls, LIMITS)).await.expect("it answers");
    let heard = within("the request", server).await.expect("it ends");
    assert!(heard.starts_with("GET / HTTP/1.1\r\n") && heard.contains("authorization: SSWS secret"), "{heard}");
}

#[tokio::test]
async fn answers_without_end_or_sense_are_errors() {
    let hurry = Limits { time: Duration::from_millis(300), body: 1024 };
    let huge = answer("200 OK", &"x".repeat(1025));
    let chunked = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
        b"400\r\n".to_vec(),
        vec![b'x'; 1024],
        b"\r\n400\r\n".to_vec(),
        vec![b'x'; 1024],
        b"\r\n".to_vec(),
    ]
    .concat();
    let headers = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"x: y\r\n".repeat(20_000)].concat();
    type Row = (&'static str, Vec<u8>, bool, Limits, fn(&HttpError) -> bool);
    let rows: [Row; 8] = [
        ("as long as allowed and a byte", huge, true, LIMITS, |e| matches!(e, HttpError::TooLarge { limit: 1024, .. })),
        ("chunks without end", chunked, true, LIMITS, |e| matches!(e, HttpError::TooLarge { .. })),
        ("headers without end", headers, true, LIMITS, |e| matches!(e, HttpError::Broken { .. })),
        ("no HTTP", b"SSH-2.0-OpenSSH\r\n".to_vec(), false, LIMITS, |e| matches!(e, HttpError::Broken { .. })),
        ("nothing", Vec::new(), false, LIMITS, |e| matches!(e, HttpError::Broken { .. })),
        ("half", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec(), false, LIMITS, |e| {
            matches!(e, HttpError::Broken { .. })
        }),
        ("silence", Vec::new(), true, hurry, |e| matches!(e, HttpError::TimedOut { .. })),
        ("half and silence", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec(), true, hurry, |e| {
            matches!(e, HttpError::TimedOut { .. })
        }),
    ];
    let tls = Tls::unverified().expect("TLS");
    for (name, answer, stay, limits, expected) in rows {
        let (address, server) = stand_in(None, answer, stay).await;
        let url: Url = format!("http://{address}/").parse().expect("a URL");
        let error = within(name, post(&url, "application/json", "{}", &tls, limits)).await.expect_err(name);
        assert!(expected(&error), "{name}: {error}");
        assert!(!error.is_unsent(), "{name}");
        server.abort();
    }
}

#[tokio::test]
async fn certificates_count_where_a_ca_is_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, other) = (Authority::new(&folder, "ours"), Authority::new(&folder, "other"));
    let trusting = |file: &PathBuf| {
        let trust = Trust::Authorities { file: file.clone(), common_names: false };
        Tls::new(&TlsFiles { trust, ..TlsFiles::default() }).expect("TLS")
    };
    let rows = [
        ("nobody is asked for", Tls::unverified().expect("TLS"), "localhost", Ok(200)),
        ("the right CA", trusting(&ours.file), "localhost", Ok(200)),
        ("another CA", trusting(&other.file), "localhost", Err("UnknownIssuer")),
        ("another name", trusting(&ours.file), "127.0.0.1", Err("name")),
    ];
    for (name, tls, host, expected) in rows {
        let (address, server) = stand_in(Some(ours.acceptor()), answer("200 OK", "{}"), false).await;
        let url: Url = format!("https://{}/", address.replace("localhost", host)).parse().expect("a URL");
        let got = within(name, post(&url, "application/json", "{}", &tls, LIMITS)).await;
        match (got, expected) {
            (Ok(got), Ok(status)) => assert_eq!(got.status, status, "{name}"),
            (Err(error), Err(part)) => {
                assert!(error.is_unsent() && error.to_string().contains(part), "{name}: {error}");
                assert!(!error.to_string().contains("broker"), "{name}: {error}");
            }
            (got, expected) => panic!("{name}: {got:?} instead of {expected:?}"),
        }
        server.abort();
    }
}

#[tokio::test]
async fn what_cannot_be_reached_says_why_and_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let (plain, server) = stand_in(None, answer("400 Bad Request", ""), false).await;
    let rows = [
        (format!("http://127.0.0.1:{port}/"), "connection refused: nothing listens"),
        (format!("https://{plain}/"), "is https right?"),
        ("http://no-such-host.invalid/".to_owned(), "cannot connect to http://no-such-host.invalid/"),
    ];
    let tls = Tls::unverified().expect("TLS");
    for (url, part) in rows {
        let parsed: Url = url.parse().expect("a URL");
        let error = within(&url, post(&parsed, "application/json", "{}", &tls, LIMITS)).await.expect_err("it fails");
        assert!(error.is_unsent() && error.to_string().contains(part), "{url}: {error}");
    }
    server.abort();
}

struct Authority {
    file: PathBuf,
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Authority {
    fn new(folder: &TempDir, name: &str) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let file = folder.path().join(format!("{name}.pem"));
        std::fs::write(&file, certificate.pem()).expect("a file");
        Self { file, certificate, key }
    }

    /// TLS for `localhost`.
    fn acceptor(&self) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let certificate = parameters.signed_by(&key, &self.certificate, &self.key).expect("a certificate");
        let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())
            .expect("a configuration");
        TlsAcceptor::from(Arc::new(config))
    }
}
