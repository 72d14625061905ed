//! A program under test: started in its laboratory, asked whether it is ready, always stopped.

use crate::{Lab, PATIENCE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io::{Seek, Write};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static STARTED: AtomicUsize = AtomicUsize::new(0);

/// A running program of the project. Dropping it kills it and everything it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    notifications: UnixDatagram,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a program said until its end.
#[derive(Debug)]
pub struct Output {
    /// The exit code; a signal's number negated.
    pub code: i32,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Process {
    pub(crate) fn start(lab: &Lab, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_behind(lab, &[], program, arguments, environment)
    }

    /// As `start`, with `input` on standard input.
    pub(crate) fn start_with_input(
        lab: &Lab,
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: &str,
    ) -> Self {
        let file = tempfile::tempfile().expect("a file for the input");
        let mut writer = &file;
        writer.write_all(input.as_bytes()).expect("the input in its file");
        writer.rewind().expect("the start of the input");
        Self::spawn(lab, &[], program, arguments, environment, file.into())
    }

    /// As `start`, with `before` in front of the command; it must replace itself by the program.
    pub(crate) fn start_behind(
        lab: &Lab,
        before: &[&str],
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        Self::spawn(lab, before, program, arguments, environment, Stdio::null())
    }

    fn spawn(
        lab: &Lab,
        before: &[&str],
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        input: Stdio,
    ) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{program}-{number}");
        let socket = lab.path(&format!("{name}.notify"));
        let notifications = UnixDatagram::bind(&socket).expect("a notification socket");
        notifications.set_read_timeout(Some(PATIENCE)).expect("a socket takes a read timeout");
        let (stdout, stderr) = (lab.path(&format!("{name}.out")), lab.path(&format!("{name}.err")));
        let file = |path: &PathBuf| std::fs::File::create(path).expect("a file for the program's output");
        let path = crate::programs().join(program);
        let mut words = before.iter().map(OsStr::new).chain([path.as_os_str()]);
        let child = Command::new(words.next().expect("at least the program"))
            .args(words)
            .args(arguments)
            .current_dir(lab.folder())
            .env("CHORIA_CONFIG", lab.path("client.conf"))
            .env("CHORIA_NATS_SERVER", crate::nats_server())
            .env("HOME", lab.folder())
            .env("USER", "tester")
            .env("NOTIFY_SOCKET", &socket)
            .envs(environment.iter().copied())
            .stdin(input)
            .stdout(file(&stdout))
            .stderr(file(&stderr))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        Self { name, child, notifications, stdout, stderr }
    }

    /// Waits for `READY=1`.
    ///
    /// # Panics
    /// When the program ends first or is not ready within [`PATIENCE`]; prints what it logged.
    #[must_use]
    pub fn ready(mut self) -> Self {
        let began = Instant::now();
        let mut buffer = [0; 4096];
        self.notifications.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket takes a read timeout");
        loop {
            if let Ok(length) = self.notifications.recv(&mut buffer) {
                if String::from_utf8_lossy(&buffer[..length]).lines().any(|line| line == "READY=1") {
                    return self;
                }
            }
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("{} ended with {status} before it was ready:\n{}", self.name, self.log());
            }
            assert!(began.elapsed() < PATIENCE, "{} is not ready after {PATIENCE:?}:\n{}", self.name, self.log());
        }
    }

    /// What the program wrote on standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// What the program wrote on standard output so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids fit")
    }

    /// Is it still running?
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// The process ids of the programs that any of its threads started, found in `/proc`.
    #[must_use]
    pub fn children(&self) -> Vec<i32> {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", self.pid())) else { return Vec::new() };
        let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        lists
            .flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>())
            .collect()
    }

    /// Waits for the end and gives what the program said.
    ///
    /// # Panics
    /// When it does not end within three times [`PATIENCE`].
    #[must_use]
    pub fn output(mut self) -> Output {
        let began = Instant::now();
        let status = self.wait(PATIENCE * 3);
        let read =
            |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).expect("the program's output")).into_owned();
        Output { code: code(status), stdout: read(&self.stdout), stderr: read(&self.stderr), took: began.elapsed() }
    }

    /// Sends SIGTERM and waits for the end.
    #[must_use]
    pub fn stop(self) -> Output {
        self.signal(Signal::SIGTERM);
        self.output()
    }

    fn wait(&mut self, patience: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                return status;
            }
            assert!(began.elapsed() < patience, "{} did not end within {patience:?}:\n{}", self.name, self.log());
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let children = self.children();
            let _gone_already = kill(Pid::from_raw(-self.pid()), Signal::SIGKILL);
            for child in children {
                let _gone_already = kill(Pid::from_raw(child), Signal::SIGKILL);
            }
            let _reaped = self.child.wait();
        }
    }
}

impl Output {
    /// Asserts exit code 0 and gives standard output.
    ///
    /// # Panics
    /// When the exit code is another one.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// Asserts the exit code, and that standard error holds each of `texts` and no panic.
    ///
    /// # Panics
    /// When one of that is not so.
    #[track_caller]
    pub fn failed(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for text in texts {
            assert!(self.stderr.contains(text), "standard error lacks {text:?}: {self:#?}");
        }
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
    }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}
