//! A site for tests: the demonstration's own configuration in a folder of its own, with keys made of one number each.

use crate::audit::Auditors;
use crate::http::{Api, Encryption, Server, open};
use crate::live::{Live, Parts};
use crate::login::{Login, Memory};
use crate::metrics::Metrics;
use crate::settings::{Circumstances, Problems, Settings};
use crate::sign::Signer;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub(crate) const ORGANIZATION: u8 = 1;
pub(crate) const CHAIN: u8 = 2;
pub(crate) const DELEGATE: u8 = 3;
pub(crate) const SERVICE: u8 = 4;
pub(crate) const USER: u8 = 5;
pub(crate) const STRANGER: u8 = 6;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::Ed25519(seed(number))
}

/// Claims of `caller`, who holds the key `holder`, for `validity`.
pub(crate) fn claims(caller: &str, holder: u8, validity: Duration) -> ClientClaims {
    let mut claims = ClientClaims::new(caller, validity, SystemTime::now(), &mut rand::rngs::OsRng).expect("claims");
    claims.standard.public_key = Some(seed(holder).public().to_string());
    claims
}

/// The chain issuer whom `organization` appointed, with the key `holder`.
pub(crate) fn chain_issuer(organization: u8, holder: u8) -> ClientClaims {
    let mut issuer = claims("aaa_chain_delegator", holder, DAY);
    issuer.standard.add_org_issuer(&seed(organization)).expect("an issuer");
    issuer
}

/// A folder with everything that the demonstration's configuration names.
pub(crate) struct Site {
    folder: TempDir,
    /// The configuration, to be changed before it is read.
    pub(crate) config: Value,
}

/// A site at work on a port of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: AbortOnDropHandle<()>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("choria-aaasvc-").expect("a folder");
        let site = Self { config: Value::Null, folder };
        let demonstration = vectors::root().join("config");
        for file in ["choria.rego", "admin.rego", "aaa-choria.conf"] {
            let text = std::fs::read_to_string(demonstration.join(file)).expect("a recorded file");
            site.write(file, &site.moved(&text));
        }
        let delegator = ClientPermissions { authentication_delegator: true, ..ClientPermissions::default() };
        let mut signer = claims("aaa_request_signer", DELEGATE, DAY);
        signer.permissions = Some(delegator);
        let collectives = vec!["choria".to_owned()];
        let service = seed(SERVICE).public();
        let service =
            ServerClaims::new("aaa.choria.local", collectives, service, DAY, SystemTime::now(), &mut rand::rngs::OsRng);
        let files = [
            ("chain-signer.jwt", chain_issuer(ORGANIZATION, CHAIN).sign(&key(ORGANIZATION)).expect("a token")),
            ("request-signer.jwt", signer.sign(&key(ORGANIZATION)).expect("a token")),
            ("signer-service.jwt", service.expect("claims").sign(&key(ORGANIZATION)).expect("a token")),
            ("chain-signer.public", seed(CHAIN).public().to_string()),
        ];
        files.iter().for_each(|(name, text)| site.write(name, text));
        for (name, number) in [("chain-signer", CHAIN), ("request-signer", DELEGATE), ("signer-service", SERVICE)] {
            seed(number).write(&site.path(&format!("{name}.seed"))).expect("written");
        }
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("a certificate");
        site.write("public.crt", &pair.cert.pem());
        site.write("private.key", &pair.key_pair.serialize_pem());
        let text = std::fs::read_to_string(demonstration.join("aaa.json")).expect("the recorded configuration");
        let mut config: Value = serde_json::from_str(&site.moved(&text)).expect("JSON");
        config["logfile_auditor"]["logfile"] = json!(site.path("audit.json"));
        Self { config, ..site }
    }

    /// `text` with the demonstration's folders replaced by this one.
    fn moved(&self, text: &str) -> String {
        let here = self.folder.path().display().to_string();
        text.replace("/etc/aaasvc/credentials", &here).replace("/etc/aaasvc/aaa", &here)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// What the configuration comes to.
    pub(crate) fn settings(&self, disable_tls: bool) -> Result<Settings, Problems> {
        self.write("aaa.json", &self.config.to_string());
        self.judge(&self.path("aaa.json"), disable_tls)
    }

    pub(crate) fn judge(&self, file: &Path, disable_tls: bool) -> Result<Settings, Problems> {
        Settings::read(file, Circumstances { disable_tls, given_socket: false })
    }

    /// Signs as the configuration says.
    pub(crate) fn signer(&self) -> (Signer, Arc<Metrics>) {
        let settings = self.settings(true).expect("settings");
        let metrics = Arc::new(Metrics::default());
        let (auditors, _streams) = Auditors::open(&settings, &metrics).expect("auditors");
        let signer = settings.signer.as_ref().expect("a signer");
        let auditors = Arc::new(auditors);
        (Signer::new(signer, settings.authorizer, &settings.site, auditors, Arc::clone(&metrics)), metrics)
    }

    /// Logs in as the configuration says.
    pub(crate) fn login(&self, memory: &Arc<Memory>) -> Login {
        let settings = self.settings(true).expect("settings");
        let login = settings.login.as_ref().expect("an authenticator");
        Login::new(login, Arc::clone(memory), Arc::default()).expect("logins")
    }

    /// Serves on a free port.
    pub(crate) async fn serve(&self, disable_tls: bool) -> Running {
        let settings = self.settings(disable_tls).expect("settings");
        let http = settings.http.as_ref().expect("a port");
        let metrics = Arc::new(Metrics::default());
        let (auditors, _streams) = Auditors::open(&settings, &metrics).expect("auditors");
        let auditors = Arc::new(auditors);
        let login = settings.login.as_ref();
        let login =
            login.map(|login| Login::new(login, Arc::new(Memory::new()), Arc::clone(&metrics)).expect("logins"));
        let signer = settings.signer.as_ref();
        let signer = signer
            .map(|signer| Signer::new(signer, settings.authorizer, &settings.site, auditors, Arc::clone(&metrics)));
        let live = Arc::new(Live::new(Parts { login: login.map(Arc::new), signer: signer.map(Arc::new) }));
        let listener = open("127.0.0.1", 0).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let encryption = http.tls.as_ref().map(|files| Arc::new(Encryption::new(files).expect("certificates")));
        let server = Server {
            listener,
            api: Arc::new(Api::new(Arc::clone(&live), Arc::clone(&metrics))),
            encryption,
            most_connections: http.most_connections,
            metrics: Arc::clone(&metrics),
            idle_exit: None,
        };
        let stop = CancellationToken::new();
        let serving = server.run(stop.clone(), Duration::from_secs(5), Arc::default());
        let task = tokio::spawn(async move {
            let _is_idle = serving.await;
        });
        Running { address, stop, task: AbortOnDropHandle::new(task) }
    }
}
