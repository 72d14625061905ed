//! Rows 22 and 23: logins and signatures of an AAA service over plain HTTP, from outside, by four callers at once. Any
//! program with the original's command line and configuration can be measured.

use crate::storm::processes::Usage;
use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::filter::Filter;
use protocol::{Request, Version};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, SigningKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// How the service is measured.
struct Plan {
    program: PathBuf,
    count: usize,
    rounds: usize,
    callers: usize,
}

/// Prints a line of JSON for the idle service, then two for each round.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let plan = Plan::parse(arguments)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&plan))
}

impl Plan {
    fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut plan = Self { program: PathBuf::new(), count: 1000, rounds: 3, callers: 4 };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            match *word {
                "--program" => plan.program = PathBuf::from(value),
                "--count" => plan.count = value.parse()?,
                "--rounds" => plan.rounds = value.parse()?,
                "--callers" => plan.callers = value.parse()?,
                other => bail!("aaa knows no {other}"),
            }
        }
        ensure!(plan.program.is_file(), "aaa needs --program PATH of an AAA service");
        Ok(plan)
    }
}

async fn measure(plan: &Plan) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("choria-bench-aaa-{}", std::process::id()));
    std::fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
    let measured = measure_in(plan, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure_in(plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let (mut service, address) = start(plan, folder).await?;
    let pid = service.id().context("the service has ended")?;
    tokio::time::sleep(SETTLE).await;
    println!("{}", json!({"what": "idle", "rss_kib": Usage::of(pid).rss_kib}));
    let user = Seed::generate();
    let token = login_token(address, &user).await?;
    for _ in 0..plan.rounds {
        for what in ["login", "sign"] {
            let made: Result<Vec<_>, _> = (0..plan.count)
                .map(|_| if what == "login" { Ok(login(&Seed::generate())) } else { sign(&token, &user) })
                .collect();
            let bodies: Arc<[Vec<u8>]> = made?.into();
            let before = Usage::of(pid);
            let began = Instant::now();
            let mut times = all(plan, address, &bodies).await?;
            let seconds = began.elapsed().as_secs_f64();
            let after = Usage::of(pid);
            times.sort_by(f64::total_cmp);
            let count = bodies.len() as f64;
            println!(
                "{}",
                json!({"what": what, "per_second": (count / seconds).round(), "cpu_ms": (after.cpu_ms - before.cpu_ms) / count,
                    "median_ms": times.get(times.len() / 2), "rss_kib": after.rss_kib})
            );
        }
    }
    service.kill().await?;
    Ok(())
}

/// Asks everything, by so many callers; the milliseconds of each answer.
async fn all(plan: &Plan, address: SocketAddr, bodies: &Arc<[Vec<u8>]>) -> anyhow::Result<Vec<f64>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..plan.callers {
        let (bodies, next) = (Arc::clone(bodies), Arc::clone(&next));
        callers.spawn(async move {
            let (mut times, mut stream) = (Vec::new(), None);
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let began = Instant::now();
                let answer = ask(address, &mut stream, body).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
                ensure!(answer.get("error").is_none(), "the service refuses: {answer}");
            }
            Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = callers.join_next().await {
        times.extend(done??);
    }
    Ok(times)
}

/// Sends a request over `stream`, or over a new one where the service closed it.
async fn ask(address: SocketAddr, stream: &mut Option<TcpStream>, request: &[u8]) -> anyhow::Result<Value> {
    let mut connection = match stream.take() {
        Some(connection) => connection,
        None => {
            let connection = TcpStream::connect(address).await?;
            connection.set_nodelay(true)?;
            connection
        }
    };
    connection.write_all(request).await?;
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = match length {
                Some(length) => (body.len() >= length.trim().parse::<usize>()?).then(|| body.to_owned()),
                None => dechunked(body)?,
            };
            if let Some(body) = whole {
                if !head.contains("connection: close") {
                    *stream = Some(connection);
                }
                return Ok(serde_json::from_str(&body)?);
            }
        }
        let read = connection.read_buf(&mut answer).await?;
        ensure!(read > 0, "the service closed the connection in the middle of an answer");
    }
}

/// The text in chunks of HTTP/1.1, once all of them are there.
fn dechunked(mut chunks: &str) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).context("the size of a chunk")?;
        if size == 0 {
            return Ok(Some(text));
        }
        let Some(chunk) = rest.get(..size) else { return Ok(None) };
        text.push_str(chunk);
        let Some(rest) = rest.get(size + 2..) else { return Ok(None) };
        chunks = rest;
    }
    Ok(None)
}

fn post(path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn login(seed: &Seed) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let signature = seed.sign(format!("{now}:choria:secret").as_bytes()).to_hex();
    let body = json!({"username": "choria", "password": "secret", "public_key": seed.public(), "timestamp": now.to_string(), "signature": signature});
    post("/choria/v1/login", &body)
}

async fn login_token(address: SocketAddr, seed: &Seed) -> anyhow::Result<String> {
    let answer = ask(address, &mut None, &login(seed)).await?;
    Ok(answer["token"].as_str().with_context(|| format!("no login: {answer}"))?.to_owned())
}

fn sign(token: &str, seed: &Seed) -> anyhow::Result<Vec<u8>> {
    let now = SystemTime::now();
    let request = Request {
        version: Version::V2,
        id: protocol::new_request_id(Version::V2, now, &mut rand::thread_rng()),
        sender: "client.example.net".parse()?,
        caller: "up=choria".parse()?,
        collective: "mcollective".parse()?,
        agent: "rpcutil".parse()?,
        ttl: 60,
        time: now,
        filter: Filter::default(),
        payload: br#"{"agent":"rpcutil","action":"ping","data":{}}"#.to_vec(),
    };
    let bytes = request.encode();
    let signature = seed.sign(&bytes).to_hex();
    Ok(post("/choria/v1/sign", &json!({"request": STANDARD.encode(bytes), "token": token, "signature": signature})))
}

/// Starts the program and waits until it answers.
async fn start(plan: &Plan, folder: &Path) -> anyhow::Result<(Child, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = configure(folder, address.port())?;
    let mut service = Command::new(&plan.program)
        .args(["run", "--disable-tls", "--config"])
        .arg(config)
        .env("USER", "bench")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| plan.program.display().to_string())?;
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = service.try_wait()? {
            bail!("the service ended with {status}");
        }
        ensure!(Instant::now() < deadline, "the service does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((service, address))
}

/// Writes keys, tokens and a configuration that allows everything and audits into a file.
fn configure(folder: &Path, port: u16) -> anyhow::Result<PathBuf> {
    let (organization, chain, delegate) = (Seed::generate(), Seed::generate(), Seed::generate());
    let random = &mut rand::rngs::OsRng;
    let day = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let mut issuer = ClientClaims::new("chain", day, now, random)?;
    issuer.standard.public_key = Some(chain.public().to_string());
    issuer.standard.add_org_issuer(&organization)?;
    let mut signer = ClientClaims::new("signer", day, now, random)?;
    signer.standard.public_key = Some(delegate.public().to_string());
    signer.permissions = Some(ClientPermissions { authentication_delegator: true, ..ClientPermissions::default() });
    let at = |name: &str| folder.join(name);
    chain.write(&at("chain.seed"))?;
    delegate.write(&at("signer.seed"))?;
    let public = chain.public().to_string();
    let organization = SigningKey::Ed25519(organization);
    std::fs::write(at("chain.public"), public)?;
    std::fs::write(at("chain.jwt"), issuer.sign(&organization)?)?;
    std::fs::write(at("signer.jwt"), signer.sign(&organization)?)?;
    let ini = format!(
        "identity = aaa.example.net\nplugin.security.provider = choria\nplugin.security.choria.seed_file = {}\n\
         plugin.security.choria.token_file = {}\nplugin.choria.middleware_hosts = 127.0.0.1:4222\n",
        at("signer.seed").display(),
        at("signer.jwt").display()
    );
    std::fs::write(at("choria.conf"), ini)?;
    let config = json!({
        "choria_config": at("choria.conf"), "logfile": at("service.log"), "loglevel": "warn", "site": "bench", "port": port,
        "authenticator": "userlist", "signer": "basicjwt", "authorizer": "opa", "auditors": ["logfile"],
        "logfile_auditor": {"logfile": at("audit.log")},
        "basicjwt_signer": {"signing_certificate": at("chain.public"), "signing_token": at("signer.jwt"),
            "signing_seed": at("signer.seed"), "max_validity": "2h"},
        "userlist_authenticator": {"validity": "1h", "signing_key": at("chain.seed"), "signing_token": at("chain.jwt"),
            "users": [{"username": "choria", "password": HASH, "opa_policy": POLICY,
                "broker_permissions": {"signed_fleet_management": true}}]},
    });
    std::fs::write(at("aaa.json"), config.to_string())?;
    Ok(at("aaa.json"))
}

/// Of `secret`, cost 5.
const HASH: &str = "$2a$05$zQIl4gUZbqmKhpQhIeWx3uDWhAZaHoG34zW1ZsxXQt5xpL5f4uyny";

const POLICY: &str = "package io.choria.aaasvc\n\ndefault allow = true\n";

/// Until what a start needs is given back.
const SETTLE: Duration = Duration::from_secs(3);

/// For the service to listen.
const PATIENCE: Duration = Duration::from_secs(30);
