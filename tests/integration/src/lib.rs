//! A laboratory for integration tests: the real programs on a real nats-server, each laboratory with its own folder,
//! credentials and ports. Nothing in it sleeps: programs say when they are ready through the service manager's
//! notification socket, and clients are asked until the answer is there or the time is up.

mod demonstration;
pub mod exposition;
mod files;
pub mod http;
mod member;
mod namespace;
mod process;
mod proxy;
mod skip;
pub mod submission;

pub use demonstration::{BROKER_PASSWORD, Demonstration, PASSWORD, PROVISION_TOKEN};
pub use member::Member;
pub use namespace::{Cut, Wire};
pub use process::{Output, Process};
pub use proxy::Proxy;
pub use skip::{faketime, skipped};

use rand::Rng;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use tokens::{Purpose, SigningKey};

/// How long anything may take to become true before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// One network of its own: an issuer, a broker, servers and a client called `up=tester`.
#[derive(Debug)]
pub struct Lab {
    folder: TempDir,
    /// The organization issuer's public key, hexadecimal.
    pub issuer: String,
    /// The broker's client port on 127.0.0.1.
    pub port: u16,
}

impl Lab {
    /// A laboratory with credentials and configuration files, and nothing started.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a laboratory is a place with effects, not a value")]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("choria-lab-").expect("a temporary folder");
        let mut lab = Self { folder, issuer: String::new(), port: free_port() };
        lab.issuer = lab.keys("issuer");
        lab.server_token("broker.lab.example.net", "broker", "issuer.seed");
        lab.write("broker.conf", &files::broker(&lab));
        lab.client("client", "issuer.seed");
        lab
    }

    /// The folder that holds everything of this laboratory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of one file of the laboratory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes one file of the laboratory.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Reads one file of the laboratory.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Makes `NAME.seed` and `NAME.public` and gives the public key.
    pub fn keys(&self, name: &str) -> String {
        self.choria(&["jwt", "keys", &format!("{name}.seed"), &format!("{name}.public"), "--force"]).succeeded();
        self.read(&format!("{name}.public"))
    }

    /// Makes keys and a server token `NAME.jwt`, signed by the seed in the file `signer`.
    pub fn server_token(&self, identity: &str, name: &str, signer: &str) {
        let public = self.keys(name);
        let file = format!("{name}.jwt");
        self.choria(&[
            "jwt",
            "server",
            &file,
            identity,
            &public,
            signer,
            "--collectives",
            "choria",
            "--validity",
            "1d",
        ])
        .succeeded();
    }

    /// Makes keys, a fleet management token and a configuration file for the client `up=NAME`.
    pub fn client(&self, name: &str, signer: &str) {
        let public = self.keys(name);
        let (file, caller) = (format!("{name}.jwt"), format!("up={name}"));
        self.choria(&["jwt", "client", &file, &caller, signer, "--public-key", &public, "--validity", "1d"])
            .succeeded();
        self.write(&format!("{name}.conf"), &files::client(self, name));
    }

    /// Makes the token `NAME.jwt` one that expired an hour ago, signed by the seed in the file `signer`.
    pub fn expire(&self, name: &str, signer: &str) {
        let file = format!("{name}.jwt");
        let token = tokens::read_token(&self.path(&file)).expect("a token");
        let key = SigningKey::read(&self.path(signer)).expect("a seed");
        let past = SystemTime::now() - Duration::from_secs(3600);
        let token = if tokens::purpose_of(&token) == Ok(Purpose::Client) {
            let mut claims = tokens::read_client(&token).expect("a client token");
            claims.standard.expires = Some(past);
            claims.sign(&key)
        } else {
            let mut claims = tokens::read_server(&token).expect("a server token");
            claims.standard.expires = Some(past);
            claims.sign(&key)
        };
        self.write(&file, &token.expect("a signature"));
    }

    /// Makes credentials and configuration of the server `IDENTITY`, in files called `NAME.*`.
    pub fn server(&self, name: &str, identity: &str) {
        self.server_token(identity, name, "issuer.seed");
        self.write(&format!("{name}.facts.yaml"), &format!("name: {name}\nos:\n  family: Debian\n"));
        self.write(&format!("{name}.classes"), "roles::base\n");
        self.write(&format!("{name}.conf"), &files::server(self, name, identity));
    }

    /// Starts the broker and waits until it is ready.
    #[must_use]
    pub fn start_broker(&self) -> Process {
        self.start("choria-broker", &["--config", "broker.conf"]).ready()
    }

    /// Makes and starts `count` servers `n1.lab.example.net`… and waits until each is ready.
    #[must_use]
    pub fn start_servers(&self, count: usize) -> Vec<Process> {
        (1..=count)
            .map(|number| {
                let name = format!("n{number}");
                self.server(&name, &format!("{name}.lab.example.net"));
                self.start("choria-server", &["--config", &format!("{name}.conf")])
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(Process::ready)
            .collect()
    }

    /// Starts one of the project's programs in the laboratory's folder.
    #[must_use]
    pub fn start(&self, program: &str, arguments: &[&str]) -> Process {
        Process::start(self, program, arguments, &[])
    }

    /// Starts one of the project's programs with additional environment variables.
    #[must_use]
    pub fn start_with(&self, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        Process::start(self, program, arguments, environment)
    }

    /// Starts one of the project's programs with `before` in front of its command, for example in a network namespace.
    #[must_use]
    pub fn start_behind(&self, before: &[&str], program: &str, arguments: &[&str]) -> Process {
        Process::start_behind(self, before, program, arguments, &[])
    }

    /// Runs the client as `up=client` to its end.
    pub fn choria(&self, arguments: &[&str]) -> Output {
        Process::start(self, "choria", arguments, &[]).output()
    }

    /// Runs the client with the configuration file `NAME.conf` to its end.
    pub fn choria_as(&self, name: &str, arguments: &[&str]) -> Output {
        let config = self.path(&format!("{name}.conf")).display().to_string();
        Process::start(self, "choria", arguments, &[("CHORIA_CONFIG", &config)]).output()
    }

    /// Waits until a ping is answered by exactly `count` servers.
    ///
    /// # Panics
    /// When that is not so within [`PATIENCE`].
    pub fn wait_for_fleet(&self, count: usize) -> Duration {
        let began = Instant::now();
        loop {
            let expect = count.to_string();
            let output = self.choria(&["ping", "--names", "--timeout", "2", "--expect", &expect]);
            if output.stdout.lines().count() == count {
                return began.elapsed();
            }
            assert!(began.elapsed() < PATIENCE, "no {count} answers within {PATIENCE:?}, last:\n{output:?}");
        }
    }
}

/// The nats-server to test with.
///
/// # Panics
/// When `CHORIA_NATS_SERVER` is not set: `tests/run` sets it.
#[must_use]
pub fn nats_server() -> PathBuf {
    std::env::var_os("CHORIA_NATS_SERVER")
        .map(PathBuf::from)
        .expect("CHORIA_NATS_SERVER is not set: use tests/run, or set it to the output of compose/nats-server")
}

/// The folder that holds the built programs: that of this program, or the one above for test programs.
///
/// # Panics
/// When they were not built.
#[must_use]
pub fn programs() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let own = this.parent().expect("a program lives in a folder");
    let is_test = own.ends_with("deps");
    let folder = if is_test { own.parent().expect("tests live in target/PROFILE/deps") } else { own };
    for program in ["choria", "choria-broker", "choria-server", "choria-submit", "choria-provisioner", "choria-aaasvc"]
    {
        assert!(
            folder.join(program).is_file(),
            "{program} was not built: use tests/run integration, or run 'cargo build' first"
        );
    }
    folder.to_owned()
}

/// A TCP port that was free a moment ago, on 127.0.0.1 and everywhere else. It is not one of those that the system gives to
/// outgoing connections, of which any could take it before it is used.
#[must_use]
pub fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| rand::thread_rng().gen_range(FREE_PORTS));
    ports.take(1000).find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()).expect("a free port below 32768")
}

/// Below the usual `ip_local_port_range`, above those of services.
const FREE_PORTS: std::ops::Range<u16> = 10_000..32_768;
