//! Connections that outlive a server: what a service manager's store does for a process that is replaced.

use choria_local as local;
use local::varlink::{About, Bounds, Call, Client, Ended, Failure, Interface, Listener, Server, Service};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Says its generation; what is to `wait` is answered when it is let go.
#[derive(Debug, Default)]
struct Counter {
    generation: usize,
    begun: AtomicUsize,
    go: Notify,
}

const INTERFACE: Interface = Interface {
    name: "io.choria.test",
    text: "interface io.choria.test\n\nmethod Say(text: string) -> (text: string, by: int, uid: int)\n\nerror Busy (reason: string)\n",
};

impl Service for Counter {
    fn about(&self) -> About {
        About { vendor: "Choria", product: "counter", version: "1", url: "https://choria.io" }
    }

    fn interface(&self) -> Interface {
        INTERFACE
    }

    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        #[derive(serde::Deserialize)]
        struct Say {
            text: String,
        }
        let Say { text } = call.parameters.parse()?;
        self.begun.fetch_add(1, Ordering::SeqCst);
        if text == "wait" {
            self.go.notified().await;
        }
        Ok(json!({ "text": text, "by": self.generation, "uid": call.peer.uid }))
    }
}

/// A socket as a service manager holds it, and one server after the other on it.
struct House {
    _folder: tempfile::TempDir,
    path: PathBuf,
    socket: UnixListener,
    generation: usize,
}

struct Running {
    service: Arc<Counter>,
    stop: CancellationToken,
    thread: JoinHandle<(Ended, Vec<OwnedFd>)>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("test.sock");
        let socket = UnixListener::bind(&path).expect("a socket");
        Self { _folder: folder, path, socket, generation: 0 }
    }

    fn start(&mut self, bounds: Bounds, kept: Vec<OwnedFd>) -> Running {
        self.generation += 1;
        let listener = Listener::given(self.socket.try_clone().expect("another descriptor"));
        let service = Arc::new(Counter { generation: self.generation, ..Counter::default() });
        let server = Server::new(listener, Arc::clone(&service), bounds).resume(kept);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(server.run_and_keep(stopped, LIMIT)).expect("it serves")
        });
        Running { service, stop, thread }
    }

    fn client(&self) -> Client {
        Client::connect(&self.path, LIMIT).expect("a connection")
    }

    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream
    }
}

impl Running {
    fn end(self) -> Vec<OwnedFd> {
        self.stop.cancel();
        let (ended, kept) = self.thread.join().expect("no panic");
        assert_eq!(ended, Ended::Stopped);
        kept
    }

    fn wait_for_calls(&self, count: usize) {
        let began = Instant::now();
        while self.service.begun.load(Ordering::SeqCst) < count {
            assert!(began.elapsed() < LIMIT, "{count} calls do not come");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

const LIMIT: Duration = Duration::from_secs(20);

fn say(client: &mut Client, text: &str) -> Value {
    client.call("io.choria.test.Say", &json!({ "text": text })).expect("a reply")
}

fn message(text: &str) -> Vec<u8> {
    let mut message =
        json!({ "method": "io.choria.test.Say", "parameters": { "text": text } }).to_string().into_bytes();
    message.push(0);
    message
}

/// The next `count` replies: what was said, and by which server.
fn replies(stream: &mut UnixStream, count: usize) -> Vec<(String, u64)> {
    let (mut text, mut byte, mut ends) = (Vec::new(), [0], 0);
    while ends < count {
        stream.read_exact(&mut byte).expect("a reply");
        text.push(byte[0]);
        ends += usize::from(byte[0] == 0);
    }
    let parts = text.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    let values = parts.map(|part| serde_json::from_slice::<Value>(part).expect("JSON"));
    let said = |value: &Value| value["parameters"]["text"].as_str().expect("a text").to_owned();
    values.map(|value| (said(&value), value["parameters"]["by"].as_u64().expect("a number"))).collect()
}

#[test]
fn connections_go_on_and_count_with_the_next_server() {
    let mut house = House::new();
    let bounds = Bounds { connections_of_user: 3, ..Bounds::default() };
    let first = house.start(bounds.clone(), Vec::new());
    let (mut one, mut two, mut three) = (house.client(), house.client(), house.client());
    for client in [&mut one, &mut two, &mut three] {
        assert_eq!(say(client, "x")["by"], 1);
    }
    drop(three);
    let began = Instant::now();
    let mut three = loop {
        let mut client = house.client();
        if client.call::<_, Value>("io.choria.test.Say", &json!({ "text": "x" })).is_ok() {
            break client;
        }
        assert!(began.elapsed() < LIMIT, "its place is not given back");
    };
    let kept = first.end();
    assert_eq!(kept.len(), 3);

    let second = house.start(bounds.clone(), kept);
    for client in [&mut one, &mut two, &mut three] {
        let reply = say(client, "y");
        assert_eq!(reply, json!({ "text": "y", "by": 2, "uid": nix::unistd::geteuid().as_raw() }));
    }
    let mut fourth = house.client();
    let refused = fourth.call::<_, Value>("io.choria.test.Say", &json!({ "text": "x" }));
    assert!(refused.expect_err("over the bound").to_string().contains("has 3 connections"));
    // Who goes away in between leaves a place and harms nobody.
    let kept = second.end();
    drop(one);
    let third = house.start(bounds, kept);
    assert_eq!(say(&mut two, "z")["by"], 3);
    let began = Instant::now();
    while house.client().call::<_, Value>("io.choria.test.Say", &json!({ "text": "x" })).is_err() {
        assert!(began.elapsed() < LIMIT, "its place is not given back");
    }
    third.end();
}

#[test]
fn what_was_read_is_answered_and_what_was_not_is_for_the_next() {
    let mut house = House::new();
    let first = house.start(Bounds { ahead: 4, ..Bounds::default() }, Vec::new());
    let mut stream = house.raw();
    // The first waits at work, so that the others are not all read or begun when the end comes.
    let (many, padding) = (200, "p".repeat(1000));
    let mut calls = message("wait");
    (1..many).for_each(|number| calls.extend(message(&format!("{number} {padding}"))));
    let writer = {
        let mut stream = stream.try_clone().expect("another descriptor");
        std::thread::spawn(move || stream.write_all(&calls).expect("sent"))
    };
    let reader = std::thread::spawn(move || replies(&mut stream, many));
    first.wait_for_calls(4);
    first.stop.cancel();
    first.service.go.notify_one();
    let kept = first.end();
    assert_eq!(kept.len(), 1);
    let second = house.start(Bounds::default(), kept);
    let got = reader.join().expect("every reply");
    let said: Vec<_> = got.iter().map(|(text, _)| text.split(' ').next().expect("a word").to_owned()).collect();
    let wanted: Vec<_> = std::iter::once("wait".to_owned()).chain((1..many).map(|n| n.to_string())).collect();
    assert_eq!(said, wanted, "each once, in their order");
    let by_first = got.iter().filter(|(_, by)| *by == 1).count();
    assert!((4..many).contains(&by_first), "{by_first} by the first: it read all, or none");
    writer.join().expect("no panic");
    second.end();
}

#[test]
fn the_rest_of_a_half_read_call_is_waited_for_but_not_for_long() {
    let mut house = House::new();
    let first = house.start(Bounds::default(), Vec::new());
    let (mut prompt, mut slow) = (house.raw(), house.raw());
    let call = message("half");
    for stream in [&mut prompt, &mut slow] {
        // The whole call before the half is answered once both were read.
        stream.write_all(&[&message("whole")[..], &call[..10]].concat()).expect("sent");
        assert_eq!(replies(stream, 1), [("whole".to_owned(), 1)]);
    }
    let began = Instant::now();
    first.stop.cancel();
    prompt.write_all(&[&call[10..], &message("next")[..]].concat()).expect("sent");
    assert_eq!(replies(&mut prompt, 1), [("half".to_owned(), 1)]);
    let kept = first.end();
    assert_eq!(kept.len(), 1, "the slow one is closed");
    assert!(began.elapsed() >= local::varlink::REST);
    assert_eq!(slow.read(&mut [0]).expect("the end"), 0);
    let second = house.start(Bounds::default(), kept);
    assert_eq!(replies(&mut prompt, 1), [("next".to_owned(), 2)]);
    second.end();
}

#[test]
fn an_idle_server_keeps_nothing_and_what_is_no_connection_harms_nothing() {
    let mut house = House::new();
    let bounds = Bounds { idle_exit: Some(Duration::from_millis(50)), ..Bounds::default() };
    let stranger = OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    let running = house.start(bounds, vec![stranger]);
    let (ended, kept) = running.thread.join().expect("no panic");
    assert_eq!((ended, kept.len()), (Ended::Idle, 0));
}
