//! The configuration file of nats-server, rendered from typed values (spec 10 §3).
//!
//! Pure. Every text that comes from an administrator or a token passes through `quoted`, so a value cannot end its
//! own string and start a setting. `text.rs` does that, `topology.rs` holds what connects brokers with each other.

mod text;
mod topology;

pub use topology::{
    Cluster, Gateway, LeafListener, LeafProof, LeafRemote, PeerTls, RemoteCluster, RemoteTls, RemoteUrl, Topology,
    WebSocket,
};

use crate::{departures, roll_call};
use names::{Identity, NetworkId};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use text::{quoted, quoted_list, quoted_path, seconds};

/// Everything nats-server is told.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// Name of the server; also makes the name of its callout account.
    pub server_name: Identity,
    /// Address of the listener for clients, without a port; `::` is every address of both families.
    pub listen_address: String,
    /// Port of the listener for clients.
    pub client_port: u16,
    /// `host:port` that clients are told to come back to.
    pub client_advertise: String,
    /// `address:port` of nats-server's monitoring, which has no access control; `None` for no listener.
    pub monitoring: Option<String>,
    /// A private directory, into which nats-server writes the ports it chose itself.
    pub ports_directory: PathBuf,
    /// Encryption of the listener for clients.
    pub tls: TlsConfig,
    /// Whether clients come through this process's TLS front: nats-server then listens for them on a loopback port of
    /// its own choice, without encryption.
    pub front: bool,
    /// How long a connection may take to authenticate, the wait for the callout included.
    pub authentication_timeout: Duration,
    /// How long a write to a client may take before the client counts as slow and is dropped.
    pub write_deadline: Duration,
    /// The most connections at a time, those of this process included; more are turned away.
    pub max_connections: u32,
    /// Where streams are stored; `None` for no streams.
    pub stream_store: Option<PathBuf>,
    /// Whether there is an account for nodes that wait to be provisioned.
    pub provisioning: bool,
    /// Subjects of the account `choria` that are mapped: source and destination.
    pub mappings: Vec<(String, String)>,
    /// Whether nats-server logs details of connections. Its trace level is never used: it logs tokens.
    pub debug: bool,
    /// Public keys of the callout.
    pub callout: CalloutKeys,
    /// How this broker is connected with others.
    pub topology: Topology,
}

/// Encryption of the listener for clients.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// PEM file with the certificate and its chain.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// How long a handshake may take.
    pub timeout: Duration,
    /// How many handshakes are begun in one second; the rest is turned away and comes back.
    pub connections_per_second: u32,
    /// Cipher suites by their Go names; empty for nats-server's own choice.
    pub cipher_suites: Vec<String>,
    /// Curves by their Go names; empty for nats-server's own choice.
    pub curves: Vec<String>,
    /// PEM file of the certificates that sign those which the listener for clients demands; `None` demands none.
    pub client_authority: Option<PathBuf>,
    /// The same for the listener for web sockets.
    pub websocket_authority: Option<PathBuf>,
}

/// The public keys that connect nats-server with this process.
#[derive(Clone, Debug)]
pub struct CalloutKeys {
    /// Account key that signs the callout's answers.
    pub issuer: String,
    /// Curve key that questions are sealed to.
    pub curve: String,
    /// User key of the callout's own connection.
    pub service: String,
    /// User key of the connection that manages streams; may do everything in the account `choria`.
    pub internal: String,
    /// User key of the connection that listens to the ends of connections; may do nothing else.
    pub listener: String,
}

impl fmt::Display for NatsConfig {
    /// The whole file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_server(f)?;
        if !self.front {
            self.write_listener_tls(f, self.tls.client_authority.as_ref(), true)?;
        }
        self.write_topology(f)?;
        self.write_callout(f)?;
        f.write_str("accounts {\n")?;
        self.write_system_account(f)?;
        self.write_callout_account(f)?;
        self.write_choria_account(f)?;
        if self.provisioning {
            f.write_str(PROVISIONING_ACCOUNT)?;
        }
        f.write_str("}\n")
    }
}

impl NatsConfig {
    fn write_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "server_name: {}", quoted(self.server_name.as_str()))?;
        if self.front {
            f.write_str("host: \"127.0.0.1\"\nport: -1\n")?;
        } else {
            writeln!(f, "host: {}", quoted(&self.listen_address))?;
            writeln!(f, "port: {}", self.client_port)?;
        }
        writeln!(f, "client_advertise: {}", quoted(&self.client_advertise))?;
        if let Some(address) = &self.monitoring {
            writeln!(f, "http: {}", quoted(address))?;
        }
        writeln!(f, "ports_file_dir: {}", quoted_path(&self.ports_directory))?;
        writeln!(f, "logtime: false\ndebug: {}", self.debug)?;
        writeln!(f, "max_control_line: {MAX_CONTROL_LINE}\nmax_payload: {MAX_PAYLOAD}")?;
        writeln!(f, "max_connections: {}", self.max_connections)?;
        writeln!(f, "write_deadline: \"{}ms\"", self.write_deadline.as_millis())?;
        f.write_str("lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"2s\"\nsystem_account: system\n")?;
        if self.provisioning {
            writeln!(f, "ping_interval: \"{PING_SECONDS}s\"\nping_max: {PINGS}")?;
        }
        if let Some(store) = &self.stream_store {
            writeln!(f, "jetstream {{ store_dir: {} }}", quoted_path(store))?;
        }
        Ok(())
    }

    /// The suites and curves, the same for every listener and every remote.
    fn write_suites(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = &self.tls;
        if !tls.cipher_suites.is_empty() {
            writeln!(f, "  cipher_suites: [{}]", quoted_list(&tls.cipher_suites))?;
        }
        if !tls.curves.is_empty() {
            writeln!(f, "  curve_preferences: [{}]", quoted_list(&tls.curves))?;
        }
        Ok(())
    }

    fn write_callout(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = &self.callout;
        writeln!(f, "authorization {{\n  timeout: {}", seconds(self.authentication_timeout))?;
        writeln!(f, "  auth_callout {{")?;
        writeln!(f, "    issuer: {}, account: {}", quoted(&keys.issuer), self.callout_account())?;
        writeln!(
            f,
            "    auth_users: [{}, {}, {}]",
            quoted(&keys.service),
            quoted(&keys.internal),
            quoted(&keys.listener)
        )?;
        writeln!(f, "    xkey: {}\n  }}\n}}", quoted(&keys.curve))
    }

    /// The one user that is configured there hears what it must and says next to nothing; everybody else asks the
    /// callout.
    fn write_system_account(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hears = vec![departures::SUBJECT.to_owned()];
        let mut says = "deny: [\">\"]".to_owned();
        if self.provisioning {
            hears.extend([roll_call::ARRIVALS.to_owned(), roll_call::answers_subject(&self.server_name)]);
            says = format!("allow: [{}, {}]", quoted(roll_call::QUESTION), quoted(roll_call::KICK));
        }
        writeln!(f, "  system: {{ users: [ {{ nkey: {}, permissions: {{", quoted(&self.callout.listener))?;
        writeln!(f, "    subscribe: {{ allow: [{}] }}, publish: {{ {says} }}\n  }} }} ] }}", quoted_list(&hears))
    }

    fn write_callout_account(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}: {{", self.callout_account())?;
        writeln!(f, "    users: [ {{ nkey: {}, permissions: {{", quoted(&self.callout.service))?;
        f.write_str("      subscribe: { allow: [\"$SYS.REQ.USER.AUTH\"] }, publish: { allow: [\"$SYS._INBOX.>\"] }\n")?;
        f.write_str("    } } ]\n  }\n")
    }

    fn write_choria_account(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("  choria: {\n")?;
        if self.stream_store.is_some() {
            f.write_str("    jetstream: enabled\n")?;
        }
        writeln!(f, "    users: [ {{ nkey: {} }} ]", quoted(&self.callout.internal))?;
        if !self.mappings.is_empty() {
            f.write_str("    mappings: {\n")?;
            for (source, destination) in &self.mappings {
                writeln!(f, "      {}: {}", quoted(source), quoted(destination))?;
            }
            f.write_str("    }\n")?;
        }
        if self.provisioning {
            f.write_str(CHORIA_SHARES_WITH_PROVISIONING)?;
        }
        f.write_str("  }\n")
    }

    /// One account per server: its questions then never reach the callout of another server of the cluster.
    fn callout_account(&self) -> String {
        format!("AUTH_{}", NetworkId::of(self.server_name.as_str()))
    }
}

/// Choria sends its token twice in one line: this allows tokens of about 32 KB (spec 10 §9).
const MAX_CONTROL_LINE: &str = "64KB";

/// The largest message, nats-server's default: written out because tokens must fit twice.
const MAX_PAYLOAD: &str = "1MB";

/// How often a silent client is asked whether it lives, where nodes wait to be provisioned. A node whose network was cut
/// comes back while nats-server has its old connection, and its name is free only when that is known to be dead: after
/// at most `PING_SECONDS` x (`PINGS` + 2). With nats-server's own two minutes it would take eight.
const PING_SECONDS: u32 = 20;

/// Questions without an answer after which a connection is dead.
const PINGS: u32 = 2;

/// What the account `choria` gives to the account `provisioning` and takes from it (spec 01 §9).
const CHORIA_SHARES_WITH_PROVISIONING: &str = r#"    imports: [ { stream: { account: provisioning, subject: "choria.lifecycle.>" } } ]
    exports: [
      { service: "$JS.API.STREAM.INFO.KV_CHORIA_LEADER_ELECTION", accounts: [ provisioning ] }
      { service: "$KV.CHORIA_LEADER_ELECTION.provisioner", accounts: [ provisioning ] }
    ]
"#;

/// The account for nodes that wait to be provisioned and for the provisioner, which elects its leader through the
/// imported bucket (spec 01 §9).
const PROVISIONING_ACCOUNT: &str = r#"  provisioning: {
    exports: [ { stream: "choria.lifecycle.>", accounts: [ choria ] } ]
    imports: [
      { service: { account: choria, subject: "$JS.API.STREAM.INFO.KV_CHORIA_LEADER_ELECTION" }, to: "choria.streams.STREAM.INFO.KV_CHORIA_LEADER_ELECTION" }
      { service: { account: choria, subject: "$KV.CHORIA_LEADER_ELECTION.provisioner" } }
      { service: { account: choria, subject: "$KV.CHORIA_LEADER_ELECTION.provisioner" }, to: "choria.streams.$KV.CHORIA_LEADER_ELECTION.provisioner" }
    ]
  }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_and_provisioning_appear_only_when_asked_for() {
        let mut config = example();
        let text = config.to_string();
        for part in ["jetstream", "provisioning", "http:", "mappings", "cipher_suites"] {
            assert!(!text.contains(part), "{part} in\n{text}");
        }
        config.stream_store = Some("/data".into());
        config.provisioning = true;
        config.monitoring = Some("127.0.0.1:8222".to_owned());
        config.mappings = vec![("old.*".to_owned(), "new.$1".to_owned())];
        let text = config.to_string();
        for part in [
            "jetstream { store_dir: \"/data\" }",
            "jetstream: enabled",
            "  provisioning: {",
            "http: \"127.0.0.1:8222\"",
            "\"old.*\": \"new.$1\"",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
    }

    #[test]
    fn behind_the_front_clients_have_a_loopback_port_without_tls() {
        let text = NatsConfig { front: true, ..example() }.to_string();
        assert!(text.contains("host: \"127.0.0.1\"\nport: -1\n"), "{text}");
        assert!(!text.contains("tls {") && !text.contains("port: 4222"), "{text}");
        assert!(text.contains("client_advertise: \"b1.example.net:4222\""), "{text}");
    }

    fn example() -> NatsConfig {
        NatsConfig {
            server_name: "b1.example.net".parse().unwrap(),
            listen_address: "::".to_owned(),
            client_port: 4222,
            client_advertise: "b1.example.net:4222".to_owned(),
            monitoring: None,
            ports_directory: "/run/choria-broker".into(),
            tls: TlsConfig {
                certificate: "/etc/c.pem".into(),
                key: "/etc/k.pem".into(),
                timeout: Duration::from_secs(2),
                connections_per_second: 300,
                cipher_suites: Vec::new(),
                curves: Vec::new(),
                client_authority: None,
                websocket_authority: None,
            },
            front: false,
            authentication_timeout: Duration::from_secs(4),
            write_deadline: Duration::from_secs(10),
            max_connections: 50_000,
            stream_store: None,
            provisioning: false,
            mappings: Vec::new(),
            debug: false,
            callout: CalloutKeys {
                issuer: "A".to_owned(),
                curve: "X".to_owned(),
                service: "US".to_owned(),
                internal: "UI".to_owned(),
                listener: "UL".to_owned(),
            },
            topology: Topology::default(),
        }
    }
}
