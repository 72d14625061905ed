//! How brokers are connected with each other, and the listeners beside that for clients (spec 01 §11, spec 10 §3).
//!
//! Passwords are part of these values, so none of them prints its own.

use super::text::{quoted, quoted_path, seconds};
use super::{NatsConfig, TlsConfig};
use crate::decision::Secret;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything beside the listener for clients. The default is a broker alone.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// The cluster this broker is a member of.
    pub cluster: Option<Cluster>,
    /// The way to other clusters.
    pub gateway: Option<Gateway>,
    /// The listener for leaf nodes.
    pub leafnodes: Option<LeafListener>,
    /// Brokers that this one joins as a leaf node.
    pub leaf_remotes: Vec<LeafRemote>,
    /// The listener for web sockets.
    pub websocket: Option<WebSocket>,
}

/// The members of one cluster know each other by name and port; nothing is gossiped to clients.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The same for all members.
    pub name: String,
    /// Port for the other members.
    pub port: u16,
    /// What members present to each other; `None` lets in whoever reaches the port.
    pub login: Option<(String, Secret)>,
    /// `host:port` of the other members; itself among them does no harm.
    pub peers: Vec<String>,
    /// Members prove themselves by certificate.
    pub tls: Option<PeerTls>,
}

/// Certificates between brokers: both sides present one, signed by `authority`.
#[derive(Clone, Debug)]
pub struct PeerTls {
    /// PEM file of the certificates that sign those of brokers.
    pub authority: PathBuf,
}

/// The way to other clusters; unknown clusters are rejected.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Name of this cluster.
    pub name: String,
    /// Port for other clusters.
    pub port: u16,
    /// The other clusters.
    pub remotes: Vec<RemoteCluster>,
    /// Clusters prove themselves by certificate.
    pub tls: Option<PeerTls>,
}

/// Another cluster.
#[derive(Clone, Debug)]
pub struct RemoteCluster {
    /// Its name.
    pub name: String,
    /// Any of its members.
    pub urls: Vec<RemoteUrl>,
    /// Encryption of the way there; `None` for none.
    pub tls: Option<RemoteTls>,
}

/// The listener for leaf nodes.
#[derive(Clone, Debug)]
pub struct LeafListener {
    /// Its port.
    pub port: u16,
    /// `host:port` that leaf nodes are told.
    pub advertise: String,
    /// How leaf nodes prove themselves.
    pub proof: LeafProof,
}

/// How leaf nodes prove themselves.
#[derive(Clone, Debug)]
pub enum LeafProof {
    /// By user name and password; they join the account `choria`.
    Password(String, Secret),
    /// By a certificate that this PEM file's certificates signed; the callout then decides.
    Certificate(PathBuf),
    /// Not at all: the callout refuses them.
    None,
}

/// A broker that this one joins as a leaf node.
#[derive(Clone, Debug)]
pub struct LeafRemote {
    /// Any of its addresses.
    pub urls: Vec<RemoteUrl>,
    /// The local account that is joined.
    pub account: String,
    /// A NATS credentials file.
    pub credentials: Option<PathBuf>,
    /// Encryption; `None` for none.
    pub tls: Option<RemoteTls>,
}

/// What is presented to another broker and what is asked of it.
#[derive(Clone, Debug, Default)]
pub struct RemoteTls {
    /// Certificate and key to present.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Certificates that sign the other's; `None` for those of the system.
    pub authority: Option<PathBuf>,
    /// Whether the other is not verified at all.
    pub unverified: bool,
}

/// The address of another broker; may hold a user name and password, which it does not print.
#[derive(Clone, Eq, PartialEq)]
pub struct RemoteUrl {
    /// `leafnode`, `nats`, `tls`, `ws` or `wss`.
    pub scheme: String,
    /// `user:password`, encoded as URLs want it.
    pub user_information: Option<String>,
    /// `host:port`.
    pub address: String,
}

/// The listener for web sockets.
#[derive(Clone, Debug)]
pub struct WebSocket {
    /// Its port.
    pub port: u16,
    /// `host:port` that clients are told.
    pub advertise: Option<String>,
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

impl RemoteUrl {
    /// The whole URL, password included.
    fn exposed(&self) -> String {
        match &self.user_information {
            Some(user) => format!("{}://{user}@{}", self.scheme, self.address),
            None => format!("{}://{}", self.scheme, self.address),
        }
    }
}

impl NatsConfig {
    pub(super) fn write_topology(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_websocket(f)?;
        self.write_cluster(f)?;
        self.write_gateway(f)?;
        self.write_leafnodes(f)
    }

    /// The callout reaches nats-server through this listener, because neither the limit on new connections nor, as a
    /// rule, a demand for certificates applies to it. Without a port for clients it is open to this host alone, where
    /// nobody else gets in, for want of TLS.
    fn write_websocket(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(websocket) = &self.topology.websocket else {
            return f.write_str("websocket { listen: \"127.0.0.1:-1\", no_tls: true }\n");
        };
        writeln!(f, "websocket {{\n  host: {}\n  port: {}", quoted(&self.listen_address), websocket.port)?;
        if let Some(advertise) = &websocket.advertise {
            writeln!(f, "  advertise: {}", quoted(advertise))?;
        }
        f.write_str("  compression: true\n  handshake_timeout: \"2s\"\n")?;
        writeln!(f, "  authorization {{ timeout: {} }}", seconds(self.authentication_timeout))?;
        self.write_listener_tls(f, self.tls.websocket_authority.as_ref(), false)?;
        f.write_str("}\n")
    }

    fn write_cluster(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cluster) = &self.topology.cluster else { return Ok(()) };
        writeln!(f, "cluster {{\n  name: {}", quoted(&cluster.name))?;
        writeln!(f, "  host: {}\n  port: {}", quoted(&self.listen_address), cluster.port)?;
        f.write_str("  no_advertise: true\n  pool_size: -1\n")?;
        let mut login = String::new();
        if let Some((user, password)) = &cluster.login {
            let (user, password) = (user.as_str(), password.expose());
            writeln!(f, "  authorization {{ user: {}, password: {}, timeout: 2 }}", quoted(user), quoted(password))?;
            login = format!("{}:{}@", url_encoded(user), url_encoded(password));
        }
        if let Some(tls) = &cluster.tls {
            self.write_listener_tls(f, Some(&tls.authority), false)?;
        }
        f.write_str("  routes: [\n")?;
        for peer in &cluster.peers {
            writeln!(f, "    {}", quoted(&format!("nats-route://{login}{peer}")))?;
        }
        f.write_str("  ]\n}\n")
    }

    fn write_gateway(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(gateway) = &self.topology.gateway else { return Ok(()) };
        writeln!(f, "gateway {{\n  name: {}", quoted(&gateway.name))?;
        writeln!(f, "  host: {}\n  port: {}", quoted(&self.listen_address), gateway.port)?;
        f.write_str("  reject_unknown_cluster: true\n")?;
        if let Some(tls) = &gateway.tls {
            self.write_listener_tls(f, Some(&tls.authority), false)?;
        }
        f.write_str("  gateways: [\n")?;
        for remote in &gateway.remotes {
            writeln!(f, "    {{\n  name: {}\n  urls: [{}]", quoted(&remote.name), urls(&remote.urls))?;
            if let Some(tls) = &remote.tls {
                self.write_remote_tls(f, tls)?;
            }
            f.write_str("    }\n")?;
        }
        f.write_str("  ]\n}\n")
    }

    fn write_leafnodes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Topology { leafnodes, leaf_remotes, .. } = &self.topology;
        if leafnodes.is_none() && leaf_remotes.is_empty() {
            return Ok(());
        }
        f.write_str("leafnodes {\n")?;
        if let Some(listener) = leafnodes {
            writeln!(f, "  host: {}\n  port: {}", quoted(&self.listen_address), listener.port)?;
            writeln!(f, "  no_advertise: true\n  advertise: {}", quoted(&listener.advertise))?;
            let wait = seconds(LEAF_AUTHENTICATION);
            let authority = match &listener.proof {
                LeafProof::Password(user, password) => {
                    let (user, password) = (quoted(user), quoted(password.expose()));
                    writeln!(
                        f,
                        "  authorization {{ user: {user}, password: {password}, account: choria, timeout: {wait} }}"
                    )?;
                    None
                }
                LeafProof::Certificate(authority) => {
                    writeln!(f, "  authorization {{ timeout: {wait} }}")?;
                    Some(authority)
                }
                LeafProof::None => {
                    writeln!(f, "  authorization {{ timeout: {wait} }}")?;
                    None
                }
            };
            self.write_listener_tls(f, authority, false)?;
        }
        if !leaf_remotes.is_empty() {
            f.write_str("  remotes: [\n")?;
            for remote in leaf_remotes {
                self.write_leaf_remote(f, remote)?;
            }
            f.write_str("  ]\n")?;
        }
        f.write_str("}\n")
    }

    fn write_leaf_remote(&self, f: &mut fmt::Formatter<'_>, remote: &LeafRemote) -> fmt::Result {
        writeln!(f, "    {{\n  urls: [{}]\n  account: {}", urls(&remote.urls), quoted(&remote.account))?;
        f.write_str("  first_info_timeout: \"2s\"\n")?;
        if let Some(credentials) = &remote.credentials {
            writeln!(f, "  credentials: {}", quoted_path(credentials))?;
        }
        if let Some(tls) = &remote.tls {
            self.write_remote_tls(f, tls)?;
        }
        f.write_str("    }\n")
    }

    /// A `tls` block with the listener's certificate. With an `authority`, whoever connects must present a certificate.
    /// nats-server speaks TLS 1.2 at least, and 1.3 where it can.
    pub(super) fn write_listener_tls(
        &self,
        f: &mut fmt::Formatter<'_>,
        authority: Option<&PathBuf>,
        limited: bool,
    ) -> fmt::Result {
        let TlsConfig { certificate, key, timeout, connections_per_second, .. } = &self.tls;
        f.write_str("tls {\n")?;
        writeln!(f, "  cert_file: {}\n  key_file: {}", quoted_path(certificate), quoted_path(key))?;
        writeln!(f, "  timeout: {}", seconds(*timeout))?;
        if let Some(authority) = authority {
            writeln!(f, "  ca_file: {}\n  verify: true", quoted_path(authority))?;
        }
        if limited {
            writeln!(f, "  connection_rate_limit: {connections_per_second}")?;
        }
        self.write_suites(f)?;
        f.write_str("}\n")
    }

    fn write_remote_tls(&self, f: &mut fmt::Formatter<'_>, tls: &RemoteTls) -> fmt::Result {
        f.write_str("  tls {\n")?;
        if let Some((certificate, key)) = &tls.identity {
            writeln!(f, "  cert_file: {}\n  key_file: {}", quoted_path(certificate), quoted_path(key))?;
        }
        if let Some(authority) = &tls.authority {
            writeln!(f, "  ca_file: {}", quoted_path(authority))?;
        }
        if tls.unverified {
            f.write_str("  insecure: true\n")?;
        }
        writeln!(f, "  timeout: {}", seconds(self.tls.timeout))?;
        self.write_suites(f)?;
        f.write_str("  }\n")
    }
}

fn urls(urls: &[RemoteUrl]) -> String {
    urls.iter().map(|url| quoted(&url.exposed())).collect::<Vec<_>>().join(", ")
}

/// `text` as a part of a URL's user information: everything but letters, digits, `-`, `.`, `_` and `~` is encoded.
fn url_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What the existing broker allows leaf nodes (spec 01 §11).
const LEAF_AUTHENTICATION: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_cannot_end_its_url() {
        let rows = [("plain-1._~", "plain-1._~"), ("p@ss:w/rd", "p%40ss%3Aw%2Frd"), ("ü", "%C3%BC"), ("", "")];
        for (text, expected) in rows {
            assert_eq!(url_encoded(text), expected, "{text}");
        }
    }

    #[test]
    fn no_password_is_printed() {
        let url = RemoteUrl {
            scheme: "leafnode".to_owned(),
            user_information: Some("leaf:s3cret".to_owned()),
            address: "hub:7422".to_owned(),
        };
        let remote = LeafRemote { urls: vec![url], account: "choria".to_owned(), credentials: None, tls: None };
        let cluster = Cluster {
            name: "CHORIA".to_owned(),
            port: 5222,
            login: Some(("peer".to_owned(), Secret::new("s3cret".to_owned()))),
            peers: Vec::new(),
            tls: None,
        };
        let topology = Topology { cluster: Some(cluster), leaf_remotes: vec![remote], ..Topology::default() };
        let printed = format!("{topology:?}");
        assert!(printed.contains("leafnode://hub:7422") && !printed.contains("s3cret"), "{printed}");
    }
}
