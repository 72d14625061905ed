//! Row 26: how many registration messages a second a broker's data adapter writes, and what one costs the broker.
//!
//! The broker needs an adapter of requests from `choria.broadcast.agent.registration` to `choria.node_metadata.%s`. So
//! many messages are on their way as its queue holds, so that none is dropped. The adapter verifies no signature, neither
//! ours nor the original's: the messages have one of the right size.

use crate::storm::Usage;
use anyhow::Context as _;
use bytes::Bytes;
use network::{Connection, Login, Options, Role, Scheme, ServerAddress, Servers};
use protocol::filter::Filter;
use protocol::{Headers, Request, SecureRequest, Version};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, SigningKey};
use tokio_util::sync::CancellationToken;

/// Prints one line of JSON.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let (mut address, mut issuer, mut pid, mut count) = (None, None, None, 20_000);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().with_context(|| format!("{word} needs a value"));
        match *word {
            "--address" => address = Some(value()?.parse::<ServerAddress>()?),
            "--issuer" => issuer = Some(SigningKey::read(value()?.as_ref())?),
            "--pid" => pid = Some(value()?.parse()?),
            "--count" => count = value()?.parse()?,
            other => anyhow::bail!("adapter knows no {other}"),
        }
    }
    let needed = "adapter needs --address HOST:PORT and --issuer SEED_FILE";
    let (address, issuer) = (address.context(needed)?, issuer.context(needed)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&address, &issuer, pid, count))
}

async fn measure(address: &ServerAddress, issuer: &SigningKey, pid: Option<u32>, count: usize) -> anyhow::Result<()> {
    let connection = connect(address, issuer).await?;
    let message = Bytes::from(message()?);
    let mut written = connection.subscribe("choria.node_metadata.>", None).await?;
    connection.flush().await?;
    let before = pid.map(Usage::of);
    let (mut sent, mut received, mut first, mut last) = (0, 0, None, Instant::now());
    while received < count {
        while sent < count && sent - received < ON_THEIR_WAY {
            connection.publish("choria.broadcast.agent.registration", message.clone()).await?;
            sent += 1;
        }
        let arrived = tokio::time::timeout(LIMIT, written.recv()).await;
        let arrived = arrived.with_context(|| format!("{received} of {sent} messages were written"))?;
        arrived.context("the connection ended")?;
        received += 1;
        last = Instant::now();
        first.get_or_insert(last);
    }
    let seconds = first.map_or(0.0, |first| last.duration_since(first).as_secs_f64());
    let cpu = pid.zip(before).map(|(pid, before)| (Usage::of(pid).cpu_ms - before.cpu_ms) * 1e3 / count as f64);
    let rate = (count - 1) as f64 / seconds;
    println!("{}", json!({"messages": count, "bytes": message.len(), "messages_per_s": rate, "broker_cpu_us": cpu}));
    Ok(())
}

async fn connect(address: &ServerAddress, issuer: &SigningKey) -> anyhow::Result<Connection> {
    let seed = Seed::generate();
    let mut claims = ClientClaims::new("up=bench", VALIDITY, SystemTime::now(), &mut rand::thread_rng())?;
    claims.permissions = Some(ClientPermissions { org_admin: true, ..ClientPermissions::default() });
    claims.standard.public_key = Some(seed.public().to_string());
    let address = ServerAddress::new(Scheme::Tls, address.host(), address.port());
    let mut options = Options::new(Role::Client, "bench", Servers::Fixed(vec![address]), network::Tls::unverified()?);
    options.login = Login::TokenText { token: claims.sign(issuer)?.into(), seed: Arc::new(seed) };
    options.patience = Some(LIMIT);
    Ok(network::connect(options, CancellationToken::new()).await?)
}

/// A registration request of 4.2 KiB.
fn message() -> anyhow::Result<Vec<u8>> {
    let now = SystemTime::now();
    let request = Request {
        version: Version::V2,
        id: protocol::new_request_id(Version::V2, now, &mut rand::thread_rng()),
        sender: "bench.example.net".parse()?,
        caller: "choria=bench.example.net".parse()?,
        collective: "choria".parse()?,
        agent: "registration".parse()?,
        ttl: 60,
        time: now,
        filter: Filter::default(),
        payload: "x".repeat(900).into_bytes(),
    };
    let secure = SecureRequest {
        version: Version::V2,
        request: request.encode(),
        signature: vec![7; 64],
        caller: "t".repeat(600),
        signer: None,
    };
    let headers = Headers { sender: Some(request.sender), ..Headers::default() };
    Ok(protocol::transport::encode(Version::V2, &secure.encode(), &headers))
}

/// The length of an adapter's queue where none is configured.
const ON_THEIR_WAY: usize = 1000;

/// Longer than anything takes until the next message.
const LIMIT: Duration = Duration::from_secs(20);

const VALIDITY: Duration = Duration::from_secs(3600);
