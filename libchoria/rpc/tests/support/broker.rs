//! A broker for one client, which hands every published message to a function and delivers what it answers.

use network::{Scheme, ServerAddress};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The fleet: from subject and payload of a message to the payloads of all answers to its reply subject.
pub(crate) type Fleet = dyn Fn(&str, &[u8]) -> Vec<Vec<u8>> + Send + Sync;

pub(crate) struct Broker {
    port: u16,
    log: Log,
    serving: JoinHandle<()>,
}

/// Subject and payload of every message published so far.
type Log = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

impl Broker {
    pub(crate) async fn start(fleet: impl Fn(&str, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let log = Log::default();
        let serving = tokio::spawn({
            let log = Arc::clone(&log);
            async move {
                while let Ok((stream, _peer)) = listener.accept().await {
                    // A client that hangs up is no fault of the test.
                    let _ = serve(stream, &fleet, &log).await;
                }
            }
        });
        Self { port, log, serving }
    }

    pub(crate) fn address(&self) -> ServerAddress {
        ServerAddress::new(Scheme::Nats, "127.0.0.1", self.port)
    }

    /// Every message published so far.
    pub(crate) fn published(&self) -> Vec<(String, Vec<u8>)> {
        self.log.lock().expect("the log").clone()
    }

    /// Every message published since this was called last.
    pub(crate) fn take_published(&self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut *self.log.lock().expect("the log"))
    }

    /// The subjects of every message published so far.
    pub(crate) fn subjects(&self) -> Vec<String> {
        self.published().into_iter().map(|(subject, _)| subject).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

const INFO: &str = "INFO {\"server_id\":\"FAKE\",\"server_name\":\"fake\",\"version\":\"2.10.0\",\"proto\":1,\
                    \"host\":\"127.0.0.1\",\"port\":4222,\"headers\":true,\"max_payload\":1048576}\r\n";

async fn serve(stream: TcpStream, fleet: &Fleet, log: &Log) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    let mut subscriptions = HashMap::new();
    writing.write_all(INFO.as_bytes()).await?;
    loop {
        let mut line = String::new();
        if reading.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => writing.write_all(b"PONG\r\n").await?,
            ["SUB", subject, .., id] => drop(subscriptions.insert((*subject).to_owned(), (*id).to_owned())),
            ["PUB", subject, .., length] => {
                let mut payload = vec![0; length.parse::<usize>().expect("a length") + 2];
                reading.read_exact(&mut payload).await?;
                payload.truncate(payload.len() - 2);
                log.lock().expect("the log").push(((*subject).to_owned(), payload.clone()));
                let answers = fleet(subject, &payload);
                let (_, reply_to) = super::request(&payload);
                if let Some(id) = subscriptions.get(&reply_to) {
                    for answer in answers {
                        let head = format!("MSG {reply_to} {id} {}\r\n", answer.len());
                        writing.write_all(&[head.as_bytes(), &answer, b"\r\n"].concat()).await?;
                    }
                }
            }
            _ => {}
        }
    }
}
