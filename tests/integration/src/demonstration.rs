//! The first half of the demonstration network: a broker, an AAA service, a provisioner, and servers that have nothing
//! but a provisioning token.

use crate::{Lab, PATIENCE, Process, free_port};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What all users of the demonstration log in with.
pub const PASSWORD: &str = "secret";
/// What the agent `choria_provision` asks for.
pub const PROVISION_TOKEN: &str = "s3cret-token";
/// What the provisioner presents to the broker.
pub const BROKER_PASSWORD: &str = "lab-provisioning";

/// A laboratory with the parts that provision its servers and log its users in; nothing is started.
#[derive(Debug)]
pub struct Demonstration {
    /// Issuer, broker, folder.
    pub lab: Lab,
    /// The AAA service's HTTPS port.
    pub aaa_port: u16,
    /// The AAA service's statistics port.
    pub aaa_statistics: u16,
    /// The provisioner's statistics port.
    pub provisioner_statistics: u16,
}

impl Demonstration {
    /// All credentials and configuration files, made by the command line as an administrator would.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a laboratory is a place with effects, not a value")]
    pub fn new() -> Self {
        let new = Self {
            lab: Lab::new(),
            aaa_port: free_port(),
            aaa_statistics: free_port(),
            provisioner_statistics: free_port(),
        };
        new.provisioner_credentials();
        new.aaa_credentials();
        // In a folder of their own: a file called `choria.conf` in the working directory counts for every program.
        std::fs::create_dir(new.lab.path("users")).expect("a folder for users");
        for user in ["choria", "admin", "streams"] {
            new.user(user);
        }
        new
    }

    /// Starts the AAA service and waits until it is ready.
    #[must_use]
    pub fn start_aaa(&self) -> Process {
        self.lab.start("choria-aaasvc", &["run", "--config", "aaa.json"]).ready()
    }

    /// Starts a provisioner and waits until it is ready.
    #[must_use]
    pub fn start_provisioner(&self) -> Process {
        self.start_provisioner_as("provisioner")
    }

    /// Starts a provisioner with the files `NAME.yaml` and `NAME.cfg`.
    #[must_use]
    pub fn start_provisioner_as(&self, name: &str) -> Process {
        let (yaml, cfg) = (format!("{name}.yaml"), format!("{name}.cfg"));
        self.lab.start("choria-provisioner", &["run", "--config", &yaml, "--choria-config", &cfg]).ready()
    }

    /// Makes the folder of a server that has nothing but the provisioning token, and starts it.
    #[must_use]
    pub fn start_server(&self, identity: &str) -> Process {
        let folder = self.lab.path(identity);
        std::fs::create_dir_all(&folder).expect("a folder for a server");
        std::fs::copy(self.lab.path("waiting.jwt"), folder.join("provisioning.jwt")).expect("a copy of the token");
        self.restart_server(identity)
    }

    /// Starts a server in the folder it has.
    #[must_use]
    pub fn restart_server(&self, identity: &str) -> Process {
        let config = format!("{identity}/server.conf");
        self.lab.start("choria-server", &["--config", &config, "--identity", identity]).ready()
    }

    /// The path of one file of a server.
    #[must_use]
    pub fn of(&self, identity: &str, file: &str) -> PathBuf {
        self.lab.path(identity).join(file)
    }

    /// Logs `user` in with this password; gives the exit code and what was said.
    pub fn try_login(&self, user: &str, password: &str) -> crate::Output {
        let config = self.lab.path(&format!("users/{user}.conf")).display().to_string();
        let lines = format!("{user}\n{password}\n");
        Process::start_with_input(&self.lab, "choria", &["login"], &[("CHORIA_CONFIG", &config)], &lines).output()
    }

    /// Logs `user` in.
    pub fn login(&self, user: &str) {
        self.try_login(user, PASSWORD).succeeded();
    }

    /// Runs the client as `user` to its end.
    pub fn choria(&self, user: &str, arguments: &[&str]) -> crate::Output {
        self.lab.choria_as(&format!("users/{user}"), arguments)
    }

    /// Waits until exactly these servers answer to `user`, who is logged in.
    ///
    /// # Panics
    /// When that is not so in time.
    pub fn wait_for_fleet(&self, user: &str, count: usize) {
        self.wait_for_fleet_within(user, count, PATIENCE);
    }

    /// As `wait_for_fleet` with a limit of its own.
    ///
    /// # Panics
    /// When that is not so in time.
    pub fn wait_for_fleet_within(&self, user: &str, count: usize, limit: Duration) {
        let began = Instant::now();
        let expect = count.to_string();
        loop {
            let output = self.choria(user, &["ping", "--names", "--timeout", "2", "--expect", &expect]);
            if output.stdout.lines().count() == count {
                return;
            }
            assert!(began.elapsed() < limit, "no {count} answers within {limit:?}, last:\n{output:?}");
        }
    }

    /// What the shell helper of these tests answers, with `more` as further lines of shell before the answer.
    pub fn helper(&self, file: &str, more: &str) {
        let folder = self.lab.folder().display();
        let issuer = &self.lab.issuer;
        let port = self.lab.port;
        let text = format!(
            r#"#!/bin/sh
input=$(cat)
identity=$(printf %s "$input" | sed -n 's/^{{"identity":"\([^"]*\)".*/\1/p')
directory={folder}/$identity
{more}
cat <<END
{{"defer":false,"msg":"done","configuration":{{
 "identity":"$identity","loglevel":"info","plugin.choria.server.provision":"false",
 "plugin.choria.middleware_hosts":"nats://127.0.0.1:{port}","plugin.choria.use_srv":"false","collectives":"choria",
 "rpcauthorization":"1","rpcauthprovider":"aaasvc","rpcaudit":"1","plugin.rpcaudit.logfile":"$directory/audit.log",
 "plugin.security.issuer.names":"choria","plugin.security.issuer.choria.public":"{issuer}",
 "plugin.security.provider":"choria",
 "plugin.security.choria.token_file":"$directory/server.jwt",
 "plugin.security.choria.seed_file":"$directory/server.seed"}},
 "server_claims":{{"permissions":{{"streams":true,"submission":true,"service_host":true}}}}}}
END
"#
        );
        self.lab.write(file, &text);
        executable(&self.lab.path(file));
    }

    fn provisioner_credentials(&self) {
        let lab = &self.lab;
        let public = lab.keys("signer");
        let arguments =
            ["jwt", "client", "signer.jwt", "provisioner_signer", "issuer.seed", "--public-key", &public, "--issuer"];
        let rights = ["--server-provisioner", "--stream-user", "--elections-user", "--validity", "30d"];
        lab.choria(&[&arguments[..], &rights[..]].concat()).succeeded();
        // Not called provisioning.jwt, which ordinary servers of the same folder would find.
        let url = format!("nats://127.0.0.1:{}", lab.port);
        let target = ["jwt", "provisioning", "waiting.jwt", "issuer.seed", "--token", PROVISION_TOKEN, "--urls", &url];
        let kind = ["--default", "--protocol-v2", "--insecure", "--update", "--validity", "30d"];
        lab.choria(&[&target[..], &kind[..]].concat()).succeeded();
        self.provisioner_files("provisioner");
        self.helper("helper", "");
    }

    /// `NAME.yaml` and `NAME.cfg` of a provisioner.
    pub fn provisioner_files(&self, name: &str) {
        let lab = &self.lab;
        let folder = lab.folder().display();
        lab.write(
            &format!("{name}.cfg"),
            &format!(
                "identity = {name}\nplugin.security.provider = choria\n\
                 plugin.security.choria.token_file = {folder}/signer.jwt\n\
                 plugin.security.choria.seed_file = {folder}/signer.seed\n\
                 plugin.choria.middleware_hosts = 127.0.0.1:{}\nplugin.choria.use_srv = false\n",
                lab.port
            ),
        );
        lab.write(
            &format!("{name}.yaml"),
            &format!(
                "workers: 4\ninterval: 1m\nlogfile: stderr\nloglevel: info\nhelper: {folder}/helper\n\
                 token: {PROVISION_TOKEN}\nsite: testing\nbroker_provisioning_password: {BROKER_PASSWORD}\n\
                 jwt_verify_cert: {issuer}\njwt_signing_key: {folder}/signer.seed\njwt_signing_token: {folder}/signer.jwt\n\
                 monitor_port: {port}\nfeatures:\n  jwt: true\n  ed25519: true\n",
                issuer = lab.issuer,
                port = if name == "provisioner" { self.provisioner_statistics } else { 0 },
            ),
        );
    }

    fn aaa_credentials(&self) {
        let lab = &self.lab;
        let chain = lab.keys("chain");
        let issue = ["jwt", "client", "chain.jwt", "aaa_chain_delegator", "issuer.seed", "--public-key", &chain];
        lab.choria(&[&issue[..], &["--issuer", "--no-fleet-management", "--validity", "365d"]].concat()).succeeded();
        let signer = lab.keys("reqsign");
        let issue = ["jwt", "client", "reqsign.jwt", "aaa_request_signer", "issuer.seed", "--public-key", &signer];
        lab.choria(&[&issue[..], &["--no-fleet-management", "--auth-delegation", "--validity", "365d"]].concat())
            .succeeded();
        let service = lab.keys("service");
        let issue = ["jwt", "server", "service.jwt", "aaa.lab.example.net", &service, "issuer.seed"];
        lab.choria(&[&issue[..], &["--collectives", "choria", "--service", "--validity", "365d"]].concat()).succeeded();
        lab.write(
            "choria.rego",
            "package io.choria.aaasvc\n\ndefault allow = false\n\nallow {\n  input.agent != \"choria_provision\"\n}\n",
        );
        lab.write("admin.rego", "package io.choria.aaasvc\n\ndefault allow = true\n");
        let folder = lab.folder().display().to_string();
        certificate(lab);
        lab.write(
            "aaa.conf",
            &format!(
                "identity = aaa.lab.example.net\nplugin.security.provider = choria\n\
                 plugin.security.choria.seed_file = {folder}/service.seed\n\
                 plugin.security.choria.token_file = {folder}/service.jwt\n\
                 plugin.choria.middleware_hosts = 127.0.0.1:{}\nplugin.choria.use_srv = false\ncollectives = choria\n",
                lab.port
            ),
        );
        let hash = self.crypt(PASSWORD);
        let user = |name: &str, policy: Option<&str>, permissions: serde_json::Value| {
            let mut user = serde_json::json!({"username": name, "password": hash, "broker_permissions": permissions});
            if let Some(policy) = policy {
                user["opa_policy_file"] = format!("{folder}/{policy}").into();
            }
            user
        };
        let document = serde_json::json!({
            "choria_config": format!("{folder}/aaa.conf"),
            "logfile": "/dev/stdout", "loglevel": "info",
            "authenticator": "userlist", "authorizer": "opa", "signer": "basicjwt",
            "monitor_port": self.aaa_statistics, "site": "lab",
            "tls_certificate": format!("{folder}/aaa.crt"), "tls_key": format!("{folder}/aaa.key"),
            "port": self.aaa_port,
            "auditors": ["logfile"], "logfile_auditor": {"logfile": format!("{folder}/signer_audit.json")},
            "basicjwt_signer": {
                "signing_certificate": format!("{folder}/chain.public"),
                "signing_token": format!("{folder}/reqsign.jwt"), "signing_seed": format!("{folder}/reqsign.seed"),
                "max_validity": "2h", "choria_service": true,
            },
            "userlist_authenticator": {
                "signing_key": format!("{folder}/chain.seed"), "signing_token": format!("{folder}/chain.jwt"),
                "validity": "1h",
                "users": [
                    user("admin", Some("admin.rego"),
                        serde_json::json!({"org_admin": true, "system_user": true, "signed_fleet_management": true})),
                    user("streams", None, serde_json::json!({"streams_admin": true})),
                    user("choria", Some("choria.rego"),
                        serde_json::json!({"signed_fleet_management": true, "events_viewer": true})),
                ],
            },
        });
        lab.write("aaa.json", &serde_json::to_string_pretty(&document).expect("JSON"));
    }

    /// The client configuration `users/USER.conf` of somebody who logs in.
    pub fn user(&self, user: &str) {
        let folder = self.lab.folder().display();
        self.lab.write(
            &format!("users/{user}.conf"),
            &format!(
                "loglevel = warn\nplugin.choria.middleware_hosts = 127.0.0.1:{}\nplugin.choria.use_srv = false\n\
                 plugin.choria.security.request_signer.service = true\n\
                 plugin.login.aaasvc.login.url = https://127.0.0.1:{}/choria/v1/login\n\
                 plugin.security.provider = choria\n\
                 plugin.security.choria.token_file = {folder}/users/{user}/client.jwt\n\
                 plugin.security.choria.seed_file = {folder}/users/{user}/client.key\n",
                self.lab.port, self.aaa_port
            ),
        );
    }

    /// The bcrypt hash that `choria-aaasvc crypt` makes.
    #[must_use]
    pub fn crypt(&self, password: &str) -> String {
        let output =
            Process::start_with_input(&self.lab, "choria-aaasvc", &["crypt"], &[], &format!("{password}\n")).output();
        output.succeeded().trim().to_owned()
    }
}

fn executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("permissions of a helper");
}

/// `aaa.crt` and `aaa.key` for 127.0.0.1, self-signed.
fn certificate(lab: &Lab) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    lab.write("aaa.crt", &made.cert.pem());
    lab.write("aaa.key", &made.key_pair.serialize_pem());
}
