//! The real `choria-submit`: with systemd's socket and without, as other users, under attack, with disks that fail.

use choria_tests::{PATIENCE, programs, skipped};
use local::submission::{Client, Status, SubmitError, submit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;
use submission::{Draft, Limits, MessageId, Priority, Spool};

/// A folder with a configuration, a spool and a socket, where other users may look.
struct Place(tempfile::TempDir);

/// A running `choria-submit`, killed at the end.
struct Service {
    child: Child,
    log: PathBuf,
}

impl Place {
    fn new(more: &str) -> Self {
        let place = Self(tempfile::TempDir::with_prefix("choria-submit-").expect("a folder"));
        std::fs::set_permissions(place.0.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        place.configure(more);
        place
    }

    fn configure(&self, more: &str) {
        let (spool, socket) = (self.text("spool"), self.text("run/submit.sock"));
        let text = format!(
            "identity = n1.example.net\nplugin.choria.submission.spool = {spool}\nplugin.choria.submission.socket = \
             {socket}\n{more}\n"
        );
        std::fs::write(self.path("server.conf"), text).expect("a configuration");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn socket(&self) -> PathBuf {
        self.path("run/submit.sock")
    }

    fn start(&self) -> Service {
        self.start_by(&[], &["--config", &self.text("server.conf")])
    }

    /// Started by `before`, which must become the program; waits until it answers.
    fn start_by(&self, before: &[&str], arguments: &[&str]) -> Service {
        let service = self.spawn(before, arguments, Stdio::null());
        let began = Instant::now();
        let mut client = loop {
            match Client::connect(&self.socket()) {
                Ok(client) => break client,
                Err(_) => assert!(began.elapsed() < PATIENCE, "it does not listen:\n{}", service.log()),
            }
        };
        // It listens before it obeys signals; an answer, be it that the spool is unusable, shows that it does.
        let _answered = client.status();
        service
    }

    fn spawn(&self, before: &[&str], arguments: &[&str], input: Stdio) -> Service {
        let program = programs().join("choria-submit").display().to_string();
        let log = self.path("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut words = before.iter().copied().chain([program.as_str()]).chain(arguments.iter().copied());
        let child = Command::new(words.next().expect("a program"))
            .args(words)
            .env_remove("NOTIFY_SOCKET")
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("started");
        Service { child, log }
    }

    fn client(&self) -> Client {
        Client::connect(&self.socket()).expect("a connection")
    }

    fn settings(&self) -> submission::Settings {
        let file = self.path("server.conf");
        let inputs = config::load(&file, config::Kind::Server, &config::SystemEnvironment).expect("it is read");
        let settings = submission::Settings::from_settings(&inputs.check().expect("settings"));
        settings.expect("settings").expect("a spool")
    }

    fn status(&self) -> Status {
        self.client().status().expect("a status")
    }

    fn stored(&self) -> Vec<submission::Message> {
        let spool = Spool::open(&self.path("spool"), Limits::default()).expect("the spool");
        let window = spool.entries(Priority::default()).expect("a list");
        assert!(!window.more, "the test reads all of it");
        window.entries.into_iter().map(|entry| entry.message).collect()
    }

    /// Calls `method` as user 65534 by nothing but Python and a socket, and gives the reply.
    fn as_nobody(&self, method: &str, parameters: &Value) -> Value {
        let call = json!({ "method": format!("io.choria.Submission.{method}"), "parameters": parameters }).to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", PYTHON3, "-c", PYTHON]);
        let output = command.args([&self.text("run/submit.sock"), &call]).output().expect("setpriv of util-linux");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.parse().unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// Not the first in PATH, which can be in somebody's home.
const PYTHON3: &str = "/usr/bin/python3";

/// Varlink in a few lines of another language.
const PYTHON: &str = "
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(sys.argv[2].encode() + b'\\0')
reply = b''
while not reply.endswith(b'\\0'):
    piece = peer.recv(65536)
    if not piece:
        break
    reply += piece
print(reply[:-1].decode())
";

impl Service {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit"))
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it runs");
    }

    fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait();
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Whether this test runs: it changes users or mounts.
fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped(test, "it changes users or mounts, which needs root");
    }
    root
}

#[test]
fn users_submit_what_they_may_and_as_who_they_are() {
    if !is_root("users_submit_what_they_may_and_as_who_they_are") {
        return;
    }
    let place = Place::new("plugin.choria.submission.allow = * local.>, nobody jobs.by.name, %nogroup jobs.by.group.*");
    let service = place.start();
    let payload = "cGF5bG9hZC1pcy1zZWNyZXQ=";
    let taken = ["local.x", "local.a.b", "jobs.by.name", "jobs.by.group.x"];
    for subject in taken {
        let reply = place.as_nobody("Submit", &json!({ "subject": subject, "payload": payload }));
        assert!(reply["parameters"]["id"].is_string(), "{subject}: {reply}");
    }
    let claim = json!({ "subject": "local.own", "payload": payload, "sender": "user 65534" });
    assert!(place.as_nobody("Submit", &claim)["parameters"]["id"].is_string(), "one's own name is no forgery");

    let rows = [
        ("a forged sender", json!({ "subject": "local.x", "sender": "user 0" }), "Refused", "only root and the owner"),
        ("another subject", json!({ "subject": "jobs.backup" }), "Refused", "plugin.choria.submission.allow"),
        ("the prefix alone", json!({ "subject": "local" }), "Refused", "plugin.choria.submission.allow"),
        ("a wildcard", json!({ "subject": "local.>" }), "Invalid", "wildcards"),
        ("a line break", json!({ "subject": "local.x\r\nPUB y" }), "Invalid", "control characters"),
        (
            "a header of Choria's",
            json!({ "subject": "local.x", "headers": { "choria-sender": "x" } }),
            "Invalid",
            "choria",
        ),
        ("a header of NATS", json!({ "subject": "local.x", "headers": { "Nats-Msg-Id": "x" } }), "Invalid", "nats"),
        (
            "two headers in one",
            json!({ "subject": "local.x", "headers": { "a": "1\r\nNats-Msg-Id: x" } }),
            "Invalid",
            "control",
        ),
        ("a name with a colon", json!({ "subject": "local.x", "headers": { "a: b\r\nc": "1" } }), "Invalid", "colon"),
        ("no tries", json!({ "subject": "local.x", "max_tries": 0 }), "Invalid", "max_tries may not be 0"),
        ("no time", json!({ "subject": "local.x", "ttl": 0 }), "Invalid", "ttl may not be 0"),
        ("priority 5", json!({ "subject": "local.x", "priority": 5 }), "Invalid", "priority must be 0...4"),
    ];
    for (name, mut parameters, error, words) in rows.clone() {
        parameters["payload"] = json!(payload);
        let reply = place.as_nobody("Submit", &parameters);
        assert_eq!(reply["error"], format!("io.choria.Submission.{error}"), "{name}: {reply}");
        let reason = reply["parameters"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(words), "{name}: {reason}");
    }
    let status = place.as_nobody("Status", &json!({}));
    assert_eq!(status["parameters"]["messages"], 5, "counts are for anybody: {status}");
    assert_eq!(status["parameters"]["counters"]["refused"]["Refused"], 3);
    assert_eq!(status["parameters"]["counters"]["refused"]["Invalid"], 9);

    let mut draft = Draft::new("jobs.backup", "x");
    draft.sender = Some("cron".to_owned());
    place.client().submit(&draft).expect("root may submit anything as anybody");
    let senders: Vec<_> = place.stored().into_iter().map(|message| message.sender).collect();
    assert_eq!(senders, [vec!["user 65534"; 5], vec!["cron"]].concat());
    let log = service.log();
    for wanted in ["event=accepted", "uid=65534", "subject=jobs.by.name", "error=Refused"] {
        assert!(log.contains(wanted), "{wanted} is missing:\n{log}");
    }
    assert!(!log.contains("payload-is-secret") && !log.contains(payload), "payloads are nobody's business:\n{log}");
    service.stop();
}

#[test]
fn varlinkctl_talks_to_it() {
    if Command::new("varlinkctl").arg("--version").output().is_err() {
        return skipped("varlinkctl_talks_to_it", "varlinkctl (systemd 255 or newer) is not on PATH");
    }
    let place = Place::new("");
    let service = place.start();
    let socket = place.text("run/submit.sock");
    let ask = |words: &[&str]| {
        let output = Command::new("varlinkctl").args(words).output().expect("varlinkctl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    };
    let (ok, text) = ask(&["info", &socket]);
    assert!(ok && text.contains("Choria Submission") && text.contains("io.choria.Submission"), "{text}");
    let (ok, text) = ask(&["introspect", &socket, "io.choria.Submission"]);
    assert!(ok && text.contains("method Submit(") && text.contains("error Refused"), "{text}");
    let call = |parameters: &str| ask(&["call", &socket, "io.choria.Submission.Submit", parameters]);
    let (ok, text) = call(r#"{"subject":"local.x","payload":"MQ=="}"#);
    assert!(ok && text.contains("\"id\""), "{text}");
    let (ok, text) = call(r#"{"subject":"local.x","payload":"MQ==","priority":7}"#);
    assert!(!ok && text.contains("io.choria.Submission.Invalid"), "{text}");
    assert_eq!(place.stored().len(), 1);
    service.stop();
}

#[test]
fn systemd_starts_it_and_idle_it_ends() {
    if Command::new("systemd-socket-activate").arg("--version").output().is_err() {
        return skipped("systemd_starts_it_and_idle_it_ends", "systemd-socket-activate is not on PATH");
    }
    let place = Place::new("");
    let socket = place.text("run/submit.sock");
    std::fs::create_dir(place.path("run")).expect("a folder");
    let before = ["systemd-socket-activate", "--fdname=varlink", "-l", &socket];
    let arguments = ["--config", &place.text("server.conf"), "--idle-exit", "1s"];
    let mut service = place.spawn(&before, &arguments, Stdio::null());
    let began = Instant::now();
    // Its file is there a moment before it listens, and who finds nobody listening writes the spool by himself.
    while !service.log().contains("Listening on") {
        assert!(began.elapsed() < PATIENCE, "no socket:\n{}", service.log());
    }
    assert!(!place.path("spool").exists(), "nobody called yet, nothing runs");
    let id = submit(&place.settings(), &Draft::new("local.x", "1")).expect("the call starts it");
    assert!(service.wait().success(), "{}", service.log());
    assert_eq!(place.stored().into_iter().map(|message| message.id).collect::<Vec<_>>(), [id]);
    assert!(service.log().contains("nobody was connected for a while"), "{}", service.log());
    assert!(place.socket().exists(), "the socket is the service manager's");
}

/// The service with `listener` as systemd gives it; the socket outlives the process, as systemd's does.
fn activated(place: &Place, listener: &UnixListener) -> Service {
    let socket = OwnedFd::from(listener.try_clone().expect("another descriptor"));
    let become_it = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=varlink; exec \"$@\"";
    let arguments = ["--config", &place.text("server.conf")];
    place.spawn(&["sh", "-c", become_it, "sh"], &arguments, Stdio::from(socket))
}

#[test]
fn clients_do_not_notice_restarts() {
    let place = Place::new("");
    std::fs::create_dir(place.path("run")).expect("a folder");
    let listener = UnixListener::bind(place.socket()).expect("a socket");
    let settings = place.settings();
    let (rounds, users) = (60, 4);
    let ids: Vec<MessageId> = std::thread::scope(|scope| {
        let work = |_| {
            scope.spawn(|| {
                let one = |_| submit(&settings, &Draft::new("local.x", "1")).expect("taken, in spite of restarts");
                (0..rounds).map(one).collect::<Vec<_>>()
            })
        };
        let working: Vec<_> = (0..users).map(work).collect();
        while working.iter().any(|thread| !thread.is_finished()) {
            let service = activated(&place, &listener);
            let before = place.status().counters.accepted;
            let began = Instant::now();
            while place.status().counters.accepted < before + 10 && working.iter().any(|thread| !thread.is_finished()) {
                assert!(began.elapsed() < PATIENCE, "nothing goes on:\n{}", service.log());
            }
            service.stop();
        }
        working.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut stored: Vec<MessageId> = place.stored().into_iter().map(|message| message.id).collect();
    assert_eq!(stored.len(), rounds * users, "each is there, none twice");
    let starts = std::fs::read_to_string(place.path("log")).expect("a log").matches("starting with").count();
    assert!(starts > 3, "only {starts} starts: this tests nothing");
    let mut ids = ids;
    ids.sort_unstable();
    stored.sort_unstable();
    assert_eq!(ids, stored);
}

#[test]
fn many_at_once_share_the_wait_for_the_disk() {
    let place = Place::new("");
    let service = place.start();
    let drafts: Vec<Draft> = (0..400).map(|number| Draft::new("local.x", number.to_string())).collect();
    for answer in place.client().submit_many(&drafts) {
        answer.expect("taken");
    }
    let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
    let payloads: Vec<_> = place.stored().iter().map(|message| text(&message.payload)).collect();
    let wanted: Vec<_> = drafts.iter().map(|draft| text(&draft.payload)).collect();
    assert_eq!(payloads, wanted, "in their order");
    let counters = place.status().counters;
    assert_eq!(counters.accepted, 400);
    assert!(counters.commits <= 100, "{} rounds for 400 messages", counters.commits);
    service.stop();
}

#[test]
fn greedy_users_harm_nobody_else() {
    if !is_root("greedy_users_harm_nobody_else") {
        return;
    }
    let place = Place::new("");
    let service = place.start();
    place.client().submit(&Draft::new("local.x", "1")).expect("taken");
    let before = service.memory();
    // A thousand connections, each with half of a message of three megabytes.
    let half = [b"{\"method\":\"".to_vec(), vec![b'x'; 3 << 20]].concat();
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..1000 {
        let mut stream = UnixStream::connect(place.socket()).expect("a connection");
        stream.set_nonblocking(true).expect("a mode");
        let mut piece = half.as_slice();
        while let Ok(count) = stream.write(piece) {
            piece = &piece[count..];
            if piece.is_empty() {
                break;
            }
        }
        stream.set_nonblocking(false).expect("a mode");
        stream.set_read_timeout(Some(std::time::Duration::from_millis(20))).expect("a limit");
        let mut reply = [0; 512];
        match stream.read(&mut reply) {
            Ok(count) if String::from_utf8_lossy(&reply[..count]).contains("io.choria.Submission.Busy") => refused += 1,
            Ok(_) => refused += 1,
            Err(_) => held.push(stream),
        }
    }
    assert!(refused > 900 && held.len() <= 80, "{refused} refused, {} held", held.len());
    let reply = place.as_nobody("Submit", &json!({ "subject": "local.x", "payload": "MQ==" }));
    assert!(reply["parameters"]["id"].is_string(), "another user is served: {reply}");
    let grown = service.memory().saturating_sub(before);
    assert!(grown < 64 * 1024, "it holds {grown} KiB of half messages");
    drop(held);
    let began = Instant::now();
    while place.client().submit(&Draft::new("local.x", "1")).is_err() {
        assert!(began.elapsed() < PATIENCE, "places are not given back:\n{}", service.log());
    }
    service.stop();
}

#[test]
fn limits_and_sick_disks_are_told_clearly() {
    let place =
        Place::new("plugin.choria.submission.max_spool_size = 2\nplugin.choria.submission.max_message_size = 100");
    let service = place.start();
    let mut client = place.client();
    let large = client.submit(&Draft::new("local.x", vec![0; 101])).expect_err("too large");
    assert!(matches!(&large, SubmitError::TooLarge(text) if text.contains("max_message_size")), "{large:?}");
    let full = (0..5).find_map(|_| client.submit(&Draft::new("local.x", "1")).err()).expect("a limit");
    assert!(matches!(&full, SubmitError::SpoolFull(text) if text.contains("max_spool_size")), "{full:?}");
    service.stop();

    if !is_root("limits_and_sick_disks_are_told_clearly") {
        return;
    }
    let place = Place::new("");
    std::fs::create_dir(place.path("spool")).expect("a folder");
    let arguments = ["--config", &place.text("server.conf")];
    let mounted = |options: &str| {
        let script = format!("mount -t tmpfs {options} tmpfs '{}' && exec \"$@\"", place.text("spool"));
        let before = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        place.start_by(&before, &arguments)
    };
    let service = mounted("-o size=100k,mode=0700");
    let mut client = place.client();
    let draft = Draft::new("local.x", vec![b'x'; 30_000]);
    let full = (0..5).find_map(|_| client.submit(&draft).err()).expect("the disk is full");
    assert!(matches!(&full, SubmitError::SpoolFailed(text) if text.contains("is full")), "{full:?}");
    let waiting = place.status().messages;
    assert_eq!(place.status().counters.accepted, waiting, "what failed left nothing");
    service.stop();

    let service = mounted("-o ro,mode=0700");
    let denied = place.client().submit(&draft).expect_err("it cannot be written");
    assert!(matches!(&denied, SubmitError::SpoolFailed(text) if text.contains("cannot be written")), "{denied:?}");
    assert!(service.log().contains("event=spool_unusable"), "{}", service.log());
    service.stop();
    assert_eq!(place.stored(), []);
}

#[test]
fn without_configuration_network_or_server() {
    if !is_root("without_configuration_network_or_server") {
        return;
    }
    let place = Place::new("");
    let socket = place.text("run/submit.sock");
    // A machine where nobody configured anything: own /etc/choria, /var/spool and network.
    let script =
        "mount -t tmpfs tmpfs /var/spool && mkdir -p /etc/choria && mount -t tmpfs tmpfs /etc/choria && exec \"$@\"";
    let before = ["unshare", "--mount", "--net", "sh", "-c", script, "sh"];
    let service = place.start_by(&before, &["--socket", &socket]);
    let reply = place.as_nobody("Submit", &json!({ "subject": "local.x", "payload": "MQ==" }));
    assert!(reply["parameters"]["id"].is_string(), "{reply}");
    let status = place.status();
    assert_eq!((status.spool.as_str(), status.messages), ("/var/spool/choria/submission", 1));
    assert!(!status.identity.is_empty());
    service.stop();
}

#[test]
fn a_reload_changes_rules_and_a_bad_one_nothing() {
    let place = Place::new("");
    let service = place.start();
    let payload_limit = || place.status().limits.payload_bytes;
    let waits_for = |what: &str| {
        let began = Instant::now();
        while !service.log().contains(what) {
            assert!(began.elapsed() < PATIENCE, "{what} does not come:\n{}", service.log());
        }
    };
    place.configure("plugin.choria.submission.max_message_size = 77");
    service.signal(Signal::SIGHUP);
    waits_for("event=reloaded");
    assert_eq!(payload_limit(), 77);
    place.configure("plugin.choria.submission.max_message_size = 78\nplugin.choria.submission.allow = everybody");
    service.signal(Signal::SIGHUP);
    waits_for("event=reload_refused");
    assert!(service.log().contains("plugin.choria.submission.allow"), "{}", service.log());
    assert_eq!(payload_limit(), 77, "what was in force stays");
    service.stop();
}

#[test]
fn the_socket_of_a_killed_service_is_replaced_and_a_live_one_is_not() {
    let place = Place::new("");
    let mut first = place.start();
    let mut second = place.spawn(&[], &["--config", &place.text("server.conf")], Stdio::null());
    assert_eq!(second.wait().code(), Some(1));
    assert!(second.log().contains("another program listens on this socket"), "{}", second.log());
    place.client().submit(&Draft::new("local.x", "1")).expect("the first serves on");
    first.signal(Signal::SIGKILL);
    first.wait();
    assert!(place.socket().exists(), "it could not clean up");
    let third = place.start();
    place.client().submit(&Draft::new("local.x", "1")).expect("taken");
    third.stop();
    assert!(!place.socket().exists());
    let direct = submit(&place.settings(), &Draft::new("local.x", "1"));
    direct.expect("without a service the owner writes the spool");
    assert_eq!(place.stored().len(), 3);
}

#[test]
fn the_units_name_what_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd");
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (socket, service) = (read("choria-submit.socket"), read("choria-submit.service"));
    let default = submission::Settings::with_spool(
        &config::Settings::builder().set("identity", "n1").build().expect("settings"),
        submission::DEFAULT_SPOOL.into(),
    );
    let listens = format!("ListenStream={}", default.expect("settings").socket.display());
    for line in [listens.as_str(), "FileDescriptorName=varlink", "SocketMode=0666", "DirectoryMode=0755"] {
        assert!(socket.lines().any(|own| own == line), "{line} is missing");
    }
    for line in ["Type=notify-reload", "CapabilityBoundingSet=", "PrivateNetwork=yes", "ProtectSystem=strict"] {
        assert!(service.lines().any(|own| own == line), "{line} is missing");
    }
    for never in ["PrivateUsers=yes", "choria-server.service", "network-online"] {
        assert!(!service.contains(never), "{never} must not be there");
    }
    let Ok(output) = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=20"])
        .arg(folder.join("choria-submit.service"))
        .output()
    else {
        return skipped("the_units_name_what_is_there", "systemd-analyze is not on PATH");
    };
    assert!(output.status.success(), "exposed by more than 2.0:\n{}", String::from_utf8_lossy(&output.stdout));
}
