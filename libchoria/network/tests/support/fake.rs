//! A broker that speaks just enough of the protocol to be logged in to, and remembers what it was sent.

use super::within;
use choria_network::{Scheme, ServerAddress};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The nonce of spec 01 §6's vector.
pub(crate) const NONCE: &str = "9hD2kq0aZ1s_x7Y";

/// How the broker answers a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    Accept,
    Refuse,
    /// Says this error, then hangs up.
    Complain(&'static str),
    /// Pings first, as a real broker does while it waits for a slow decision, then accepts.
    PingThenAccept,
    /// Pings first, then refuses.
    PingThenRefuse,
    /// Takes the connection and never says a word, as a broker that died with its kernel alive does.
    Mute,
    /// Says who it is, and nothing after the login.
    MuteAfterLogin,
    /// Hangs up as soon as the connection is there, as a broker that limits new connections does.
    HangUp,
}

pub(crate) struct FakeBroker {
    pub(crate) address: ServerAddress,
    manner: watch::Sender<Manner>,
    connects: mpsc::UnboundedReceiver<Value>,
    lines: mpsc::UnboundedReceiver<String>,
    outbox: broadcast::Sender<Out>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Debug)]
enum Out {
    Text(String),
    Close,
}

impl FakeBroker {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::listen(manner, None).await
    }

    pub(crate) async fn start_tls(manner: Manner, config: rustls::ServerConfig) -> Self {
        Self::listen(manner, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let manner = watch::Sender::new(manner);
        let (connect_sender, connects) = mpsc::unbounded_channel();
        let (line_sender, lines) = mpsc::unbounded_channel();
        let outbox = broadcast::Sender::new(4096);
        let accepting = tokio::spawn({
            let (manner, outbox) = (manner.clone(), outbox.clone());
            async move {
                while let Ok((stream, _peer)) = listener.accept().await {
                    let session = Session {
                        manner: *manner.borrow(),
                        connects: connect_sender.clone(),
                        lines: line_sender.clone(),
                        outbox: outbox.subscribe(),
                    };
                    tokio::spawn(serve(stream, tls.clone(), session));
                }
            }
        });
        let address = ServerAddress::new(Scheme::Nats, "localhost", port);
        Self { address, manner, connects, lines, outbox, accepting }
    }

    /// What the next client sends with CONNECT.
    pub(crate) async fn next_connect(&mut self) -> Value {
        within("a CONNECT line", self.connects.recv()).await.expect("the broker runs")
    }

    /// The next line that starts with `start`, after CONNECT; lines before it are passed over.
    pub(crate) async fn line(&mut self, start: &str) -> String {
        within(start, async {
            loop {
                let line = self.lines.recv().await.expect("the broker runs");
                if line.starts_with(start) {
                    return line;
                }
            }
        })
        .await
    }

    /// From the next connection on.
    pub(crate) fn behave(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    /// Sends `text` to all that are logged in.
    pub(crate) fn say(&self, text: &str) {
        self.outbox.send(Out::Text(text.to_owned())).expect("somebody is connected");
    }

    /// Hangs up on all.
    pub(crate) fn drop_clients(&self) {
        self.outbox.send(Out::Close).expect("somebody is connected");
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Session {
    manner: Manner,
    connects: mpsc::UnboundedSender<Value>,
    lines: mpsc::UnboundedSender<String>,
    outbox: broadcast::Receiver<Out>,
}

async fn serve(mut stream: TcpStream, tls: Option<TlsAcceptor>, session: Session) {
    match session.manner {
        Manner::HangUp => return,
        Manner::Mute => std::future::pending().await,
        _ => {}
    }
    let demands_tls = tls.is_some();
    let info = format!(
        "INFO {{\"server_id\":\"FAKE\",\"server_name\":\"fake\",\"version\":\"2.10.0\",\"proto\":1,\"host\":\"127.0.0.1\",\
         \"port\":4222,\"headers\":true,\"max_payload\":1048576,\"tls_required\":{demands_tls},\"nonce\":\"{NONCE}\"}}\r\n"
    );
    if stream.write_all(info.as_bytes()).await.is_err() {
        return;
    }
    // A client that goes away is no fault of the test.
    let _ = match tls {
        None => talk(stream, session).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => talk(stream, session).await,
            Err(error) => Err(error),
        },
    };
}

async fn talk(stream: impl AsyncRead + AsyncWrite, mut session: Session) -> std::io::Result<()> {
    let (reading, mut writing) = tokio::io::split(stream);
    let mut lines = BufReader::new(reading).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                if let Some(connect) = line.strip_prefix("CONNECT ") {
                    let connect = serde_json::from_str(connect).expect("CONNECT carries JSON");
                    session.connects.send(connect).ok();
                    if !greet(&mut writing, session.manner).await? {
                        return Ok(());
                    }
                } else if line == "PING" {
                    writing.write_all(b"PONG\r\n").await?;
                } else {
                    session.lines.send(line).ok();
                }
            }
            out = session.outbox.recv() => match out {
                Ok(Out::Text(text)) => writing.write_all(text.as_bytes()).await?,
                Ok(Out::Close) | Err(_) => return Ok(()),
            },
        }
    }
}

/// A real broker pings two seconds after the connection opened.
const DECISION: Duration = Duration::from_millis(2000);

/// What follows CONNECT; whether the session goes on.
async fn greet(writing: &mut (impl AsyncWrite + Unpin), manner: Manner) -> std::io::Result<bool> {
    const REFUSAL: &[u8] = b"-ERR 'Authorization Violation'\r\n";
    match manner {
        Manner::Accept | Manner::HangUp | Manner::Mute => {}
        Manner::MuteAfterLogin => std::future::pending().await,
        Manner::Refuse => {
            writing.write_all(REFUSAL).await?;
            return Ok(false);
        }
        Manner::Complain(text) => {
            writing.write_all(format!("-ERR '{text}'\r\n").as_bytes()).await?;
            return Ok(false);
        }
        Manner::PingThenAccept | Manner::PingThenRefuse => {
            tokio::time::sleep(DECISION).await;
            writing.write_all(b"PING\r\n").await?;
            tokio::time::sleep(DECISION / 4).await;
            if manner == Manner::PingThenRefuse {
                writing.write_all(REFUSAL).await?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
