//! The program as its user runs it: what it prints, how it ends, and that it never leaves a nats-server behind.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use tokens::{Seed, ServerClaims, SigningKey};

#[test]
fn ends_with_success_when_asked_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let lab = Lab::new();
        let mut broker = lab.start();
        broker.wait_for("ready: nats-server");
        let nats_server = broker.nats_server(&lab);
        broker.signal(signal);
        let (code, log) = broker.end();
        assert_eq!(code, Some(0), "{signal}:\n{log}");
        assert!(!runs(nats_server), "{signal}: nats-server still runs");
        assert!(!log.contains("eyJ"), "{signal}: a token in the log:\n{log}");
    }
}

#[test]
fn a_killed_broker_takes_its_nats_server_along() {
    let lab = Lab::new();
    let mut broker = lab.start();
    broker.wait_for("ready: nats-server");
    let nats_server = broker.nats_server(&lab);
    broker.signal(Signal::SIGKILL);
    broker.end();
    let deadline = Instant::now() + PATIENCE;
    while runs(nats_server) {
        assert!(Instant::now() < deadline, "nats-server outlived its broker");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn says_in_one_sentence_why_it_does_not_start() {
    let lab = Lab::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("plugin.choria.network.client_port = {}\n", taken.local_addr().unwrap().port());
    let rows = [
        ("port taken", port.as_str(), "is taken by another program"),
        ("everything off", "plugin.choria.broker_network = false\n", "every part of the broker is off"),
        (
            "a value that is none",
            "plugin.choria.network.tls_timeout = 61s\n",
            "plugin.choria.network.tls_timeout = 61s",
        ),
        ("no token", "plugin.security.choria.token_file = /none.jwt\n", "cannot read /none.jwt"),
    ];
    for (name, lines, expected) in rows {
        let (code, log) = lab.start_with(lines).end();
        assert_eq!(code, Some(1), "{name}:\n{log}");
        assert!(log.contains(expected), "{name}:\n{log}");
        assert!(!log.contains("panicked"), "{name}:\n{log}");
    }
}

#[test]
fn a_hang_up_puts_a_changed_configuration_in_force_and_leaves_nats_server_alone() {
    let lab = Lab::new();
    let mut broker = lab.start();
    broker.wait_for("ready: nats-server");
    let nats_server = broker.nats_server(&lab);
    let rows = [
        (
            "plugin.choria.network.client_hosts = 192.0.2.0/24\nplugin.choria.network.write_deadline = 5s\n",
            &[
                "changed and in force for connections made from now on: plugin.choria.network.client_hosts",
                "plugin.choria.network.write_deadline was changed and is not in force",
            ][..],
        ),
        (
            "plugin.choria.network.client_hosts = here\nttl = soon\n",
            &["is refused and what was in force stays in force", "client_hosts = here", "ttl = soon"][..],
        ),
        (
            "plugin.security.issuer.choria.public = none\n",
            &["is refused and what was in force stays in force", "plugin.security.issuer.choria.public"][..],
        ),
        ("", &["changed and in force for connections made from now on: plugin.choria.network.client_hosts"][..]),
    ];
    for (lines, expected) in rows {
        std::fs::write(lab.directory.path().join("broker.conf"), format!("{}{lines}", lab.config)).unwrap();
        let before = broker.seen.len();
        broker.signal(Signal::SIGHUP);
        for text in expected {
            if !broker.seen[before..].contains(text) {
                broker.wait_for(text);
            }
        }
        assert!(runs(nats_server), "nats-server lives on");
    }
    broker.signal(Signal::SIGTERM);
    let (code, log) = broker.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("Reloaded server configuration"), "nats-server was not told to reload:\n{log}");
}

struct Lab {
    directory: TempDir,
    config: String,
}

struct Broker {
    child: Child,
    output: BufReader<ChildStderr>,
    seen: String,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let (issuer, own) = (Seed::generate(), Seed::generate());
        let issuer_key = issuer.public();
        let hour = Duration::from_secs(3600);
        let collectives = vec!["choria".to_owned()];
        let random = &mut rand::thread_rng();
        let claims = ServerClaims::new("b1", collectives, own.public(), hour, SystemTime::now(), random).unwrap();
        std::fs::write(path("b1.jwt"), claims.sign(&SigningKey::Ed25519(issuer)).unwrap()).unwrap();
        own.write(Path::new(&path("b1.seed"))).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "identity = b1\n\
             plugin.security.provider = choria\n\
             plugin.choria.broker_network = true\n\
             plugin.choria.network.listen_address = 127.0.0.1\n\
             plugin.choria.network.client_port = {port}\n\
             plugin.security.issuer.names = choria\n\
             plugin.security.issuer.choria.public = {issuer_key}\n\
             plugin.security.choria.token_file = {}\n\
             plugin.security.choria.seed_file = {}\n",
            path("b1.jwt"),
            path("b1.seed"),
        );
        Self { directory, config }
    }

    fn start(&self) -> Broker {
        self.start_with("")
    }

    /// Starts the program with more lines in its configuration, of which the last of a key counts.
    fn start_with(&self, lines: &str) -> Broker {
        let file = self.directory.path().join("broker.conf");
        std::fs::write(&file, format!("{}{lines}", self.config)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_choria-broker"))
            .arg("--config")
            .arg(&file)
            .env("RUNTIME_DIRECTORY", self.directory.path())
            .env("CHORIA_NATS_SERVER", nats_server())
            .env_remove("NOTIFY_SOCKET")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stderr.take().unwrap());
        Broker { child, output, seen: String::new() }
    }
}

impl Broker {
    /// Reads the log up to the line that contains `text`.
    fn wait_for(&mut self, text: &str) {
        loop {
            let start = self.seen.len();
            let read = self.output.read_line(&mut self.seen).unwrap();
            assert!(read > 0, "the log ended without {text:?}:\n{}", self.seen);
            if self.seen[start..].contains(text) {
                return;
            }
        }
    }

    /// The process of nats-server, whose number is in the name of the file with its ports.
    fn nats_server(&self, lab: &Lab) -> i32 {
        let files = |directory: &Path| std::fs::read_dir(directory).unwrap().filter_map(Result::ok);
        let private = files(lab.directory.path()).map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
        let names = files(&private).filter_map(|entry| entry.file_name().into_string().ok());
        let number = names.filter_map(|name| name.strip_suffix(".ports")?.rsplit_once('_')?.1.parse().ok()).next();
        number.expect("nats-server runs")
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Exit code and the whole log.
    fn end(mut self) -> (Option<i32>, String) {
        self.output.read_to_string(&mut self.seen).unwrap();
        (self.child.wait().unwrap().code(), self.seen)
    }
}

fn runs(process: i32) -> bool {
    Path::new(&format!("/proc/{process}/exe")).exists()
}

/// The nats-server to test with: `CHORIA_NATS_SERVER`, `target/nats-server/nats-server` of the workspace, or `PATH`.
fn nats_server() -> OsString {
    if let Some(named) = std::env::var_os("CHORIA_NATS_SERVER") {
        return named;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats-server/nats-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let listed = std::env::split_paths(&path).map(|directory| directory.join("nats-server"));
    let found = std::iter::once(workspace).chain(listed).find(|path| path.is_file());
    found.expect("these tests need a nats-server 2.10 or newer: install it, or name it in CHORIA_NATS_SERVER").into()
}

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
