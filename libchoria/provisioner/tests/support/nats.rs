//! A real nats-server with a port and a folder of its own.

use network::{Scheme, ServerAddress};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running nats-server; killed when dropped.
pub(crate) struct Nats {
    port: u16,
    _folder: TempDir,
    child: Child,
}

impl Nats {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let program = std::env::var_os("CHORIA_NATS_SERVER").map(PathBuf::from);
        let program = program.unwrap_or_else(|| PathBuf::from("nats-server"));
        let child = Command::new(&program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "--ports_file_dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; set CHORIA_NATS_SERVER", program.display()));
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        let ports = folder.path().join(format!("{name}_{}.ports", child.id()));
        let began = Instant::now();
        while !ports.exists() {
            assert!(began.elapsed() < super::LIMIT, "nats-server wrote no ports file");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { port, _folder: folder, child }
    }

    pub(crate) fn address(&self) -> ServerAddress {
        ServerAddress::new(Scheme::Nats, "127.0.0.1", self.port)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
