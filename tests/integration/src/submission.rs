//! Submitted messages in a laboratory: servers with a spool, streams, and what is in them.

use crate::{Lab, PATIENCE};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, context::Context, stream};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use submission::{Draft, Limits, Message, MessageId, Sender, Spool, accept};

/// A message as it is in a stream.
#[derive(Clone, Debug)]
pub struct InStream {
    /// Its `Nats-Msg-Id`.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its data.
    pub payload: Vec<u8>,
}

impl Lab {
    /// Makes credentials that may submit, and the configuration of the server `IDENTITY` with the spool `NAME.spool`.
    pub fn submitting_server(&self, name: &str, identity: &str) {
        self.server(name, identity);
        let (file, public) = (format!("{name}.jwt"), self.read(&format!("{name}.public")));
        let flags = ["--collectives", "choria", "--validity", "1d", "--submission"];
        self.choria(&[&["jwt", "server", &file, identity, &public, "issuer.seed"][..], &flags].concat()).succeeded();
        let spool = self.spool_path(name);
        let config = self.read(&format!("{name}.conf"));
        let key = format!(
            "plugin.choria.submission.spool = {}\nplugin.choria.submission.max_spool_size = 100000\n\
             plugin.choria.submission.socket = {}\nplugin.choria.local_socket = {}\n",
            spool.display(),
            self.path("submit.sock").display(),
            self.path(&format!("{name}.sock")).display(),
        );
        self.write(&format!("{name}.conf"), &(config + &key));
    }

    /// Where the spool of a server is.
    #[must_use]
    pub fn spool_path(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.spool"))
    }

    /// The spool of a server, to write into as its owner.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn spool(&self, name: &str) -> Spool {
        let limits = Limits { max_messages: 2_000_000, max_bytes: 1 << 40, ..Limits::default() };
        Spool::open(&self.spool_path(name), limits).expect("a spool")
    }

    /// Makes the client `admin`, who may do everything with streams.
    pub fn administrator(&self) {
        let public = self.keys("admin");
        let flags = ["--public-key", &public, "--validity", "1d", "--org-admin"];
        self.choria(&[&["jwt", "client", "admin.jwt", "up=admin", "issuer.seed"][..], &flags].concat()).succeeded();
        self.write("admin.conf", &self.read("client.conf").replace("/client.", "/admin."));
    }

    /// JetStream as the administrator sees it.
    pub async fn streams(&self) -> Context {
        jetstream::new(self.connect("admin").await.connection.client().clone())
    }
}

/// Makes the stream `SUBMIT` on messages submitted to `local.>`, with these limits.
///
/// # Panics
/// When that is refused.
pub async fn make_stream(streams: &Context, limits: stream::Config) {
    let subjects = vec!["choria.submission.in.local.>".to_owned()];
    let config = stream::Config { name: "SUBMIT".to_owned(), subjects, ..limits };
    streams.create_stream(config).await.expect("a stream");
}

/// Everything in the stream `SUBMIT`, in order.
///
/// # Panics
/// When there is no stream.
pub async fn in_stream(streams: &Context) -> Vec<InStream> {
    let mut stream = streams.get_stream("SUBMIT").await.expect("the stream");
    let state = stream.info().await.expect("its state").state.clone();
    let mut messages = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let Ok(stored) = stream.get_raw_message(sequence).await else { continue };
        let headers = texts(&stored.headers);
        messages.push(InStream {
            id: headers.get("Nats-Msg-Id").cloned().unwrap_or_default(),
            subject: stored.subject.to_string(),
            headers,
            payload: stored.payload.to_vec(),
        });
    }
    messages
}

/// Waits until the stream holds `count` messages, and gives them.
///
/// # Panics
/// When that is not so within [`PATIENCE`], with what `more` says.
pub async fn wait_for_messages(streams: &Context, count: usize, more: impl Fn() -> String) -> Vec<InStream> {
    let began = Instant::now();
    loop {
        let held = match streams.get_stream("SUBMIT").await {
            Ok(mut stream) => stream.info().await.map_or(0, |info| info.state.messages),
            Err(_) => 0,
        };
        if held >= count as u64 {
            return in_stream(streams).await;
        }
        assert!(began.elapsed() < PATIENCE, "{held} of {count} messages after {PATIENCE:?}:\n{}", more());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A reliable message that root hands in.
///
/// # Panics
/// When it is not a valid one.
#[must_use]
pub fn reliable(subject: &str, payload: &str) -> Draft {
    Draft { reliable: true, ..Draft::new(subject, payload.as_bytes().to_vec()) }
}

/// Stores a draft and gives the message.
///
/// # Panics
/// When it is refused.
pub fn store(spool: &Spool, draft: Draft) -> Message {
    let message = accept(draft, Sender::owner(0), "n1.lab.example.net", MessageId::generate(), SystemTime::now());
    let message = message.expect("a valid draft");
    spool.store(&message).expect("room in the spool");
    message
}

fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    let one = |values: &[async_nats::HeaderValue]| values.first().map(ToString::to_string).unwrap_or_default();
    headers.iter().map(|(name, values)| (name.to_string(), one(values))).collect()
}
