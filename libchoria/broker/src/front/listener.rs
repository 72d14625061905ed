//! The port that members of the fleet connect to: systemd's socket where one is given, otherwise one of our own.

use daemon::Sockets;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

/// The port cannot be had. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else has it.
    #[error(
        "port {port} of {address} is taken by another program (find it with: ss -ltnp 'sport = :{port}'); stop that \
         program, or set plugin.choria.network.client_port"
    )]
    Taken {
        /// The address to listen on.
        address: String,
        /// The port.
        port: u16,
    },
    /// It cannot be opened for another reason.
    #[error(
        "port {port} of {address} cannot be opened: {source}; check plugin.choria.network.listen_address and \
         client_port"
    )]
    Open {
        /// The address to listen on.
        address: String,
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// systemd's socket is not one that can be used.
    #[error(transparent)]
    Given(#[from] daemon::SocketError),
}

/// The socket that systemd gives under the name [`SOCKET_NAME`], otherwise `port` of `address`.
///
/// # Errors
/// [`ListenError`].
pub(super) async fn open(sockets: &Sockets, address: &str, port: u16) -> Result<TcpListener, ListenError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken { address: address.to_owned(), port },
        _ => ListenError::Open { address: address.to_owned(), port, source },
    };
    if let Some(listener) = sockets.main_tcp(SOCKET_NAME)? {
        tracing::info!("connections are accepted on the socket {SOCKET_NAME:?} of systemd");
        return TcpListener::from_std(listener).map_err(failed);
    }
    let mut last = None;
    for candidate in candidates(address, port).await.map_err(failed)? {
        match bind(candidate) {
            Ok(listener) => return Ok(listener),
            // A machine without IPv6 still has the other half of "every address".
            Err(error) if no_such_family(&error) => last = Some(error),
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())))
}

/// Two files for each connection: asks for as many as the administrator allows. What is missing shows when it is needed.
pub(super) fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        if soft < hard {
            if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
                tracing::warn!("only {soft} files may be open, which bounds the connections to half of it: {error}");
            }
        }
    }
}

async fn candidates(address: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match address.parse::<IpAddr>() {
        Ok(every @ IpAddr::V6(v6)) if v6.is_unspecified() => {
            Ok(vec![SocketAddr::new(every, port), SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)])
        }
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) => Ok(lookup_host((address, port)).await?.take(1).collect()),
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn no_such_family(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

/// `FileDescriptorName=` of the socket unit.
const SOCKET_NAME: &str = "client";

/// Connections that the kernel completes before they are accepted; it takes the smaller of this and its own limit.
const BACKLOG: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = open(&Sockets::default(), "127.0.0.1", 0).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let refused = open(&Sockets::default(), "127.0.0.1", port).await.unwrap_err();
        assert!(matches!(&refused, ListenError::Taken { port: named, .. } if *named == port), "{refused}");
        let refused = open(&Sockets::default(), "192.0.2.1", 4222).await.unwrap_err().to_string();
        assert!(refused.contains("192.0.2.1") && refused.contains("listen_address"), "{refused}");
    }
}
