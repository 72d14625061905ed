//! How this broker is connected with others, and its further listeners (spec 01 §10, §11).

use super::Reader;
use crate::decision::Secret;
use crate::nats_config::{
    Gateway, LeafListener, LeafProof, LeafRemote, PeerTls, RemoteCluster, RemoteTls, RemoteUrl, WebSocket,
};
use config::{CommaList, Integer, Key, keys};
use network::{Search, ServerAddress};
use std::path::PathBuf;

/// What the configuration says about other brokers. Who the peers are is known only after DNS was asked.
#[derive(Clone, Debug)]
pub(crate) struct TopologySettings {
    pub(crate) peers: PeerSettings,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) leafnodes: Option<LeafListener>,
    pub(crate) leaf_remotes: Vec<LeafRemote>,
    pub(crate) websocket: Option<WebSocket>,
    pub(crate) certificates: ClientCertificates,
    /// Of client certificates.
    pub(crate) authority: Option<PathBuf>,
}

/// The cluster, as far as it is configured.
#[derive(Clone, Debug)]
pub(crate) struct PeerSettings {
    pub(crate) cluster_name: String,
    pub(crate) port: u16,
    /// Whether the port was chosen by the administrator, who then expects a cluster.
    pub(crate) port_is_set: bool,
    pub(crate) login: Option<(String, Secret)>,
    pub(crate) configured: Vec<ServerAddress>,
    /// SRV records are asked for first; `None` where that is switched off.
    pub(crate) search: Option<Search>,
    pub(crate) tls: Option<PeerTls>,
}

/// Which listeners demand a certificate of clients.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ClientCertificates {
    /// None.
    #[default]
    None,
    /// The one for web sockets.
    WebSocket,
    /// All.
    Required,
}

/// Reads all of it; what is wrong becomes a problem of `reader`.
pub(super) fn read(reader: &mut Reader<'_>, client_advertise: &str) -> TopologySettings {
    let authority = reader.config.get(keys::SECURITY_CHORIA_CA);
    let peer_tls = peer_tls(reader, authority.as_ref());
    let leafnodes = leaf_listener(reader, client_advertise, authority.as_ref());
    let websocket = websocket(reader);
    TopologySettings {
        peers: peers(reader, peer_tls.clone()),
        gateway: gateway(reader, peer_tls),
        leafnodes,
        leaf_remotes: leaf_remotes(reader),
        certificates: client_certificates(reader, websocket.is_some(), authority.is_some()),
        websocket,
        authority,
    }
}

fn peers(reader: &mut Reader<'_>, tls: Option<PeerTls>) -> PeerSettings {
    let config = reader.config;
    let configured = addresses(reader, keys::NETWORK_PEERS);
    let (user, password) = (keys::NETWORK_PEER_USER, keys::NETWORK_PEER_PASSWORD);
    let login = login(reader, user, password);
    let port = optional_port(reader, keys::NETWORK_PEER_PORT);
    let domain = config.get(keys::SRV_DOMAIN).map(str::to_owned);
    PeerSettings {
        cluster_name: cluster_name(reader),
        port: port.unwrap_or(PEER_PORT),
        port_is_set: port.is_some(),
        login,
        configured,
        search: config.get(keys::USE_SRV).then(|| Search::peers(domain)),
        tls,
    }
}

fn gateway(reader: &mut Reader<'_>, tls: Option<PeerTls>) -> Option<Gateway> {
    let names = reader.config.get(keys::NETWORK_GATEWAY_REMOTES).to_vec();
    let port = optional_port(reader, keys::NETWORK_GATEWAY_PORT);
    let (port_key, names_key) = (keys::NETWORK_GATEWAY_PORT.name(), keys::NETWORK_GATEWAY_REMOTES.name());
    let port = match (port, names.is_empty()) {
        (Some(port), false) => port,
        (None, true) => return None,
        (Some(_), true) => {
            reader.warn(port_key, format!("no effect without {names_key}, so there is no way to other clusters"));
            return None;
        }
        (None, false) => {
            reader.warn(names_key, format!("no effect without {port_key}, so there is no way to other clusters"));
            return None;
        }
    };
    let mut remotes = Vec::new();
    for name in names {
        let prefix = format!("plugin.choria.network.gateway_remote.{name}");
        let urls = urls(reader, &format!("{prefix}.urls"), "nats", &["nats", "tls"]);
        let own = remote_tls(reader, &prefix);
        let tls = match own {
            Switch::Off => None,
            Switch::Own(tls) => Some(tls),
            Switch::Default => tls.as_ref().map(|tls| RemoteTls {
                identity: reader.identity(),
                authority: Some(tls.authority.clone()),
                unverified: false,
            }),
        };
        remotes.push(RemoteCluster { name, urls, tls });
    }
    if tls.is_none() {
        let rule = "whoever reaches this port of the broker joins its network unproven and unencrypted; set \
            plugin.choria.network.peer_tls on all brokers, or let only those of the other clusters reach the port";
        reader.warn(port_key, rule);
    }
    Some(Gateway { name: cluster_name(reader), port, remotes, tls })
}

fn leaf_listener(reader: &mut Reader<'_>, client_advertise: &str, authority: Option<&PathBuf>) -> Option<LeafListener> {
    let key = keys::NETWORK_LEAFNODE_PORT;
    let (user, password) = (keys::NETWORK_LEAFNODE_USER, keys::NETWORK_LEAFNODE_PASSWORD);
    let login = login(reader, user, password);
    let port = optional_port(reader, key)?;
    let host = client_advertise.rsplit_once(':').map_or(client_advertise, |(host, _)| host);
    let proof = match (login, authority) {
        (Some((user, password)), _) => LeafProof::Password(user, password),
        (None, Some(authority)) => LeafProof::Certificate(authority.clone()),
        (None, None) => {
            let rule = "every leaf node is refused: set plugin.choria.network.leafnode_user and leafnode_password, \
                or plugin.security.choria.ca for leaf nodes with a certificate";
            reader.warn(key.name(), rule);
            LeafProof::None
        }
    };
    Some(LeafListener { port, advertise: format!("{host}:{port}"), proof })
}

fn leaf_remotes(reader: &mut Reader<'_>) -> Vec<LeafRemote> {
    let names = reader.config.get(keys::NETWORK_LEAFNODE_REMOTES).to_vec();
    let mut remotes = Vec::new();
    for name in names {
        let prefix = format!("plugin.choria.network.leafnode_remote.{name}");
        let urls =
            urls(reader, &format!("{prefix}.url"), "leafnode", &["leafnode", "nats-leaf", "nats", "tls", "ws", "wss"]);
        let text =
            |part: &str| reader.config.raw(&format!("{prefix}.{part}")).map(str::trim).filter(|text| !text.is_empty());
        let account = text("account").unwrap_or("choria").to_owned();
        let credentials = text("credentials").map(PathBuf::from);
        if !ACCOUNTS.contains(&account.as_str()) {
            let rule = "a leaf node joins one of the accounts choria, provisioning and system";
            reader.problem(&format!("{prefix}.account"), rule);
        }
        let tls = match remote_tls(reader, &prefix) {
            Switch::Off => {
                reader.warn(&format!("{prefix}.tls.disable"), "what this leaf node exchanges is not encrypted");
                None
            }
            Switch::Own(tls) => Some(tls),
            Switch::Default => {
                let authority = reader.config.get(keys::SECURITY_CHORIA_CA);
                let unverified = authority.is_none() || !reader.config.protection().verify_tls;
                Some(RemoteTls { identity: reader.identity(), authority, unverified })
            }
        };
        if tls.as_ref().is_some_and(|tls| tls.unverified) {
            let rule = format!(
                "the other broker is not verified, so anybody in between may pose as it; set {prefix}.tls.ca or \
                 plugin.security.choria.ca"
            );
            reader.warn(keys::NETWORK_LEAFNODE_REMOTES.name(), rule);
        }
        remotes.push(LeafRemote { urls, account, credentials, tls });
    }
    remotes
}

fn websocket(reader: &mut Reader<'_>) -> Option<WebSocket> {
    let port = optional_port(reader, keys::NETWORK_WEBSOCKET_PORT);
    let key = keys::NETWORK_WEBSOCKET_ADVERTISE;
    let advertise = reader.config.get(key).map(str::to_owned);
    let advertise = advertise.and_then(|text| match text.parse::<ServerAddress>() {
        Ok(address) => Some(format!("{}:{}", address.host(), address.port())),
        Err(error) => {
            reader.problem(key.name(), format!("what clients are told is name:port: {error}"));
            None
        }
    });
    Some(WebSocket { port: port?, advertise })
}

fn client_certificates(reader: &mut Reader<'_>, websocket: bool, authority: bool) -> ClientCertificates {
    let key = keys::NETWORK_CLIENT_CERTIFICATES;
    let wanted = match reader.config.get(key) {
        Some("websocket") => ClientCertificates::WebSocket,
        Some("required") => ClientCertificates::Required,
        _ => ClientCertificates::None,
    };
    let front = reader.config.get(keys::NETWORK_TLS_FRONT);
    if wanted == ClientCertificates::Required && front {
        let rule = "the TLS front verifies certificates and demands none; remove one of this and \
            plugin.choria.network.tls_front";
        reader.problem(key.name(), rule);
    }
    if wanted == ClientCertificates::None && authority && !front {
        reader.warn(
            keys::SECURITY_CHORIA_CA.name(),
            "clients are not asked for a certificate, so that those with a token need none, and connections without a \
             token are denied; plugin.choria.network.tls_front has certificates verified where there are some, and \
             client_certificates demands them",
        );
    }
    if wanted != ClientCertificates::None && !authority {
        reader.problem(key.name(), "certificates are verified with plugin.security.choria.ca, which is not set");
    }
    if wanted == ClientCertificates::WebSocket && !websocket {
        reader.problem(key.name(), "there is no such port: plugin.choria.network.websocket_port is not set");
    }
    wanted
}

/// Encryption and proof between brokers, where it is switched on.
fn peer_tls(reader: &mut Reader<'_>, authority: Option<&PathBuf>) -> Option<PeerTls> {
    let key = keys::NETWORK_PEER_TLS;
    if !reader.config.get(key) {
        return None;
    }
    if authority.is_none() || reader.config.get(keys::SECURITY_CHORIA_CERTIFICATE).is_none() {
        let rule = "brokers that prove themselves need plugin.security.choria.certificate, key and ca";
        reader.problem(key.name(), rule);
    }
    authority.map(|authority| PeerTls { authority: authority.clone() })
}

/// What a remote's own `tls` keys say.
enum Switch {
    Off,
    Own(RemoteTls),
    Default,
}

fn remote_tls(reader: &mut Reader<'_>, prefix: &str) -> Switch {
    let text =
        |part: &str| reader.config.raw(&format!("{prefix}.tls.{part}")).map(str::trim).filter(|text| !text.is_empty());
    // The original reads every other word as yes.
    let is_no = |text: &str| ["false", "no", "off", "0"].contains(&text);
    let disabled = text("disable").is_some_and(|text| !is_no(text));
    let verify = text("verify").is_none_or(|text| !is_no(text));
    let (certificate, key, authority) = (text("cert"), text("key"), text("ca"));
    let (certificate, key) = (certificate.map(PathBuf::from), key.map(PathBuf::from));
    if certificate.is_some() != key.is_some() {
        let missing = if key.is_none() { "key" } else { "cert" };
        reader.problem(&format!("{prefix}.tls.{missing}"), "certificate and key are set together or not at all");
    }
    if disabled {
        return Switch::Off;
    }
    let authority = authority.map(PathBuf::from);
    if certificate.is_none() && authority.is_none() && verify {
        return Switch::Default;
    }
    Switch::Own(RemoteTls { identity: certificate.zip(key), authority, unverified: !verify })
}

/// The addresses in the raw key `name`, which must hold one at least.
fn urls(reader: &mut Reader<'_>, name: &str, default_scheme: &str, schemes: &[&str]) -> Vec<RemoteUrl> {
    let text = reader.config.raw(name).unwrap_or_default().to_owned();
    let mut urls = Vec::new();
    for text in text.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match url(text, default_scheme, schemes) {
            Ok(url) => urls.push(url),
            Err(rule) => reader.problem(name, rule),
        }
    }
    if text.trim().is_empty() {
        reader.problem(name, "the addresses of this remote are needed here, as host:port, separated by commas");
    }
    urls
}

/// One address. No message repeats the user information, which is secret.
fn url(text: &str, default_scheme: &str, schemes: &[&str]) -> Result<RemoteUrl, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or((default_scheme, text));
    let scheme = scheme.to_ascii_lowercase();
    if !schemes.contains(&scheme.as_str()) {
        return Err(format!("{scheme:?} is not a way to reach another broker here; use {}", schemes.join(", ")));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let address: ServerAddress = host.parse().map_err(|error: network::InvalidAddress| error.to_string())?;
    if user.is_some_and(|user| user.is_empty() || !user.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err("user and password before the @ are letters, digits and signs; write others as %XX".to_owned());
    }
    Ok(RemoteUrl {
        scheme,
        user_information: user.map(str::to_owned),
        address: format!("{}:{}", address.host(), address.port()),
    })
}

fn addresses(reader: &mut Reader<'_>, key: Key<CommaList>) -> Vec<ServerAddress> {
    network::parse_addresses(reader.config.get(key)).unwrap_or_else(|error| {
        reader.problem(key.name(), error);
        Vec::new()
    })
}

/// User name and password, both or none.
fn login(reader: &mut Reader<'_>, user: Key<config::Text>, password: Key<config::Text>) -> Option<(String, Secret)> {
    match (reader.config.get(user), reader.config.get(password)) {
        (Some(user), Some(password)) => Some((user.to_owned(), Secret::new(password.to_owned()))),
        (None, None) => None,
        (Some(_), None) => {
            reader.problem(user.name(), format!("a user needs {} too", password.name()));
            None
        }
        (None, Some(_)) => {
            reader.problem(password.name(), format!("a password needs {} too", user.name()));
            None
        }
    }
}

/// `None` when the port is 0 or not set.
fn optional_port(reader: &mut Reader<'_>, key: Key<Integer>) -> Option<u16> {
    if reader.config.get(key) == 0 { None } else { Some(reader.port(key)) }
}

/// One name for the cluster and for it among other clusters.
fn cluster_name(reader: &mut Reader<'_>) -> String {
    let key = keys::NETWORK_GATEWAY_NAME;
    let name = reader.config.get(key).unwrap_or("CHORIA").to_owned();
    if name.is_empty() || name.contains(char::is_whitespace) {
        reader.problem(key.name(), "the name of a cluster is a word without spaces");
    }
    name
}

/// Where members of a cluster meet when nothing else is said (spec 01 §10).
const PEER_PORT: u16 = 5222;

/// The accounts of nats-server that a leaf node may join.
const ACCOUNTS: [&str; 3] = ["choria", "provisioning", "system"];
