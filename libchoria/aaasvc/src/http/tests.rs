//! The recorded exchanges over HTTP, and clients that mean no good.

use crate::testing::{ORGANIZATION, Running, Site, USER, seed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokens::Seed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends `request` and reads until the end.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> String {
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    read.expect("an end in time").expect("an answer");
    String::from_utf8(answer).expect("text")
}

fn post(path: &str, content_type: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Status, head and body.
fn split(answer: &str) -> (u16, &str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head, body)
}

async fn ask(address: SocketAddr, request: &[u8]) -> String {
    exchange(TcpStream::connect(address).await.expect("a connection"), request).await
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A recorded login as if it were made now: the timestamp moved, and signed anew if its signature was good.
fn moved(body: &str, seed: &Seed, recorded_at: u64, now: u64) -> String {
    let Ok(mut login) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    let text = |login: &Value, key: &str| login[key].as_str().map(str::to_owned);
    let words = |login: &Value| {
        Some(format!("{}:{}:{}", text(login, "timestamp")?, text(login, "username")?, text(login, "password")?))
    };
    let was_good =
        words(&login).is_some_and(|words| Some(seed.sign(words.as_bytes()).to_hex()) == text(&login, "signature"));
    if let Some(timestamp) = text(&login, "timestamp").and_then(|text| text.parse::<u64>().ok()) {
        login["timestamp"] = json!((timestamp + now - recorded_at).to_string());
    }
    if was_good {
        login["signature"] = json!(seed.sign(words(&login).expect("all keys").as_bytes()).to_hex());
    }
    login.to_string()
}

#[tokio::test]
async fn the_recorded_exchanges_have_the_same_status_and_body() {
    let folder = vectors::Folder::open("aaa");
    let recorded = |key: &str| folder.index[key].as_str().expect("text").to_owned();
    let seed = Seed::from_hex(&recorded("login_seed")).expect("a seed");
    let mut site = Site::new();
    site.config["login_limits"] = json!({"per_user": 0, "per_address": 0, "per_user_and_address": 0});
    let running = site.serve(true).await;
    let mut seen = 0;
    for case in folder.index["cases"].as_array().expect("cases").iter().filter(|case| case["path"].is_string()) {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let (name, expected) = (text("name"), text("response_body"));
        let content_type = if name == "login-form" { "application/x-www-form-urlencoded" } else { "application/json" };
        let body = moved(text("request_body"), &seed, 1_795_254_186, unix(SystemTime::now()));
        let answer = ask(running.address, &post(text("path"), content_type, &body)).await;
        let (status, head, body) = split(&answer);
        assert_eq!(u64::from(status), case["status"].as_u64().expect("a status"), "{name}: {answer}");
        assert!(head.contains("content-type: application/json\r\n"), "{name}: {head}");
        seen += 1;
        let Ok(Value::Object(expected_object)) = serde_json::from_str(expected) else { panic!("{name}: {expected}") };
        let Some(token) = expected_object.get("token") else {
            assert_eq!(body, expected, "{name}");
            continue;
        };
        check_token(name, token.as_str().expect("text"), body);
    }
    assert!(seen >= 16, "only {seen} recorded exchanges");
}

/// The token in `body` has the claims of the recorded one, but for times, ids, signatures and what the site decides.
fn check_token(name: &str, recorded: &str, body: &str) {
    let body: Value = serde_json::from_str(body).expect("JSON");
    let recorded = tokens::claims_of(recorded).expect("claims");
    let ours = tokens::claims_of(body["token"].as_str().expect("a token")).expect("claims");
    let keys = |claims: &Value| claims.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let (recorded, ours) = (json!(recorded), json!(ours));
    assert_eq!(keys(&ours), keys(&recorded), "{name}");
    for key in ["callerid", "ou", "permissions", "purpose", "public_key"] {
        assert_eq!(ours[key], recorded[key], "{name}: {key}");
    }
    let number = |claims: &Value, key: &str| claims[key].as_u64().expect("a number");
    for claims in [&ours, &recorded] {
        assert_eq!(number(claims, "exp") - number(claims, "iat"), 3600, "{name}");
        assert_eq!(number(claims, "nbf"), number(claims, "iat"), "{name}");
    }
    let roots = tokens::TrustRoots::signers(vec![seed(ORGANIZATION).public().into()]);
    let token = body["token"].as_str().expect("a token");
    let verified = roots.verify_client(token, SystemTime::now()).expect("the organization vouches for it");
    assert!(verified.standard.issuer.starts_with("C-"), "{name}");
}

fn login(user: &str, password: &str, holder: u8) -> String {
    let timestamp = unix(SystemTime::now()).to_string();
    let signature = seed(holder).sign(format!("{timestamp}:{user}:{password}").as_bytes()).to_hex();
    let public_key = seed(holder).public().to_string();
    json!({"username": user, "password": password, "public_key": public_key, "signature": signature, "timestamp": timestamp})
        .to_string()
}

#[tokio::test]
async fn a_login_is_answered_once() {
    let site = Site::new();
    let running = site.serve(true).await;
    let body = post("/choria/v1/login", "application/json", &login("choria", "secret", USER));
    let (first, second) = (ask(running.address, &body).await, ask(running.address, &body).await);
    assert!(split(&first).2.starts_with("{\"token\":\""), "{first}");
    assert_eq!(split(&second).2, "{\"error\":\"Login failed\"}\n");
    // The same person a moment later, with another key.
    let again = post("/choria/v1/login", "application/json", &login("choria", "secret", USER + 1));
    assert!(split(&ask(running.address, &again).await).2.starts_with("{\"token\":\""));
}

#[tokio::test]
async fn guessing_is_limited_and_names_lead_nowhere() {
    let mut site = Site::new();
    site.config["login_limits"] = json!({"per_user_and_address": 3});
    let running = site.serve(true).await;
    let failed = "{\"error\":\"Login failed\"}\n";
    for name in ["../../../../etc/passwd", "choria\u{0}", "up=choria", "", "choria.rego", &"x".repeat(60_000)] {
        let answer =
            ask(running.address, &post("/choria/v1/login", "application/json", &login(name, "secret", USER))).await;
        assert_eq!(split(&answer).2, failed, "{name:?}");
    }
    for holder in 10..13 {
        let guess = post("/choria/v1/login", "application/json", &login("choria", "guess", holder));
        assert_eq!(split(&ask(running.address, &guess).await).2, failed);
    }
    let right = post("/choria/v1/login", "application/json", &login("choria", "secret", 20));
    assert_eq!(split(&ask(running.address, &right).await).2, failed, "after three guesses in one minute");
    let other = post("/choria/v1/login", "application/json", &login("admin", "secret", 21));
    assert!(split(&ask(running.address, &other).await).2.starts_with("{\"token\":\""), "another user is not refused");
}

#[tokio::test]
async fn bodies_are_bounded() {
    let site = Site::new();
    let running = site.serve(true).await;
    let limit = |path: &str| if path.ends_with("login") { 65_536 } else { 1_048_576 };
    for path in ["/choria/v1/login", "/choria/v1/sign"] {
        let promised = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            limit(path) + 1
        );
        let answer = ask(running.address, promised.as_bytes()).await;
        let text = format!(r#"{{"code":413,"message":"the request body is larger than {} bytes"}}"#, limit(path));
        assert_eq!((split(&answer).0, split(&answer).2), (413, text.as_str()), "{path}");
    }
    // Without a promise, more is sent than is taken.
    let mut stream = TcpStream::connect(running.address).await.expect("a connection");
    let head = b"POST /choria/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head).await.expect("sent");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let mut sent = 0;
    while sent < 100 && stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += 1;
    }
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.expect("in time");
    let text = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 413 "), "{text}");
}

#[tokio::test]
async fn a_signature_over_http_is_base64_and_an_unset_half_is_not_implemented() {
    let mut site = Site::new();
    site.config["signer"] = Value::Null;
    let running = site.serve(true).await;
    let answer = ask(running.address, &post("/choria/v1/sign", "application/json", "{}")).await;
    assert_eq!((split(&answer).0, split(&answer).2), (501, "\"operation PostSign has not yet been implemented\"\n"));

    let site = Site::new();
    let running = site.serve(true).await;
    let body = post("/choria/v1/login", "application/json", &login("choria", "secret", USER));
    let answer = ask(running.address, &body).await;
    let token: Value = serde_json::from_str(split(&answer).2).expect("JSON");
    let request = json!({"protocol": "io.choria.protocol.v2.request", "message": STANDARD.encode(r#"{"agent":"rpcutil","action":"ping","data":{}}"#),
        "id": "2YBXZN2Ey2oglTXj87eEzpGHWSA", "sender": "n1", "caller": "up=choria", "collective": "choria", "agent": "rpcutil", "ttl": 60,
        "time": unix(SystemTime::now()) * 1_000_000_000,
        "filter": {"fact": [], "cf_class": [], "agent": [], "identity": [], "compound": []}})
    .to_string();
    let sign = |request: &str, text: &str| {
        json!({"request": text, "token": token["token"], "signature": seed(USER).sign(request.as_bytes()).to_hex()})
            .to_string()
    };
    let body = sign(&request, &STANDARD.encode(&request));
    let answer = ask(running.address, &post("/choria/v1/sign", "application/json", &body)).await;
    let answer: Value = serde_json::from_str(split(&answer).2).expect("JSON");
    let sealed = STANDARD.decode(answer["secure_request"].as_str().expect("signed")).expect("base64");
    assert!(protocol::SecureRequest::parse(&sealed).is_ok());
    let answer =
        ask(running.address, &post("/choria/v1/sign", "application/json", &sign(&request, "not base64!"))).await;
    assert_eq!(split(&answer).0, 400, "{answer}");
}

#[tokio::test]
async fn connections_are_kept_and_end_in_order() {
    let site = Site::new();
    let Running { address, stop, task } = site.serve(true).await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    for _ in 0..2 {
        stream.write_all(b"GET /swagger.json HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let mut answer = vec![0; 64 * 1024];
        let mut length = 0;
        while !answer[..length].ends_with(b"}\n") {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer[length..])).await.expect("in time");
            length += read.expect("an answer");
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    stop.cancel();
    task.await.expect("an end");
    assert_eq!(stream.read(&mut [0; 16]).await.expect("an end"), 0, "an idle connection is closed");
}

#[tokio::test]
async fn slow_clients_do_not_keep_others_away() {
    let mut site = Site::new();
    site.config["max_connections"] = json!(2);
    let running = site.serve(true).await;
    let began = Instant::now();
    let mut slow = Vec::new();
    for half in [
        "POST /choria",
        "POST /choria/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(running.address).await.expect("a connection");
        stream.write_all(half.as_bytes()).await.expect("sent");
        slow.push(stream);
    }
    // Both places are taken: this one waits in the system's queue until the slow ones are put out.
    let answer = ask(running.address, &post("/choria/v1/nope", "application/json", "{}")).await;
    assert_eq!(split(&answer).0, 404);
    assert!(began.elapsed() < PATIENCE);
    let mut said = String::new();
    let read = tokio::time::timeout(PATIENCE, slow.pop().expect("the second").read_to_string(&mut said)).await;
    read.expect("in time").expect("an end");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said:?}");
}

#[tokio::test]
async fn https_follows_its_files_and_may_demand_certificates() {
    let mut site = Site::new();
    let running = site.serve(false).await;
    let connect = async |running: &Running| {
        let tls = network::Tls::unverified().expect("TLS");
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(tls.config()));
        let stream = TcpStream::connect(running.address).await.expect("a connection");
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        connector.connect(name, stream).await
    };
    let stream = connect(&running).await.expect("HTTPS");
    assert_eq!(split(&exchange(stream, &post("/choria/v1/nope", "application/json", "{}")).await).0, 404);

    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    site.write("public.crt", &pair.cert.pem());
    let encryption = crate::http::Encryption::new(&crate::settings::TlsFiles {
        certificate: site.path("public.crt"),
        key: site.path("private.key"),
        authorities: None,
    });
    let error = encryption.expect_err("another key").to_string();
    assert!(error.contains("tls_certificate") && error.contains("tls_key"), "{error}");

    site.write("private.key", &pair.key_pair.serialize_pem());
    site.config["tls_ca"] = json!(site.path("public.crt"));
    let running = site.serve(false).await;
    let refused = match connect(&running).await {
        // With TLS 1.3 the refusal comes after the client's side is done.
        Ok(mut stream) => {
            let _sent = stream.write_all(&post("/choria/v1/nope", "application/json", "{}")).await;
            stream.read_to_end(&mut Vec::new()).await.is_err()
        }
        Err(_) => true,
    };
    assert!(refused, "no client certificate was asked for");
}
