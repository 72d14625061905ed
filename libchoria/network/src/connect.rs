//! The first connection: search, try, wait, say why, give up when patience is over.

use crate::address::ServerAddress;
use crate::backoff::FIVE_SECONDS;
use crate::connection::{Connection, State};
use crate::counters::{Count, Counted};
use crate::failure::{Failure, Told};
use crate::observer::FailedAttempt;
use crate::options::{ConnectError, LONGEST_CONNECT, Options};
use crate::search::SearchError;
use crate::shared::Shared;
use crate::srv::Dns;
use async_nats::ServerAddr;
use rand::seq::SliceRandom;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connects to one of the servers of `options`, retrying as long as its patience lasts; afterwards the connection returns
/// by itself whenever it is lost, until it is closed. Cancelling `stop` ends the first connection only: close a
/// [`Connection`] with [`Connection::close`].
///
/// # Errors
/// [`ConnectError`]: no address, patience over (at once for failures that waiting does not cure), or stopped.
pub async fn connect(options: Options, stop: CancellationToken) -> Result<Connection, ConnectError> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(ConnectError::Stopped),
        result = try_until_connected(&options) => result,
    }
}

/// What one pass over the servers came to.
type Pass = Result<Connection, (ServerAddress, Failure)>;

async fn try_until_connected(options: &Options) -> Result<Connection, ConnectError> {
    let started = Instant::now();
    let mut attempts = 0;
    let mut told = Told::default();
    loop {
        attempts += 1;
        options.counters.add(Count::Attempt);
        let mut servers = match options.servers.find(&Counted(&options.counters, Dns)).await {
            Ok(servers) => servers,
            Err(error) if options.patience.is_some() => return Err(error.into()),
            Err(error) => {
                let delay = FIVE_SECONDS.random_delay(attempts);
                tracing::warn!(connection = %options.name, "{error}; next try in {:.1} s", delay.as_secs_f64());
                sleep(delay).await;
                continue;
            }
        };
        servers.shuffle(&mut rand::thread_rng());
        let Some(last) = servers.last().cloned() else { return Err(SearchError::Empty.into()) };

        let (server, failure) = match pass(options, servers, &last).await {
            Ok(connection) => {
                options.counters.connected(started.elapsed());
                return Ok(connection);
            }
            Err(failed) => failed,
        };
        let delay = FIVE_SECONDS.random_delay(attempts);
        let waited = started.elapsed();
        if let Some(patience) = options.patience {
            if failure.is_lasting() || waited + delay > patience {
                return Err(ConnectError::GaveUp { server, failure, attempts, waited });
            }
        }
        let seconds = delay.as_secs_f64();
        if told.is_news(&failure, Instant::now()) {
            tracing::warn!(
                event = "broker_unreachable",
                connection = %options.name, %server, attempts,
                reason = %failure,
                since = started.elapsed().as_secs(),
                "could not connect to the broker: {failure}; next try in {seconds:.1} s"
            );
        } else {
            tracing::debug!(
                connection = %options.name, %server, attempts,
                "could not connect to the broker: {failure}; next try in {seconds:.1} s"
            );
        }
        if let Some(observer) = &options.observer {
            observer.failed(&FailedAttempt { server: &server, failure: &failure, attempts, next: Some(delay) });
        }
        sleep(delay).await;
    }
}

/// An attempt to return may try several addresses of one name, each with a limit of its own for TCP and none beyond.
fn attempt_limit(options: &Options) -> Duration {
    options.connect_timeout.min(LONGEST_CONNECT) * 4 + options.handshake_limit * 2
}

/// The broker pings a connection two seconds after it opened, logged in or not, and the client library takes any line
/// after CONNECT for success. Answers this slow are looked at again.
const SUSPICIOUSLY_SLOW: Duration = Duration::from_millis(1500);

/// Tries all `servers` once, in their order; `last` is the last of them.
async fn pass(options: &Options, servers: Vec<ServerAddress>, last: &ServerAddress) -> Pass {
    let started = Instant::now();
    // A token whose time is over is not worth a handshake of the broker's.
    if let Err(error) = options.login.check(SystemTime::now()) {
        return Err((last.clone(), Failure::Login(error.to_string())));
    }
    let mut addresses = Vec::with_capacity(servers.len());
    for server in &servers {
        match server.to_string().parse::<ServerAddr>() {
            Ok(address) => addresses.push(address),
            Err(error) => return Err((server.clone(), Failure::Other(error.to_string()))),
        }
    }
    let limit =
        (options.connect_timeout.min(LONGEST_CONNECT) + options.handshake_limit) * addresses.len().max(1) as u32;
    let shared = Arc::new(Shared::new(
        options.name.clone(),
        options.login.clone(),
        options.user.clone(),
        options.observer.clone(),
        Arc::clone(&options.counters),
        servers,
    ));
    let tried = |shared: &Shared| shared.current_server().unwrap_or(last).clone();

    match timeout(limit, connect_options(options, &shared).connect(addresses)).await {
        Err(_elapsed) => Err((tried(&shared), Failure::TimedOut)),
        Ok(Err(error)) => {
            let failure = shared.failure_of(&error);
            Err((tried(&shared), failure))
        }
        Ok(Ok(client)) => {
            if started.elapsed() > SUSPICIOUSLY_SLOW {
                if let Err(failure) = confirm(&client, &shared, options.handshake_limit).await {
                    shared.state.send_replace(State::Closed);
                    return Err((tried(&shared), failure));
                }
            }
            shared.establish();
            let server = tried(&shared);
            tracing::info!(connection = %options.name, %server, "connected to the broker");
            Ok(Connection::new(client, shared, attempt_limit(options)))
        }
    }
}

fn connect_options(options: &Options, shared: &Arc<Shared>) -> async_nats::ConnectOptions {
    let authenticating = Arc::clone(shared);
    let pausing = Arc::clone(shared);
    let listening = Arc::clone(shared);
    async_nats::ConnectOptions::with_auth_callback(move |nonce| {
        ready(authenticating.authenticate(&nonce, SystemTime::now()))
    })
    .reconnect_delay_callback(move |attempt| pausing.before_attempt(attempt))
    .event_callback(move |event| {
        listening.on_event(&event);
        ready(())
    })
    .name(&options.name)
    .custom_inbox_prefix(&options.inbox_prefix)
    .connection_timeout(options.connect_timeout.min(LONGEST_CONNECT))
    .ping_interval(options.ping_interval)
    .require_tls(options.tls.is_required())
    .tls_client_config(options.tls.config().as_ref().clone())
    .subscription_capacity(options.subscription_capacity)
    .client_capacity(COMMANDS_IN_FLIGHT)
    .read_buffer_capacity(READ_BUFFER)
    .retain_servers_order()
}

/// Commands that may wait for the connection's task; a full queue makes publishers wait.
const COMMANDS_IN_FLIGHT: usize = 256;
/// Read buffer before TLS, in bytes: enough for the broker's first line. It grows where needed.
const READ_BUFFER: u16 = 1024;

/// Waits until the broker has sent something after the line that was taken for success: the answer to our own ping, or
/// the refusal of the login.
async fn confirm(client: &async_nats::Client, shared: &Shared, limit: Duration) -> Result<(), Failure> {
    let statistics = client.statistics();
    let seen = statistics.in_bytes.load(Ordering::Relaxed);
    let mut state = shared.state.subscribe();
    let answered = async {
        while statistics.in_bytes.load(Ordering::Relaxed) == seen {
            sleep(Duration::from_millis(20)).await;
        }
        // The event of a refusal follows its bytes; the next turn of the event task has seen it.
        sleep(Duration::from_millis(20)).await;
    };
    let lost = state.wait_for(|state| *state == State::Reconnecting);
    let refused = || shared.last_failure().unwrap_or(Failure::Closed);
    tokio::select! {
        _ = lost => Err(refused()),
        () = answered => match shared.last_failure() {
            Some(failure) => Err(failure),
            None => Ok(()),
        },
        () = sleep(limit) => Err(Failure::TimedOut),
    }
}
