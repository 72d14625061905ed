//! Keys, tokens and configuration of a network with a provisioner.

use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, ProvisioningClaims, Seed, ServerClaims, SigningKey};

/// The files of one network, all in one directory.
pub(super) struct Files {
    directory: PathBuf,
    pub(super) port: u16,
    provisioning: String,
}

impl Files {
    /// Makes the network of an issuer, a broker, an administrator and a provisioner that signs as chain issuer.
    pub(super) fn write(directory: &Path, workers: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let secret: [u8; 32] = rand::random();
        let (organization, issuer) = (Seed::from_bytes(secret), SigningKey::Ed25519(Seed::from_bytes(secret)));
        let public = organization.public();
        // For other measurements on the same network.
        organization.write(&directory.join("issuer.seed"))?;
        let (now, mut random) = (SystemTime::now(), rand::thread_rng());
        let mut provisioning = ProvisioningClaims::new("s3cret", VALIDITY, now, &mut random)?;
        provisioning.urls = format!("nats://127.0.0.1:{port}");
        (provisioning.provision_by_default, provisioning.protocol_v2) = (true, true);
        let files = Self { directory: directory.to_owned(), port, provisioning: provisioning.sign(&issuer)? };

        let seed = files.seed("broker.seed")?;
        let claims = ServerClaims::new("broker", vec!["choria".to_owned()], seed.public(), VALIDITY, now, &mut random)?;
        files.put("broker.jwt", &claims.sign(&issuer)?)?;
        let admin = ClientPermissions { org_admin: true, ..ClientPermissions::default() };
        files.client("admin", "up=admin", admin, None, &issuer)?;
        let signs =
            ClientPermissions { fleet_management: true, server_provisioner: true, ..ClientPermissions::default() };
        files.client("signer", "up=provisioner", signs, Some(&organization), &issuer)?;
        files.put("broker.conf", &files.broker_conf(&public.to_string()))?;
        files.put("provisioner.yaml", &files.provisioner_yaml(workers, &public.to_string())?)?;
        files.put("choria.cfg", &files.choria_cfg())?;
        Ok(files)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// The name and the directory of a node without configuration.
    pub(super) fn node(&self, number: usize) -> anyhow::Result<(String, PathBuf)> {
        let name = format!("n{number}.example.net");
        let home = self.directory.join(&name);
        std::fs::create_dir_all(&home)?;
        std::fs::write(home.join("provisioning.jwt"), &self.provisioning)?;
        Ok((name, home))
    }

    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.directory.join(name), text)?)
    }

    fn seed(&self, name: &str) -> anyhow::Result<Seed> {
        let seed = Seed::generate();
        seed.write(&self.directory.join(name))?;
        Ok(seed)
    }

    /// Token and seed of a client; a chain issuer if it is given the organization's seed.
    fn client(
        &self,
        name: &str,
        caller: &str,
        permissions: ClientPermissions,
        appointed_by: Option<&Seed>,
        issuer: &SigningKey,
    ) -> anyhow::Result<()> {
        let seed = self.seed(&format!("{name}.seed"))?;
        let mut claims = ClientClaims::new(caller, VALIDITY, SystemTime::now(), &mut rand::thread_rng())?;
        claims.permissions = Some(permissions);
        claims.standard.public_key = Some(seed.public().to_string());
        if let Some(organization) = appointed_by {
            claims.standard.add_org_issuer(organization)?;
        }
        self.put(&format!("{name}.jwt"), &claims.sign(issuer)?)
    }

    fn broker_conf(&self, issuer: &str) -> String {
        let (port, path) = (self.port, |name| self.path(name));
        format!(
            "identity = broker\nloglevel = warn\nplugin.choria.broker_network = true\nplugin.choria.use_srv = false\n\
             plugin.choria.network.listen_address = 127.0.0.1\nplugin.choria.network.client_port = {port}\n\
             plugin.choria.network.stream.store = {}\nplugin.choria.network.provisioning.client_password = s3cret\n\
             plugin.security.provider = choria\nplugin.security.choria.token_file = {}\n\
             plugin.security.choria.seed_file = {}\nplugin.security.issuer.names = choria\n\
             plugin.security.issuer.choria.public = {issuer}\n\
             plugin.choria.adapters = registration\nplugin.choria.adapter.registration.type = choria_streams\n\
             plugin.choria.adapter.registration.stream.topic = choria.node_metadata.%s\n\
             plugin.choria.adapter.registration.ingest.topic = choria.broadcast.agent.registration\n\
             plugin.choria.adapter.registration.ingest.protocol = request\n",
            path("streams"),
            path("broker.jwt"),
            path("broker.seed")
        )
    }

    fn provisioner_yaml(&self, workers: usize, issuer: &str) -> anyhow::Result<String> {
        let this = std::env::current_exe()?;
        Ok(format!(
            "workers: {workers}\ninterval: 1m\nlogfile: {}\nloglevel: warn\nhelper: \"{} provision-helper {}\"\n\
             token: s3cret\nchoria_insecure: false\nsite: bench\nbroker_provisioning_password: s3cret\n\
             jwt_verify_cert: {issuer}\njwt_signing_key: {}\njwt_signing_token: {}\n\
             features:\n  jwt: true\n  ed25519: true\n",
            self.path("provisioner-own.log"),
            this.display(),
            self.port,
            self.path("signer.seed"),
            self.path("signer.jwt")
        ))
    }

    fn choria_cfg(&self) -> String {
        format!(
            "identity = provisioner\nplugin.choria.use_srv = false\nplugin.security.provider = choria\n\
             plugin.security.choria.token_file = {}\nplugin.security.choria.seed_file = {}\n\
             plugin.choria.middleware_hosts = 127.0.0.1:{}\n",
            self.path("signer.jwt"),
            self.path("signer.seed"),
            self.port
        )
    }
}

/// Longer than any measurement.
const VALIDITY: Duration = Duration::from_secs(24 * 3600);
