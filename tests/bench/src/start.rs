//! Row 4: how long a server takes from its fork to its startup event, and to its first reply to a ping.

use anyhow::{Context, bail};
use config::{Kind, Settings, SystemEnvironment};
use network::{Connection, Options, Role};
use protocol::filter::Filter;
use protocol::{Headers, Request, Version, subjects};
use security::{LocalSigner, Provider};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// A ping is sent this often until the first reply.
const PING_INTERVAL: Duration = Duration::from_millis(5);
/// Longer than any start takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Uses the client configuration that `CHORIA_CONFIG` names.
pub(crate) fn run(command: &[&str]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(command))
}

async fn measure(command: &[&str]) -> anyhow::Result<()> {
    let file = std::env::var_os("CHORIA_CONFIG").context("CHORIA_CONFIG does not name a client configuration")?;
    let environment = SystemEnvironment;
    let kind = Kind::Client { working_directory: std::env::current_dir()? };
    let settings = config::load(file.as_ref(), kind, &environment)?.check()?;
    let provider = Provider::from_settings(&settings, security::Role::Client, SystemTime::now())?;
    let connection = connect(&settings, &provider).await?;
    let (reply_to, ping) = ping(&settings, &provider)?;
    let mut events = connection.subscribe("choria.lifecycle.event.startup.>", None).await?;
    let mut replies = connection.subscribe(&reply_to, None).await?;
    connection.flush().await?;

    let (program, arguments) = command.split_first().context("no command")?;
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| (*program).to_owned())?;
    let mut pings = tokio::time::interval(PING_INTERVAL);
    let (mut event, mut reply) = (None, None);
    while event.is_none() || reply.is_none() {
        tokio::select! {
            _ = events.recv(), if event.is_none() => event = Some(began.elapsed()),
            _ = replies.recv(), if reply.is_none() => reply = Some(began.elapsed()),
            _ = pings.tick(), if reply.is_none() => {
                let subject = subjects::broadcast_agent(settings.main_collective(), &"discovery".parse()?);
                connection.publish(&subject, ping.clone().into()).await?;
            }
            status = child.wait() => bail!("the server ended with {}", status?),
        }
        if began.elapsed() > LIMIT {
            bail!("no startup event and reply within {LIMIT:?}");
        }
    }
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).context("the server has a process id")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM)?;
    child.wait().await?;
    let milliseconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    println!("{}", serde_json::json!({"event_ms": milliseconds(event), "reply_ms": milliseconds(reply)}));
    Ok(())
}

async fn connect(settings: &Settings, provider: &Provider) -> anyhow::Result<Connection> {
    let owner = provider.caller().as_str();
    let options = Options::from_settings(settings, Role::Client, "bench", owner)?;
    Ok(network::connect(options, CancellationToken::new()).await?)
}

/// One signed discovery request, sent again and again: its subject for replies and its bytes.
fn ping(settings: &Settings, provider: &Provider) -> anyhow::Result<(String, Vec<u8>)> {
    let now = SystemTime::now();
    let request = Request {
        version: Version::V2,
        id: protocol::new_request_id(Version::V2, now, &mut rand::thread_rng()),
        sender: provider.identity().clone(),
        caller: provider.caller().clone(),
        collective: settings.main_collective().clone(),
        agent: "discovery".parse()?,
        ttl: 60,
        time: now,
        filter: Filter::default(),
        payload: b"cGluZw==".to_vec(),
    };
    let reply_to = subjects::reply(&request.collective, &request.caller, &request.id);
    let headers =
        Headers { reply_to: Some(reply_to.clone()), sender: Some(provider.identity().clone()), ..Headers::default() };
    Ok((reply_to, LocalSigner::new(provider.clone()).seal_now(&request)?.transport(&headers)))
}
