//! One connection to a broker, spoken by hand: what thousands of nodes do, for as little as it can be had.

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{ClientClaims, ClientPermissions, Seed, ServerClaims, SigningKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A member of the fleet with a token of its own.
pub(super) struct Member {
    pub(super) name: String,
    token: String,
    seed: Seed,
}

/// How an attempt ended that did not end in a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Miss {
    /// The port is closed.
    Refused,
    /// Closed before the token was sent: nothing was decided.
    TurnedAway,
    /// The broker said that the login is wrong.
    Denied,
    /// No answer within the time in which the members of the fleet give up, or the first ping came before it.
    Late,
    /// Closed after the token was sent, without a word.
    Dropped,
}

/// What every attempt needs.
#[derive(Clone)]
pub(super) struct Dialer {
    address: String,
    tls: TlsConnector,
}

/// An accepted connection.
pub(super) type Connected = TlsStream<TcpStream>;

impl Member {
    /// A client of the organization with the key `issuer`.
    pub(super) fn client(number: usize, issuer: &SigningKey) -> anyhow::Result<Self> {
        let name = format!("up=storm{number}");
        let seed = Seed::generate();
        let mut claims = ClientClaims::new(&name, VALIDITY, SystemTime::now(), &mut rand::thread_rng())?;
        claims.permissions = Some(ClientPermissions { fleet_management: true, ..ClientPermissions::default() });
        claims.standard.public_key = Some(seed.public().to_string());
        Ok(Self { name, token: claims.sign(issuer)?, seed })
    }

    /// A server of the same.
    pub(super) fn server(number: usize, issuer: &SigningKey) -> anyhow::Result<Self> {
        let name = format!("storm{number}.example.net");
        let seed = Seed::generate();
        let collectives = vec!["choria".to_owned()];
        let now = SystemTime::now();
        let claims = ServerClaims::new(&name, collectives, seed.public(), VALIDITY, now, &mut rand::thread_rng())?;
        Ok(Self { name, token: claims.sign(issuer)?, seed })
    }

    fn login(&self, nonce: &str) -> String {
        let (name, token, signature) = (&self.name, &self.token, self.seed.sign(nonce.as_bytes()).to_base64());
        // The token stands twice, as the members of the fleet send it.
        let connect = serde_json::json!({"verbose": false, "pedantic": false, "tls_required": true, "name": name,
            "lang": "bench", "version": "1", "protocol": 1, "headers": true, "no_responders": true,
            "jwt": token, "auth_token": token, "sig": signature});
        format!("CONNECT {connect}\r\nPING\r\n")
    }
}

impl Dialer {
    /// For the broker at `address`, whatever its certificate. Sessions are not resumed: every node is another one.
    pub(super) fn new(address: &str) -> anyhow::Result<Self> {
        let mut config = rustls::ClientConfig::clone(network::Tls::unverified()?.config());
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { address: address.to_owned(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// One attempt, which gives up when the members of the fleet do.
    pub(super) async fn connect(&self, member: &Member) -> Result<Connected, Miss> {
        let mut sent = false;
        let attempt = tokio::time::timeout(PATIENCE, self.attempt(member, &mut sent)).await;
        match attempt {
            Ok(Ok(Some(stream))) => Ok(stream),
            Ok(Ok(None)) if sent => Err(Miss::Denied),
            Ok(Ok(None)) => Err(Miss::TurnedAway),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(Miss::Refused),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => Err(Miss::Late),
            Ok(Err(_)) if sent => Err(Miss::Dropped),
            Ok(Err(_)) => Err(Miss::TurnedAway),
            Err(_) => Err(Miss::Late),
        }
    }

    async fn attempt(&self, member: &Member, sent: &mut bool) -> std::io::Result<Option<Connected>> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let mut line = Vec::with_capacity(1024);
        while !line.ends_with(b"\n") {
            if stream.read_buf(&mut line).await? == 0 {
                return Ok(None);
            }
        }
        let nonce = nonce(&line).map_err(std::io::Error::other)?;
        let mut stream = self.tls.connect(ServerName::from(std::net::Ipv4Addr::LOCALHOST).to_owned(), stream).await?;
        stream.write_all(member.login(&nonce).as_bytes()).await?;
        *sent = true;
        line.clear();
        loop {
            if stream.read_buf(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let text = String::from_utf8_lossy(&line);
            if text.contains("PONG\r\n") {
                return Ok(Some(stream));
            } else if text.contains("-ERR") {
                return Ok(None);
            } else if text.contains("PING\r\n") {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Reads and answers pings until the connection ends.
pub(super) async fn hold(mut stream: Connected) {
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => {
                let pinged = buffer[..count].windows(4).any(|word| word == b"PING");
                if pinged && stream.write_all(b"PONG\r\n").await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

fn nonce(line: &[u8]) -> anyhow::Result<String> {
    let json = line.strip_prefix(b"INFO ").context("the broker does not greet with INFO")?;
    let info: serde_json::Value = serde_json::from_slice(json)?;
    Ok(info["nonce"].as_str().unwrap_or_default().to_owned())
}

/// What the members of the fleet wait for a broker (spec 10 §7).
const PATIENCE: Duration = Duration::from_secs(2);

const VALIDITY: Duration = Duration::from_secs(3600);
