//! From what a broker is made of to the configuration of one run of nats-server, and the way into that run.

use crate::admission;
use crate::broker::Parts;
use crate::callout::Keys;
use crate::internal::Access;
use crate::listener_files::Placed;
use crate::nats_config::{CalloutKeys, Cluster, NatsConfig, TlsConfig, Topology};
use crate::readiness;
use crate::settings::{ClientCertificates, Settings};
use nkeys::KeyPair;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The configuration of one run, with fresh keys.
pub(crate) fn nats_config(
    parts: &Parts,
    keys: &Keys,
    service: &KeyPair,
    internal: &KeyPair,
    listener: &KeyPair,
    files: &Placed,
) -> NatsConfig {
    let settings = &parts.settings;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let connections_per_second = admission::connections_per_second(processors, admission::cpu_pressure());
    tracing::info!(connections_per_second, "at most {connections_per_second} connections may begin in a second");
    let config = NatsConfig {
        server_name: settings.identity.clone(),
        listen_address: settings.listen_address.clone(),
        client_port: settings.client_port,
        client_advertise: settings.client_advertise.clone(),
        monitoring: settings.statistics.as_ref().map(|_| LOOPBACK_ANY_PORT.to_owned()),
        ports_directory: parts.directory.path().to_owned(),
        tls: TlsConfig {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            timeout: settings.tls_timeout,
            connections_per_second,
            cipher_suites: settings.cipher_suites.clone(),
            curves: settings.curves.clone(),
            client_authority: None,
            websocket_authority: None,
        },
        front: settings.front.is_some(),
        authentication_timeout: settings.authentication_timeout,
        write_deadline: settings.write_deadline,
        max_connections: settings.max_connections,
        stream_store: settings.streams.as_ref().map(|streams| streams.store.clone()),
        provisioning: settings.policy.provisioning.is_some(),
        mappings: settings.mappings.clone(),
        debug: settings.debug,
        callout: CalloutKeys {
            issuer: keys.issuer.public_key(),
            curve: keys.curve.public_key().to_owned(),
            service: service.public_key(),
            internal: internal.public_key(),
            listener: listener.public_key(),
        },
        topology: topology(parts),
    };
    with_files(&config, settings, files)
}

/// The same configuration with other files of the listeners.
pub(crate) fn with_files(config: &NatsConfig, settings: &Settings, files: &Placed) -> NatsConfig {
    let wanted = settings.topology.certificates;
    let authority = |demanded: bool| files.authority.clone().filter(|_| demanded);
    let tls = TlsConfig {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        client_authority: authority(wanted == ClientCertificates::Required),
        websocket_authority: authority(wanted != ClientCertificates::None),
        ..config.tls.clone()
    };
    NatsConfig { tls, ..config.clone() }
}

/// How this broker is connected with others, now that the peers are known.
fn topology(parts: &Parts) -> Topology {
    let settings = &parts.settings.topology;
    let cluster = (!parts.peers.is_empty()).then(|| Cluster {
        name: settings.peers.cluster_name.clone(),
        port: settings.peers.port,
        login: settings.peers.login.clone(),
        peers: parts.peers.iter().map(|peer| format!("{}:{}", peer.host(), peer.port())).collect(),
        tls: settings.peers.tls.clone(),
    });
    Topology {
        cluster,
        gateway: settings.gateway.clone(),
        leafnodes: settings.leafnodes.clone(),
        leaf_remotes: settings.leaf_remotes.clone(),
        websocket: settings.websocket.clone(),
    }
}

/// Every file whose replacement nats-server must be told of, the listener's own first.
pub(crate) fn watched_files(parts: &Parts) -> Vec<&Path> {
    let topology = &parts.settings.topology;
    let gateways =
        topology.gateway.iter().flat_map(|gateway| &gateway.remotes).filter_map(|remote| remote.tls.as_ref());
    let remotes = topology.leaf_remotes.iter().filter_map(|remote| remote.tls.as_ref()).chain(gateways);
    let mut files = vec![parts.certificate.certificate.as_path(), parts.certificate.key.as_path()];
    files.extend(topology.authority.as_deref());
    for remote in remotes {
        files.extend(remote.authority.as_deref());
        files.extend(remote.identity.iter().flat_map(|(certificate, key)| [certificate.as_path(), key.as_path()]));
    }
    files
}

/// Where nats-server listens.
#[derive(Debug)]
pub(crate) struct Ports {
    /// The way to its websocket listener, for this process.
    pub(crate) internal: Access,
    /// The listener for clients; matters behind the TLS front only, where it is on this host.
    pub(crate) clients: Option<SocketAddr>,
    /// Where it serves its monitoring, if it does.
    pub(crate) monitoring: Option<SocketAddr>,
}

/// Waits for the file in which nats-server names the ports it opened.
pub(crate) async fn wait_for_ports(parts: &Parts, process: i32) -> Ports {
    loop {
        if let Some(ports) = read_ports(parts, process) {
            return ports;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A listener for clients may be open on many addresses, of which this machine reaches one for certain.
fn access(parts: &Parts, opened: String) -> Access {
    let tls = parts.own_tls.clone();
    let Some(websocket) = &parts.settings.topology.websocket else { return Access { address: opened, tls } };
    let host = readiness::hosts(&parts.settings.listen_address).into_iter().next().unwrap_or_default();
    Access { address: format!("wss://{host}:{}", websocket.port), tls }
}

fn read_ports(parts: &Parts, process: i32) -> Option<Ports> {
    let ending = format!("_{process}.ports");
    let mut entries = std::fs::read_dir(parts.directory.path()).ok()?.filter_map(Result::ok);
    let file = entries.find(|entry| entry.file_name().to_string_lossy().ends_with(&ending))?.path();
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let internal = access(parts, ports.pointer("/websocket/0")?.as_str()?.to_owned());
    let address = |place: &str| ports.pointer(place)?.as_str()?.split_once("://")?.1.parse().ok();
    Some(Ports { internal, clients: address("/nats/0"), monitoring: address("/monitoring/0") })
}

/// Whether nats-server shows a certificate to anybody but the TLS front's clients.
pub(crate) fn has_other_listeners(parts: &Parts) -> bool {
    let topology = &parts.settings.topology;
    let between = topology.peers.tls.is_some() && (!parts.peers.is_empty() || topology.gateway.is_some());
    topology.websocket.is_some() || topology.leafnodes.is_some() || between || !topology.leaf_remotes.is_empty()
}

/// Where nats-server serves its monitoring: for this process only, on a port that it chooses.
const LOOPBACK_ANY_PORT: &str = "127.0.0.1:-1";
