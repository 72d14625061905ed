//! One of several brokers of a lab, and what tests ask of nats-server.

use super::{Lab, PATIENCE, Served};
use bytes::Bytes;
use choria_broker_role::{Broker, Metrics, Surroundings};
use network::{Connection, Login, Options, Scheme, ServerAddress, Servers};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokens::ClientPermissions;
use tokio_util::sync::CancellationToken;

/// A broker that serves, with a port and a directory of its own.
pub(crate) struct Member {
    pub(crate) served: Served,
    pub(crate) port: u16,
    pub(crate) directory: PathBuf,
}

impl Member {
    /// Starts the broker `NAME.example.net` with `changes` and waits until it serves.
    pub(crate) async fn start(lab: &Lab, name: &str, changes: &[(&str, String)]) -> Self {
        Self::start_with(lab, name, changes, super::nats_server().into()).await
    }

    /// The same with a nats-server of the test's own.
    pub(crate) async fn start_with(lab: &Lab, name: &str, changes: &[(&str, String)], program: PathBuf) -> Self {
        let (port, directory) = (super::free_port(), lab.path(name));
        std::fs::create_dir_all(&directory).unwrap();
        let (identity, store) = (format!("{name}.example.net"), directory.join("streams").display().to_string());
        let port_text = port.to_string();
        let mut all = vec![("identity", identity.as_str()), ("plugin.choria.network.client_port", &port_text)];
        if !changes.iter().any(|(key, _)| key.ends_with("stream.store")) {
            all.push(("plugin.choria.network.stream.store", &store));
        }
        all.extend(changes.iter().map(|(key, value)| (*key, value.as_str())));
        let metrics = Arc::new(Metrics::default());
        let nats_server = Some(program.into_os_string());
        let surroundings = Surroundings { runtime_directory: directory.clone(), nats_server, ..lab.surroundings() };
        let broker = Broker::build(lab.settings(&all), &surroundings, Arc::clone(&metrics)).await.unwrap();
        let stop = CancellationToken::new();
        let mut running = broker.checking_every(Duration::from_millis(500)).start(stop.clone());
        running.ready().await.unwrap();
        Self { served: Served { running, metrics, stop }, port, directory }
    }

    pub(crate) async fn connect(&self, lab: &Lab, login: Login) -> Connection {
        let address = ServerAddress::new(Scheme::Tls, "127.0.0.1", self.port);
        let options = Options { servers: Servers::Fixed(vec![address]), ..lab.options("test", login) };
        lab.connect(options).await.unwrap()
    }

    /// A connection that may do everything in the account `choria`.
    pub(crate) async fn admin(&self, lab: &Lab) -> Connection {
        let permissions = ClientPermissions { org_admin: true, ..ClientPermissions::default() };
        self.connect(lab, lab.client(permissions).login()).await
    }

    /// The status line now.
    pub(crate) fn status(&self) -> String {
        self.served.running.status().borrow().text.clone()
    }

    pub(crate) fn name(&self) -> String {
        self.directory.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The process of this member's nats-server.
    pub(crate) fn nats_server(&self) -> i32 {
        self.running().expect("a nats-server runs")
    }

    /// As nats-server itself tells in the name of the file with its ports; `None` while there is none.
    pub(crate) fn running(&self) -> Option<i32> {
        let private = std::fs::read_dir(&self.directory).unwrap().filter_map(Result::ok).map(|entry| entry.path());
        let private = private
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("choria-broker-")));
        let files = private.flat_map(|path| std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok));
        let names = files.filter_map(|entry| entry.file_name().into_string().ok());
        let mut numbers = names.filter_map(|name| name.strip_suffix(".ports")?.rsplit_once('_')?.1.parse().ok());
        numbers.find(|number: &i32| Path::new(&format!("/proc/{number}/exe")).exists())
    }
}

pub(crate) fn kill(process: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL).unwrap();
}

pub(crate) async fn ask(connection: &Connection, subject: &str) -> Value {
    let answer = connection.request(subject, Bytes::new(), PATIENCE).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// Stores messages until `count` are acknowledged in all, each tried until it is; what was acknowledged is remembered
/// with its number in the stream.
pub(crate) async fn store(client: &Connection, acknowledged: &mut Vec<(u64, String)>, count: usize) {
    while acknowledged.len() < count {
        let text = format!("message {}", acknowledged.len());
        let subject = "choria.lifecycle.event.test";
        let answer = until_answered(client, subject, text.clone()).await;
        match answer["seq"].as_u64() {
            Some(sequence) => acknowledged.push((sequence, text)),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Asks again while nobody answers, as during the election of a new leader.
pub(crate) async fn until_answered(client: &Connection, subject: &str, text: String) -> Value {
    let asking = async {
        loop {
            if let Ok(answer) = client.request(subject, Bytes::from(text.clone()), Duration::from_secs(1)).await {
                let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
                // While a leader is elected, nats-server says that it is unavailable.
                if answer["error"]["code"] != 503 {
                    return answer;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("no answer to {subject}"))
}
