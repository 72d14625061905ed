//! Parties for the tests of provisioning: a real nats-server, nodes that do as they are told, and a site with its keys.

#![allow(dead_code)] // each test binary uses its own part

pub(crate) mod nats;
pub(crate) mod node;

use choria_provisioner_role::{Pace, Parts, Provisioner, Running, Settings};
use nats::Nats;
use network::{Options, Role, Servers, Tls};
use security::{Credentials, Provider, Trust};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use tokens::{ClientClaims, ProvisioningClaims, Seed, SigningKey};

/// Nothing in these tests takes longer unless it never ends.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// One organization with a provisioner that may issue tokens.
pub(crate) struct Site {
    pub(crate) nats: Nats,
    folder: TempDir,
    /// The organization issuer.
    pub(crate) issuer: Seed,
}

impl Site {
    pub(crate) fn new() -> Self {
        let site = Self { nats: Nats::start(), folder: tempfile::tempdir().expect("a folder"), issuer: seed(1) };
        seed(2).write(&site.path("signer.seed")).expect("written");
        let mut claims =
            ClientClaims::new("provisioner_signer", DAY, SystemTime::now(), &mut rand::thread_rng()).expect("claims");
        let mut permissions = claims.granted();
        permissions.server_provisioner = true;
        claims.permissions = Some(permissions);
        claims.standard.public_key = Some(seed(2).public().to_string());
        claims.standard.add_org_issuer(&site.issuer).expect("an issuer");
        std::fs::write(site.path("signer.jwt"), claims.sign(&SigningKey::Ed25519(seed(1))).expect("a token"))
            .expect("written");
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A provisioning token signed by the organization, or by somebody else.
    pub(crate) fn provisioning_token(&self, signer: u8) -> String {
        let mut claims =
            ProvisioningClaims::new("s3cret", DAY, SystemTime::now(), &mut rand::thread_rng()).expect("claims");
        "nats://broker.example.net:4222".clone_into(&mut claims.urls);
        (claims.provision_by_default, claims.protocol_v2) = (true, true);
        claims.sign(&SigningKey::Ed25519(seed(signer))).expect("a token")
    }

    /// Settings with the features `jwt` and `ed25519`, the helper script `script`, and `more` lines.
    pub(crate) fn settings(&self, script: &str, more: &str) -> Settings {
        self.settings_with("features: {jwt: true, ed25519: true}", script, more)
    }

    pub(crate) fn settings_with(&self, features: &str, script: &str, more: &str) -> Settings {
        let helper = self.path("helper");
        std::fs::write(&helper, script).expect("written");
        let folder = self.folder.path().display();
        let text = format!(
            "workers: 2\nhelper: /bin/sh {helper}\ntoken: s3cret\njwt_verify_cert: {issuer}\n\
             jwt_signing_key: {folder}/signer.seed\njwt_signing_token: {folder}/signer.jwt\n\
             audit_log: {folder}/audit.jsonl\n{features}\n{more}\n",
            helper = helper.display(),
            issuer = self.issuer.public(),
        );
        Settings::parse(&self.path("provisioner.yaml"), &text).expect("valid settings")
    }

    /// Starts a provisioner that is quick to give up.
    pub(crate) fn start(&self, settings: Settings) -> Running {
        let token = std::fs::read_to_string(self.path("signer.jwt")).expect("a token");
        let credentials = Credentials::new(&token, seed(2)).expect("credentials");
        let parts = security::Parts {
            identity: "provisioner_signer".parse().expect("an identity"),
            credentials: Some(credentials),
            trust: Trust::Nobody,
            sign_replies: false,
        };
        let tls = Tls::disabled().expect("no TLS");
        let parts = Parts {
            provider: Provider::new(parts),
            network: Options::new(Role::Client, "p", Servers::Fixed(vec![self.nats.address()]), tls),
            collective: "provisioning".parse().expect("a collective"),
            ttl: 60,
            pace: Pace {
                provision_call: Duration::from_secs(2),
                inventory_call: Duration::from_secs(2),
                pause: |_| Duration::from_millis(10),
            },
            context: None,
        };
        Provisioner::build(settings, parts).start()
    }

    /// The audit line about `node` that says `outcome`, once it is there.
    pub(crate) async fn audited(&self, node: &str, outcome: &str) -> Value {
        let began = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
            if let Some(line) = lines.find(|line| line["node"] == node && line["outcome"] == outcome) {
                return line;
            }
            assert!(began.elapsed() < LIMIT, "no {outcome} of {node} in:\n{text}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How many audit lines there are about `node`.
    pub(crate) fn audit_lines(&self, node: &str) -> usize {
        let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
        text.lines().filter(|line| line.contains(&format!("{node:?}"))).count()
    }
}

/// Keys of the tests: the organization has 1, the provisioner 2.
pub(crate) fn seed(number: u8) -> Seed {
    Seed::from_bytes([number; 32])
}

/// A helper that configures every node.
pub(crate) const CONFIGURES: &str = r#"cat >/dev/null
echo '{"configuration":{"plugin.choria.server.provision":"false","plugin.security.provider":"choria"}}'"#;

const DAY: Duration = Duration::from_secs(24 * 3600);
