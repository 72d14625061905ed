//! What only servers have: subjects to listen on, a status file, a unit.

use super::report::{Report, milliseconds, roughly};
use config::{Settings, keys};
use network::Connection;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};
use tokio::process::Command;
use tokio::time::timeout;

/// The names of these checks.
pub(super) const SUBJECTS: &str = "subjects";
pub(super) const STATUS: &str = "status";
pub(super) const UNIT: &str = "unit";

/// Listens where the server listens, without a queue group, so that a running server misses nothing, and sends a word to
/// the own reply subject.
pub(super) async fn subjects(report: &mut Report, settings: &Settings, connection: &Connection) {
    let collective = settings.main_collective();
    let node = format!("{collective}.node.{}", settings.identity());
    let errors = connection.status().errors;
    let listening = connection.subscribe(&node, None).await;
    let inbox = connection.new_inbox();
    let began = Instant::now();
    let echo = async {
        let mut own = connection.subscribe(&inbox, None).await.ok()?;
        connection.publish(&inbox, b"choria doctor".as_slice().into()).await.ok()?;
        connection.flush().await.ok()?;
        own.recv().await
    };
    let echoed = timeout(LIMIT, echo).await.ok().flatten();
    let took = milliseconds(began.elapsed());
    drop(listening);
    let refused = connection.status().errors > errors;
    match echoed {
        Some(_) if !refused => report.ok(SUBJECTS, format!("may listen on {node}; round trip {}", took)),
        _ => {
            let text = format!("the broker does not let this server listen on {node} or answer");
            report.fail(
                SUBJECTS,
                text,
                "have the token issued for this identity and collective; the broker's log names what it refuses",
            );
        }
    }
}

/// Whether a running server wrote its status lately.
pub(super) fn status(report: &mut Report, settings: &Settings, now: SystemTime) {
    let interval = u64::try_from(settings.get(keys::STATUS_UPDATE_INTERVAL)).unwrap_or_default();
    let Some(path) = settings.get(keys::STATUS_FILE_PATH).filter(|_| interval > 0) else {
        return report.skip(STATUS, "no plugin.choria.status_file_path is set");
    };
    let shown = path.display();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let fix = "start the server, or correct plugin.choria.status_file_path";
            return report.warn(STATUS, format!("{shown} cannot be read: {error}"), fix);
        }
    };
    let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let age = now.duration_since(modified).unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let server = document["connected_server"].as_str().unwrap_or_default();
    if age > Duration::from_secs(interval) * 3 {
        let fix = "the server is not running or hangs: systemctl status choria-server";
        report.warn(STATUS, format!("{shown} was written {} ago, not every {interval} s", roughly(age)), fix);
    } else if server.is_empty() {
        let fix = "read the server's log: journalctl -u choria-server";
        report.warn(STATUS, format!("{shown} says that the server is not connected"), fix);
    } else {
        report.ok(STATUS, format!("{shown} says that the server is connected to {server}"));
    }
}

/// Whether the service manager runs `unit`.
pub(super) async fn unit(report: &mut Report, unit: &str) {
    let mut command = Command::new("systemctl");
    command
        .args(["show", unit, "--property=LoadState,ActiveState", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let Ok(Ok(output)) = output else { return report.skip(UNIT, "systemd does not answer here") };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some("loaded"), Some("active" | "reloading")) => report.ok(UNIT, format!("{unit} is active")),
        (Some("loaded"), Some(state)) => {
            report.warn(
                UNIT,
                format!("{unit} is {state}"),
                format!("systemctl start {unit}; journalctl -u {unit} tells why it is not"),
            );
        }
        _ => report.skip(UNIT, format!("{unit} is not installed")),
    }
}

/// A program on this machine, or a word through the broker.
const LIMIT: Duration = Duration::from_secs(3);
