//! Which way a message goes in, and that a refusal by one way is never got round by the other.

use choria_local as local;
use config::keys;
use local::submission::{INTERFACE, SubmitError, submit, submit_many};
use local::varlink::{About, Bounds, Call, Failure, Interface, Listener, Server, Service};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use submission::{Draft, Limits, MessageId, Priority, Settings, Spool};
use tokio_util::sync::CancellationToken;

/// Answers every submission alike.
struct Always(fn() -> Result<Value, Failure>);

impl Service for Always {
    fn about(&self) -> About {
        About { vendor: "Choria", product: "always", version: "1", url: "https://choria.io" }
    }

    fn interface(&self) -> Interface {
        INTERFACE
    }

    async fn call(&self, _: Call<'_>) -> Result<Value, Failure> {
        (self.0)()
    }
}

fn serve(path: &Path, answer: fn() -> Result<Value, Failure>) -> (CancellationToken, std::thread::JoinHandle<()>) {
    let listener = Listener::bind(path, 0o666).expect("a socket");
    let server = Server::new(listener, Arc::new(Always(answer)), Bounds::default());
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(server.run(stopped, Duration::from_secs(5))).expect("it serves");
    });
    (stop, thread)
}

fn settings(folder: &Path, more: &[(&str, &str)]) -> Settings {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut builder = config::Settings::builder()
        .set(keys::IDENTITY.name(), "n1.example.net")
        .set(keys::SUBMISSION_SPOOL.name(), &path("spool"))
        .set(keys::SUBMISSION_SOCKET.name(), &path("submit.sock"));
    for (key, value) in more {
        builder = builder.set(key, value);
    }
    let config = builder.build().expect("settings");
    Settings::from_settings(&config).expect("settings").expect("a spool")
}

fn stored(folder: &Path) -> Vec<MessageId> {
    if !folder.join("spool").exists() {
        return Vec::new();
    }
    let spool = Spool::open(&folder.join("spool"), Limits::default()).expect("the spool");
    let window = spool.entries(Priority::default()).expect("a list");
    window.entries.into_iter().map(|entry| entry.message.id).collect()
}

#[test]
fn without_a_socket_the_owner_writes_the_spool() {
    for stale in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        if stale {
            drop(std::os::unix::net::UnixListener::bind(folder.path().join("submit.sock")).expect("a socket"));
        }
        let settings = settings(folder.path(), &[]);
        let first = submit(&settings, &Draft::new("any.thing", "1")).expect("stored");
        let bad = Draft::new("no spaces", "1");
        let more = [Draft::new("local.a", "1"), bad, Draft::new("local.b", "1")];
        let answers = submit_many(&settings, &more).expect("a way");
        let [Ok(second), Err(SubmitError::Invalid(_)), Ok(third)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(stored(folder.path()), [first, second.clone(), third.clone()], "stale socket: {stale}");
        let status = local::submission::status(&settings).expect("a status");
        assert_eq!((status.messages, status.priorities[4].messages), (3, 3));
    }
}

#[test]
fn limits_hold_for_direct_writers_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let few = [(keys::SUBMISSION_MAX_SPOOL_SIZE.name(), "1"), (keys::SUBMISSION_MAX_MESSAGE_SIZE.name(), "10")];
    let settings = settings(folder.path(), &few);
    let large = submit(&settings, &Draft::new("a", vec![b'x'; 11]));
    assert!(matches!(large, Err(SubmitError::TooLarge(_))), "{large:?}");
    let mut kept = Vec::new();
    let full = loop {
        match submit(&settings, &Draft::new("a", "x")) {
            Ok(id) => kept.push(id),
            Err(error) => break error,
        }
        assert!(kept.len() < 10, "the limit is not kept");
    };
    assert!(matches!(full, SubmitError::SpoolFull(_)), "{full:?}");
    assert_eq!(stored(folder.path()), kept);
}

#[test]
fn what_the_service_says_counts() {
    type Row = (&'static str, fn() -> Result<Value, Failure>, fn(&SubmitError) -> bool);
    let rows: [Row; 8] = [
        ("refused", || Err(Failure::because("Refused", "not you")), |e| *e == SubmitError::Refused("not you".into())),
        ("invalid", || Err(Failure::because("Invalid", "no")), |e| matches!(e, SubmitError::Invalid(_))),
        ("full", || Err(Failure::because("SpoolFull", "no")), |e| matches!(e, SubmitError::SpoolFull(_))),
        ("disk", || Err(Failure::because("SpoolFailed", "no")), |e| matches!(e, SubmitError::SpoolFailed(_))),
        ("large", || Err(Failure::because("TooLarge", "no")), |e| matches!(e, SubmitError::TooLarge(_))),
        ("busy", || Err(Failure::because("Busy", "no")), |e| matches!(e, SubmitError::Busy(_))),
        ("parameter", || Err(Failure::InvalidParameter("x".into())), |e| matches!(e, SubmitError::Invalid(_))),
        ("no id", || Ok(json!({})), |e| matches!(e, SubmitError::Io(_))),
    ];
    for (name, answer, wanted) in rows {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path(), &[]);
        let (stop, thread) = serve(&settings.socket, answer);
        let draft = Draft::new("local.x", "1");
        let error = submit(&settings, &draft).expect_err(name);
        assert!(wanted(&error), "{name}: {error:?}");
        let many = submit_many(&settings, &vec![draft; 200]).expect("a way");
        assert!(many.len() == 200 && many.iter().all(|answer| answer.as_ref().is_err_and(wanted)), "{name}: {many:?}");
        assert_eq!(stored(folder.path()), [], "{name}: the spool is no way round a refusal");
        stop.cancel();
        thread.join().expect("it ends");
    }
}

#[test]
fn many_answers_come_in_the_order_of_the_drafts() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path(), &[]);
    let answer = || match NUMBER.fetch_add(1, Ordering::SeqCst) {
        150 => Err(Failure::because("Refused", "that one")),
        number => Ok(json!({ "id": number.to_string() })),
    };
    let (stop, thread) = serve(&settings.socket, answer);
    let answers = submit_many(&settings, &vec![Draft::new("local.x", vec![b'x'; 5000]); 300]).expect("a way");
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(id) => assert_eq!(id.as_str(), number.to_string()),
            Err(error) => assert_eq!((number, error), (150, &SubmitError::Refused("that one".into()))),
        }
    }
    assert_eq!(answers.len(), 300);
    stop.cancel();
    thread.join().expect("it ends");
}

/// The example program as user 65534, in `folder`.
fn as_nobody(folder: &Path, words: &[&str]) -> (bool, String) {
    let own = std::env::current_exe().expect("this program has a path");
    let built = own.parent().and_then(Path::parent).expect("target/PROFILE").join("examples/hand-in");
    let program: PathBuf = folder.join("hand-in");
    std::fs::copy(built, &program).expect("the example was built with this test");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(words);
    let output = command.output().expect("setpriv of util-linux");
    (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn who_may_not_write_the_spool_is_told_of_the_socket() {
    if !nix::unistd::geteuid().is_root() {
        // Then this very user is the one who may not, with a spool of root's.
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { spool: "/proc/1/spool".into(), ..settings(folder.path(), &[]) };
        let error = submit(&settings, &Draft::new("local.x", "1")).expect_err("no way");
        assert!(!matches!(error, SubmitError::Io(_)), "{error:?}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
    drop(Spool::open(&folder.path().join("spool"), Limits::default()).expect("a spool of root's"));
    for (name, spool) in [("root's spool", path("spool")), ("a spool that is not there", path("none"))] {
        let (taken, said) = as_nobody(folder.path(), &[&spool, &path("submit.sock"), "local.x", "1"]);
        assert!(!taken && said.starts_with("NoSocket("), "{name}: {said}");
        for part in [&path("submit.sock"), &spool, "choria-submit.socket"] {
            assert!(said.contains(part), "{name}: {part} is missing in {said}");
        }
    }
    let answer = || Ok(json!({ "id": "by-socket" }));
    let (stop, thread) = serve(&folder.path().join("submit.sock"), answer);
    let submitted = as_nobody(folder.path(), &[&path("spool"), &path("submit.sock"), "local.x", "1"]);
    assert_eq!(submitted, (true, "by-socket\n".to_owned()));
    stop.cancel();
    thread.join().expect("it ends");

    let _closed = std::os::unix::net::UnixListener::bind(folder.path().join("closed.sock")).expect("a socket");
    std::fs::set_permissions(folder.path().join("closed.sock"), PermissionsExt::from_mode(0o600)).expect("permissions");
    let (taken, said) = as_nobody(folder.path(), &[&path("spool"), &path("closed.sock"), "local.x", "1"]);
    assert!(!taken && said.starts_with("Io(") && said.contains("Permission denied"), "{said}");
}
