//! A real nats-server with ports and directory of its own.

use choria_network::{Scheme, ServerAddress};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running nats-server; killed when dropped.
pub(crate) struct NatsServer {
    pub(crate) nats: ServerAddress,
    pub(crate) websocket: ServerAddress,
    directory: TempDir,
    child: Child,
}

impl NatsServer {
    /// Starts one that admits `nkey` (a public user key) only.
    pub(crate) fn start(nkey: &str) -> Self {
        Self::start_with(&format!("authorization {{ users: [ {{ nkey: {nkey} }} ] }}\n"))
    }

    /// Starts one with JetStream and the accounts that `accounts` describe.
    pub(crate) fn start_with(accounts: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (nats, websocket) = (free_port(), free_port());
        let configuration = format!(
            "listen: \"127.0.0.1:{nats}\"\nserver_name: test\nports_file_dir: {directory:?}\n\
             websocket {{ listen: \"127.0.0.1:{websocket}\", no_tls: true }}\n\
             jetstream {{ store_dir: {directory:?} }}\n{accounts}",
            directory = directory.path(),
        );
        std::fs::write(directory.path().join("nats.conf"), configuration).expect("a configuration file");
        let child = spawn(directory.path());
        let address = |scheme, port| ServerAddress::new(scheme, "127.0.0.1", port);
        let server =
            Self { nats: address(Scheme::Nats, nats), websocket: address(Scheme::Ws, websocket), directory, child };
        server.wait_until_it_listens();
        server
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts it anew on the same ports.
    pub(crate) fn restart(&mut self) {
        std::fs::remove_file(self.ports_file()).ok();
        self.child = spawn(self.directory.path());
        self.wait_until_it_listens();
    }

    fn ports_file(&self) -> PathBuf {
        self.directory.path().join(format!("{}_{}.ports", program_name(), self.child.id()))
    }

    /// The server writes its ports file once it listens.
    fn wait_until_it_listens(&self) {
        let started = Instant::now();
        while !self.ports_file().exists() {
            assert!(
                started.elapsed() < super::LIMIT,
                "nats-server wrote no ports file; see {:?}",
                self.directory.path()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(directory: &Path) -> Child {
    Command::new(program())
        .arg("-c")
        .arg(directory.join("nats.conf"))
        .arg("-l")
        .arg(directory.join("nats.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts")
}

/// A port nobody uses now; the server needs the same one after a restart, so it cannot choose.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn program_name() -> String {
    program().file_name().expect("a file name").to_string_lossy().into_owned()
}

/// `$CHORIA_NATS_SERVER`, `nats-server` in the path, or the workspace's own copy.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("CHORIA_NATS_SERVER") {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats-server");
    let found = std::env::split_paths(&path).chain([own]).map(|folder| folder.join("nats-server"));
    found.into_iter().find(|program| program.is_file()).unwrap_or_else(|| {
        panic!("no nats-server: set CHORIA_NATS_SERVER, install one, or put one into target/nats-server/")
    })
}
