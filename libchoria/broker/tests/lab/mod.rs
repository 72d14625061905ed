//! A broker for one test: its own directory, port, issuer and tokens, and a real nats-server.

pub(crate) mod member;
pub(crate) mod table;

use choria_broker_role::{Broker, Metrics, Running, Settings, Surroundings};
use network::{ConnectError, Connection, Failure, Login, Options, Role, Scheme, ServerAddress, Servers, UserPassword};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokens::{ClientClaims, ClientPermissions, ProvisioningClaims, Seed, ServerClaims, SigningKey};
use tokio_util::sync::CancellationToken;

/// Longer than anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Files and keys of one organization, and the port of its broker.
pub(crate) struct Lab {
    pub(crate) directory: TempDir,
    pub(crate) port: u16,
    pub(crate) issuer: SigningKey,
}

/// A broker of a lab that serves.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
}

/// A token and the seed it belongs to.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) token: Arc<str>,
    pub(crate) seed: Arc<Seed>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = Self { directory, port: free_port(), issuer: SigningKey::Ed25519(Seed::from_bytes([1; 32])) };
        let own = lab.server("broker.example.net");
        std::fs::write(lab.path("broker.jwt"), &*own.token).unwrap();
        own.seed.write(&lab.path("broker.seed")).unwrap();
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The settings of this lab's broker with `changes`.
    pub(crate) fn settings(&self, changes: &[(&str, &str)]) -> Settings {
        Settings::try_from(&self.config(changes)).unwrap()
    }

    /// A complete configuration with `changes`; an empty value removes a key.
    pub(crate) fn config(&self, changes: &[(&str, &str)]) -> config::Settings {
        let file = |name: &str| self.path(name).display().to_string();
        let issuer = self.issuer_key();
        let port = self.port.to_string();
        let (token, seed, store) = (file("broker.jwt"), file("broker.seed"), file("streams \"of\" {this}"));
        let mut values = vec![
            ("identity", "broker.example.net"),
            ("plugin.security.provider", "choria"),
            ("plugin.choria.broker_network", "1"),
            ("plugin.choria.use_srv", "0"),
            ("plugin.choria.network.listen_address", "127.0.0.1"),
            ("plugin.choria.network.client_port", &port),
            ("plugin.security.issuer.names", "choria"),
            ("plugin.security.issuer.choria.public", &issuer),
            ("plugin.security.choria.token_file", &token),
            ("plugin.security.choria.seed_file", &seed),
            ("plugin.choria.network.stream.store", &store),
            ("plugin.choria.network.provisioning.client_password", "s3cret\"}"),
            ("plugin.choria.network.system.user", "system"),
            ("plugin.choria.network.system.password", "sysp"),
        ];
        values.retain(|(key, _)| !changes.iter().any(|(changed, _)| changed == key));
        values.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
        let builder = config::Settings::builder();
        values.into_iter().fold(builder, |builder, (key, value)| builder.set(key, value)).build().unwrap()
    }

    pub(crate) fn surroundings(&self) -> Surroundings {
        Surroundings {
            runtime_directory: self.directory.path().to_owned(),
            state_directory: None,
            nats_server: Some(nats_server()),
            search_path: None,
            sockets: daemon::Sockets::default(),
        }
    }

    pub(crate) async fn build(&self, changes: &[(&str, &str)]) -> (Broker, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        let broker = Broker::build(self.settings(changes), &self.surroundings(), Arc::clone(&metrics)).await;
        (broker.unwrap(), metrics)
    }

    /// Starts the broker and waits until it serves.
    pub(crate) async fn serve(&self, changes: &[(&str, &str)]) -> Served {
        let (broker, metrics) = self.build(changes).await;
        let stop = CancellationToken::new();
        let mut running = broker.start(stop.clone());
        running.ready().await.unwrap();
        Served { running, metrics, stop }
    }

    pub(crate) fn client(&self, permissions: ClientPermissions) -> Holder {
        let seed = Seed::generate();
        let mut claims = ClientClaims::new("up=alice", HOUR, SystemTime::now(), &mut rand::thread_rng()).unwrap();
        claims.permissions = Some(permissions);
        claims.standard.public_key = Some(seed.public().to_string());
        Holder::new(claims.sign(&self.issuer).unwrap(), seed)
    }

    /// A token of the client `up=alice` with `change`.
    pub(crate) fn client_with(&self, change: impl FnOnce(&mut ClientClaims)) -> Holder {
        let seed = Seed::generate();
        let mut claims = ClientClaims::new("up=alice", HOUR, SystemTime::now(), &mut rand::thread_rng()).unwrap();
        claims.standard.public_key = Some(seed.public().to_string());
        change(&mut claims);
        Holder::new(claims.sign(&self.issuer).unwrap(), seed)
    }

    /// A token of the client `up=alice` with the permissions that `change` gives.
    pub(crate) fn client_permitted(&self, change: impl FnOnce(&mut ClientPermissions)) -> Holder {
        let mut permissions = ClientPermissions::default();
        change(&mut permissions);
        self.client(permissions)
    }

    /// A token of a server in the collective `choria` with `change`.
    pub(crate) fn server_with(&self, identity: &str, change: impl FnOnce(&mut ServerClaims)) -> Holder {
        let (seed, made) = (Seed::generate(), SystemTime::now());
        let collectives = vec!["choria".to_owned()];
        let random = &mut rand::thread_rng();
        let mut claims = ServerClaims::new(identity, collectives, seed.public(), HOUR, made, random).unwrap();
        change(&mut claims);
        Holder::new(claims.sign(&self.issuer).unwrap(), seed)
    }

    /// The public key of this lab's organization issuer.
    pub(crate) fn issuer_key(&self) -> String {
        Seed::from_bytes([1; 32]).public().to_string()
    }

    pub(crate) fn server(&self, identity: &str) -> Holder {
        self.server_by(identity, &self.issuer, SystemTime::now())
    }

    pub(crate) fn server_by(&self, identity: &str, issuer: &SigningKey, made: SystemTime) -> Holder {
        let seed = Seed::generate();
        let collectives = vec!["choria".to_owned()];
        let random = &mut rand::thread_rng();
        let claims = ServerClaims::new(identity, collectives, seed.public(), HOUR, made, random).unwrap();
        Holder::new(claims.sign(issuer).unwrap(), seed)
    }

    /// A provisioning token, which nobody holds a key for.
    pub(crate) fn provisioning(&self) -> Arc<str> {
        let mut claims = ProvisioningClaims::new("access", HOUR, SystemTime::now(), &mut rand::thread_rng()).unwrap();
        claims.urls = format!("nats://127.0.0.1:{}", self.port);
        claims.sign(&self.issuer).unwrap().into()
    }

    /// The file of a new authority, and TLS with a certificate that it signed.
    pub(crate) fn certified(&self) -> (String, network::Tls) {
        let key = || rcgen::KeyPair::generate().unwrap();
        let (authority_key, member_key) = (key(), key());
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = authority.self_signed(&authority_key).unwrap();
        let mut member = rcgen::CertificateParams::new(vec!["n9.example.net".to_owned()]).unwrap();
        member.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let member = member.signed_by(&member_key, &authority, &authority_key).unwrap();
        let file = |name: &str, text: String| {
            std::fs::write(self.path(name), text).unwrap();
            self.path(name)
        };
        let identity = Some((file("member.pem", member.pem()), file("member.key", member_key.serialize_pem())));
        let files = network::TlsFiles { trust: network::Trust::Anyone, identity, ..network::TlsFiles::default() };
        (file("ca.pem", authority.pem()).display().to_string(), network::Tls::new(&files).unwrap())
    }

    /// Options of a connection to this lab's broker that gives up after a while.
    pub(crate) fn options(&self, name: &str, login: Login) -> Options {
        let address = ServerAddress::new(Scheme::Tls, "127.0.0.1", self.port);
        let tls = network::Tls::unverified().unwrap();
        let mut options = Options::new(Role::Client, name, Servers::Fixed(vec![address]), tls);
        options.login = login;
        options.patience = Some(PATIENCE);
        options
    }

    pub(crate) async fn connect(&self, options: Options) -> Result<Connection, Failure> {
        match network::connect(options, CancellationToken::new()).await {
            Ok(connection) => Ok(connection),
            Err(ConnectError::GaveUp { failure, .. }) => Err(failure),
            Err(error) => panic!("{error}"),
        }
    }
}

impl Served {
    /// Stops the broker and waits until it is gone.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.wait().await.unwrap();
    }
}

impl Holder {
    fn new(token: String, seed: Seed) -> Self {
        Self { token: token.into(), seed: Arc::new(seed) }
    }

    pub(crate) fn login(&self) -> Login {
        Login::TokenText { token: Arc::clone(&self.token), seed: Arc::clone(&self.seed) }
    }
}

pub(crate) fn user(user: &str, password: &str) -> Option<UserPassword> {
    Some(UserPassword { user: user.to_owned(), password: password.to_owned() })
}

/// Waits until `met` says so, without a fixed pause.
pub(crate) async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let met = async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// The nats-server to test with: `CHORIA_NATS_SERVER`, `target/nats-server/nats-server` of the workspace, or `PATH`.
pub(crate) fn nats_server() -> OsString {
    if let Some(named) = std::env::var_os("CHORIA_NATS_SERVER") {
        return named;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats-server/nats-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let listed = std::env::split_paths(&path).map(|directory| directory.join("nats-server"));
    let found = std::iter::once(workspace).chain(listed).find(|path| path.is_file());
    found.expect("these tests need a nats-server 2.10 or newer: install it, or name it in CHORIA_NATS_SERVER").into()
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const HOUR: Duration = Duration::from_secs(3600);
