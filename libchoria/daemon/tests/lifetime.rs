//! A daemon from start to exit code: what systemd hears, what signals do, what the log looks like. The daemon is
//! `examples/lifetime.rs`, in a process of its own.

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing here takes longer unless it never ends.
const LIMIT: Duration = Duration::from_secs(30);

/// A running daemon and the service manager that listens to it.
struct Daemon {
    child: Child,
    stdout: BufReader<ChildStdout>,
    manager: UnixDatagram,
    directory: TempDir,
}

impl Daemon {
    fn start(behaviour: &str) -> Self {
        Self::start_with(behaviour, |_command, _directory| {})
    }

    fn start_with(behaviour: &str, change: impl FnOnce(&mut Command, &TempDir)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("notify");
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        manager.set_read_timeout(Some(LIMIT)).expect("a time limit");
        let mut command = Command::new(program());
        command.arg(behaviour).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("JOURNAL_STREAM").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        command.env("NOTIFY_SOCKET", &socket).env("TZ", "UTC");
        change(&mut command, &directory);
        let mut child = command.spawn().expect("the daemon starts");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, stdout, manager, directory }
    }

    /// The next notification.
    fn heard(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.manager.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// All notifications that have not been read, once the daemon is gone.
    fn rest(&self) -> Vec<String> {
        self.manager.set_nonblocking(true).expect("a socket");
        let mut rest = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.manager.recv(&mut buffer) {
            rest.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        rest
    }

    fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.child.id()).expect("a process number");
        kill(Pid::from_raw(process), signal).expect("the daemon runs");
    }

    /// The next line of standard output.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Exit status and what was logged to standard error.
    fn end(&mut self) -> (ExitStatus, String) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                break status;
            }
            assert!(started.elapsed() < LIMIT, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut log = String::new();
        self.child.stderr.take().expect("its log").read_to_string(&mut log).expect("text");
        (status, log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The example beside this test's own binary.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let profile = test.parent().and_then(|dependencies| dependencies.parent()).expect("target/PROFILE/deps");
    let program = profile.join("examples/lifetime");
    assert!(program.is_file(), "{} is missing: run `cargo test -p choria-daemon` without `--test`", program.display());
    program
}

#[test]
fn a_manager_hears_ready_status_and_stopping() {
    for (behaviour, signal) in [("serve", Signal::SIGTERM), ("serve", Signal::SIGINT), ("threads", Signal::SIGTERM)] {
        let mut daemon = Daemon::start(behaviour);
        assert_eq!(daemon.heard(), "READY=1\n", "{behaviour}");
        assert_eq!(daemon.heard(), "STATUS=serving one\n", "{behaviour}");
        assert_eq!(daemon.heard(), "STATUS=serving two\n", "{behaviour}");
        daemon.signal(signal);
        assert_eq!(daemon.heard(), "STOPPING=1\n", "{behaviour}");
        let (status, log) = daemon.end();
        assert_eq!(status.code(), Some(0), "{behaviour}: {log}");
        assert!(log.contains(&format!("msg=\"{signal}: stopping\"")), "{log}");
        assert_eq!(daemon.rest(), [""; 0], "{behaviour}");
        assert_eq!(daemon.says(), "", "standard output belongs to results");
    }
}

#[test]
fn sigterm_works_before_ready() {
    let mut daemon = Daemon::start("never-ready");
    assert_eq!(daemon.says(), "started");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.heard(), "STOPPING=1\n");
    assert_eq!(daemon.end().0.code(), Some(0));
}

#[test]
fn what_does_not_stop_is_stopped() {
    let mut daemon = Daemon::start("hang");
    assert_eq!(daemon.heard(), "READY=1\n");
    daemon.signal(Signal::SIGTERM);
    let (status, log) = daemon.end();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("level=error msg=\"forced exit: not everything stopped within 0.2 s\""), "{log}");
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut daemon = Daemon::start("linger");
    assert_eq!(daemon.heard(), "READY=1\n");
    daemon.signal(Signal::SIGINT);
    assert_eq!(daemon.heard(), "STOPPING=1\n");
    daemon.signal(Signal::SIGINT);
    let (status, log) = daemon.end();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("forced exit: SIGINT came again while stopping"), "{log}");
}

#[test]
fn an_error_is_logged_with_its_causes() {
    let mut daemon = Daemon::start("fail");
    let (status, log) = daemon.end();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("level=error msg=\"lifetime failed: storing the message: the disk is on fire\""), "{log}");
}

#[test]
fn reloads_are_announced_and_acknowledged() {
    let rows: &[(&str, &[&str])] = &[
        ("reload", &["STATUS=read anew\n", "READY=1\n"]),
        // Nothing listens for reloads there.
        ("hang", &["READY=1\n"]),
    ];
    for (behaviour, expected) in rows {
        let daemon = Daemon::start(behaviour);
        assert_eq!(daemon.heard(), "READY=1\n", "{behaviour}");
        daemon.signal(Signal::SIGHUP);
        let reloading = daemon.heard();
        let microseconds = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
        assert!(microseconds.trim_end().parse::<u64>().is_ok_and(|time| time > 0), "{reloading}");
        for message in *expected {
            assert_eq!(daemon.heard(), *message, "{behaviour}");
        }
    }
}

#[test]
fn the_watchdog_hears_the_work_loop_and_nobody_else() {
    let mut daemon = Daemon::start_with("2", |command, _directory| {
        command.env("WATCHDOG_USEC", "200000");
    });
    // Starting counts as life, then the loop gives two signs; after that there is silence.
    let mut signs = 0;
    let mut quiet_turns = 0;
    let started = Instant::now();
    daemon.manager.set_read_timeout(Some(Duration::from_millis(500))).expect("a time limit");
    while quiet_turns < 2 {
        assert!(started.elapsed() < LIMIT, "the watchdog is never silent");
        let mut buffer = [0; 4096];
        match daemon.manager.recv(&mut buffer) {
            Ok(length) => signs += usize::from(&buffer[..length] == b"WATCHDOG=1\n"),
            Err(_silence) => quiet_turns += 1,
        }
    }
    assert_eq!(signs, 3);
    daemon.signal(Signal::SIGTERM);
    let (_status, log) = daemon.end();
    assert!(log.contains("the work loop gave no sign of life for 100 ms"), "{log}");
}

#[test]
fn a_blocked_work_loop_is_silent() {
    let daemon = Daemon::start_with("block", |command, _directory| {
        command.env("WATCHDOG_USEC", "100000");
    });
    assert_eq!(daemon.heard(), "READY=1\n");
    daemon.manager.set_read_timeout(Some(Duration::from_millis(600))).expect("a time limit");
    assert!(daemon.manager.recv(&mut [0; 64]).is_err(), "a blocked loop gives no sign of life");
}

#[test]
fn a_restart_keeps_the_process_and_the_manager_hears_of_a_reload() {
    for supervised in [true, false] {
        let mut daemon = Daemon::start_with("restart", |command, directory| {
            command.env("MARKER", directory.path().join("marker"));
            if !supervised {
                command.env_remove("NOTIFY_SOCKET");
            }
        });
        let process = daemon.child.id();
        assert_eq!(daemon.says(), format!("first {process}"));
        assert_eq!(daemon.says(), format!("again {process}"));
        if supervised {
            let heard = daemon.heard();
            assert!(heard.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{heard}");
            assert_eq!(daemon.heard(), "STOPPING=1\n");
        }
        assert_eq!(daemon.end().0.code(), Some(0));
    }
}

#[test]
fn a_restart_that_is_not_possible_is_left_to_the_manager() {
    for (supervised, code) in [(true, 75), (false, 1)] {
        let mut daemon = Daemon::start_with("restart", |command, directory| {
            // A copy, which the daemon removes before it restarts.
            let copy = directory.path().join("lifetime");
            std::fs::copy(program(), &copy).expect("a copy");
            let old = std::mem::replace(command, Command::new(&copy));
            command.args(old.get_args()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            for (key, value) in old.get_envs() {
                command.env(key, value.unwrap_or_default());
            }
            command.env("MARKER", directory.path().join("marker")).env("REMOVE", &copy);
            if !supervised {
                command.env_remove("NOTIFY_SOCKET");
            }
        });
        let (status, log) = daemon.end();
        assert_eq!(status.code(), Some(code), "{log}");
    }
}

#[test]
fn the_pid_file_lives_as_long_as_the_daemon() {
    let mut daemon = Daemon::start_with("serve", |command, directory| {
        command.env("PID_FILE", directory.path().join("pid"));
    });
    assert_eq!(daemon.heard(), "READY=1\n");
    let path = daemon.directory.path().join("pid");
    assert_eq!(std::fs::read_to_string(&path).expect("a PID file"), format!("{}\n", daemon.child.id()));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.end().0.code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn the_log_has_one_line_per_event() {
    let expected = [
        r#"level=info msg="read \"facts\"\nanew" component=server count=3 fields.msg=x ratio=0.5 who="a b""#,
        r#"level=warning msg="shown" component=async_nats"#,
        r#"level=debug msg="shown now" component=server"#,
        r#"level=error msg="an error" component=own"#,
    ];
    let (status, log) = Daemon::start("log").end();
    assert_eq!(status.code(), Some(0));
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, expected) in lines.iter().zip(expected) {
        let (time, rest) = line.split_once(' ').expect(line);
        assert!(time.starts_with("time=\"20") && time.ends_with("Z\""), "{line}");
        assert_eq!(rest, expected);
    }
}

#[test]
fn a_log_file_is_appended_to_as_json() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log.json");
    for _run in 0..2 {
        let mut daemon = Daemon::start_with("log", |command, _own| {
            command.arg(&path);
        });
        let (status, log) = daemon.end();
        assert_eq!((status.code(), log.as_str()), (Some(0), ""));
    }
    let text = std::fs::read_to_string(path).expect("a log");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 8, "{text}");
    let first = &lines[0];
    let got = ["level", "msg", "component", "who", "fields.msg"].map(|key| first[key].as_str().unwrap_or_default());
    assert_eq!(got, ["info", "read \"facts\"\nanew", "server", "a b", "x"]);
    assert_eq!((first["count"].as_u64(), first["ratio"].as_f64()), (Some(3), Some(0.5)));
}

#[test]
fn an_unusable_log_file_is_named() {
    let (status, log) = Daemon::start_with("log", |command, _directory| {
        command.arg("/nonexistent/log");
    })
    .end();
    assert_eq!(status.code(), Some(1));
    assert!(log.starts_with("lifetime: opening the log file /nonexistent/log: No such file"), "{log}");
}

#[test]
fn sockets_of_the_service_manager_are_found_by_name_and_survive_a_restart_of_the_program() {
    let place = tempfile::tempdir().expect("a directory");
    let http = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = http.local_addr().expect("an address").port();
    let path = place.path().join("varlink.sock");
    let varlink = UnixListener::bind(&path).expect("a socket");
    let (connection, _far) = UnixStream::pair().expect("a pair");
    // Two calls that wait, one for each life of the program.
    let _calls = [(); 2].map(|()| UnixStream::connect(&path).expect("a connection"));
    // The shell stands in for systemd.
    // Numbers that the shell does not use itself, and that a child inherits.
    let high = |socket: &dyn AsFd| fcntl(socket, FcntlArg::F_DUPFD(20)).expect("another descriptor");
    let (http, varlink, connection) = (high(&http), high(&varlink), high(&connection));
    let pass = format!(
        "export LISTEN_PID=$$ LISTEN_FDS=4 LISTEN_FDNAMES=lifetime.socket:varlink:unknown-one:connection; \
         exec \"$0\" sockets 3<&{http} 4<&{varlink} 5</dev/null 6<&{connection} \
         {http}<&- {varlink}<&- {connection}<&-"
    );
    let mut daemon = Daemon::start_with("sockets", |command, directory| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &pass]).arg(program()).env("MARKER", directory.path().join("marker"));
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        shell.env("NOTIFY_SOCKET", directory.path().join("notify")).env_remove("JOURNAL_STREAM");
        *command = shell;
    });
    assert_eq!(daemon.says(), format!("Some({port}) true 1"));
    assert_eq!(daemon.says(), "=", "a child has none of them");
    // The connection was taken for good; the file that nobody wanted is no socket and is not handed on.
    assert_eq!(daemon.says(), format!("Some({port}) true 0"));
    assert_eq!(daemon.says(), "=");
    let (status, log) = daemon.end();
    assert!(status.success(), "{log}");
    assert_eq!(log.matches("the descriptor \\\"unknown-one\\\"").count(), 1, "{log}");
}
