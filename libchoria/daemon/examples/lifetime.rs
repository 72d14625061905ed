//! A daemon for `tests/lifetime.rs`: its first argument says how it behaves, its second where it logs.

use choria_daemon::logging::{Destination, Level, Logging};
use choria_daemon::{Context, Exit, Options, Threads, run};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let behaviour = arguments.next().unwrap_or_default();
    let logfile = arguments.next();
    let options = Options {
        logging: Logging { destination: Destination::from_setting(logfile.as_deref()), level: Level::Info },
        soft_shutdown: Duration::from_millis(if behaviour == "hang" { 200 } else { 20_000 }),
        pid_file: std::env::var_os("PID_FILE").map(PathBuf::from),
        threads: if behaviour == "threads" { Threads::Many(2) } else { Threads::One },
        ..Options::new("lifetime")
    };
    run(options, |context| async move { work(&context, &behaviour).await })
}

async fn work(context: &Context, behaviour: &str) -> anyhow::Result<Exit> {
    match behaviour {
        "serve" | "threads" => serve(context, usize::MAX).await,
        "never-ready" => {
            println!("started");
            context.stop().cancelled().await;
            Ok(Exit::Clean)
        }
        "hang" | "linger" => {
            context.ready();
            std::future::pending().await
        }
        "block" => {
            context.ready();
            std::thread::sleep(Duration::from_secs(600));
            Ok(Exit::Clean)
        }
        "fail" => Err(anyhow::anyhow!("the disk is on fire").context("storing the message")),
        "restart" => restart_once(),
        "log" => {
            write_log(context);
            Ok(Exit::Clean)
        }
        "reload" => reload(context).await,
        "sockets" => sockets(context),
        signs => serve(context, signs.parse()?).await,
    }
}

/// Gives `signs` signs of life, then none.
async fn serve(context: &Context, signs: usize) -> anyhow::Result<Exit> {
    context.ready();
    context.status("serving\none");
    context.status("serving one");
    context.status("serving two");
    let mut given = 0;
    loop {
        tokio::select! {
            () = context.stop().cancelled() => return Ok(Exit::Clean),
            () = context.asked_for_life() => {
                if given < signs {
                    context.alive();
                    given += 1;
                }
            }
        }
    }
}

async fn reload(context: &Context) -> anyhow::Result<Exit> {
    let mut reloads = context.reloads();
    context.ready();
    loop {
        tokio::select! {
            () = context.stop().cancelled() => return Ok(Exit::Clean),
            () = reloads.next() => {
                context.status("read anew");
                context.reloaded();
            }
        }
    }
}

/// Asks for a restart unless it is the restarted one, which finds the file its predecessor left.
fn restart_once() -> anyhow::Result<Exit> {
    let marker = PathBuf::from(std::env::var("MARKER")?);
    if marker.exists() {
        println!("again {}", std::process::id());
        return Ok(Exit::Clean);
    }
    std::fs::write(&marker, "")?;
    println!("first {}", std::process::id());
    if let Some(program) = std::env::var_os("REMOVE") {
        std::fs::remove_file(program)?;
    }
    Ok(Exit::Restart)
}

/// Shows what came of the descriptors of the service manager, before and after a restart.
fn sockets(context: &Context) -> anyhow::Result<Exit> {
    let given = context.sockets();
    let http = given.main_tcp("http")?.map(|listener| listener.local_addr()).transpose()?;
    let varlink = given.unix("varlink")?.map(|listener| listener.accept()).transpose()?;
    println!("{:?} {} {}", http.map(|address| address.port()), varlink.is_some(), given.take_all("connection").len());
    context.ready();
    let child = "for number in 3 4 5 6; do test ! -e /proc/self/fd/$number || echo $number; done; echo =$LISTEN_FDS";
    print!("{}", String::from_utf8(std::process::Command::new("sh").args(["-c", child]).output()?.stdout)?);
    let marker = PathBuf::from(std::env::var("MARKER")?);
    if marker.exists() {
        return Ok(Exit::Clean);
    }
    std::fs::write(&marker, "")?;
    Ok(Exit::Restart)
}

fn write_log(context: &Context) {
    tracing::info!(target: "choria_server::facts", count = 3, ratio = 0.5, who = "a b", msg = "x", "read \"facts\"\nanew");
    tracing::debug!(target: "choria_server", "not shown");
    tracing::info!(target: "async_nats", "not shown");
    tracing::warn!(target: "async_nats", "shown");
    context.set_log_level(Level::Debug);
    tracing::debug!(target: "choria_server", "shown now");
    context.set_log_level(Level::Error);
    tracing::warn!(target: "choria_server", "not shown any more");
    tracing::error!(target: "choria_server", component = "own", "an error");
}
