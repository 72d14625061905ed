//! Whether somebody listens where the brokers should be, and greets as a broker.

use super::names::Target;
use super::report::{Report, milliseconds};
use network::probe::{self, Greeted};
use network::{Failure, Scheme, ServerAddress};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// The name of this check.
pub(super) const CHECK: &str = "port";

/// A broker's open port.
#[derive(Debug)]
pub(super) struct Port {
    /// Whose it is.
    pub(super) server: ServerAddress,
    /// Where it was reached.
    pub(super) address: SocketAddr,
    /// What is there.
    pub(super) line: Line,
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Line {
    /// The broker's first line was read; TLS begins next.
    Greeted(Box<Greeted>),
    /// A websocket, in which the broker speaks only after the handshake.
    Websocket(TcpStream),
}

/// What became of one server.
enum Outcome {
    Open(Port, String),
    Closed { text: String, fix: String },
}

/// Tries every address of every broker until one of each answers.
pub(super) async fn examine(report: &mut Report, targets: Vec<Target>) -> Vec<Port> {
    let mut outcomes = Vec::new();
    for target in targets {
        outcomes.push(one(&target).await);
    }
    let works = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Open(..)));
    let mut ports = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Open(port, text) => {
                report.ok(CHECK, text);
                ports.push(port);
            }
            Outcome::Closed { text, fix } if works => report.warn(CHECK, text, fix),
            Outcome::Closed { text, fix } => report.fail(CHECK, text, fix),
        }
    }
    ports
}

async fn one(target: &Target) -> Outcome {
    let (server, mut said) = (&target.server, Vec::new());
    let mut fix = String::new();
    for address in &target.addresses {
        let began = Instant::now();
        let stream = match probe::open(*address, LIMIT).await {
            Ok(stream) => stream,
            Err(failure) => {
                said.push(format!("{} {}", address.ip(), short(&failure)));
                fix = advice(&failure, server);
                continue;
            }
        };
        let took = milliseconds(began.elapsed());
        if matches!(server.scheme(), Scheme::Ws | Scheme::Wss) {
            let text = format!("{server} answers at {} after {took}{}", address.ip(), also(&said));
            return Outcome::Open(
                Port { server: server.clone(), address: *address, line: Line::Websocket(stream) },
                text,
            );
        }
        match probe::greeting(stream, LIMIT).await {
            Ok(greeted) => {
                let name = &greeted.greeting.server_name;
                let text = format!(
                    "{server} answers at {} after {took}: {name}, nats-server {}{}",
                    address.ip(),
                    greeted.greeting.version,
                    also(&said)
                );
                let line = Line::Greeted(Box::new(greeted));
                return Outcome::Open(Port { server: server.clone(), address: *address, line }, text);
            }
            Err(problem) => {
                said.push(problem.to_string());
                "name the broker's client port in plugin.choria.middleware_hosts, usually 4222".clone_into(&mut fix);
            }
        }
    }
    Outcome::Closed { text: format!("{server}: {}", said.join("; ")), fix }
}

/// The addresses that did not answer before one did.
fn also(said: &[String]) -> String {
    if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) }
}

fn short(failure: &Failure) -> String {
    match failure {
        Failure::Refused => "refuses connections: nothing listens there".to_owned(),
        Failure::TimedOut => format!("does not answer within {} s", LIMIT.as_secs()),
        other => other.to_string(),
    }
}

fn advice(failure: &Failure, server: &ServerAddress) -> String {
    match failure {
        Failure::Refused => "start the broker (systemctl start choria-broker on its machine), or correct the port in \
                             plugin.choria.middleware_hosts"
            .to_owned(),
        _ => format!("let TCP port {} of {} through firewalls, or start that machine", server.port(), server.host()),
    }
}

/// One connection, and the broker's first line.
const LIMIT: Duration = Duration::from_secs(3);
