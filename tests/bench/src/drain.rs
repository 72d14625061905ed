//! Row 20: how many spooled messages a second a server brings into a stream, and what one costs it.
//!
//! The files are in the spool before the server starts: priority 4, reliable, 256 bytes. The rate is that from the first
//! to the last message by the stream's own clock; the processor time is that of the whole server, its start included.

use crate::storm::Usage;
use anyhow::{Context as _, bail};
use async_nats::jetstream::{self, stream};
use network::{Connection, Login, Options, Role, Scheme, ServerAddress, Servers};
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use submission::{Draft, Limits, Message, MessageId, Sender, Spool, accept};
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, ServerPermissions, SigningKey};
use tokio_util::sync::CancellationToken;

/// Prints one line of JSON. What follows `--` starts the server; `--config FILE` is added to it.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let (mut address, mut issuer, mut count, mut bytes, mut sign) = (None, None, 10_000, 256, false);
    let mut words = arguments.iter();
    let mut command: Vec<&str> = Vec::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().copied().with_context(|| format!("{word} needs a value"));
        match *word {
            "--address" => address = Some(value()?.parse::<ServerAddress>()?),
            "--issuer" => issuer = Some(SigningKey::read(value()?.as_ref())?),
            "--count" => count = value()?.parse()?,
            "--bytes" => bytes = value()?.parse()?,
            "--sign" => sign = true,
            "--" => command.extend(words.by_ref()),
            other => bail!("drain knows no {other}"),
        }
    }
    let needed = "drain needs --address HOST:PORT, --issuer SEED_FILE and, behind --, the server's command";
    let (address, issuer) = (address.context(needed)?, issuer.context(needed)?);
    if command.is_empty() {
        bail!("{needed}");
    }
    let folder = tempfile::Builder::new().prefix("choria-drain-").tempdir()?;
    configure(folder.path(), &address, &issuer)?;
    fill(&folder.path().join("spool"), count, bytes, sign)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(&address, &issuer, folder.path(), &command, count))
}

async fn measure(
    address: &ServerAddress,
    issuer: &SigningKey,
    folder: &Path,
    command: &[&str],
    count: u64,
) -> anyhow::Result<()> {
    let connection = connect(address, issuer).await?;
    let streams = jetstream::new(connection.client().clone());
    // An earlier run's, perhaps.
    drop(streams.delete_stream(STREAM).await);
    let subjects = vec!["choria.submission.in.local.>".to_owned()];
    let config = stream::Config { name: STREAM.to_owned(), subjects, ..stream::Config::default() };
    let mut stream = streams.create_stream(config).await.context("the stream")?;

    let (program, arguments) = command.split_first().context("no command")?;
    let log = std::fs::File::create(folder.join("server.log"))?;
    let child = Command::new(program)
        .args(arguments)
        .args(["--config".as_ref(), folder.join("server.conf").as_os_str()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| (*program).to_owned())?;
    let mut server = Server(child);
    let began = Instant::now();
    loop {
        let held = stream.info().await?.state.messages;
        if held >= count {
            break;
        }
        if began.elapsed() > LIMIT || server.0.try_wait()?.is_some() {
            let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
            bail!("{held} of {count} messages arrived; the server said:\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let usage = Usage::of(server.0.id());
    let left = std::fs::read_dir(folder.join("spool/P4"))?.count();
    let mut order = Vec::new();
    for sequence in [1, count] {
        order.push(stream.get_raw_message(sequence).await?.time.unix_timestamp_nanos());
    }
    drop(server);
    streams.delete_stream(STREAM).await?;
    let seconds = (order[1] - order[0]) as f64 / 1e9;
    let (rate, cpu) = ((count - 1) as f64 / seconds, usage.cpu_ms * 1e3 / count as f64);
    let line = json!({"messages": count, "messages_per_s": rate, "server_cpu_us": cpu, "server_rss_kib": usage.rss_kib, "left": left});
    println!("{line}");
    Ok(())
}

/// Killed at the end, whatever the end is.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = (self.0.kill(), self.0.wait());
    }
}

/// Credentials and configuration of the server, which our program and the original's read alike.
fn configure(folder: &Path, address: &ServerAddress, issuer: &SigningKey) -> anyhow::Result<()> {
    let SigningKey::Ed25519(organization) = issuer else { bail!("the issuer's key must be ed25519") };
    let (seed, now) = (Seed::generate(), SystemTime::now());
    let collectives = vec!["choria".to_owned()];
    let mut random = rand::thread_rng();
    let mut claims = ServerClaims::new("drain.example.net", collectives, seed.public(), VALIDITY, now, &mut random)?;
    claims.permissions = Some(ServerPermissions { submission: true, ..ServerPermissions::default() });
    std::fs::write(folder.join("server.jwt"), claims.sign(issuer)?)?;
    seed.write(&folder.join("server.seed"))?;
    let folder_text = folder.display();
    let text = format!(
        "identity = drain.example.net\ncollectives = choria\nplugin.choria.middleware_hosts = {host}:{port}\n\
         plugin.choria.use_srv = false\nrpcauthorization = 0\nloglevel = warn\nlogger_type = console\n\
         plugin.choria.submission.spool = {folder_text}/spool\nplugin.choria.submission.max_spool_size = 1000000\n\
         plugin.security.provider = choria\nplugin.security.choria.token_file = {folder_text}/server.jwt\n\
         plugin.security.choria.seed_file = {folder_text}/server.seed\nplugin.security.issuer.names = choria\n\
         plugin.security.issuer.choria.public = {public}\n",
        host = address.host(),
        port = address.port(),
        public = organization.public(),
    );
    Ok(std::fs::write(folder.join("server.conf"), text)?)
}

fn fill(path: &Path, count: u64, bytes: usize, sign: bool) -> anyhow::Result<()> {
    let spool = Spool::open(path, Limits { max_messages: count, max_bytes: u64::MAX, ..Limits::default() })?;
    let draft = || Draft { reliable: true, sign, ..Draft::new("local.bench", vec![b'x'; bytes]) };
    let make = |_| accept(draft(), Sender::owner(0), "drain.example.net", MessageId::generate(), SystemTime::now());
    let messages: Vec<Message> = (0..count).map(make).collect::<Result<_, _>>()?;
    for part in messages.chunks(256) {
        for stored in spool.store_many(part) {
            stored?;
        }
    }
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

const STREAM: &str = "BENCH_DRAIN";
const VALIDITY: Duration = Duration::from_secs(3600);
/// Longer than a drain takes.
const LIMIT: Duration = Duration::from_secs(120);
