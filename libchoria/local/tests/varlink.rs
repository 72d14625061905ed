//! The accept loop and the blocking client, against each other and against what is not a client.

use choria_local as local;
use local::varlink::{
    About, Bounds, Call, CallError, Client, ConnectError, Ended, Failure, Interface, Listener, Server,
};
use local::varlink::{MOST_AHEAD, Service};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Says back what it is told.
#[derive(Debug, Default)]
struct Parrot {
    at_work: AtomicUsize,
    most_at_work: AtomicUsize,
}

const INTERFACE: Interface = Interface {
    name: "io.choria.test",
    text: "interface io.choria.test\n\nmethod Say(text: string) -> (text: string, uid: int)\n\nerror Busy (reason: string)\n",
};

impl Service for Parrot {
    fn about(&self) -> About {
        About { vendor: "Choria", product: "parrot", version: "1", url: "https://choria.io" }
    }

    fn interface(&self) -> Interface {
        INTERFACE
    }

    async fn call(&self, call: Call<'_>) -> Result<Value, Failure> {
        #[derive(serde::Deserialize)]
        struct Say {
            text: String,
        }
        match call.method {
            "Say" => {
                let Say { text } = call.parameters.parse()?;
                let now = self.at_work.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_at_work.fetch_max(now, Ordering::SeqCst);
                // Later calls are done sooner; their replies must wait.
                let times = text.strip_prefix("slow ").and_then(|times| times.parse().ok()).unwrap_or(0);
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
                self.at_work.fetch_sub(1, Ordering::SeqCst);
                Ok(json!({ "text": text, "uid": call.peer.uid }))
            }
            _ => Err(call.unknown(&INTERFACE)),
        }
    }
}

/// A server on a thread of its own.
struct Running {
    folder: tempfile::TempDir,
    service: Arc<Parrot>,
    stop: CancellationToken,
    counts: Arc<local::varlink::Counts>,
    thread: Option<std::thread::JoinHandle<Ended>>,
}

fn start(bounds: Bounds) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = Listener::bind(&folder.path().join("test.sock"), 0o600).expect("a socket");
    let service = Arc::new(Parrot::default());
    let server = Server::new(listener, Arc::clone(&service), bounds);
    let (counts, stop) = (server.counts(), CancellationToken::new());
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(server.run(stopped, Duration::from_secs(5))).expect("it serves")
    });
    Running { folder, service, stop, counts, thread: Some(thread) }
}

impl Running {
    fn path(&self) -> PathBuf {
        self.folder.path().join("test.sock")
    }

    fn client(&self) -> Client {
        Client::connect(&self.path(), LIMIT).expect("a connection")
    }

    fn ended(&mut self) -> Ended {
        self.thread.take().expect("not waited for yet").join().expect("no panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends");
        }
    }
}

const LIMIT: Duration = Duration::from_secs(20);

fn say(client: &mut Client, text: &str) -> Result<Value, CallError> {
    client.call("io.choria.test.Say", &json!({ "text": text }))
}

/// Sends `bytes` as they are and gives everything that comes until the server closes.
fn raw(path: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a time limit");
    // The server may close before it has taken everything.
    let _broken_pipe = stream.write_all(bytes);
    let _closed = stream.shutdown(std::net::Shutdown::Write);
    let mut text = Vec::new();
    let _reset = stream.read_to_end(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

/// The replies in `text`, whatever the order of their keys.
fn replies(text: &str) -> Vec<Value> {
    text.split('\0').filter(|part| !part.is_empty()).map(|part| part.parse().expect("JSON")).collect()
}

#[test]
fn calls_are_answered_and_the_kernel_says_who_calls() {
    let running = start(Bounds::default());
    let mut client = running.client();
    for text in ["one", "two", "", "ü\u{0}\n"] {
        let reply = say(&mut client, text).expect("a reply");
        assert_eq!(reply, json!({ "text": text, "uid": nix::unistd::geteuid().as_raw() }));
    }
}

#[test]
fn every_service_tells_of_itself_and_of_errors() {
    let running = start(Bounds::default());
    let rows = [
        (
            "no interface",
            r#"{"method":"Say"}"#,
            r#"{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"Say"}}"#,
        ),
        (
            "another interface",
            r#"{"method":"io.other.Say"}"#,
            r#"{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"io.other"}}"#,
        ),
        (
            "another method",
            r#"{"method":"io.choria.test.Sing"}"#,
            r#"{"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.choria.test.Sing"}}"#,
        ),
        (
            "a missing parameter",
            r#"{"method":"io.choria.test.Say"}"#,
            r#"{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"missing field `text` at line 1 column 2"}}"#,
        ),
        (
            "upgrade",
            r#"{"method":"io.choria.test.Say","upgrade":true,"parameters":{"text":"x"}}"#,
            r#"{"error":"org.varlink.service.MethodNotImplemented","parameters":{"method":"io.choria.test.Say with upgrade"}}"#,
        ),
        ("oneway", r#"{"method":"io.choria.test.Say","oneway":true,"parameters":{"text":"x"}}"#, ""),
        ("oneway error", r#"{"method":"io.choria.test.Sing","oneway":true}"#, ""),
        (
            "info",
            r#"{"method":"org.varlink.service.GetInfo","parameters":null}"#,
            concat!(
                r#"{"parameters":{"interfaces":["org.varlink.service","io.choria.test"],"product":"parrot","#,
                r#""url":"https://choria.io","vendor":"Choria","version":"1"}}"#
            ),
        ),
        (
            "unknown description",
            r#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.x"}}"#,
            r#"{"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"io.x"}}"#,
        ),
    ];
    for (name, call, wanted) in rows {
        let got = raw(&running.path(), format!("{call}\0").as_bytes());
        assert_eq!(replies(&got), replies(&format!("{wanted}\0")), "{name}");
    }
    let call = json!({ "interface": "io.choria.test" });
    let text: Value =
        running.client().call("org.varlink.service.GetInterfaceDescription", &call).expect("a description");
    assert_eq!(text, json!({ "description": INTERFACE.text }));
}

#[test]
fn replies_come_in_the_order_of_the_calls_which_are_worked_on_together() {
    let running = start(Bounds { ahead: 8, ..Bounds::default() });
    let mut client = running.client();
    for round in (0..MOST_AHEAD).rev() {
        client.send("io.choria.test.Say", &json!({ "text": format!("slow {}", round * 20) })).expect("sent");
    }
    for round in (0..MOST_AHEAD).rev() {
        let reply: Value = client.receive().expect("a reply");
        assert_eq!(reply["text"], format!("slow {}", round * 20));
    }
    let most = running.service.most_at_work.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at a time, of 8 allowed");
    assert!(matches!(client.receive::<Value>(), Err(CallError::Protocol(_))), "no reply is left to come");
}

#[test]
fn what_is_no_call_closes_the_connection_and_no_other() {
    let running = start(Bounds { message: 1_000_000, transfer: Duration::from_millis(100), ..Bounds::default() });
    let mut bystander = running.client();
    let too_large = "{\"error\":\"io.choria.test.TooLarge\",\"parameters\":{\"limit\":1000000,\"reason\":\"a message of more \
                     than 1000000 bytes: this is the most that is taken\"}}\0";
    let spaces = |count: usize| format!("{}\0", " ".repeat(count)).into_bytes();
    let no_text = "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"invalid type: \
                   sequence, expected a string at line 1 column 8\"}}\0";
    let (open, close) = ("[".repeat(400_000), "]".repeat(400_000));
    let nested = format!("{{\"method\":\"io.choria.test.Say\",\"parameters\":{{\"text\":{open}{close}}}}}\0");
    let rows: [(&str, Vec<u8>, &str); 8] = [
        ("too long", spaces(1_000_001), too_large),
        ("too long, without an end", vec![b'x'; 1_100_000], too_large),
        ("nothing but NUL", vec![0; 50], ""),
        ("no JSON", b"hello\0".to_vec(), ""),
        ("no UTF-8", b"{\"method\":\"\xff\"}\0".to_vec(), ""),
        ("another type", b"{\"method\":1}\0".to_vec(), ""),
        ("deep parameters", nested.into_bytes(), no_text),
        ("half a message", b"{\"meth".to_vec(), ""),
    ];
    for (name, bytes, wanted) in rows {
        assert_eq!(replies(&raw(&running.path(), &bytes)), replies(wanted), "{name}");
        say(&mut bystander, name).expect("another connection is served on");
    }
    assert_eq!(running.counts.too_large.load(Ordering::Relaxed), 2);
    assert_eq!(running.counts.malformed.load(Ordering::Relaxed), 4);
}

#[test]
fn slow_and_idle_connections_are_closed_whatever_they_send_meanwhile() {
    let (transfer, idle) = (Duration::from_millis(200), Duration::from_millis(300));
    let running = start(Bounds { transfer, idle, ..Bounds::default() });
    // One byte at a time for as long as the server takes them: only its clock can end this.
    let mut slow = UnixStream::connect(running.path()).expect("a connection");
    let mut silent = UnixStream::connect(running.path()).expect("a connection");
    silent.set_read_timeout(Some(LIMIT)).expect("a time limit");
    let began = std::time::Instant::now();
    while slow.write_all(b" ").is_ok() {
        assert!(began.elapsed() < LIMIT, "a slow writer is kept for ever");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(silent.read(&mut [0; 8]).expect("closed, not reset"), 0);
    assert_eq!(running.counts.timed_out.load(Ordering::Relaxed), 2);
}

#[test]
fn connections_over_the_bound_are_told_so() {
    let running = start(Bounds { connections_of_user: 3, connections: 100, ..Bounds::default() });
    let mut held: Vec<Client> = (0..3).map(|_| running.client()).collect();
    for client in &mut held {
        say(client, "x").expect("within the bound");
    }
    for _ in 0..1000 {
        let mut over = running.client();
        match say(&mut over, "x") {
            Err(CallError::Error(error)) => {
                assert_eq!(error.name, "io.choria.test.Busy");
                assert!(error.reason().contains("as many as one user may have"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(running.counts.busy.load(Ordering::Relaxed), 1000);
    say(&mut held[0], "x").expect("those within are served on");
    held.clear();
    let began = std::time::Instant::now();
    while say(&mut running.client(), "x").is_err() {
        assert!(began.elapsed() < LIMIT, "places are not given back");
    }
}

#[test]
fn large_messages_take_turns_and_all_arrive() {
    let running = start(Bounds { large: (2, 1), ..Bounds::default() });
    let path = running.path();
    let text = "x".repeat(1024 * 1024);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = Client::connect(&path, LIMIT).expect("a connection");
                for _ in 0..3 {
                    let reply = say(&mut client, &text).expect("a reply");
                    assert_eq!(reply["text"].as_str().map(str::len), Some(text.len()));
                }
            });
        }
    });
}

#[test]
fn a_stop_lets_calls_end_and_an_idle_server_ends_by_itself() {
    let mut running = start(Bounds::default());
    let mut client = running.client();
    client.send("io.choria.test.Say", &json!({ "text": "slow 5000" })).expect("sent");
    let began = std::time::Instant::now();
    while running.service.at_work.load(Ordering::SeqCst) == 0 {
        assert!(began.elapsed() < LIMIT, "the call is not begun");
    }
    running.stop.cancel();
    let reply: Value = client.receive().expect("a reply in spite of the stop");
    assert_eq!(reply["text"], "slow 5000");
    assert_eq!(running.ended(), Ended::Stopped);
    let absent = Client::connect(&running.path(), LIMIT);
    assert!(matches!(absent, Err(ConnectError::Absent { .. })), "{absent:?}");

    let mut running = start(Bounds { idle_exit: Some(Duration::from_millis(50)), ..Bounds::default() });
    let mut client = running.client();
    say(&mut client, "x").expect("a reply");
    assert!(!running.thread.as_ref().expect("running").is_finished(), "it does not end with a connection");
    drop(client);
    assert_eq!(running.ended(), Ended::Idle);
}

#[test]
fn a_client_gives_up_in_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mute.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let short = Duration::from_millis(50);
    let mut client = Client::connect(&path, short).expect("a connection");
    let mute = say(&mut client, "x").expect_err("nobody answers");
    assert!(mute.to_string().contains("no answer in time"), "{mute}");
    let after = say(&mut client, "x").expect_err("its replies could be mixed up");
    assert!(after.to_string().contains("connect again"), "{after}");

    // Nobody accepts: the queue fills, and connecting must not hang either.
    let mut clients = Vec::new();
    let refused = loop {
        match Client::connect(&path, short) {
            Ok(client) => clients.push(client),
            Err(error) => break error,
        }
        assert!(clients.len() < 100_000, "a queue without end");
    };
    assert!(matches!(&refused, ConnectError::Io { .. }) && refused.to_string().contains("stayed full"), "{refused}");
    drop(listener);

    let answers: [(&str, &[u8]); 4] = [
        ("no JSON", b"hello\0"),
        ("another type", b"{\"parameters\":[]}\0"),
        ("more than one", b"{\"continues\":true,\"parameters\":{}}\0"),
        ("an end", b"{\"par"),
    ];
    std::fs::remove_file(&path).expect("removed");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    for (name, answer) in answers {
        let mut client = Client::connect(&path, LIMIT).expect("a connection");
        let (mut stream, _) = listener.accept().expect("accepted");
        stream.write_all(answer).expect("written");
        stream.shutdown(std::net::Shutdown::Write).expect("shut down");
        client.call::<_, local::server::Pong>("x.Y", &json!({})).expect_err(name);
    }
}
