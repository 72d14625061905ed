//! The TLS front: this process accepts the fleet's connections, encrypts them, and hands them to nats-server on a
//! loopback port (spec 10 §5).
//!
//! It exists for three things that nats-server does not do: verify a client certificate *if one is given*, admit
//! connections at the rate at which they can be served instead of a fixed one, and take a renewed certificate without
//! disconnecting anybody.
//!
//! | module | holds |
//! |---|---|
//! | `listener` | the port: systemd's or its own |
//! | `gate` | who is served next, who waits, who is turned away; pure |
//! | `suspects` | addresses that were denied again and again; pure |
//! | `encryption` | certificate, authorities, what TLS is spoken |
//! | `greeting` | nats-server's first line, as members of the fleet may see it; pure |
//! | `peers` | which connection of nats-server belongs to which member |
//! | `pump` | bytes both ways |
//! | `serve` | the loop that accepts, and one connection from its first byte to its last |
//!
//! How the callout learns who is behind a connection: nats-server numbers its connections and says the number in its
//! first line. The front reads that line on a connection that it opened itself, so it alone knows the number before
//! anything was sent there, and notes number → address and certificates. A question of the callout carries the number.
//! A connection that another local user opens to the loopback port has a number that nobody noted, therefore no TLS,
//! and is denied like every connection without TLS. Nothing secret is exchanged, so there is nothing to steal.

mod encryption;
mod gate;
mod greeting;
mod listener;
mod peers;
mod pump;
mod serve;
mod suspects;

use encryption::Encryption;
pub use encryption::EncryptionError;
pub use listener::ListenError;
pub use peers::Peer;
pub(crate) use peers::Peers;

use crate::certificates::Certificate;
use crate::metrics::Metrics;
use crate::settings::Settings;
use daemon::Sockets;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A front that accepts connections. Dropping it closes all of them and the port.
#[derive(Debug)]
pub(crate) struct Front {
    backend: watch::Sender<Option<SocketAddr>>,
    encryption: Arc<Encryption>,
    peers: Arc<Peers>,
    _task: AbortOnDropHandle<()>,
}

/// What of the configuration the front needs beyond what every broker has.
#[derive(Clone, Debug)]
pub(crate) struct FrontSettings {
    /// PEM file of the authorities that client certificates are verified with; `None` asks for no certificate.
    pub(crate) authorities: Option<std::path::PathBuf>,
}

/// The front cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The port cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificate, key or authorities cannot be used.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
}

impl Front {
    /// Opens the port and begins to accept. Nobody is served before [`Front::serve_from`] names a nats-server; who
    /// comes earlier waits a moment.
    ///
    /// # Errors
    /// [`FrontError`].
    pub(crate) async fn open(
        settings: &Settings,
        wanted: &FrontSettings,
        certificate: &Certificate,
        metrics: Arc<Metrics>,
        sockets: &Sockets,
    ) -> Result<Self, FrontError> {
        let encryption = Arc::new(Encryption::new(settings, wanted, certificate)?);
        let listener = listener::open(sockets, &settings.listen_address, settings.client_port).await?;
        listener::raise_open_files();
        let (backend, address) = watch::channel(None);
        let peers = Arc::new(Peers::default());
        let server = serve::Server::new(settings, address, Arc::clone(&encryption), Arc::clone(&peers), metrics);
        let task = AbortOnDropHandle::new(tokio::spawn(server.run(listener)));
        Ok(Self { backend, encryption, peers, _task: task })
    }

    /// Names the address on which nats-server takes connections, or says that there is none at the moment.
    pub(crate) fn serve_from(&self, backend: Option<SocketAddr>) {
        self.backend.send_replace(backend);
    }

    /// Presents the certificate that now is in the files, from the next handshake on; those connected stay.
    ///
    /// # Errors
    /// [`EncryptionError`]; the old certificate is kept then.
    pub(crate) fn renew(&self) -> Result<(), EncryptionError> {
        self.encryption.renew()
    }

    /// Who is behind nats-server's connections.
    pub(crate) fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }
}
