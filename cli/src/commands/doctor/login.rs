//! Logging in with the own token, at every broker that can be reached.

use super::Role;
use super::credentials::{Own, sentence_and_fix};
use super::report::Report;
use super::tls::Encrypted;
use config::Settings;
use network::{ConnectError, Connection, Failure, Options, Servers};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The name of this check.
pub(super) const CHECK: &str = "login";

/// Logs in at every broker; the first connection is given back.
pub(super) async fn examine(
    report: &mut Report,
    settings: &Settings,
    role: Role,
    own: &Own,
    brokers: Vec<Encrypted>,
) -> Option<Connection> {
    let holder = own.claims.holder();
    let options = match Options::from_settings(settings, role.network(), holder, holder) {
        Ok(options) => options,
        Err(error) => {
            let (text, fix) = sentence_and_fix(&error.to_string());
            report.fail(CHECK, text, fix);
            return None;
        }
    };
    let mut kept = None;
    for Encrypted { server, greeting } in brokers {
        if greeting.is_some_and(|greeting| !greeting.nonce) {
            let fix = "name a broker of Choria in plugin.choria.middleware_hosts; choria-broker asks for a signature";
            report.fail(CHECK, format!("{server} asks for no signature: it is a NATS server without Choria"), fix);
            continue;
        }
        let mut options = options.clone();
        options.servers = Servers::Fixed(vec![server.clone()]);
        options.patience = Some(PATIENCE);
        let connecting = network::connect(options, CancellationToken::new());
        match tokio::time::timeout(LIMIT, connecting).await {
            Ok(Ok(connection)) => {
                let name = connection.server_name();
                report.ok(CHECK, format!("{name} accepts {holder}"));
                if kept.is_none() {
                    kept = Some(connection);
                } else {
                    connection.close(Duration::from_secs(1)).await;
                }
            }
            Ok(Err(error)) => {
                let (text, fix) = explain(&error, holder);
                report.fail(CHECK, format!("{server}: {text}"), fix);
            }
            Err(_elapsed) => {
                let text = format!("{server}: no decision about the login within {} s", LIMIT.as_secs());
                report.fail(CHECK, text, "read the broker's log: it may be overloaded, or its decisions do not arrive");
            }
        }
    }
    kept
}

/// What a refusal most likely means once token, seed, clock and TLS were found to be good.
fn explain(error: &ConnectError, holder: &str) -> (String, String) {
    let ConnectError::GaveUp { failure, .. } = error else { return sentence_and_fix(&error.to_string()) };
    match failure {
        Failure::Unauthorized => (
            format!("the broker refuses {holder}; most often it does not trust the issuer of the token"),
            format!(
                "its log names the reason: journalctl -u choria-broker | grep {holder:?}\n\
                 compare plugin.security.issuer.* there with the issuer of the token (choria jwt view)"
            ),
        ),
        other => sentence_and_fix(&other.to_string()),
    }
}

/// How long one broker is tried.
const PATIENCE: Duration = Duration::from_secs(4);

/// The same with everything that cannot be cut short.
const LIMIT: Duration = Duration::from_secs(15);
