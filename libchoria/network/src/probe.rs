//! Reaching a broker step by step, for programs that say which step fails: TCP, the broker's first line, TLS. The login
//! is not among them: that is [`connect`](crate::connect())'s.

use crate::failure::Failure;
use crate::tls::Tls;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// An open connection to somebody who greeted as a broker does. Dropping it closes it.
#[derive(Debug)]
pub struct Greeted {
    stream: TcpStream,
    /// What the broker says about itself.
    pub greeting: Greeting,
}

/// What a broker says about itself before anybody logs in, in its line `INFO`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Greeting {
    /// Its name, empty when it has none.
    pub server_name: String,
    /// The version of nats-server.
    pub version: String,
    /// Whether it takes TLS connections.
    pub tls: bool,
    /// Whether it sent a nonce, which logins with a token must sign.
    pub nonce: bool,
}

/// Somebody listens, and it is no broker.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoGreeting {
    /// It said something else.
    #[error("what listens there is no broker: it says {0:?} where a broker says INFO")]
    Other(String),
    /// It said nothing.
    #[error("what listens there says nothing within {:.1} s: it is no broker, or an overloaded one", .0.as_secs_f64())]
    Silent(Duration),
    /// It closed the connection.
    #[error("what listens there closes the connection at once: it is no broker, or one that is starting or full")]
    Closed,
}

/// The certificate that a broker presented.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// Its subject, for example `CN=broker.example.net`.
    pub subject: String,
    /// Who signed it, in the same form.
    pub issuer: String,
    /// Names and addresses it is valid for.
    pub names: Vec<String>,
    /// Its first moment.
    pub begins: SystemTime,
    /// Its last moment.
    pub ends: SystemTime,
    /// Whether it may sign other certificates, which a broker's own certificate should not.
    pub is_authority: bool,
}

/// Opens a TCP connection within `limit`.
///
/// # Errors
/// Why there is none.
pub async fn open(address: SocketAddr, limit: Duration) -> Result<TcpStream, Failure> {
    match timeout(limit, TcpStream::connect(address)).await {
        Err(_elapsed) => Err(Failure::TimedOut),
        Ok(Err(error)) => Err(Failure::of_io(&error)),
        Ok(Ok(stream)) => Ok(stream),
    }
}

/// Reads the line with which a broker greets, within `limit`.
///
/// # Errors
/// What was there instead.
pub async fn greeting(mut stream: TcpStream, limit: Duration) -> Result<Greeted, NoGreeting> {
    let line = match timeout(limit, first_line(&mut stream)).await {
        Err(_elapsed) => return Err(NoGreeting::Silent(limit)),
        Ok(None) => return Err(NoGreeting::Closed),
        Ok(Some(line)) => line,
    };
    let Some(greeting) = Greeting::read(&line) else {
        let said: String = String::from_utf8_lossy(&line).trim_end().chars().take(LONGEST_SAYING).collect();
        return Err(NoGreeting::Other(said));
    };
    Ok(Greeted { stream, greeting })
}

impl Greeting {
    /// Reads a greeting; nothing when it is none.
    fn read(line: &[u8]) -> Option<Self> {
        let information: serde_json::Value = serde_json::from_slice(line.strip_prefix(b"INFO ")?).ok()?;
        information.as_object()?;
        let text = |key: &str| information[key].as_str().unwrap_or_default().to_owned();
        let holds = |key: &str| information[key].as_bool().unwrap_or_default();
        Some(Self {
            server_name: text("server_name"),
            version: text("version"),
            tls: holds("tls_required") || holds("tls_available"),
            nonce: !text("nonce").is_empty(),
        })
    }
}

impl Greeted {
    /// Begins TLS as `tls` says with a broker that was reached as `host`, and gives its certificate.
    ///
    /// # Errors
    /// As [`encrypt`].
    pub async fn encrypt(self, tls: &Tls, host: &str, limit: Duration) -> Result<Certificate, Failure> {
        encrypt(self.stream, tls, host, limit).await
    }
}

/// Begins TLS as `tls` says with whoever was reached as `host` over `stream`, and gives the certificate presented. It is
/// verified as connections verify it; what a broker thinks of a client certificate shows only when logging in.
///
/// # Errors
/// Why there is no TLS, a certificate that is not accepted included.
pub async fn encrypt(stream: TcpStream, tls: &Tls, host: &str, limit: Duration) -> Result<Certificate, Failure> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|error| Failure::Name(error.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(tls.config()));
    match timeout(limit, connector.connect(name, stream)).await {
        Err(_elapsed) => Err(Failure::TimedOut),
        Ok(Err(error)) => Err(Failure::of_io(&error)),
        Ok(Ok(encrypted)) => {
            let (_, session) = encrypted.get_ref();
            let presented = session.peer_certificates().and_then(<[_]>::first);
            presented.and_then(Certificate::read).ok_or_else(|| Failure::Tls("no certificate was presented".to_owned()))
        }
    }
}

impl Certificate {
    fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let names = alternatives.map(|names| names.value.general_names.iter().filter_map(name).collect());
        let moment = |time: x509_parser::time::ASN1Time| {
            let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        Some(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            names: names.unwrap_or_default(),
            begins: moment(parsed.validity().not_before),
            ends: moment(parsed.validity().not_after),
            is_authority: parsed.is_ca(),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match *bytes {
            bytes if bytes.len() == 4 => {
                Some(<[u8; 4]>::try_from(bytes).map(std::net::Ipv4Addr::from).ok()?.to_string())
            }
            bytes => Some(<[u8; 16]>::try_from(bytes).map(std::net::Ipv6Addr::from).ok()?.to_string()),
        },
        _ => None,
    }
}

/// The bytes up to the first newline, or as many as a greeting can have; nothing when the other side closes first.
async fn first_line(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        line.extend_from_slice(&buffer[..length]);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Some(line);
        }
        if length == 0 || line.len() > LONGEST_GREETING {
            return Some(line).filter(|line| !line.is_empty());
        }
    }
}

/// A broker of a large cluster lists its peers in its greeting.
const LONGEST_GREETING: usize = 64 * 1024;

/// Enough to recognise what said it.
const LONGEST_SAYING: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// What a listener that says `words` and then closes is taken for.
    async fn heard(words: &'static [u8]) -> Result<Greeting, NoGreeting> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let speak = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.write_all(words).await.expect("room");
        };
        let stream = open(address, Duration::from_secs(5)).await.expect("a connection");
        let ((), greeted) = tokio::join!(speak, greeting(stream, Duration::from_secs(5)));
        greeted.map(|greeted| greeted.greeting)
    }

    #[tokio::test]
    async fn only_a_broker_greets_like_one() {
        let broker = Greeting { server_name: "b1".into(), version: "2.10.26".into(), tls: true, nonce: true };
        let info = br#"INFO {"server_id":"X","server_name":"b1","version":"2.10.26","host":"h","port":4222,"tls_required":true,"nonce":"abc","go":"","headers":true,"max_payload":1,"proto":1,"client_id":1}
"#;
        assert_eq!(heard(info).await, Ok(broker));
        let rows: [(&'static [u8], NoGreeting); 4] = [
            (b"SSH-2.0-OpenSSH_9.2\r\n", NoGreeting::Other("SSH-2.0-OpenSSH_9.2".into())),
            (b"INFO {\n", NoGreeting::Other("INFO {".into())),
            (b"no newline", NoGreeting::Other("no newline".into())),
            (b"", NoGreeting::Closed),
        ];
        for (words, expected) in rows {
            assert_eq!(heard(words).await, Err(expected), "{}", words.escape_ascii());
        }
    }

    #[tokio::test]
    async fn silence_is_no_greeting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stream =
            open(listener.local_addr().expect("an address"), Duration::from_secs(5)).await.expect("a connection");
        let limit = Duration::from_millis(1);
        assert_eq!(greeting(stream, limit).await.map(|greeted| greeted.greeting), Err(NoGreeting::Silent(limit)));
    }
}
